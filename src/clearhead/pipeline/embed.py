"""Texts embedded, kept as a file, and searched by their meaning.

A passage is a line, a paragraph or a whole file. The nearest are found exactly, by one product.
"""

import io
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from clearhead.agents.toolbox.chunks import text_files
from clearhead.checkpoints.embedder import Embedder
from clearhead.errors import UserError
from clearhead.files import write_bytes
from clearhead.terminal import to_json
from clearhead.text.corpus import documents
from clearhead.training import checkpoint

Unit = Literal["line", "paragraph", "file"]
Watch = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Of how many texts there are, a bar; it is called with how many more are done."""
ROWS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
KEPT = ".safetensors"
OUT = (".jsonl", ".npy", KEPT)
BLANK = re.compile(r"\n[ \t\r]*\n")


class Passage(NamedTuple):
    """`line`, from 1, is where it begins; the row, of a file of rows."""

    file: str
    line: int
    text: str


class Hit(NamedTuple):
    cosine: float
    passage: Passage


def passages(name: str, unit: Unit | None, field: str) -> list[Passage]:
    """The passages of a file, of the texts below a folder, or of standard input ("-"). UserError: there is none.

    unit None: a paragraph in a folder, else a line; in a file of rows a passage is a row, and `field` its text.
    """
    path = Path(name)
    if name != "-" and path.suffix.lower() in ROWS:
        if unit is not None:
            raise UserError(f"{name} is a file of rows, each of them a passage; leave --per out")
        return [Passage(name, i, row) for i, row in enumerate(documents([path], field), 1)]
    if name == "-":
        found = cut("-", decoded("standard input", sys.stdin.buffer.read()), unit or "line")
    elif path.is_dir():
        texts = [(file, readable(file)) for file in text_files(path)]
        cuts = [cut(str(file.relative_to(path)), text, unit or "paragraph") for file, text in texts if text]
        found = [passage for passages in cuts for passage in passages]
    elif path.is_file():
        found = cut(name, decoded(name, path.read_bytes()), unit or "line")
    else:
        raise UserError(f"{name} does not exist; name a file of text, a folder of such, or - for standard input")
    if not found:
        raise UserError(f"{'standard input' if name == '-' else name} holds no text; give some")
    return found


def cut(file: str, text: str, unit: Unit) -> list[Passage]:
    r"""
    >>> [(p.line, p.text) for p in cut("a", "one\ntwo\n\n\nthree\n", "paragraph")]
    [(1, 'one\ntwo'), (5, 'three')]
    """
    ends = {"line": re.compile("\n"), "paragraph": BLANK, "file": re.compile(r"\Z")}[unit]
    found, start = list[Passage](), 0
    for end in [*ends.finditer(text), None]:
        part = text[start : end.start() if end else len(text)]
        if part.strip():
            begins = start + len(part) - len(part.lstrip())
            found.append(Passage(file, text.count("\n", 0, begins) + 1, part.strip()))
        start = end.end() if end else len(text)
    return found


def decoded(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(f"{name}, line {line}: this is not UTF-8 text; save it as UTF-8") from None


def readable(file: Path) -> str:
    """The text of a file of a folder, "" where it is none."""
    data = file.read_bytes()
    try:
        return "" if b"\0" in data else data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return ""


def nearest(
    query: Float[np.ndarray, "D"], vectors: Float[np.ndarray, "N D"], found: Sequence[Passage], top: int
) -> list[Hit]:
    """The passages whose vectors point most nearly where the query's does, the nearest first, equal ones in order."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    cosines = vectors @ query / np.maximum(lengths, 1e-12)
    order = np.argsort(-cosines, kind="stable")[:top]
    return [Hit(float(cosines[i]), found[i]) for i in order]


def rows(found: Sequence[Passage], vectors: Float[np.ndarray, "N D"]) -> str:
    """A line of JSON each; numbers as short as they can be and still be the same float32."""
    told = (
        {**passage._asdict(), "vector": [float(str(x)) for x in vector]}
        for passage, vector in zip(found, vectors, strict=True)
    )
    return "".join(to_json(row) + "\n" for row in told)


def write(out: Path, model: str, found: Sequence[Passage], vectors: Float[np.ndarray, "N D"]) -> None:
    """By the ending of the name: .jsonl with the texts, .npy of the vectors alone, .safetensors, which `read` reads."""
    match out.suffix:
        case ".jsonl":
            write_bytes(out, rows(found, vectors).encode())
        case ".npy":
            whole = io.BytesIO()
            np.save(whole, vectors)
            write_bytes(out, whole.getvalue())
        case _:
            checkpoint.save(out, {"vectors": torch.from_numpy(vectors)}, {"embeds": model, "passages": list(found)})


def check_out(out: Path) -> None:
    if out.suffix not in OUT:
        raise UserError(f"--out {out} ends in none of {', '.join(OUT)}; choose one of these")


def read(file: Path, embedder: Embedder) -> tuple[list[Passage], Float[np.ndarray, "N D"]]:
    """What `write` has kept. UserError: it is another file, or of another model."""
    tensors, told = checkpoint.load(file)
    listed, vectors = told.get("passages"), tensors.get("vectors")
    if not isinstance(listed, list) or vectors is None or vectors.ndim != 2 or len(listed) != len(vectors):
        raise UserError(f"{file} holds no passages with their vectors; make it with clearhead embed --out {file.name}")
    if told.get("embeds") != embedder.name or vectors.shape[1] != embedder.dimension:
        raise UserError(f"{file} holds vectors of {told.get('embeds')}, not of {embedder.name}; name that model")
    return [Passage(str(at), int(line), str(text)) for at, line, text in listed], vectors.float().numpy()


def embedded(
    embedder: Embedder, name: str, unit: Unit | None, field: str, watch: Watch
) -> tuple[list[Passage], Float[np.ndarray, "N D"]]:
    """The passages of what is named, with their vectors; those that `write` has kept are read."""
    if Path(name).suffix == KEPT:
        return read(Path(name), embedder)
    found = passages(name, unit, field)
    with watch(len(found)) as advance:
        return found, embedder.documents([passage.text for passage in found], advance)
