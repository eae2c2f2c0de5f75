"""The metadata of a GGUF file: names and values before the tensors, read without reading those.

Every size in the file is checked against what the file still holds before it is believed. A list of text or numbers
is read at once: the vocabulary of a real model takes a moment, where the gguf package takes seconds. Format:
ggml/docs/gguf.md, versions 2 and 3, little-endian.
Deliberately not here: the tensors.
"""

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearhead.errors import UserError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


class Truncated(Exception):
    """A size in the file points beyond its end."""


@dataclass
class _Reader:
    """A cursor over the bytes of a file, which are read as they are asked for."""

    data: mmap.mmap | bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise Truncated
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "surrogateescape")

    def value(self, kind: int) -> Any:
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            raise UserError(f"a value of the unknown type {kind}")
        inner, count = self.number("I"), self.number("Q")
        if inner in SCALARS:
            code = np.dtype("<" + SCALARS[inner])
            return np.frombuffer(self.take(count * code.itemsize), code).tolist()
        if inner != STRING:
            raise UserError(f"a list of lists or of the unknown type {inner}")
        return [self.text() for _ in range(count)]


def read_metadata(path: Path) -> dict[str, Any]:
    """Every name and value."""
    try:
        with open(path, "rb") as file:
            empty = os.fstat(file.fileno()).st_size == 0  # nothing to map
            reader = _Reader(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name a GGUF file") from None
    try:
        if reader.data[:4] != MAGIC:
            raise UserError("it does not begin with GGUF")
        reader.at = len(MAGIC)
        version = reader.number("I")
        if version not in VERSIONS:
            raise UserError(f"version {version} is unknown; versions {VERSIONS[0]} and {VERSIONS[1]} can be read")
        _tensors, count = reader.number("Q"), reader.number("Q")
        found: dict[str, Any] = {}
        for _ in range(count):
            name = reader.text()
            if name in found:
                raise UserError(f"the name {name[:60]!r} is there twice")
            found[name] = reader.value(reader.number("I"))
        return found
    except Truncated:
        raise UserError(f"{path} ends in the middle of its metadata; it is cut off or broken, fetch it again") from None
    except UserError as error:
        raise UserError(f"{path} is no GGUF file that can be read: {error}") from None
