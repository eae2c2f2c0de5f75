"""What the engine needs of a model: the small protocol behind which keys and values, or states, are kept.

Deliberately not here: the backends (trie_backend.py, contiguous.py, recurrent.py, encoder_decoder.py) and drawing
tokens (engine.py).
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clearhead.errors import UserError

T = TypeVar("T")
U = TypeVar("U")

LEAST_ROWS = 16  # smaller products take other paths through the libraries and round differently; fillers do not count
SETTING = "--kv-memory (in a recipe: kv_memory)"
SHARE_OF_FREE = 0.5  # of the memory that is free when a backend is made


class Computed(NamedTuple):
    """The positions that a request made the model compute: the entry each belongs to, and whether it was new."""

    by: Int[np.ndarray, "N"]
    unique: Bool[np.ndarray, "N"]


class NoRoom(UserError):
    """Keys and values would take more memory than they may have; fewer texts at a time may fit."""


class Backend(Protocol):
    """Texts and what a model computed along them. A sequence, a whole number, stands for one text by its end;
    references to it are counted.

    A text is computed when it is asked for, each position once however many texts begin with it.
    """

    vocab: int
    max_positions: int
    device: torch.device

    def room(self, prompt: int) -> int:
        """Tokens that may follow a prompt of so many; below 1 by as many as it is too long."""
        ...

    def check(self, length: int, n: int, new: int) -> None:
        """UserError if n texts, a prompt of so many tokens and `new` more each, could never be kept together."""
        ...

    def open(self, ids: Sequence[int], n: int, room: int, at: int | None = None) -> int | None:
        """The sequence of a prompt, acquired n times; None if there is no room now for it and for `room` tokens more.

        `at` is that sequence where the caller has it already.
        """
        ...

    def compute(self, seqs: Int[np.ndarray, "N"]) -> Computed:
        """Everything that the logits after these texts need."""
        ...

    def logits(self, seqs: Int[np.ndarray, "N"]) -> Float[Tensor, "N V"]:
        """Of the token after each text, in float32 at least. A row's bits do not depend on the other rows."""
        ...

    def advance(
        self, seqs: Int[np.ndarray, "N"], tokens: Int[np.ndarray, "N"]
    ) -> tuple[Int[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
        """The sequences one token longer, each acquired once more, and which of them no sample had reached before."""
        ...

    def release(self, seqs: Sequence[int]) -> None:
        """Give back one reference for each entry; what nobody refers to is forgotten."""
        ...

    def retain(self, seqs: Sequence[int]) -> None:
        """The same, but what nobody refers to may be kept as long as nothing else needs its memory."""
        ...


def in_halves(do: Callable[[Sequence[T]], list[U]], items: Sequence[T]) -> list[U]:
    """do(items); where there is no room for all of them at once, what it makes of one half and then of the other.

    >>> def few(items):
    ...     if len(items) > 2:
    ...         raise NoRoom(f"{len(items)} are too many")
    ...     return [2 * item for item in items]
    >>> in_halves(few, [1, 2, 3, 4, 5])
    [2, 4, 6, 8, 10]
    """
    try:
        return do(items)
    except NoRoom:
        if len(items) < 2:
            raise
    middle = len(items) // 2
    return [*in_halves(do, items[:middle]), *in_halves(do, items[middle:])]


def at_least(rows: int, seqs: Int[np.ndarray, "N"]) -> Int[np.ndarray, "M"]:
    """The last slot once more until there are enough, unless there is none."""
    return np.concatenate((seqs, np.repeat(seqs[-1:], max(0, rows - len(seqs)))))


def memory_limit(device: torch.device, limit: int | None) -> int:
    """Bytes for keys, values and states: the limit that was given, or a share of what is free now."""
    return int(SHARE_OF_FREE * free_memory(device)) if limit is None else limit


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; what Linux could free counts, and elsewhere all that there is."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def refuse(n: int, tokens: int, needed: int, limit: int) -> NoRoom:
    """The error for what can never fit: n texts of so many tokens each, and bytes."""
    return NoRoom(
        f"{n:,} text{'s' if n > 1 else ''} of up to {tokens:,} tokens, written together, can need {size(needed)} of "
        f"keys and values, and at most {size(limit)} are theirs; ask for fewer or shorter ones, or raise {SETTING}"
    )


def full(held: int, most: int, more: int, limit: int) -> NoRoom:
    """The error where so many positions more do not fit beside those that are held."""
    return NoRoom(
        f"the texts that are held fill {held:,} of {most:,} positions that fit into {size(limit)} of keys and values, "
        f"and {more:,} more are needed; ask for less at a time, or raise {SETTING}"
    )


def size(nbytes: int) -> str:
    """
    >>> size(1 << 10), size(64 << 20), size(3 << 29)
    ('1.0 KiB', '64.0 MiB', '1.5 GiB')
    """
    power, unit = (30, "GiB") if nbytes >= 1 << 30 else (20, "MiB") if nbytes >= 1 << 20 else (10, "KiB")
    return f"{nbytes / 2**power:,.1f} {unit}"
