"""Notes in many styles: each question is found, with its answer, and nothing else becomes one.

The files of `styles/` were written for this; the truths here were counted by hand.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.errors import UserError
from clearhead.study.reading import gather, joined, load, seen_in
from clearhead.study.styles import FAMILIES, recognize
from clearhead.study.wording import asks

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
        ("How do you test independence?", "", ""),
        ("Can you name two tests?", "", ""),
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


PIECES = [
    "### ", "# ", "- ", "  - ", "1. ", "2) ", "**", "Q: ", "A: ", "What is it?", "words", "```", "$$",
    "<details>", "<summary>", "</summary>", "</details>", "::", "?", ">>", "#card", "==", "---", "> ", "<!--",
    "-->", "[a](#b)", "Answer", ": ", "\\[", "    ", "\t", "{{c1::x}}", "??? ", "**1.**", "１）", "。", "<div>",
    "\n", "\n\n", "|", "|-|-|",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_nothing_breaks_it_and_every_line_is_in_one_place(pieces: list[str]) -> None:
    text = "".join(pieces)
    seen = recognize(text)
    lines = [item.line for item in seen.notes.items]
    assert lines == sorted(set(lines)) or seen.styles[0][0].startswith(("<details", "flashcards"))
    assert all(item.question for item in seen.notes.items)
    assert sum(n for _, n in seen.styles) == len(seen.notes.items)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_style_that_was_asked_for_is_the_only_one(family: str) -> None:
    text = (HERE / "mixed_sections.md").read_text(encoding="utf-8")
    styles = [style for style, _ in recognize(text, family).styles]
    assert all(style == {"heading": "### ...", "number": "1) ..."}[family] for style in styles)
    assert bool(styles) == (family in ("heading", "number"))


def test_what_was_left_is_named() -> None:
    text = "# N\n\n### 1. What is A?\n\nOne.\n\n- **What is inside?**\n\n### 2. What is B?\n\nTwo.\n\n"
    text += "### 3. Topic\n\nThree.\n\n## Other\n\nAlone.\n"
    seen = recognize(text)
    assert seen.styles == (("### 1. ...", 3),) and seen.doubtful == ((13, "Topic"),)
    assert [line.text for line in seen.notes.stray] == ["Alone."]


LONG = [
    "<details>\n" * 10_000,
    "<details><summary>What is a?</summary>\n" * 5_000 + "</details>\n" * 5_000,
    "# " + " " * 100_000 + "x" + "#" * 100_000 + " x",
    "1) " + " " * 100_000,
    "1) a" + " " * 30_000 + "b",
    "### " + " {" * 30_000 + "?",
    "~" * 100_000 + "`",
    "```" + " " * 100_000 + "`",
    "$$ \n" * 9_999,
    "TODO" + " " * 100_000,
    "```\n~~~\n" * 5_000,
    "#" * 100_000,
    "### " + "[" * 30_000 + "?",
    "### " + "(" * 15_000 + ")" * 15_000,
    "- " + "[a](#b)" * 10_000,
    "- " + "[a](#(" * 10_000,
    "**" + "* " * 30_000,
    "| " * 30_000 + "\n|-|-|\n",
    "<" * 50_000 + "\n" + "<a " * 10_000,
    "1. a\n" * 10_000,
    "#flashcards\n" + "=" * 50_000 + "\n" + "==a" * 10_000 + "\n" + "{{c1::" * 10_000,
    "What\n?\n" * 5_000,
    "<!-- " * 20_000,
    "\\begin{align}\n" * 2_000,
    "Q: " + "a" * 50_000 + " " * 50_000,
    "- a " + "> " * 30_000 + ">>",
]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_no_text_takes_long(text: str) -> None:
    """By the square of its length each of these would take minutes, most of them hours."""
    recognize(text * 2)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.md", Path("/dev/zero")):
        with pytest.raises(UserError, match=path.name):
            load(path)
    (tmp_path / "large.md").write_bytes(b"x" * 20_000_001)
    with pytest.raises(UserError, match="20,000,001 bytes"):
        load(tmp_path / "large.md")
    (tmp_path / "words.md").write_text("words\n")
    with pytest.raises(UserError, match="holds no questions"):
        gather([tmp_path / "words.md"])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("1) größer?\n".encode("latin-1"), "größer?"),
        ("1) größer?\n".encode("utf-16"), "größer?"),
        (b"\xef\xbb\xbf1) Q?\r\n", "Q?"),
    ],
)
def test_encodings(data: bytes, text: str) -> None:
    assert seen_in(data, "a.md").notes.items[0].question == text


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"\xff\xfe\x00", "a.md", "begins as utf-16"),
        (b"a\0b", "a.md", "zero bytes"),
        (b"{", "a.ipynb", "no Jupyter notebook"),
        (b'{"cells": [{"cell_type": "markdown", "source": 3}]}', "a.ipynb", "no Jupyter notebook"),
    ],
)
def test_what_cannot_be_read(data: bytes, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        seen_in(data, name)


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "n" / ".git").mkdir(parents=True)
    (tmp_path / "n" / ".git" / "x.md").write_text("### What?\n")
    (tmp_path / "n" / "b.md").write_text("# B\n\n### What is b?\n\nB.\n\n### Why b?\n\nB.\n")
    (tmp_path / "n" / "a.md").write_text("1) What is a?\n\n    A.\n")
    (tmp_path / "n" / "c.png").write_bytes(b"\0")
    (tmp_path / "secret.md").write_text("1) What is secret?\n")
    (tmp_path / "n" / "link.md").symlink_to(tmp_path / "secret.md")
    found = joined(gather([tmp_path / "n"])).items
    assert [(item.section, item.question) for item in found] == [
        (("a",), "What is a?"),
        (("B",), "What is b?"),
        (("B",), "Why b?"),
    ]
    assert {Path(item.source).name for item in found} == {"a.md", "b.md"}


@pytest.mark.parametrize(
    "given", ["aliases: [Tilling, 'The Plow']", "alias: Tilling, The Plow", "aliases:\n  - Tilling\n  - The Plow"]
)
def test_other_names_of_a_file_stand_beside_its_own(given: str, tmp_path: Path) -> None:
    (tmp_path / "Plowing.md").write_text(f"---\n{given}\ntags: [x]\n---\n\n### What is a furrow?\n\nA trench.\n")
    (tmp_path / "b.md").write_text("# B\n\n### What is b?\n\nB.\n")
    one, two = joined(gather([tmp_path / "Plowing.md", tmp_path / "b.md"])).items
    assert one.section == ("Plowing (Tilling, The Plow)",) and two.section == ("B",)
    (alone,) = joined(gather([tmp_path / "Plowing.md"])).items
    assert alone.section == one.section


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("#separator:tab\n#html:true\n#tags column:3\nWhat?\ta<br>b\tml\n", [(("ml",), "What?", "a\nb")]),
        ('term,definition\n"What, then?","one\ntwo"\n', [((), "What, then?", "one\ntwo")]),
        ("What is a?\tA\nWhat is b?\tB\n", [((), "What is a?", "A"), ((), "What is b?", "B")]),
        ("No;Question;Answer;Topic\n1;What is a?;A;T\n", [(("T",), "What is a?", "A")]),
        ("1,What is a?,A\n2,What is b?,B\n", [((), "What is a?", "A"), ((), "What is b?", "B")]),
        ("Questions\nWhat is a?\nWhat is b?\n", [((), "What is a?", ""), ((), "What is b?", "")]),
    ],
)
def test_tables_of_cards(text: str, items: list[tuple[tuple[str, ...], str, str]]) -> None:
    found = seen_in(text.encode(), "a.csv").notes.items
    assert [(item.section, item.question, item.answer) for item in found] == items


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("#flashcards\n\nThe root of ==v== divides.\n", [("The root of [...] divides.", "The root of **v** divides.")]),
        ("#flashcards\n\nOne\ntwo?\n?\nA\nB\n\nelse\n", [("One two?", "A\nB")]),
        ("- What is a? #card\n  - A\n- What is b? #card\n  - B\n", [("What is a?", "- A"), ("What is b?", "- B")]),
        ("Use `std::vector` and a::b in C++.\n", []),
        (
            "Momentum\n: A mean.\n\nAdam\n: A mean with a scale.\n\nMuon\n: Orthogonal.\n",
            [("Momentum", "A mean."), ("Adam", "A mean with a scale."), ("Muon", "Orthogonal.")],
        ),
        ('---\nquestion: "Why?"\ntags: [a]\n---\n\nSo.\n', [("Why?", "So.")]),
        (
            "1. **Q:** What is a? **A:** One.\n2. **Q:** What is b? **A:** Two.\n",
            [("What is a?", "One."), ("What is b?", "Two.")],
        ),
        ('### Q1: What?\n\n??? "Show answer"\n    So.\n', [("What?", "So.")]),
        ("### What is a?\n\nOne\n---\n\n### What is b?\n\nTwo\n---\n", [("What is a?", "One"), ("What is b?", "Two")]),
        (
            "> **Q: What is a?**\n\nOne.\n\n> **Q: What is b?**\n\nTwo.\n",
            [("What is a?", "One."), ("What is b?", "Two.")],
        ),
        ("## Question: What is a?\n**Answer**: One.\n", [("What is a?", "One.")]),
        (
            "## Question 1\n\nWhat is a?\n\n### Answer\n\nOne.\n\n## Question 2\n\nAnd b?\n\n### Answer\n\nTwo.\n",
            [("What is a?", "One."), ("And b?", "Two.")],
        ),
        ("### Q1: What is a?\n\n- one\n\nQ2. What is b?\n- two\n", [("What is a?", "- one"), ("What is b?", "- two")]),
        (
            "**What is the difference of\na and b?**\n\nNone.\n\n**Why?**\n\nSo.\n",
            [("What is the difference of a and b?", "None."), ("Why?", "So.")],
        ),
        (
            "## A\n\n### Warmup\n\nSlow.\n\n### Clipping\n\nBounds.\n\n#### Why?\n\nSo.\n\n### Decay\n\nLess.\n",
            [("Warmup", "Slow."), ("Clipping", "Bounds.\n\n#### Why?\n\nSo."), ("Decay", "Less.")],
        ),
        (
            "- [What a?](#a)\n- [Why b?](#b)\n\n# Answers\n\n- [What a?](#a)\n\n  One.\n\n- [Why b?](#b)\n\n  Two.\n",
            [("What a?", "One."), ("Why b?", "Two.")],
        ),
        (
            "<details><summary>Trees</summary>\n<details><summary>What is a leaf?</summary>\n\nAn end.\n\n"
            "<details><summary>Picture</summary>\n\nx\n\n</details>\n</details>\n</details>\n",
            [("What is a leaf?", "An end.\n\n<details><summary>Picture</summary>\n\nx\n\n</details>")],
        ),
        (
            "One\n\n***\n- [x] done\n\n***\n- Asked\n\t- What is a sheaf?\n\t- Why bind it?\n- Others\n\t- none\n",
            [("What is a sheaf?", ""), ("Why bind it?", "")],
        ),
        (
            "### Scenario 1: A gate is stuck\nOil it.\n\n### Scenario 2: A gate is open\nShut it.\n",
            [("A gate is stuck", "Oil it."), ("A gate is open", "Shut it.")],
        ),
        (
            "### Card 1 [WORD]\n\n**Front:** Furrow\n\n**Back:** A trench.\n\n"
            "### Card 2 [WORD]\n\n**Front:** Ridge\n\n**Back:** A bank.\n",
            [("Furrow", "A trench."), ("Ridge", "A bank.")],
        ),
        ("@title\nBarns\n\n@question\nWhat is a loft?\n\n@answer\nA floor.\n", [("What is a loft?", "A floor.")]),
        (
            "Basics\nWhat is hay?\n\nDried grass.\nWhy is it turned?\n\nTo dry.\nWhat is straw?\n\nStalks.\n",
            [("What is hay?", "Dried grass."), ("Why is it turned?", "To dry."), ("What is straw?", "Stalks.")],
        ),
        (
            "Explain the use of a plow.\n\n- It turns.\n\n"
            "What is a harrow?\n\n- It breaks.\n\nWhy roll?\n\n- It packs.\n",
            [
                ("Explain the use of a plow.", "- It turns."),
                ("What is a harrow?", "- It breaks."),
                ("Why roll?", "- It packs."),
            ],
        ),
        (
            "1. **What is a scythe?**\n   - A blade.\n2. **Rakes**\n   - Teeth.\n\n"
            "## Contributing\n\n1. Create a branch\n2. Push\n",
            [("What is a scythe?", "- A blade."), ("Rakes", "- Teeth.")],
        ),
        (
            "* Orchards\n\n* What is a graft?\n\n* Pruning\n\n* Why in winter?\n\n* What is a scion?\n",
            [
                (words, "")
                for words in ("Orchards", "What is a graft?", "Pruning", "Why in winter?", "What is a scion?")
            ],
        ),
        (
            "## A\n\n- Wanted:\n  - strength\n- Asked:\n  - What is a yoke?\n  - Why two?\n\n"
            "## B\n\n  - Wanted:\n    - patience\n  - Asked:\n    - What is a bit?\n    - Describe a bridle\n",
            [(words, "") for words in ("What is a yoke?", "Why two?", "What is a bit?", "Describe a bridle")],
        ),
        (
            "## Covered\n- **Q4**: What is a silo?\n- **Q5**: Why round?\n\n"
            "## Q4: Silos\n\n### Why?\nStore.\n\n## Q5: Shape\n\nOdd.\n",
            [("Silos", "### Why?\nStore."), ("Shape", "Odd.")],
        ),
        (
            "Asked below:\n\n- What is a well?\n- Why line it?\n\n## Water\n\n"
            "### What is a well?\n\nA shaft.\n\n### Why line it?\n\nIt falls in.\n",
            [("What is a well?", "A shaft."), ("Why line it?", "It falls in.")],
        ),
        (
            "# 1. What is a hoe?\n- A tool.\n\n# 2.dibbers\n- Holes.\n",
            [("What is a hoe?", "- A tool."), ("dibbers", "- Holes.")],
        ),
        (
            "## 1. Mills\n\n### Parts of a mill\n\nSails.\n\n## 2. Asked\n\n"
            "### What is a race?\n\nA stream.\n\n### Why stone?\n\nHard.\n",
            [("What is a race?", "A stream."), ("Why stone?", "Hard.")],
        ),
        (
            "* What is a fair?\n    * a market\n        * Why would one go?\n* What is a stall?\n    * a table\n",
            [("What is a fair?", "* a market\n    * Why would one go?"), ("What is a stall?", "* a table")],
        ),
        (
            "### Q1: What?\nAns:-\n-----\nSo.\n\n### Q2: Why?\nAns:-\n-----\nYes.\n",
            [("What?", "So."), ("Why?", "Yes.")],
        ),
        ("### What is a?\n\n**Best Answer**\n\nOne.\n", [("What is a?", "One.")]),
        ("No question here.\n\nNor here.\n", []),
        ("", []),
    ],
)
def test_small_ones(text: str, items: list[tuple[str, str]]) -> None:
    assert [(item.question, item.answer) for item in recognize(text).notes.items] == items


def test_a_row_of_a_table_is_found_at_its_line() -> None:
    items = seen_in(b'question,answer\nWhat?,"One.\nTwo."\n\nWhy?,So.\n', "a.csv").notes.items
    assert [item.line for item in items] == [2, 5]


ASCIIDOC = """= Fields

:toc:

== Soil

=== What is loam?

Sand, silt and *clay*.

[source,python]
----
=== What is this?
----

=== Explain marl

. dig
.. deeper

See https://example.org[here].
"""
TERMS = "= Fields\n\n[qanda]\nWhat is peat?::\n  Moss.\nWhat is turf?::\n  Grass.\n"
RST = """======
Fields
======

What is loam?
-------------

Sand and ``silt``::

    What is this?
    -------------

Explain marl
------------

.. code-block:: python

    def why(): ...

See `here <https://example.org>`_.
"""
BUTTONS = """<h1>Fields</h1><button class="fold">1. What is loam?</button><div><p>Sand.</p></div>
<button>2. Explain marl</button><div><p>Lime.</p><ul><li>white</li></ul></div>
<button>3. What is peat?</button><div><p>Moss.</p></div>"""
ITEMS = """<ol><li><p>What is loam?</p><p>Sand.</p></li><li>
<p>What is marl?</p><p>Lime.</p><p>White.</p></li></ol>"""


@pytest.mark.parametrize(
    ("text", "name", "items"),
    [
        (
            ASCIIDOC,
            "a.adoc",
            [
                ("What is loam?", "Sand, silt and **clay**.\n\n```python\n=== What is this?\n```"),
                ("Explain marl", "1. dig\n   1. deeper\n\nSee [here](https://example.org)."),
            ],
        ),
        (TERMS, "a.asciidoc", [("What is peat?", "Moss."), ("What is turf?", "Grass.")]),
        (
            RST,
            "a.rst",
            [
                ("What is loam?", "Sand and `silt`:\n\n```\nWhat is this?\n-------------\n```"),
                ("Explain marl", "```python\ndef why(): ...\n```\n\nSee [here](https://example.org)."),
            ],
        ),
        (
            BUTTONS,
            "a.html",
            [("What is loam?", "Sand."), ("Explain marl", "Lime.\n\n- white"), ("What is peat?", "Moss.")],
        ),
        (ITEMS, "a.html", [("What is loam?", "Sand."), ("What is marl?", "Lime.\n\nWhite.")]),
    ],
)
def test_other_markup(text: str, name: str, items: list[tuple[str, str]]) -> None:
    found = seen_in(text.encode(), name).notes.items
    assert [(item.question, item.answer) for item in found] == items


@pytest.mark.parametrize(
    "words",
    [
        "Que es un surco", "Cual es la razón del barbecho", "O que é um sulco", "Me fale sobre o arado",
        "Cite três solos",
        "Opisz glebę", "Czym jest orka", "Làm sao để cày", "So sánh hai loại đất", "Đất sét là gì",
        "Trình bày cách cày",
        "Що таке рілля", "В чём смысл пара", "Qu'est-ce que la jachère", "Expliquer le labour", "Cos'è un solco",
        "Nasıl sürülür", "Jelaskan cara membajak", "밭을 가는 까닭은", "소가 두 마리인가", "畑を説明してください",
        "哪种土最好",
        "खेत क्या है", "كيف يحرث الحقل", "איך חורשים",
    ],
)  # fmt: skip
def test_questions_of_many_languages(words: str) -> None:
    assert asks(words)


@pytest.mark.parametrize(
    "words", ["O (n) time", "Me and my field", "Role of soil", "Der Boden", "La tierra", "땅의 역할"]
)
def test_what_asks_nothing(words: str) -> None:
    assert not asks(words)


def questions(text: str) -> list[str]:
    return [item.question for item in recognize(text).notes.items]


def test_what_to_write_down_is_no_question_where_questions_have_their_mark() -> None:
    record = "### Lab\n\nRecord:\n\n- what else matched\n- why patterns matter\n- the safer command\n\n"
    asked = "## Checkpoints\n\n- What is a PID?\n- What does `&` do?\n- What is a job?\n"
    assert questions(record + asked) == ["What is a PID?", "What does `&` do?", "What is a job?"]
    assert (
        len(questions("- [ ] 为什么引入激励函数？\n- [ ] 什么造成梯度消失问题? 推导一下。\n- [ ] 什么是梯度爆炸？\n"))
        == 3
    )


def test_a_quoted_question_with_its_label_counts_beside_headings() -> None:
    quoted = "> **Q: Why are positions added?**\n> **A:** All tokens are read at once.\n\n"
    headed = "### Q1. What is attention?\n\n**A:** A weighted mean.\n\n### Q2. What is a head?\n\n**A:** One of many.\n"
    assert questions(quoted + headed) == ["Why are positions added?", "What is attention?", "What is a head?"]


def test_offers_of_a_chat_are_no_questions_beside_labeled_ones() -> None:
    offers = "Would you like:\n\n* A repository with a demo?\n* Files to deploy it?\n* A plan?\n\n---\n\n"
    headed = "### **Q1. What is a span?**\n\n**Answer**:\n\nA unit.\n\n"
    headed += "### **Q2. What is a trace?**\n\n**Answer**:\n\nSpans.\n"
    assert questions(offers + headed) == ["What is a span?", "What is a trace?"]
    own = "## More questions\n\n- What is a root span?\n- What is baggage?\n"
    assert questions(headed + own)[2:] == ["What is a root span?", "What is baggage?"]


def test_cards_of_obsidian_may_be_named_further_and_end_at_a_blank_line() -> None:
    text = "#### What do the options mean?\n\nHow is it linked? #card-reverse \n1. Compile\n2. Link\n^168\n\n"
    text += "What is cached? #card/spaced\nObject files\n"
    assert [(item.question, item.answer) for item in recognize(text).notes.items][:1] == [
        ("How is it linked?", "1. Compile\n2. Link")
    ]
    assert questions(text) == ["How is it linked?", "What is cached?"]


def test_a_list_before_a_rule_is_not_the_front_of_a_card() -> None:
    assert questions("On this page\n- Editor on top\n- Source below\n\n---\n\nAn action runs on the selection.\n") == []


def test_lines_that_ask_one_after_another_are_a_list_of_questions_with_parts() -> None:
    text = "When are queues used?\nWhat is consistency?\nExplain scaling.\nWhat is caching? Why?\nWho decides?\n"
    text += "Databases\nWhat is SQL?\nWhat is a key?\n"
    items = recognize(text).notes.items
    assert [item.question for item in items] == [
        "When are queues used?", "What is consistency?", "Explain scaling.", "What is caching? Why?", "Who decides?",
        "What is SQL?", "What is a key?",
    ]  # fmt: skip
    assert all(not item.answer for item in items) and items[-1].section == ("Databases",)
    assert [item.answer for item in recognize("Is it needed?\nYes\n\nIs it fast?\nNo\n").notes.items] == ["Yes", "No"]


def test_a_list_at_the_margin_belongs_to_a_numbered_question_one_space_from_it() -> None:
    text = " 1. What is the difference?\n\n1.  `a` : one\n2.  `b` : all\n\n 2. How is it made?\n\nBy hand.\n"
    assert [item.answer for item in recognize(text).notes.items] == ["1.  `a` : one\n2.  `b` : all", "By hand."]
