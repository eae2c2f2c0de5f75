"""Records into rows of problem, answer, steps and split, and the one report of what was found on the way.

`read` raises only where there is nothing to go by: no file, no column. All that is wrong with single rows is in the
report, which `faults` puts into one line.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.tasks.hub import is_hub, read_hub
from clearhead.tasks.records import BadRow, Records, Written, read_records
from clearhead.tasks.splits import SPLITS
from clearhead.tasks.task import one_line

DuplicateRule = Literal["error", "first", "last", "drop"]  # of the answers to a problem that has several

NAMES = {  # how a column may be called where `columns` does not say; its own name goes before the others
    "problem": ("problem", "question", "prompt", "input", "query"),
    "answer": ("answer", "label", "output", "target", "solution", "response"),
    "steps": ("steps", "rationale", "cot", "reasoning", "chain_of_thought"),
    "split": ("split", "fold"),
}
SPLIT_NAMES = {
    "train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
SHOWN = 3  # faults that an error names
LONGEST_FAULT = 160  # characters of each

_CALCULATOR = re.compile(r"<<[^<>]*>>")


@dataclass(frozen=True)
class Row:
    line: int
    problem: str
    answer: str
    steps: tuple[str, ...]  # empty where the file has none
    split: str  # "" where the file does not say


@dataclass(frozen=True)
class Contradiction:
    """One problem with several answers."""

    problem: str
    lines: tuple[int, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class IntakeReport:
    """What a file held and what was made of it. Counts are of rows."""

    path: str
    rows: int  # in the file
    used: int  # that are left; no two have the same problem
    duplicates: int  # the same problem and answer again, merged
    contradictions: tuple[Contradiction, ...]
    chosen: DuplicateRule  # what was done about these
    bad: tuple[BadRow, ...]  # rows that cannot be used, and why
    skipped: int  # of these, left out because `skip_bad` says so
    overlaps: int  # problems that stood in several splits; the test keeps them, then valid
    with_steps: int
    without_steps: int
    gsm8k: int  # rows in the form of GSM8K
    columns: Mapping[str, str]  # "problem", "answer", "steps", "split" -> the column it was read from
    unused: tuple[str, ...]  # the other columns
    unit: str  # what `line` counts: "line" or "row"
    separator: str  # of a CSV file, in words
    encoding: str
    splits: Mapping[str, int] = field(default_factory=dict)  # problems of each
    answers_added: int = 0  # solutions that did not end in the answer, and got it as a last step


@dataclass(frozen=True)
class Intake:
    rows: tuple[Row, ...]
    report: IntakeReport


def read(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    contradictions: DuplicateRule = "error",
    skip_bad: bool = False,
    separator: str = "",
    encoding: str = "",
) -> Intake:
    """The rows that can be used, each problem once, and the report. What `columns` does not name is found."""
    records = read_hub(str(path)) if is_hub(path) else read_records(path, separator, encoding)
    total = len(records.rows) + len(records.bad)
    if not total:
        raise UserError(f"{path} is empty; give it a row for each problem")
    found = find_columns(records.columns, columns or {}, path) if records.rows else {}
    parsed, bad = _parse(records, found)
    kept, clashes, duplicates, overlaps = merge(parsed, contradictions)
    with_steps = sum(bool(row.steps) for row in kept)
    bad.sort(key=lambda row: row.line)
    report = IntakeReport(
        str(path), total, len(kept), duplicates, clashes, contradictions, tuple(bad), len(bad) * skip_bad, overlaps,
        with_steps, len(kept) - with_steps, sum(bool(row.steps) and _is_gsm8k(row.steps[-1]) for row in kept), found,
        tuple(name for name in records.columns if name and name not in found.values()), records.unit, records.separator,
        records.encoding, count_splits(kept),
    )  # fmt: skip
    return Intake(tuple(kept), report)


class Typed(NamedTuple):
    """A problem as somebody typed it, and the answer that goes with it, None where there is none."""

    problem: str
    answer: str | None = None


def read_problems(path: Path, columns: Mapping[str, str]) -> list[Typed]:
    """The problems of a file of rows as they stand there, "" where a row has none, and the answers that it has."""
    records = read_records(path)
    if records.bad:
        raise UserError(f"{path}, {records.unit} {records.bad[0].line}: {records.bad[0].why}")
    if not records.rows:
        return []
    try:
        found = find_columns(records.columns, columns, path, ("problem", "answer"))
    except UserError:
        if "answer" in columns:
            raise
        found = find_columns(records.columns, columns, path, ("problem",))
    return [Typed(str(fields.get(found["problem"], "")), _answer_of(fields, found)) for _, fields in records.rows]


def _answer_of(fields: Mapping[str, Any], columns: Mapping[str, str]) -> str | None:
    try:
        return parse_row(0, fields, {"problem": columns["problem"], "answer": columns["answer"]}).answer
    except (KeyError, UnusableError):
        return None


def count_splits(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows the file puts in each split; nothing where it does not say."""
    named = [row.split for row in rows if row.split]
    return {split: named.count(split) for split in SPLITS} if named else {}


def find_columns(
    names: Sequence[str], told: Mapping[str, str], path: Path, wanted: Sequence[str] = tuple(NAMES)
) -> dict[str, str]:
    """Which column holds what: as told, else by its usual names. A column told as "" is not read."""
    for key, name in told.items():
        if key not in NAMES:
            raise UserError(f"columns: {key} is not a setting{nearest(key, NAMES)}")
        if name and name not in names:
            raise UserError(f"{path} has no column {name!r:.60} for {key}{nearest(name, names)}")
    found = {}
    for key in wanted:
        usual = NAMES[key]
        free = [name for name in names if name not in told.values()]
        choices = [name for name in free if name == key] or [name for name in free if name.strip().lower() in usual]
        if key in told:
            choices = [told[key]] if told[key] else []
        if len(choices) > 1:
            both = " and ".join(map(repr, choices))
            raise UserError(f'{path}: {key} may be {both}; say which with columns = {{{key} = "{choices[0]}"}}')
        if choices:
            found[key] = choices[0]
        elif key in ("problem", "answer"):
            listed = ", ".join(map(repr, names))[:200]
            raise UserError(
                f'{path}: there is no {key!r} among {listed}; name the column with columns = {{{key} = "..."}} '
                f"(--columns {key}=...)"
            )
    return found


PLAIN = {name: name for name in NAMES if name != "split"}  # the columns of rows that a function of the user's makes


class UnusableError(Exception):
    """Why a row cannot be used."""


def _parse(records: Records, columns: Mapping[str, str]) -> tuple[list[Row], list[BadRow]]:
    rows, bad = [], list(records.bad)
    for line, fields in records.rows:
        try:
            rows.append(parse_row(line, fields, columns))
        except UnusableError as error:
            bad.append(BadRow(line, str(error)))
        except RecursionError:
            bad.append(BadRow(line, "this JSON is nested too deeply"))
    if any(row.split for row in rows):
        bad += [BadRow(row.line, "split is empty; other rows have one") for row in rows if not row.split]
        rows = [row for row in rows if row.split]
    return rows, bad


def parse_row(line: int, fields: Mapping[str, Any], columns: Mapping[str, str]) -> Row:
    """The row that the fields make; UnusableError where they make none."""
    problem = one_line(_text(fields, columns["problem"]))
    answer = _text(fields, columns["answer"], structured=True)
    steps = _steps(fields, columns.get("steps"))
    *above, last = answer.strip().splitlines()
    if _is_gsm8k(last):
        answer = last.strip().removeprefix("####")
        steps = steps or tuple(text for part in (*above, last) if (text := _CALCULATOR.sub("", part).strip()))
        if not answer.strip():
            raise UnusableError("nothing stands after the #### of the answer")
    return Row(line, problem, one_line(answer), steps, _split(fields, columns.get("split")))


def _is_gsm8k(line: str) -> bool:
    return line.strip().startswith("####")


def _text(fields: Mapping[str, Any], name: str, structured: bool = False) -> str:
    """The field as text; a list or an object, where it may be one, as JSON."""
    if name not in fields:
        raise UnusableError(f"there is no {name!r} among {', '.join(map(repr, fields))[:100]}")
    value = fields[name]
    if isinstance(value, bool):
        value = str(value).lower()
    if value is None or value != value:  # NaN is how tables say that there is nothing
        raise UnusableError(f"{name} is empty")
    if isinstance(value, dict | list):
        if not structured:
            raise UnusableError(f"{name} is {value!r:.60}; it must be text or a number")
        value = dump(value)
    text = str(value)
    if not text.strip():
        raise UnusableError(f"{name} is empty")
    return text


def dump(value: Any) -> str:
    """JSON in one line, with the numbers as they were written."""
    if isinstance(value, Written):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {dump(value[key])}" for key in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dump, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)


def _steps(fields: Mapping[str, Any], name: str | None) -> tuple[str, ...]:
    """A list of texts, or one text, with a line for each step; blank lines are dropped."""
    value = fields.get(name) if name else None
    if value is None or value != value:
        return ()
    given = value if isinstance(value, list) else [value]
    if not all(isinstance(step, str | int | float) for step in given):
        raise UnusableError(f"{name} is {value!r:.60}; give a list of texts, or one text with a line for each step")
    return tuple(step.strip() for text in given for step in str(text).splitlines() if step.strip())


def _split(fields: Mapping[str, Any], name: str | None) -> str:
    value = fields.get(name) if name else None
    if value is None or value == "":
        return ""
    split = SPLIT_NAMES.get(str(value).strip().lower())
    if split is None:
        raise UnusableError(f"split {value!r:.40} is unknown; use one of {', '.join(SPLITS)}")
    return split


def merge(rows: Sequence[Row], choice: DuplicateRule) -> tuple[list[Row], tuple[Contradiction, ...], int, int]:
    """(rows with each problem once, contradictions, duplicates merged, problems that stood in several splits)."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.problem, []).append(row)
    kept, clashes, duplicates, overlaps = [], [], 0, 0
    for problem, group in groups.items():
        answers = tuple(dict.fromkeys(row.answer for row in group))
        duplicates += len(group) - len(answers)
        if len(answers) > 1:
            clashes.append(Contradiction(problem, tuple(row.line for row in group), answers))
            if choice in ("error", "drop"):
                continue
            group = [row for row in group if row.answer == group[0 if choice == "first" else -1].answer]
        overlaps += len({row.split for row in group}) > 1
        best = next((row for row in group if row.steps), group[0])
        split = max((row.split for row in group), key=("", *SPLITS).index)
        kept.append(Row(best.line, problem, best.answer, best.steps, split))
    return kept, tuple(clashes), duplicates, overlaps


def faults(report: IntakeReport) -> str:
    """What has to be mended or chosen before the rows can be used, in one line; "" where that is nothing."""
    found = []
    if report.bad and not report.skipped:
        listed = _listed([f"{report.unit} {bad.line}: {bad.why}" for bad in report.bad])
        found.append(
            f"{len(report.bad)} of {report.rows} rows cannot be used ({listed}): mend them, or leave them out with "
            "skip_bad = true (--skip-bad)"
        )
    if report.contradictions and report.chosen == "error":
        listed = _listed([", ".join(map(str, clash.lines[:SHOWN])) for clash in report.contradictions])
        found.append(
            f"{_count(len(report.contradictions), 'problem has', 'problems have')} different answers "
            f"({report.unit}s {listed}): mend them, or set contradictions to first, last or drop"
        )
    return f"{report.path}: {'; and '.join(found)}" if found else ""


def told(report: IntakeReport) -> list[str]:
    """The report in sentences, the most telling first."""
    steps = "all with steps" if not report.without_steps else "none with steps"
    if report.with_steps and report.without_steps:
        steps = f"{report.with_steps} with steps and {report.without_steps} without"
    lines = [f"{_count(report.rows, 'row', 'rows')}, {report.used} used: {steps}"]
    if report.splits:
        lines.append("splits: " + ", ".join(f"{split} {count}" for split, count in report.splits.items()))
    if report.duplicates:
        lines.append(f"{_count(report.duplicates, 'exact duplicate', 'exact duplicates')} merged")
    if report.contradictions:
        done = {"first": "the first is kept", "last": "the last is kept", "drop": "left out", "error": "to be mended"}
        listed = _listed([", ".join(map(str, clash.lines[:SHOWN])) for clash in report.contradictions])
        many = _count(len(report.contradictions), "problem", "problems")
        lines.append(f"{many} with different answers ({report.unit}s {listed}): {done[report.chosen]}")
    if report.bad:
        listed = _listed([f"{report.unit} {bad.line}: {bad.why}" for bad in report.bad])
        lines.append(f"{_count(len(report.bad), 'row', 'rows')} left out ({listed})")
    if report.overlaps:
        lines.append(f"{_count(report.overlaps, 'problem', 'problems')} in several splits, kept in the last of them")
    if report.gsm8k:
        lines.append(f"{_count(report.gsm8k, 'answer', 'answers')} in the form of GSM8K, steps and then ####")
    if report.answers_added:
        added = _count(report.answers_added, "solution gets", "solutions get")
        lines.append(f"{added} the answer as a last step, because the steps do not end in it")
    lines.append("columns: " + ", ".join(f"{key} from {name!r}" for key, name in report.columns.items()))
    if report.unused:
        lines.append(f"columns not used: {_listed([repr(name) for name in report.unused])}")
    form = [f"fields parted by {report.separator}"] * bool(report.separator) + [report.encoding] * bool(report.encoding)
    return lines + ["form: " + ", ".join(form)] * bool(form)


def _listed(items: Sequence[str]) -> str:
    more = len(items) - SHOWN
    shown = [item if len(item) <= LONGEST_FAULT else f"{item[:LONGEST_FAULT]}..." for item in items[:SHOWN]]
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"
