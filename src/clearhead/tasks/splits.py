"""Which problem belongs to which split, decided by the problem's text alone, and the file of problems to hold out.

Python's own `hash` differs from process to process; the hash here never does.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import TypeVar

from clearhead.errors import UserError

SPLITS = ("train", "valid", "test")

T = TypeVar("T")


def known_split(split: str) -> str:
    if split not in SPLITS:
        raise UserError(f"split {split!r} is unknown; use one of {', '.join(SPLITS)}")
    return split


def bucket(text: str) -> float:
    """A stable number in [0, 1) for a text, uniform over texts."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=6).digest()) / 2**48


def split_of(text: str, valid: float = 0.1, test: float = 0.1) -> str:
    """The split of a text when `valid` and `test` are the shares of these two."""
    at = bucket(text)
    return "test" if at < test else "valid" if at < test + valid else "train"


def sample(pool: Sequence[str], n: int, seed: int) -> list[str]:
    """n distinct problems in random order, or all of them; a smaller n gives the beginning of the same list."""
    shuffled = list(pool)
    random.Random(seed).shuffle(shuffled)
    return shuffled[:n]


def interleave(*lists: Sequence[str]) -> list[str]:
    """One of each list in turn, then what is left of the longer ones."""
    return [text for text in chain.from_iterable(zip_longest(*lists)) if text is not None]


def epochs(pool: Sequence[T], rng: random.Random) -> Iterator[T]:
    """The pool in random order, again and again, in a new order every time."""
    assert pool, "nothing to draw from"
    order = list(pool)
    while True:
        rng.shuffle(order)
        yield from order


def draw_distinct(draw: Callable[[], str], n: int, patience: int = 1000) -> list[str]:
    """n distinct draws from a source that is no list; fewer when `patience` draws in a row bring nothing new."""
    seen: dict[str, None] = {}
    misses = 0
    while len(seen) < n and misses < patience:
        before = len(seen)
        seen[draw()] = None
        misses = 0 if len(seen) > before else misses + 1
    return list(islice(seen, n))


def read_holdout(path: Path, parse: Callable[[str], str]) -> tuple[str, ...]:
    """The problems of a text file, one a line as a person would type them; blank lines and # comments are skipped.

    `parse` makes one canonical, or raises the UserError that is then told with the line number.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"cannot read the held-out problems in {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    found: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found[parse(line)] = None
            except UserError as error:
                raise UserError(f"{path}, line {number}: {error}") from None
    if not found:
        raise UserError(f"{path} holds no problem; write one a line")
    return tuple(found)
