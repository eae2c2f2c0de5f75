"""Running text as token ids on disk, in shards that are read without being loaded.

    index.json   train-00000.npy   train-00001.npy   ...   held-00000.npy

A stream of ids is END a a a END b b END ...: the token that ends one document begins the next, so a model can also
write from nothing. Which documents are held out is decided by their texts (corpus). A window never sees two documents
at once: segments part them, as in packing.
"""

import json
import os
import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Shaped

from clearhead.config import build
from clearhead.errors import UserError
from clearhead.text.corpus import held_out
from clearhead.text.packing import IGNORE_INDEX, Batch
from clearhead.text.protocol import Tokenizer

Split = Literal["train", "held"]
SPLITS: tuple[Split, ...] = ("train", "held")
SHARD = 1 << 24  # tokens
TOGETHER = 256  # documents that are encoded at once
INDEX = "index.json"


@dataclass(frozen=True)
class Part:
    """One side of the split: the tokens of each shard, and the bytes of text that all of them spell."""

    shards: tuple[int, ...]
    bytes: int
    documents: int

    @property
    def tokens(self) -> int:
        return sum(self.shards)


@dataclass(frozen=True)
class Index:
    vocab_size: int
    end_id: int
    train: Part
    held: Part


def write_shards(
    folder: Path, documents: Iterable[str], tokenizer: Tokenizer, share: float, shard: int = SHARD
) -> "Shards":
    """All documents as shards in `folder`, about `share` of them held out; whole or not at all."""
    if tokenizer.end_id is None:
        raise UserError("the tokenizer has no token that ends a text; take one that has")
    if not 0 < share < 1:
        raise UserError(f"the share that is held out is {share}; it must be between 0 and 1, such as 0.05")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    for left in folder.parent.glob(f".{folder.name}.*.part"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        writers = {split: _Writer(part, split, tokenizer, shard) for split in SPLITS}
        for texts in _batches(documents):
            for text, ids in zip(texts, tokenizer.encode_many(texts), strict=True):
                writers["held" if held_out(text, share) else "train"].add(ids, len(text.encode("utf-8", "replace")))
        parts = {split: writer.finish() for split, writer in writers.items()}
        for split, made in parts.items():
            if not made.documents:
                raise UserError(
                    f"no document is left to {'train' if split == 'train' else 'measure'} on; give more text"
                )
        index = Index(tokenizer.vocab_size, tokenizer.end_id, **parts)
        (part / INDEX).write_text(json.dumps(asdict(index)), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Shards(folder)


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for document in documents:
        batch.append(document)
        if len(batch) == TOGETHER:
            yield batch
            batch = []
    yield batch


class _Writer:
    """The shards of one side, as they fill."""

    def __init__(self, folder: Path, split: Split, tokenizer: Tokenizer, shard: int) -> None:
        self.folder, self.split, self.shard, self.end = folder, split, shard, tokenizer.end_id
        self.dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
        self.waiting: list[np.ndarray] = [np.array([self.end], self.dtype)]
        self.count = 1
        self.shards: list[int] = []
        self.bytes = self.documents = 0

    def add(self, ids: list[int], size: int) -> None:
        self.waiting.append(np.array([*ids, self.end], self.dtype))
        self.count += len(ids) + 1
        self.bytes += size
        self.documents += 1
        if self.count >= self.shard:
            self._flush()

    def _flush(self) -> None:
        tokens = np.concatenate(self.waiting)
        np.save(self.folder / name(self.split, len(self.shards)), tokens)
        self.shards.append(len(tokens))
        self.waiting, self.count = [tokens[-1:]], 1  # its END begins the next shard too

    def finish(self) -> Part:
        if self.count > 1 or not self.shards:
            self._flush()
        return Part(tuple(self.shards), self.bytes, self.documents)


def name(split: Split, number: int) -> str:
    return f"{split}-{number:05d}.npy"


@dataclass(frozen=True)
class Shards:
    """The folder that `write_shards` made."""

    folder: Path

    @cached_property
    def index(self) -> Index:
        try:
            return build(Index, json.loads((self.folder / INDEX).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder} is no folder of tokens that can be read: {error}; make it again") from None

    @cached_property
    def _tokens(self) -> dict[Split, list[Shaped[np.ndarray, " _"]]]:
        """Every shard, mapped into memory and not read."""
        found: dict[Split, list[np.ndarray]] = {}
        for split in SPLITS:
            for number, count in enumerate(getattr(self.index, split).shards):
                path = self.folder / name(split, number)
                try:
                    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
                except (OSError, ValueError, EOFError) as error:
                    raise UserError(f"{path} cannot be read: {error}; make the folder again") from None
                if mapped.shape != (count,) or mapped.dtype.kind != "u":
                    raise UserError(f"{path} does not hold the {count} tokens that it should; make the folder again")
                found.setdefault(split, []).append(mapped)
        return found

    def batch(self, rows: int, length: int, seed: int, step: int) -> Batch:
        """Windows from anywhere in the training text; they depend on the seed and the step alone."""
        shards = self._tokens["train"]
        starts = [max(len(shard) - length, 0) for shard in shards]  # of a window and the token after it
        if not sum(starts):
            raise UserError(f"no shard has more than {length} tokens; give more text, or shorter rows")
        rng = random.Random(f"{seed}/{step}")
        windows = []
        for _ in range(rows):
            at, number = rng.randrange(sum(starts)), 0
            while at >= starts[number]:
                at -= starts[number]
                number += 1
            windows.append(shards[number][at : at + length + 1])
        return self._lay_out(windows, length)

    def windows(self, split: Split, rows: int, length: int) -> Iterator[Batch]:
        """Every token of one side learned exactly once, in order; the last rows are padded."""
        cut = [shard[at : at + length + 1] for shard in self._tokens[split] for at in range(0, len(shard) - 1, length)]
        for first in range(0, len(cut), rows):
            yield self._lay_out(cut[first : first + rows], length)

    def _lay_out(self, windows: list[Shaped[np.ndarray, " _"]], length: int) -> Batch:
        """
        stream     E a a E b   in a row of 5
        tokens     E a a E 0
        positions  0 1 2 0 0
        segments   1 1 1 2 0
        targets    a a E b -1
        """
        tokens, targets = np.zeros((2, len(windows), length), np.int64)
        targets[:] = IGNORE_INDEX
        filled = np.zeros((len(windows), length), bool)
        for row, window in enumerate(windows):
            count = len(window) - 1
            tokens[row, :count], targets[row, :count], filled[row, :count] = window[:-1], window[1:], True
        begins = filled & (tokens == self.index.end_id)
        begins[:, 0] = True  # in the middle of a document, where a window does
        at = np.broadcast_to(np.arange(length), tokens.shape)
        positions = at - np.maximum.accumulate(np.where(begins, at, 0), axis=1)
        return Batch(tokens, np.where(filled, positions, 0), np.where(filled, np.cumsum(begins, axis=1), 0), targets)
