"""Documents in chunks, BM25 against its formula, and the two tools."""

import os
from math import log
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhead.agents.calls import carry_out, deny
from clearhead.agents.steps import Action
from clearhead.agents.toolbox import chunks as chunks_module
from clearhead.agents.toolbox.bm25 import K1, B, Index, terms
from clearhead.agents.toolbox.chunks import CHARACTERS, chunks, chunks_of
from clearhead.agents.toolbox.documents import documents, excerpt
from clearhead.errors import UserError


def plain_bm25(query: str, texts: list[str], i: int) -> float:
    """Robertson and Zaragoza 2009, equation 3.15, with the idf of Lucene: term by term, text by text."""
    docs = [terms(text) for text in texts]
    mean, score = sum(map(len, docs)) / len(docs), 0.0
    for term in set(terms(query)):
        n = sum(term in doc for doc in docs)
        idf, tf = log(1 + (len(docs) - n + 0.5) / (n + 0.5)), docs[i].count(term)
        score += idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * len(docs[i]) / mean)) if tf else 0
    return score


WORDS = st.lists(st.sampled_from(["cat", "dogs", "dog", "sat", "running", "run", "Zürich", "x"]), max_size=9).map(
    " ".join
)


@given(st.lists(WORDS, min_size=1, max_size=8).filter(any), WORDS)
def test_bm25_is_its_formula(texts: list[str], query: str) -> None:
    found = Index(texts).search(query, len(texts))
    expected = [plain_bm25(query, texts, i) for i in range(len(texts))]
    assert dict(found) == pytest.approx({i: score for i, score in enumerate(expected) if score})
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_no_texts_are_searched() -> None:
    assert Index([]).search("a", 3) == [] and Index(["", ""]).search("a", 3) == []


@given(st.text("ab #`-\n\r~x" + "\u2028", max_size=400), st.sampled_from(["a.md", "a.txt", "a.py"]))
def test_chunks_hold_all_words_once(text: str, name: str) -> None:
    found = chunks(name, text)
    assert "".join("".join(chunk.text.split()) for chunk in found) == "".join(text.split())
    lines = text.splitlines()
    for chunk in found:
        assert chunk.text.strip() and len(chunk.text) <= CHARACTERS
        assert chunk.text.splitlines()[0].strip() in lines[chunk.line - 1]


def test_chunks_stay_small_and_whole() -> None:
    paragraphs = [f"{i} " + "word " * 100 for i in range(10)]
    found = chunks("a.txt", "\n\n".join(paragraphs))
    assert all(len(chunk.text) <= CHARACTERS for chunk in found) and len(found) == 5
    assert all(any(text.strip() in chunk.text for chunk in found) for text in paragraphs)
    found = chunks("a.txt", "x" * 5000)
    assert [len(chunk.text) for chunk in found] == [1200, 1200, 1200, 1200, 200]


def test_headings_of_markdown_and_of_code() -> None:
    found = chunks("a.md", "before\n# One\ntext\n## Two ##\n```\n# no heading\n```\n### Three\n\n# Four")
    assert [(c.line, c.heading) for c in found] == [
        (1, ""), (2, "One"), (4, "One > Two"), (8, "One > Two > Three"), (10, "Four"),
    ]  # fmt: skip
    code = "import os\n\ndef first(x):\n    return x\n\nasync def second():\n    pass\n\npub fn third() {}\n"
    assert [c.heading for c in chunks("a.py", code)] == [
        "",
        "def first(x):",
        "async def second():",
        "pub fn third() {}",
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs" / ".hidden").mkdir(parents=True)
    docs = tmp_path / "docs"
    (docs / "cats.md").write_text(
        "# Animals\n## Cats\nCats sleep for sixteen hours.\n## Dogs\nA dog barks at the moon.\n"
    )
    (docs / "code.py").write_text("def sumRows(matrix):\n    return [sum(row) for row in matrix]\n")
    (docs / "latin.txt").write_bytes(b"caf\xe9 moon")
    (docs / "zero.bin").write_bytes(b"moon\0")
    (docs / ".hidden" / "x.txt").write_text("moon")
    (docs / ".secret").write_text("moon")
    (tmp_path / "outside.txt").write_text("moon outside")
    (docs / "link.txt").symlink_to(tmp_path / "outside.txt")
    os.mkfifo(docs / "fifo")
    return docs


def test_only_texts_of_the_folder_are_read(folder: Path) -> None:
    assert {chunk.file for chunk in chunks_of(folder)} == {"cats.md", "code.py"}


def test_search_then_read(folder: Path) -> None:
    tools = {tool.name: tool for tool in documents(folder)}
    assert not any(tool.writes for tool in tools.values())
    [found] = carry_out([Action("search_docs", {"query": "what does a barking dog do?"})], tools, deny)
    assert found.ok and '"place": "cats.md:4", "heading": "Animals > Dogs"' in found.text and "barks" in found.text
    [found] = carry_out([Action("read_docs", {"place": "cats.md:4"})], tools, deny)
    assert found.text == "## Dogs\nA dog barks at the moon."
    [found] = carry_out([Action("search_docs", {"query": "sum rows"})], tools, deny)
    assert '"place": "code.py:1", "heading": "def sumRows(matrix):"' in found.text
    for name, arguments, said in [
        ("search_docs", {"query": "zebra"}, "has a word of 'zebra'"), ("search_docs", {"query": ""}, "has a word of"),
        ("search_docs", {"query": "x" * 2000}, "at most 1,000"),
        ("read_docs", {"place": "../outside.txt:1"}, "no piece"),
        ("read_docs", {"place": "cats.md:99"}, "no piece"), ("read_docs", {"place": "link.txt:1"}, "no piece"),
    ]:  # fmt: skip
        [found] = carry_out([Action(name, arguments)], tools, deny)
        assert not found.ok and said in found.text


def test_every_place_that_is_found_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("moon" * 2000 + "\n\nmoon")
    search, read = documents(tmp_path)
    places = [found["place"] for found in search.call(query="moonmoon " + "moon")]
    assert places and all(read.call(place=place) for place in places)
    assert len({read.call(place=f"long.txt:1.{i}") for i in range(2, 8)}) == 2


def test_a_folder_without_text_or_with_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="holds no text"):
        documents(tmp_path)
    (tmp_path / "a.txt").write_text("x" * 100)
    monkeypatch.setattr(chunks_module, "FOLDER_CHARACTERS", 99)
    with pytest.raises(UserError, match="holds more than 99"):
        documents(tmp_path)
    monkeypatch.setattr(chunks_module, "FILE_BYTES", 50)
    with pytest.raises(UserError, match="holds no text"):
        documents(tmp_path)


@given(st.text("ab \n", max_size=300), st.text("ab ", max_size=10))
def test_an_excerpt_is_a_part_and_no_longer_than_asked(text: str, query: str) -> None:
    found = excerpt(text, query, 40)
    assert len(found) <= 48 and found.removeprefix("... ").removesuffix(" ...").strip() in " ".join(text.split())
