"""A file of data in any of the usual forms, read into records: what each row's fields are, and where it stands.

JSON and JSONL, CSV with whatever parts its fields and in whatever encoding, Parquet. Numbers stay as they are written.
A row that cannot be read is noted and the others are read on; only a file that is no file of rows at all is an error.
What the fields mean is decided in `rows.py`.
"""

import codecs
import csv
import importlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from clearhead.errors import UserError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
LARGEST_UNPACKED = 1 << 30  # bytes of what a Parquet file holds, which may be far more than the file
PARQUET_ROWS = 500  # that are unpacked at once
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SNIFFED = 50  # rows that show what parts the fields
BOMS = {  # the longer ones first: UTF-32 begins as UTF-16 does
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip


class Written(str):
    """A number of a JSON file as it is written there: 0.10 stays 0.10."""


@dataclass(frozen=True)
class BadRow:
    line: int
    why: str


@dataclass(frozen=True)
class Records:
    """`rows`: (line, fields) of each row that could be read. A line is that of the text, or the number of the row."""

    rows: Sequence[tuple[int, Mapping[str, Any]]]
    bad: Sequence[BadRow] = ()
    unit: str = "line"  # or "row", where a file has no lines
    separator: str = ""  # of a CSV file
    encoding: str = ""  # of a text
    columns: tuple[str, ...] = field(init=False)  # every name of a field, in the order of the file

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(dict.fromkeys(name for _, fields in self.rows for name in fields)))


def read_records(path: Path, separator: str = "", encoding: str = "") -> Records:
    """The records of a file; `separator` and `encoding` are found where they are not given."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path} is none of {', '.join(SUFFIXES)}; save the problems in one of these forms")
    data = _bytes(path)
    if suffix == ".parquet":
        return Records(_parquet(path, data), unit="row")
    text, encoding = decode(path, data, encoding)
    if suffix in (".csv", ".tsv"):
        return _csv(path, text, separator, encoding)
    if text.lstrip()[:1] == "[" or (suffix == ".json" and not _is_lines(text)):
        return _json(path, text, encoding)
    return _jsonl(text, encoding)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name a file of problems") from None


def decode(path: Path, data: bytes, encoding: str = "") -> tuple[str, str]:
    """The text and the name of its encoding: as its first bytes say, else UTF-8, else Windows-1252."""
    if encoding:
        return _decoded(path, data, encoding), encoding
    for bom, name in BOMS.items():
        if data.startswith(bom):
            return _decoded(path, data, name), name.upper().replace("-SIG", " with BOM")
    try:
        text, name = data.decode(), "UTF-8"
    except UnicodeDecodeError:
        text, name = _decoded(path, data, "cp1252"), "Windows-1252"
    if "\0" in text:
        raise UserError(f"{path} is no text in UTF-8 or UTF-16 with its mark; set encoding, or save it as UTF-8")
    return text, name


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError:
        raise UserError(f"encoding = {encoding!r:.40} is unknown; use utf-8, utf-16 or cp1252") from None
    except UnicodeError as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data[:at].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: this is not text in {encoding}; save the file as UTF-8") from None


def _loads(text: str) -> Any:
    return json.loads(text, parse_int=Written, parse_float=Written)


def _is_lines(text: str) -> bool:
    """Does the text begin with a line that is a JSON object by itself, with more of them below?"""
    first, _, rest = text.strip().partition("\n")
    try:
        return isinstance(_loads(first), dict) and bool(rest)
    except (ValueError, RecursionError):
        return False


def _jsonl(text: str, encoding: str) -> Records:
    rows: list[tuple[int, Mapping[str, Any]]] = []
    bad = []
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            fields = _loads(content)
        except json.JSONDecodeError as error:
            bad.append(BadRow(line, f"this is not JSON ({error.msg} at column {error.colno})"))
        except RecursionError:
            bad.append(BadRow(line, "this JSON is nested too deeply"))
        else:
            if isinstance(fields, dict):
                rows.append((line, fields))
            else:
                bad.append(BadRow(line, 'this is not an object; write {"problem": ..., "answer": ...}'))
    return Records(rows, bad, encoding=encoding)


def _json(path: Path, text: str, encoding: str) -> Records:
    """A list of objects, or an object that holds one list of them."""
    if not text.strip():
        return Records([], encoding=encoding)
    try:
        found = _loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: this is not JSON ({error.msg}); mend it") from None
    except RecursionError:
        raise UserError(f"{path}: this JSON is nested too deeply; write a list of objects") from None
    lists = [value for value in found.values() if isinstance(value, list)] if isinstance(found, dict) else [found]
    if len(lists) != 1 or not isinstance(lists[0], list):
        raise UserError(f"{path} holds {len(lists)} lists; write one list of objects, or an object with one list")
    rows = [(i, item) for i, item in enumerate(lists[0], start=1)]
    bad = [BadRow(i, "this is not an object") for i, item in rows if not isinstance(item, dict)]
    return Records([row for row in rows if isinstance(row[1], dict)], bad, "row", encoding=encoding)


def _csv(path: Path, text: str, separator: str, encoding: str) -> Records:
    start = 1
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's way to say it
        separator, text, start = separator or first.strip()[-1], rest, 2
    if len(separator) > 1:
        raise UserError(f"separator = {separator!r:.40} has {len(separator)} characters; give one, such as ';'")
    separator = separator or sniff(text)
    lines = _records_of(text, separator)
    rows: list[tuple[int, Mapping[str, Any]]] = []
    bad = []
    try:
        names = [name.strip() for name in next(lines, (0, []))[1]]
        twice = {name for name in names if name and names.count(name) > 1}
        if twice:
            raise UserError(f"{path}: the first line names {', '.join(sorted(twice))} more than once; rename one")
        for line, values in lines:
            if len(values) == len(names):
                rows.append((line + start, dict(zip(names, values, strict=True))))
            else:
                bad.append(BadRow(line + start, f"this row has {len(values)} fields and the first line {len(names)}"))
    except csv.Error as error:
        line = rows[-1][0] if rows else start
        raise UserError(f"{path}, after line {line}: this is not CSV ({error}); mend the quotes") from None
    return Records(rows, bad, separator=SEPARATORS.get(separator, repr(separator)), encoding=encoding)


def _records_of(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(lines above, fields) of every record that is not blank; a quoted field may have several lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    above = 0
    for values in reader:
        if values:
            yield above, values
        above = reader.line_num


def sniff(text: str) -> str:
    """What parts the fields: the separator that gives the most fields, as many in every one of the first rows.

    >>> sniff("problem;answer\\n1,5 + 1;2,5\\n"), sniff("problem,answer\\n(a; b),c\\n")
    (';', ',')
    """

    def quality(separator: str) -> tuple[bool, int]:
        widths: list[int] = []
        with suppress(csv.Error):  # told when the file is read with the separator that is chosen
            widths.extend(len(values) for _, values in islice(_records_of(text, separator), SNIFFED))
        return len(set(widths)) == 1 and widths[0] > 1, widths[0] if widths else 0

    return max(SEPARATORS, key=quality)


def _parquet(path: Path, data: bytes) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        parquet = importlib.import_module("pyarrow" + ".parquet")
    except ImportError:
        raise UserError("Parquet needs the package pyarrow: pip install 'clearhead[data]'") from None
    rows: list[Mapping[str, Any]] = []
    try:
        unpacked = 0
        for batch in parquet.ParquetFile(io.BytesIO(data)).iter_batches(batch_size=PARQUET_ROWS):
            unpacked += batch.nbytes
            if unpacked > LARGEST_UNPACKED:
                raise UserError(
                    f"{path} unpacks to more than {LARGEST_UNPACKED >> 20:,} MiB in its first {len(rows):,} rows; "
                    "give fewer rows or columns"
                )
            rows += batch.to_pylist()
    except UserError:
        raise
    except (OSError, ValueError) as error:  # the package's own errors are of these kinds
        raise UserError(f"{path} is no Parquet file that can be read: {' '.join(str(error).split())[:200]}") from None
    return list(enumerate(rows, start=1))
