"""Every code block of the guide prints what stands below it."""

import sys
from pathlib import Path

import pytest

from clearhead.study.examples import GUIDE, examples, main, written

WIDEST = 76  # columns: what a terminal of 80 and the pages show without breaking a line


def answer(code: str, output: str) -> str:
    """A chapter of one question with one block."""
    lines = ["1) Why?", "", "    ```python", f"    {code}", "    ```", "    ```output", f"    {output}", "    ```", ""]
    return "\n".join(lines)


@pytest.mark.parametrize("chapter", sorted(GUIDE.glob("*.md")), ids=lambda path: path.stem)
def test_blocks_print_what_stands_below_them(chapter: Path) -> None:
    text = chapter.read_text(encoding="utf-8")
    found = list(examples(text))
    assert [example.printed for example in found] == [example.output for example in found]
    assert text.count("```python") == text.count("```output") == len(found) > 0
    lines = [line for example in found for line in (example.code + "\n" + example.output).splitlines()]
    assert [line for line in lines if len(line) > WIDEST] == []


def test_a_wrong_output_is_found_and_written_anew() -> None:
    wrong = answer("print('a', 1 + 1)", "a 3")
    assert [example.printed for example in examples(wrong)] == ["a 2"]
    assert written(wrong) == answer("print('a', 1 + 1)", "a 2")
    assert written(written(wrong)) == written(wrong)


def test_each_answer_starts_afresh_and_its_blocks_share_names() -> None:
    one = answer("x = 5; print(x)", "5")
    shared = one + answer("print(x)", "5").split("\n", 2)[2]  # a second block of the same answer
    assert [example.printed for example in examples(shared)] == ["5", "5"]
    assert [example.printed for example in examples(one + answer("print('x' in globals())", "False"))] == ["5", "False"]


def test_the_command_tells_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chapter = tmp_path / "01.md"
    chapter.write_text(answer("print(2)", "3"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["examples", str(chapter)])
    assert main() == 1
    assert "01.md:7 prints\n2\nbut there stands\n3" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["examples", "--write", str(chapter)])
    assert main() == 0
    assert chapter.read_text(encoding="utf-8") == answer("print(2)", "2")
    assert [path.name for path in tmp_path.iterdir()] == ["01.md"]
