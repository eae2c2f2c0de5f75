"""The guide's code: every block of an answer is run, and what it prints compared with what stands below it.

`python -m clearhead.study.examples` says where the two differ; with --write, what is printed takes the place of what
stood there. Chapters are named as files; all of the guide's by default. Blocks of one answer share their names, and
each answer starts afresh. Deliberately not here: what else an answer holds.
"""

import argparse
import contextlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from clearhead.files import write_whole

GUIDE = Path(__file__).parent / "guide"
PAIR = re.compile(r"^    ```python\n(.*?)^    ```\n    ```output\n(.*?)^    ```$", re.DOTALL | re.MULTILINE)
ITEM = re.compile(r"^\d+\) ", re.MULTILINE)


class Example(NamedTuple):
    """A block's code, what is said to be its output, what it prints, and where that output stands in the text."""

    code: str
    output: str
    printed: str
    start: int
    end: int


def examples(text: str) -> Iterator[Example]:
    """Every block of a chapter, run as it comes; what it raises is raised.

    >>> text = "1) Two?\\n\\n    ```python\\n    print(1 + 1)\\n    ```\\n    ```output\\n    3\\n    ```\\n"
    >>> [(example.output, example.printed) for example in examples(text)]
    [('3', '2')]
    """
    starts = [match.start() for match in ITEM.finditer(text)]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        names: dict[str, Any] = {"__name__": "guide"}
        for pair in PAIR.finditer(text, start, end):
            code = _flush(pair[1])
            yield Example(code, _flush(pair[2]), _printed(code, names), pair.start(2), pair.end(2))


def written(text: str) -> str:
    """The chapter with what its blocks print in the place of what stood there.

    >>> text = "1) Two?\\n\\n    ```python\\n    print(1 + 1)\\n    ```\\n    ```output\\n    ```\\n"
    >>> written(text) == text.replace("output\\n", "output\\n    2\\n")
    True
    """
    for example in reversed(list(examples(text))):
        lines = "".join(f"    {line}".rstrip() + "\n" for line in example.printed.splitlines())
        text = text[: example.start] + lines + text[example.end :]
    return text


def main() -> int:
    """0 where every block prints what stands below it, or was written anew; 1 where one does not."""
    options = argparse.ArgumentParser(prog="python -m clearhead.study.examples", description=__doc__.split("\n\n")[0])
    options.add_argument("chapters", nargs="*", type=Path, default=sorted(GUIDE.glob("*.md")))
    options.add_argument("--write", action="store_true", help="put what is printed in the place of what stands there")
    asked = options.parse_args()
    differ = 0
    for chapter in asked.chapters:
        text = chapter.read_text(encoding="utf-8")
        if asked.write:
            write_whole(chapter, written(text))
            continue
        for example in examples(text):
            if example.printed != example.output:
                line = text.count("\n", 0, example.start) + 1
                print(f"{chapter}:{line} prints\n{example.printed}\nbut there stands\n{example.output}\n")
                differ += 1
    return int(differ > 0)


def _printed(code: str, names: dict[str, Any]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "an example of the guide", "exec"), names)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").splitlines())


def _flush(text: str) -> str:
    return "\n".join(line.removeprefix("    ").rstrip() for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
