"""Reading a file of problems, JSONL or CSV, into checked rows. A mistake is told in one line with its line number."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhead.errors import UserError
from clearhead.tasks.splits import SPLITS
from clearhead.tasks.task import one_line

FEWEST = 10  # problems that a file must have


@dataclass(frozen=True)
class Row:
    line: int
    problem: str
    answer: str
    steps: tuple[str, ...]  # empty where the file has none
    split: str  # "" where the file does not say


def read_rows(path: Path) -> list[Row]:
    """The rows of a .jsonl or .csv file: each has a problem and an answer; all or none have steps, or a split."""
    readers = {".jsonl": _jsonl, ".csv": _csv}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path} is neither .jsonl nor .csv; save the problems in one of these forms")
    rows = [_row(path, line, fields) for line, fields in readers[path.suffix.lower()](path, _text(path))]
    if not rows:
        raise UserError(f"{path} is empty; it needs at least {FEWEST} problems")
    lines: dict[str, int] = {}
    for row in rows:
        if row.problem in lines:
            raise _wrong(path, row.line, f"the problem of line {lines[row.problem]} again; keep one of the two")
        lines[row.problem] = row.line
        for what, here, first in (("steps", row.steps, rows[0].steps), ("split", row.split, rows[0].split)):
            if bool(here) != bool(first):
                with_it, without = (row.line, rows[0].line) if here else (rows[0].line, row.line)
                raise UserError(
                    f"{path}: line {with_it} has {what} and line {without} has none; give all rows {what}, or none"
                )
    if len(rows) < FEWEST:
        raise UserError(
            f"{path} has {len(rows)} problems; give at least {FEWEST}, so that there is something to learn and to test"
        )
    return rows


def _wrong(path: Path, line: int, what: str) -> UserError:
    return UserError(f"{path}, line {line}: {what}")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name a .jsonl or .csv file of problems") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _wrong(path, line, "this is not UTF-8 text; save the file as UTF-8") from None


def _jsonl(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Numbers are kept as they are written: "0.10" and 0.10 are both the text 0.10."""
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            fields = json.loads(content, parse_int=str, parse_float=str)
        except json.JSONDecodeError as error:
            raise _wrong(path, line, f"this is not JSON ({error.msg} at column {error.colno})") from None
        except RecursionError:
            raise _wrong(path, line, "this JSON is nested too deeply") from None
        if not isinstance(fields, dict):
            raise _wrong(path, line, 'this is not an object; write {"problem": ..., "answer": ...}')
        yield line, fields


def _csv(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for fields in reader:
            values = list(fields.values())
            if None in fields or None in values:
                names = reader.fieldnames or []
                raise _wrong(path, reader.line_num, f"this row does not have the {len(names)} fields of the first line")
            yield (
                reader.line_num - sum(value.count("\n") for value in values),
                fields,
            )  # the line that the row begins on
    except csv.Error as error:
        line = min(reader.line_num + 1, text.count("\n") or 1)
        raise _wrong(path, line, f"this is not CSV ({error})") from None


def _row(path: Path, line: int, fields: Mapping[str, Any]) -> Row:
    problem, answer = (_field(path, line, fields, name) for name in ("problem", "answer"))
    if len(answer.strip().splitlines()) > 1:
        raise _wrong(path, line, "the answer has more than one line; answers are one line")
    split = fields.get("split")
    if split not in (None, "", *SPLITS):
        raise _wrong(path, line, f"split {split!r:.60} is unknown; use one of {', '.join(SPLITS)}")
    return Row(line, one_line(problem), answer.strip(), _steps(path, line, fields.get("steps")), split or "")


def _field(path: Path, line: int, fields: Mapping[str, Any], name: str) -> str:
    if name not in fields:
        raise _wrong(path, line, f"there is no {name!r} among {', '.join(map(repr, fields))}; every row needs one")
    value = fields[name]
    if not isinstance(value, str):
        raise _wrong(path, line, f"{name} is {value!r:.60}; it must be text or a number")
    if not value.strip():
        raise _wrong(path, line, f"{name} is empty; every row needs one")
    return value


def _steps(path: Path, line: int, steps: Any) -> tuple[str, ...]:
    """A list of lines, or one text with a line for each step; blank lines are dropped."""
    if steps is None:
        return ()
    given = [steps] if isinstance(steps, str) else steps
    if not isinstance(given, list) or not all(isinstance(step, str) for step in given):
        raise _wrong(path, line, f"steps is {steps!r:.60}; give a list of texts, or one text with a line for each step")
    if not isinstance(steps, str) and any("\n" in step.strip() or not step.strip() for step in given):
        raise _wrong(path, line, "a step is empty or has more than one line; give every line as a step of its own")
    return tuple(step.strip() for text in given for step in text.splitlines() if step.strip())
