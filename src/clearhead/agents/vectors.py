"""A store of texts found again by their vectors: one SQLite file, or memory alone.

The nearest are found exactly, by one product: MOST vectors take about a millisecond, and many builds of Python cannot
load a vector search into their SQLite. Deliberately not here: what is put in, and when it is asked (memory.py).
"""

import re
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log1p
from pathlib import Path

import numpy as np
from jaxtyping import Float

from clearhead.errors import UserError

WIDTH = 256  # of our own vectors
MOST = 5000  # texts that are kept, the newest
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Embedding:
    """Texts as vectors of length 1. `name` tells those of one embedding from another's in a file."""

    name: str
    of: Callable[[Sequence[str]], Float[np.ndarray, "N D"]]


def bag_of_words(texts: Sequence[str]) -> Float[np.ndarray, "N D"]:
    """Words hashed to WIDTH signed places, log(1 + count) each: near are texts that share words.

    Weinberger et al. 2009, equation 1: a signed hash keeps inner products unbiased.

    >>> a, b, c = bag_of_words(["the red door", "a red door", "nothing else"])
    >>> bool(a @ b > 0.6 > a @ c)
    True
    """
    vectors = np.zeros((len(texts), WIDTH), np.float32)
    for vector, text in zip(vectors, texts, strict=True):
        words = WORD.findall(text.lower())
        for word in sorted(set(words)):
            place = zlib.crc32(word.encode())
            vector[place % WIDTH] += (1 if place >> 31 else -1) * log1p(words.count(word))
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


HASHED = Embedding(f"bag-of-words-{WIDTH}", bag_of_words)


class VectorStore:
    """Texts of kinds, each once; the newest MOST stay. UserError for a file that is another thing."""

    def __init__(self, path: Path | None = None, embedding: Embedding = HASHED) -> None:
        self.path, self.embedding = path, embedding
        try:
            self.file = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self.file.execute("CREATE TABLE IF NOT EXISTS about (embedding TEXT)")
            self.file.execute(
                "CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, kind TEXT, text TEXT, vector BLOB,"
                " UNIQUE (kind, text))"
            )
            name = self.file.execute("SELECT embedding FROM about").fetchone()
            rows = self.file.execute("SELECT kind, text, vector FROM texts ORDER BY id").fetchall()
        except sqlite3.Error as error:
            raise UserError(f"{path} is no memory file: {error}; name another, or one that is not there yet") from None
        if name is None:
            self.file.execute("INSERT INTO about VALUES (?)", (embedding.name,))
        elif name[0] != embedding.name:
            raise UserError(f"{path} holds vectors of {name[0]}, not of {embedding.name}; name another file")
        self.kinds = [kind for kind, _, _ in rows]
        self.texts = [text for _, text, _ in rows]
        self.vectors = [np.frombuffer(vector, np.float32) for _, _, vector in rows]
        self._known = set(zip(self.kinds, self.texts, strict=True))

    def add(self, kind: str, texts: Sequence[str]) -> None:
        """On the disk when this returns, all or none; a text that is there already stays as it is."""
        new = [text for text in dict.fromkeys(texts) if (kind, text) not in self._known]
        if not new:
            return
        vectors = np.asarray(self.embedding.of(new), np.float32)
        rows = [(kind, text, vector.tobytes()) for text, vector in zip(new, vectors, strict=True)]
        self.file.execute("BEGIN")
        self.file.executemany("INSERT OR IGNORE INTO texts (kind, text, vector) VALUES (?, ?, ?)", rows)
        self.file.execute("DELETE FROM texts WHERE id NOT IN (SELECT id FROM texts ORDER BY id DESC LIMIT ?)", (MOST,))
        self.file.execute("COMMIT")
        self.kinds = [*self.kinds, *(kind for _ in new)][-MOST:]
        self.texts = [*self.texts, *new][-MOST:]
        self.vectors = [*self.vectors, *vectors][-MOST:]
        self._known = set(zip(self.kinds, self.texts, strict=True))

    def of(self, kind: str) -> list[str]:
        """The texts of a kind, oldest first."""
        return [text for text, its in zip(self.texts, self.kinds, strict=True) if its == kind]

    def nearest(self, query: str, k: int, least: float) -> list[str]:
        """At most k texts whose cosine with the query is at least `least`, the nearest first, older before newer."""
        if not self.texts:
            return []
        similarity = np.stack(self.vectors) @ np.asarray(self.embedding.of([query]), np.float32)[0]
        order = np.argsort(-similarity, kind="stable")[:k]
        return [self.texts[i] for i in order if similarity[i] >= least]

    def close(self) -> None:
        self.file.close()
