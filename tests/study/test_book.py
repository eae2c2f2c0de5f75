"""Finding a question of the guide by place, chapter or words."""

from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.study import book


@pytest.fixture
def chapters(tmp_path: Path) -> list[book.Chapter]:
    (tmp_path / "02-cats.md").write_text(
        "# All about cats\n\n## Fur\n1) Why fur?\n\n    Warm, unlike a whale.\n", "utf-8"
    )
    (tmp_path / "01-sea.md").write_text(
        "# The sea\n\n## A\n1) What is a whale?\n\n    Big.\n\n## B\n1) Salt?\n\n    Yes.\n"
    )
    (tmp_path / "README.md").write_text("1) no chapter\n")
    return book.read(tmp_path)


def places(found: list[book.Found]) -> list[str]:
    return [one.place for one in found]


def test_chapters_come_in_order(chapters: list[book.Chapter]) -> None:
    assert [(one.number, one.name, one.title, len(one.items)) for one in chapters] == [
        (1, "sea", "The sea", 2),
        (2, "cats", "All about cats", 1),
    ]


@pytest.mark.parametrize("topic", ["1", "sea", "Sea", "the sea", "01-sea"])
def test_a_chapter_has_many_names(chapters: list[book.Chapter], topic: str) -> None:
    assert places(book.find(chapters, topic)) == ["1.1", "1.2"]


def test_a_place_counts_through_its_chapter(chapters: list[book.Chapter]) -> None:
    assert book.find(chapters, "1.2")[0].item.question == "Salt?"


def test_words_find_questions_first(chapters: list[book.Chapter]) -> None:
    assert places(book.find(chapters, "whale")) == ["1.1", "2.1"]
    assert places(book.find(chapters, "whale WARM")) == ["2.1"]
    assert places(book.find(chapters, "big whales")) == ["1.1"]  # none holds both words: the most alike


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        ("7", "no chapter 7; the guide has 1 to 2"),
        ("1.3", "1 to 2"),
        ("1.0", "no question 1.0"),
        ("dog", "nothing of 'dog'"),
        ("?", "nothing"),
    ],
)
def test_what_is_not_there_is_told(chapters: list[book.Chapter], topic: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        book.find(chapters, topic)
