"""Running text from files, one document after the other, however large the files are.

Plain text is cut at blank lines into documents of some thousand characters; JSONL, JSON, CSV and Parquet have one
document a row, in the field `text`. A folder stands for the files in it whose names end in one of SUFFIXES. Which
documents are held out is decided by each document's own text, so the same text is never on both sides.
Deliberately not here: tokens.
"""

import ast
import codecs
import csv
import hashlib
import importlib
import json
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from pydoc_data.topics import topics
from types import ModuleType
from typing import Any

from clearhead.errors import UserError, warn

SUFFIXES = (".txt", ".text", ".md", ".rst", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
FIELD = "text"
DOCUMENT = 4_000  # characters after which the next blank line ends a document of plain text
MAX_DOCUMENT = 16 * DOCUMENT  # and after which it ends anyhow, at a line or in it
LONGEST_ROW = 1 << 26  # characters of one row, and bytes of a file that is one JSON array
BOM = "\ufeff"
ROW = re.compile(r"""\s*\{\s*"[^"]*"\s*:""")  # how a line of JSONL begins
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}
NO_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3"}  # folders of no documentation


def default_corpus() -> Iterator[str]:
    """English prose and examples that come with Python: the reference manual's topics, 0.5 million characters."""
    yield from topics.values()


def python_documentation() -> Iterator[str]:
    """More of the same: the topics, and the docstrings of each module of the standard library. About 2 million
    characters; a Python without its sources has only the topics.
    """
    yield from default_corpus()
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted(library.rglob("*.py")):
        if not NO_LIBRARY & set(file.relative_to(library).parts) and (found := docstrings(file)):
            yield found


def docstrings(file: Path) -> str:
    """All docstrings of a Python file, a blank line between them; nothing if it cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old spellings in other people's code
            tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return ""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented)]
    return "\n\n".join(filter(None, found))


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files that the paths stand for, in an order that depends on their names alone."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            if not inside:
                raise UserError(f"{path} has no text in it; looked for files that end in {', '.join(SUFFIXES)}")
            found += inside
        elif not path.exists():
            raise UserError(f"{path} does not exist; name a file of text, JSONL or Parquet, or a folder of such")
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def documents(paths: Sequence[Path], field: str = FIELD) -> Iterator[str]:
    """Every document of every file, without holding more than a few of them; UserError when there is none."""
    files = files_of(paths)
    count = 0
    readers = {
        ".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet,
    }  # fmt: skip
    for file in files:
        refuse_packed(file)
        rows = readers[file.suffix.lower()](file, field) if file.suffix.lower() in readers else _plain(file)
        for document in rows:
            if document.strip():
                count += 1
                yield document
    if not count:
        raise UserError(f"{', '.join(map(str, files[:3]))} {'is' if len(files) == 1 else 'are'} empty; give some text")


def held_out(document: str, share: float) -> bool:
    """Whether the document is for measuring and not for training; about `share` of them are.

    >>> sum(held_out(str(i), 0.1) for i in range(1000))
    104
    """
    return hash_share(document) < share


def hash_share(document: str) -> float:
    """Where from 0 to 1 a document lies, by its text alone: what lies below the share is held out."""
    digest = hashlib.blake2b(document.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def split(texts: Iterable[str], share: float) -> tuple[list[str], list[str]]:
    """What fits into memory, in two: to train on and to measure with. Neither side is empty if there are two texts."""
    kept: list[str] = []
    held: list[str] = []
    for text in texts:
        (held if held_out(text, share) else kept).append(text)
    if not held and len(kept) > 1:
        held.append(kept.pop())
    if not kept and len(held) > 1:
        kept.append(held.pop())
    return kept, held


def _plain(file: Path) -> Iterator[str]:
    """Lines gathered until a blank one ends a document that is long enough."""
    if ROW.match(next((line for line in _lines(file, DOCUMENT) if line.strip()), "")):
        warn(f"{file} is read as running text, though it begins like JSON; call it .jsonl if it has one object a line")
    gathered: list[str] = []
    length = 0
    for line in _lines(file, DOCUMENT):
        gathered.append(line)
        length += len(line)
        if length >= MAX_DOCUMENT or (length >= DOCUMENT and not line.strip()):
            yield "".join(gathered)
            gathered, length = [], 0
    yield "".join(gathered)


def _lines(file: Path, longest: int) -> Iterator[str]:
    """The lines of a UTF-8 file, those longer than `longest` in parts; what is binary is told."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as opened:
            while line := opened.readline(longest):
                if "\0" in line:
                    raise UserError(f"{file} is binary and no text: it has a zero byte; name a file of UTF-8 text")
                yield line
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file} is no UTF-8 text: the byte 0x{error.object[error.start]:02x} in line {_line_of_damage(file)}; "
            "save it as UTF-8"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; name a file of text") from None


def refuse_packed(file: Path) -> None:
    """UserError for a compressed file, which would be no text at all, or rows of nothing."""
    try:
        with open(file, "rb") as opened:
            begins = opened.read(8)
    except OSError:
        return  # told by whoever reads it
    for magic, name in PACKED.items():
        if begins.startswith(magic):
            raise UserError(f"{file} is compressed ({name}); unpack it first, and name what was in it")


def _line_of_damage(file: Path) -> int:
    """The first line that is no UTF-8; what reads text ahead does not know."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with open(file, "rb") as opened:
        while data := opened.read(1 << 20):
            try:
                line += decoder.decode(data).count("\n")
            except UnicodeDecodeError as error:
                return line + error.object[: error.start].count(b"\n")
    return line  # it ends in the middle of a character


def _jsonl(file: Path, field: str) -> Iterator[str]:
    for number, line in enumerate(_lines(file, LONGEST_ROW), start=1):
        line = line.strip().strip(BOM)  # files that were put together have one in the middle
        if not line:
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            if number == 1 and line.startswith("["):
                raise UserError(f"{file} is one JSON array; write one object a line, or call it .json") from None
            raise UserError(f"{file}, line {number}: this is not JSON; write one object a line") from None
        if isinstance(row, list):
            raise UserError(f"{file}, line {number}: this is a JSON array; write one object a line, or call it .json")
        yield _text(row, field, f"{file}, line {number}")


def _text(row: Any, field: str, where: str) -> str:
    """What a row says in its field; half of a surrogate pair is U+FFFD."""
    if not isinstance(row, dict) or field not in row:
        names = ", ".join(map(repr, row))[:100] if isinstance(row, dict) else f"none: it is {row!r:.40}"
        raise UserError(f"{where}: no text in the field {field!r}; its fields are {names}")
    text = row[field]
    if text is not None and not isinstance(text, str):
        raise UserError(f"{where}: the field {field!r} holds {text!r:.40}, which is no text")
    return (text or "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _json(file: Path, field: str) -> Iterator[str]:
    """An array of objects or of texts; a file of one object a line is called so as well."""
    if next((line for line in _lines(file, DOCUMENT) if line.strip()), "").lstrip()[:1] != "[":
        yield from _jsonl(file, field)
        return
    if file.stat().st_size > LONGEST_ROW:
        raise UserError(
            f"{file} is one JSON array of more than {LONGEST_ROW:,} bytes; write one object a line (.jsonl)"
        )
    try:
        rows = json.loads("".join(_lines(file, LONGEST_ROW)))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is no JSON that can be read: {error}; write one object a line (.jsonl)") from None
    for number, row in enumerate(rows, start=1):
        yield _text({field: row} if isinstance(row, str) else row, field, f"{file}, row {number}")


def _csv(file: Path, field: str) -> Iterator[str]:
    """The column of that name; the first row names the columns."""
    limit = csv.field_size_limit(LONGEST_ROW)  # which is the whole process's
    rows = csv.reader(_lines(file, LONGEST_ROW), delimiter="\t" if file.suffix.lower() == ".tsv" else ",", strict=True)
    try:
        names = next(rows, [])
        if field not in names:
            raise UserError(f"{file} has no column {field!r}; its first row is {', '.join(map(repr, names))[:200]}")
        for number, row in enumerate(rows, start=1):
            if row and len(row) != len(names):
                raise UserError(f"{file}, row {number}: {len(row)} cells where {len(names)} columns are named; mend it")
            yield row[names.index(field)] if row else ""
    except csv.Error as error:
        raise UserError(f"{file} is no CSV that can be read: {error}; mend it, or write JSONL") from None
    finally:
        csv.field_size_limit(limit)


def _parquet(file: Path, field: str) -> Iterator[str]:
    parquet = _pyarrow()
    try:
        with parquet.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            if field not in names:
                raise UserError(f"{file} has no column {field!r}; its columns are {', '.join(names)[:200]}")
            for batch in opened.iter_batches(batch_size=1000, columns=[field]):
                for value in batch.column(0).to_pylist():
                    if value is not None and not isinstance(value, str):
                        raise UserError(f"{file}: the column {field!r} holds {value!r:.40}, which is no text")
                    yield value or ""
    except UserError:
        raise
    except (OSError, ValueError) as error:  # the package's own errors are of these kinds
        raise UserError(f"{file} is no Parquet file that can be read: {' '.join(str(error).split())[:200]}") from None


def _pyarrow() -> ModuleType:
    try:
        return importlib.import_module("pyarrow" + ".parquet")
    except ImportError:
        raise UserError("Parquet needs the package pyarrow: pip install 'clearhead[data]'") from None
