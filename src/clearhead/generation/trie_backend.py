"""The backend for many texts: those that begin alike share what was computed, and what ended is kept for a while.

Deliberately not here: the trie itself (trie.py) and what is computed along it (cache.py).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clearhead.generation.backend import Computed, full, memory_limit, refuse
from clearhead.generation.cache import KVCache, frozen_copy, slot_bytes
from clearhead.generation.trie import SlotFlags, TokenTrie
from clearhead.models.decoder import Decoder


class TrieBackend:
    """A decoder, frozen as it is now, and the trie of all texts in use; a sequence is a slot.

    Keys, values and hidden states never take more than `kv_memory` bytes. Texts that ended stay, the one that was used
    last the longest, until a new one needs their slots.
    """

    def __init__(
        self,
        decoder: Decoder,
        dtype: torch.dtype | None = None,
        kv_memory: int | None = None,
        max_batch_tokens: int = 4096,
    ) -> None:
        config = decoder.config
        frozen = frozen_copy(decoder, dtype)
        self.device = frozen.embed.weight.device
        self.vocab, self.max_positions = config.vocab, config.max_positions
        self._slot_bytes = slot_bytes(config, frozen.dtype)
        self.limit = memory_limit(self.device, kv_memory)
        self.trie = TokenTrie(config.vocab, most=max(2, self.limit // self._slot_bytes))
        self.cache = KVCache(frozen, self.trie, max_batch_tokens)
        self._reached = SlotFlags(self.trie)  # by sampling, and not only read
        self._kept: dict[int, None] = {}  # slots that are held for nobody, least recently used first

    def room(self, prompt: int) -> int:
        return self.max_positions - prompt

    def check(self, length: int, n: int, new: int) -> None:
        needed = 1 + length + n * new
        if needed > self.trie.most:
            raise refuse(n, length + new, needed * self._slot_bytes, self.limit)

    def open(self, ids: Sequence[int], n: int, room: int, at: int | None = None) -> int | None:
        """The part of the prompt that is known already is held first, so that making room does not take it away."""
        known = self.trie.longest(ids) if at is None else at
        rest = ids[int(self.trie.depth[known]) + 1 :]
        self.trie.acquire(np.array([known]))
        try:
            if not self.make_room(len(rest) + room):
                return None
            slots = self.trie.insert(np.array([known], np.int32), [rest])
            self.trie.acquire(slots.repeat(n))
        finally:
            self.trie.release(np.array([known], np.int32))
        return int(slots[0])

    def make_room(self, positions: int) -> bool:
        """Forget texts that are held for nobody until there are so many free slots; False if there never will be."""
        while self.trie.used + positions > self.trie.most and self._kept:
            self._forget(next(iter(self._kept)))
        return self.trie.used + positions <= self.trie.most

    def need(self, positions: int) -> None:
        """NoRoom where `make_room` fails."""
        if not self.make_room(positions):
            raise full(self.trie.used, self.trie.most, positions, self.limit)

    def compute(self, seqs: Int[np.ndarray, "N"]) -> Computed:
        return self.cache.compute(seqs)

    def logits(self, seqs: Int[np.ndarray, "N"]) -> Float[Tensor, "N V"]:
        return self.cache.logits(seqs)

    def advance(
        self, seqs: Int[np.ndarray, "N"], tokens: Int[np.ndarray, "N"]
    ) -> tuple[Int[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
        slots = self.trie.children(seqs, tokens.astype(np.int32))
        self.trie.acquire(slots)
        new = np.zeros(len(slots), bool)
        reached, first = np.unique(slots, return_index=True)
        new[first] = ~self._reached[reached]
        self._reached.set(reached)
        return slots, new

    def release(self, seqs: Sequence[int]) -> None:
        self.trie.release(np.array(seqs, np.int32))

    def retain(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            if seq in self._kept:
                self._forget(seq)  # one hold is enough, and it is the youngest now
            self._kept[seq] = None

    def forget(self) -> None:
        """All that is held for nobody."""
        for seq in list(self._kept):
            self._forget(seq)

    def _forget(self, seq: int) -> None:
        del self._kept[seq]
        self.release([seq])
