"""Word vectors in the two forms of word2vec.c, which gensim, spaCy and fastText read and write too.

text     "V D\\n", then a line for each word: the word, its D numbers, spaces between
binary   "V D\\n", then for each word: the word, a space, D numbers of 4 bytes (little-endian), and a line feed
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from clearhead.errors import UserError
from clearhead.files import write_bytes

BINARY, TEXT = ".bin", ".vec"
HEADER = re.compile(rb"[ \t]*(\d+)[ \t]+(\d+)[ \t]*\r?\n")
MOST = 1 << 40  # numbers in a file


def is_vectors(path: Path) -> bool:
    """Whether a name is one of a file of vectors."""
    return path.suffix in (BINARY, TEXT)


def write(path: Path, words: Sequence[str], vectors: Float[np.ndarray, "V D"]) -> None:
    """By the ending of the name; text with as many digits as float32 has. UserError: a word with a space in it."""
    for word in words:
        if not word or any(char.isspace() for char in word):
            raise UserError(f"the word {word!r:.60} is empty or has a space in it, for which the format has no sign")
    vectors = vectors.astype("<f4")
    parts = [f"{len(words)} {vectors.shape[1]}\n".encode()]
    for word, vector in zip(words, vectors, strict=True):
        body = vector.tobytes() if path.suffix == BINARY else " ".join(map(str, vector)).encode()
        parts.append(word.encode("utf-8", "replace") + b" " + body + b"\n")
    write_bytes(path, b"".join(parts))


def read(path: Path) -> tuple[list[str], Float[np.ndarray, "V D"]]:
    """Words and vectors, by the ending of the name. UserError says where a file is broken."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; name a file of word vectors") from None
    header = HEADER.match(data)
    if header is None:
        raise UserError(f"{path} does not begin with a line of two numbers, words and dimensions; name word2vec's form")
    V, D = map(int, header.groups())
    if not V or not D or V * D * (4 if path.suffix == BINARY else 2) > min(len(data), MOST):
        raise UserError(f"{path} is too short for the {V} x {D} numbers that its first line promises; get it again")
    words, vectors = (_binary if path.suffix == BINARY else _text)(path, data, header.end(), V, D)
    if not np.isfinite(vectors).all():
        raise UserError(f"{path} holds numbers that are not finite; get it again")
    if len(set(words)) < V:
        raise UserError(f"{path} has the same word twice; get it again")
    return words, vectors


def _binary(path: Path, data: bytes, at: int, V: int, D: int) -> tuple[list[str], np.ndarray]:
    words, vectors = list[str](), np.empty((V, D), np.float32)
    for i in range(V):
        end = data.find(b" ", at)
        if end < 0 or end + 1 + 4 * D > len(data):
            raise UserError(f"{path} ends in the middle of word {i + 1} of {V}; get it again")
        words.append(_word(data[at:end].lstrip(b"\n")))  # some writers leave the line feed out
        vectors[i] = np.frombuffer(data, "<f4", D, end + 1)
        at = end + 1 + 4 * D
    return words, vectors


def _text(path: Path, data: bytes, at: int, V: int, D: int) -> tuple[list[str], np.ndarray]:
    lines = data[at:].split(b"\n")
    if len(lines) < V:
        raise UserError(f"{path} has {len(lines)} of the {V} words that its first line promises; get it again")
    words, vectors = list[str](), np.empty((V, D), np.float32)
    for i, line in enumerate(lines[:V]):
        word, *numbers = line.rstrip().split(b" ")
        try:
            vectors[i] = np.array(numbers, np.float32).reshape(D)
        except ValueError:
            raise UserError(f"{path}, line {i + 2}: a word and {D} numbers are expected; get the file again") from None
        words.append(_word(word))
    return words, vectors


def _word(data: bytes) -> str:
    return data.decode("utf-8", "replace")
