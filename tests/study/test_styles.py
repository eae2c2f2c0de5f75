"""Notes in many styles: each question is found, with its answer, and nothing else becomes one.

The files of `styles/` were written for this; the truths here were counted by hand.
"""

from pathlib import Path

import pytest

from clearhead.study.reading import load, seen_in
from clearhead.study.styles import recognize

HERE = Path(__file__).parent / "styles"
TRUTHS = {  # file: (question, how its answer begins, how it ends)
    "contents_and_top.md": [
        ("What does a learning rate do?", "It scales", "diverges."),
        ("Why is the loss of a deep network not convex?", "Permuting", "Seldom in practice."),
        ("Explain warmup", "The rate grows", "first steps."),
    ],
    "bold_pairs.md": [
        ("What is a query?", "The vector that a position", "asks with."),
        ("What is a key?", "The vector that it is", "between heads."),
        ("Is softmax needed? (hard)", "It makes", "- normalized"),
    ],
    "folds.md": [
        ("What is a residual connection?", "`y = x + f(x)`.", "depth."),
        ("Why does it help gradients?", "The derivative", "```"),
        ("Where is layer norm placed in a pre-norm block?", "Before", "part."),
    ],
    "emoji_headings.md": [
        ("What is dropout? ⭐⭐", "Units", "random."),
        ("Weight decay vs L2 ⭐", "With Adam", "differ."),
        ("What does batch norm do at test time? ⭐⭐⭐", "It uses", "statistics."),
    ],
    "bullets_as_answers.md": [
        ("What is overfitting?", "- low", "test error"),
        ("How can it be reduced?", "- more", "2. dropout"),
        ("What is recall?", "* hits", "positives"),
        ("When is accuracy misleading?", "* when", "rare"),
        ("Name two uses of a confusion matrix", "* to see", "confused"),
    ],
    "topics.md": [
        ("Bias-variance tradeoff", "Error has", "parts."),
        ("No free lunch", "No learner", "two worlds."),
        ("Cross-validation", "Split", "rotate."),
        ("Data leakage", "Test data", "training."),
    ],
    "only_questions.md": [
        ("What is a basis?", "", ""),
        ("When is a matrix invertible?", "", ""),
        ("Describe the geometric meaning of a determinant.", "", ""),
        ("What is a random variable?", "", ""),
        ("How do you test independence?", "* Can you", "two tests?"),
        ("What is the difference between a PMF and a PDF?", "", ""),
    ],
    "nested_levels.md": [
        ("What is the geometric interpretation of the dot product of two vectors?", "", ""),
        ("Given a vector $u$, find a vector $v$ of unit length so that the dot product is largest.", "", ""),
        ("How can the outer product be useful in ML?", "", ""),
        ("Why do we say that matrices are linear transformations?", "", ""),
        ("What does the determinant of a matrix represent?", "", ""),
        ("Do all matrices have an inverse?", "", ""),
    ],
    "table_three.md": [
        ("What is a token?", "A piece", "number"),
        ("What does `a | b` mean in a regex?", "a or b", "a or b"),
        ("Byte pair encoding", "Merges", "pair"),
    ],
    "numbered_bold.md": [
        ("What is entropy of a node?", "The expected", "one bit"),
        ("How is a split chosen?", "The one", "```"),
        ("Which trees overfit?", "Deep ones.", "They average."),
    ],
    "paragraphs.md": [
        ("What is a language model?", "A distribution", "texts."),
        ("How is it trained?", "By predicting", "- Compute"),
        ("What is perplexity?", "The exponential", "loss."),
    ],
    "chinese_bold.md": [
        ("什么是自注意力？", "每个位置", "求和。"),
        ("简述位置编码的作用", "让模型", "顺序。"),
        ("Adam 和 SGD 有什么区别？", "Adam", "步长。"),
        ("为什么需要梯度裁剪？", "避免", "爆炸。"),
    ],
    "russian.md": [
        ("Что такое градиент?", "Вектор", "производных."),
        ("Чем отличается L1 от L2?", "L1", "разреженность."),
        ("Расскажите про дропаут", "Случайное", "нейронов."),
    ],
    "subheads.md": [
        ("What is _clustering_ and how is it used?", "**Clustering**", "```"),
        ("What is the difference between _parametric_ and _nonparametric_ models?", "### Parametric", "- assumptions"),
        ("Explain _EM_.", "### Key concepts", "- latent variables"),
    ],
    "mixed_sections.md": [
        ("What is a tokenizer?", "It cuts", "text."),
        ("What is a vocabulary?", "All", "pieces."),
        ("What is beam search?", "Keep the k", "best."),
        ("What is greedy decoding?", "Keep", "best."),
        ("What is nucleus sampling?", "Draw", "mass p."),
    ],
    "question_answer_words.md": [
        ("You train a network and the loss is NaN. What do you check first?", "The learning rate", "batch."),
        ("What is gradient clipping?", "A bound", "gradient."),
        ("Why mixed precision?", "Speed", "memory."),
    ],
    "linked_headings.md": [
        ("[1. What is a kernel function?](https://example.org/kernel)", "An inner", "space."),
        ("[2. What is a margin?](https://example.org/margin)", "The distance", "</a>"),
        ("What is a support vector?", "A point", "margin."),
    ],
    "inline_answers.md": [
        ("What is a GPU?", "A processor for many", "operations."),
        ("What is a TPU?", "A processor for matrix", "products."),
        ("Why are they fast?", "Their memory", "is high."),
    ],
    "labels.md": [
        ("What is stemming?", "Cutting", "endings."),
        ("What is lemmatization?", "Finding", "dictionary."),
        ("What is a stop word?", "A frequent", "content."),
        ("What is TF-IDF?", "A weight", "words."),
    ],
    "choices.md": [
        ("What does this print?\n\n```python\nprint(1 + 1)\n```\n\n- A: 1\n- B: 2", "B\n\nAddition", "integers."),
        ("Lists are mutable.\n\n- A: true\n- B: false", "A\n\nThey", "`append`."),
    ],
    "page.html": [
        ("What is a loss?", "A number", "- cross-entropy"),
        ("Why is the logarithm used?", "Products", "```"),
        ("What is label smoothing?", "| k |", "0.95 |"),
    ],
    "headings.org": [
        ("What is BM25?", "A ranking", "```"),
        ("What is a dense retriever?", "It compares `vectors`.", "."),
        ("Why rerank?", "A slow", "candidates."),
    ],
    "cells.ipynb": [("What is broadcasting?", "```python", "stretched."), ("What is a view?", "Memory", "shared.")],
}


def test_every_file_has_its_truth() -> None:
    assert {path.name for path in HERE.iterdir()} == set(TRUTHS)


@pytest.mark.parametrize("name", TRUTHS)
def test_questions_and_answers(name: str) -> None:
    items = seen_in(load(HERE / name), name).notes.items
    assert [item.question for item in items] == [question for question, _, _ in TRUTHS[name]]
    for item, (_, begins, ends) in zip(items, TRUTHS[name], strict=True):
        assert item.answer.startswith(begins) and item.answer.endswith(ends)
        assert bool(item.answer) == bool(begins)
        assert "top](" not in item.answer.lower() and "back to top" not in item.answer
