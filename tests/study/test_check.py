"""Each fault is found where it is, and nothing is found where there is none."""

from clearhead.study.check import answers, check
from clearhead.study.examples import GUIDE as FOLDER
from clearhead.study.notes import parse

NOTES = """# T
1) Why is attention divided by the root of its width?
2) What is dropout?
    <details><summary>Answer</summary>
     Test
    </details>
3) What is a norm?
    A length, $\\\\|x\\\\|_2$ and $$\\sqrt{\\sum x_i^2}$$, costs \\$5.
    TODO
4) Broken?
    One $x and no more.
5) Braces?
    $\\frac{1}{2$ here
6) Code?
    ```python
    def f(:
    ```
7) Open?
    ```
    for ever
"""
GUIDE = parse("# Transformers\n## Scores\n1) Why are attention scores divided by the root of the width?\n    x\n")


def test_what_is_found_and_where() -> None:
    found = check(parse(NOTES), GUIDE.items)
    assert [(finding.kind, finding.line) for finding in found] == [
        ("unanswered", 2), ("placeholder", 3), ("to do", 9), ("mathematics", 10), ("mathematics", 12), ("code", 14),
        ("code", 18),
    ]  # fmt: skip
    assert found[0].guide.startswith("Transformers / Scores 1: Why are attention scores")
    assert not found[1].guide
    assert "cannot be read" in found[5].text and "never ends" in found[6].text


ASKED = {  # in other words and in American spelling -> chapter and number
    "Regularization For what reason is dropout useful?": ("Regularization", 3),
    "Optimizers Explain Adam": ("Optimization algorithms", 3),
    "Tokenizers Explain byte pair encoding, step by step": ("Tokenization", 2),
    "LSTM What are its gates for?": ("RNNs and LSTMs", 4),
    "Decoding What do top-k and nucleus sampling do?": ("Sequence-to-sequence models", 3),
    "Flash Attention How can tiles do when the softmax needs a whole row?": ("FlashAttention", 2),
    "KV cache How much memory does it need?": ("The KV cache", 2),
    "Calculus prove the chain rule": ("Calculus and optimization", 2),
}
ELSEWHERE = (
    "Sourdough How long does a dough rest?",
    "Rome Who was the first emperor?",
    "Biology What is the function of mitochondria?",
    "Databases What is the difference between snapshot isolation and serialisability?",
    "this wants a better example",
)


def test_the_guide_answers_other_words_and_not_everything() -> None:
    guide = [item for path in sorted(FOLDER.glob("*.md")) for item in parse(path.read_text(encoding="utf-8")).items]
    found = answers([*ASKED, *ELSEWHERE], guide)
    got = {text: item and (item.section[0], item.number) for text, item in zip(ASKED, found, strict=False)}
    assert got == ASKED
    assert found[len(ASKED) :] == [None] * len(ELSEWHERE)
    assert answers(["x"], []) == [None] and answers([], guide) == []


def test_the_headings_above_say_what_a_todo_is_about() -> None:
    guide = parse("# Cats\n1) What do they eat?\n    Fish.\n\n# Dogs\n1) What do they eat?\n    Bones.\n").items
    found = check(parse("# Pets\n## Dogs\n1) Bark?\n    Yes. TODO what they eat\n"), guide)
    assert [finding.guide for finding in found] == ["Dogs / Dogs 1: What do they eat?"]
