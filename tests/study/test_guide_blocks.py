"""Every code block of the guide prints what stands below it. Blocks of one answer share their names."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

GUIDE = Path(__file__).parents[2] / "src" / "clearhead" / "study" / "guide"
PAIR = re.compile(r"^    ```python\n(.*?)^    ```\n    ```output\n(.*?)^    ```$", re.DOTALL | re.MULTILINE)
ITEM = re.compile(r"^\d+\) ", re.MULTILINE)


class Block(NamedTuple):
    """Code without its indentation, and what it is said to print."""

    code: str
    output: str


def answers(text: str) -> Iterator[list[Block]]:
    for answer in ITEM.split(text)[1:]:
        yield [Block(flush(code), flush(output)) for code, output in PAIR.findall(answer)]


def flush(text: str) -> str:
    return "\n".join(line.removeprefix("    ").rstrip() for line in text.splitlines())


def printed(block: Block, names: dict[str, Any]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(block.code, "the guide", "exec"), names)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").splitlines())


def wrong(text: str) -> list[tuple[Block, str]]:
    """The blocks that print something else, each with what it prints."""
    found = []
    for blocks in answers(text):
        names: dict[str, Any] = {"__name__": "guide"}
        for block in blocks:
            if (out := printed(block, names)) != block.output:
                found.append((block, out))
    return found


@pytest.mark.parametrize("chapter", sorted(GUIDE.glob("*.md")), ids=lambda path: path.stem)
def test_blocks_print_what_stands_below_them(chapter: Path) -> None:
    text = chapter.read_text(encoding="utf-8")
    assert wrong(text) == []
    assert text.count("```python") == text.count("```output") == sum(map(len, answers(text))) > 0


def test_a_wrong_output_is_found() -> None:
    text = "1) Two?\n\n    ```python\n    x = 2\n    print(x)\n    ```\n    ```output\n    2\n    ```\n"
    more = "2) And?\n\n    ```python\n    print('x' in globals())\n    ```\n    ```output\n    False\n    ```\n"
    assert wrong(text + more) == []
    assert [out for _, out in wrong(text.replace("    2\n", "    3\n") + more)] == ["2"]
