"""Pairs of a text and its translation: from files of any usual form, or made here.

Two columns of a TSV, fields of JSONL, JSON, CSV or Parquet, or two files of which a line of one translates the same
line of the other (Moses). All pairs are in memory. Deliberately not here: tokens (text.pairs).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from clearhead.errors import UserError
from clearhead.tasks.records import SUFFIXES, decode, read_records
from clearhead.text.corpus import hash_share, refuse_packed

SHOWN = 3


class TextPair(NamedTuple):
    source: str
    target: str


class FoundPairs(NamedTuple):
    """Every pair, none twice, and how many rows were left out because they were bad or the same again."""

    pairs: list[TextPair]
    bad: int
    duplicates: int


def read_pairs(paths: Sequence[Path], source: str, target: str, skip_bad: bool) -> FoundPairs:
    """The pairs of one file, or of the two files of a Moses pair. UserError names the first row that is no pair."""
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path} is no file; name a file of pairs, or two files that are line by line a pair")
        refuse_packed(path)
    if len(paths) > 2:
        raise UserError(f"data.files names {len(paths)} files; give one file of pairs, or a source and a target file")
    rows = _moses(*paths) if len(paths) == 2 else _rows(paths[0], source, target)
    found: dict[TextPair, None] = {}
    bad = read = 0
    for where, left, right in rows:
        read += 1
        pair = TextPair(" ".join(left.split()), " ".join(right.split()))
        if not (pair.source and pair.target):
            if not skip_bad:
                empty = "target" if pair.source else "source"
                raise UserError(
                    f"{where}: the {empty} is empty; fill it, or leave such pairs out: data.skip_bad = true"
                )
            bad += 1
        else:
            found[pair] = None
    if not found:
        raise UserError(f"{' and '.join(map(str, paths))} hold no pair of texts; give some")
    return FoundPairs(list(found), bad, read - bad - len(found))


def _moses(source: Path, target: Path) -> Iterator[tuple[str, str, str]]:
    left, right = (_lines(path) for path in (source, target))
    if len(left) != len(right):
        raise UserError(
            f"{source} has {len(left):,} lines and {target} has {len(right):,}; a line of one must be the translation "
            "of the same line of the other"
        )
    for number, (a, b) in enumerate(zip(left, right, strict=True), start=1):
        yield f"{source} and {target.name}, line {number}", a, b


def _lines(path: Path) -> list[str]:
    try:
        text, _ = decode(path, path.read_bytes(), "")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name a file of text") from None
    return text.removesuffix("\n").split("\n") if text else []


def _rows(path: Path, source: str, target: str) -> Iterator[tuple[str, str, str]]:
    suffix = path.suffix.lower()
    if suffix not in (*SUFFIXES, ".txt", ".text"):
        raise UserError(f"{path} is none of {', '.join(SUFFIXES)}; save the pairs in one of these forms")
    if suffix in (".tsv", ".txt", ".text"):
        lines = _lines(path)
        if not lines or not {source, target} <= set(lines[0].rstrip("\r").split("\t")):
            yield from _two_columns(path, lines)
            return
    records = read_records(path, "\t" if suffix in (".tsv", ".txt", ".text") else "")
    if records.bad:
        row = records.bad[0]
        raise UserError(f"{path}, {records.unit} {row.line}: {row.why}; mend it")
    if missing := [name for name in (source, target) if name not in records.columns]:
        raise UserError(
            f"{path} has no field {missing[0]!r}; it has {', '.join(records.columns)}: name two of them by "
            "--set data.source=NAME --set data.target=NAME"
        )
    for number, fields in records.rows:
        where = f"{path}, {records.unit} {number}"
        sides = [fields.get(name, "") for name in (source, target)]
        for name, side in zip((source, target), sides, strict=True):
            if not isinstance(side, str):
                raise UserError(f"{where}: {name} = {side!r:.60} is no text; write a string")
        yield where, *sides


def _two_columns(path: Path, lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Source, tab, target; further columns, as those of a license, are not read."""
    for number, line in enumerate(lines, start=1):
        columns = line.rstrip("\r").split("\t")
        if len(columns) < 2 and line.strip():
            raise UserError(f"{path}, line {number}: there is no tab between a source and a target; write one")
        yield f"{path}, line {number}", columns[0], columns[1] if len(columns) > 1 else ""


def split(pairs: Sequence[TextPair], share: float) -> tuple[list[TextPair], list[TextPair]]:
    """To train on and to measure on, decided by the source alone, so that no source is on both sides. UserError if a
    side is empty.
    """
    sides: tuple[list[TextPair], list[TextPair]] = ([], [])
    for pair in pairs:
        sides[hash_share(pair.source) < share].append(pair)
    if not all(sides):
        raise UserError(
            f"of {len(pairs)} pairs, data.held_out = {share} holds out {len(sides[1])}; some must be held out and some "
            "not: give more pairs, or change the share"
        )
    return sides
