"""The backend for one text, as fast as its weights can be read: keys and values in one block a layer, written in place.

Reading the weights once for every token is the least that decoding can cost, so everything here is about doing little
else. Deliberately not here: many texts with shared beginnings (trie_backend.py).
"""

import copy
import time
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.generation.backend import Computed, memory_limit, refuse
from clearhead.generation.speculation import Draft, Speculation
from clearhead.kernels.attention import FULL, Attend, Pattern, capped, fused_attention, plain_attention
from clearhead.kernels.linear import ONE, pack_linears
from clearhead.kernels.step import Blocks
from clearhead.models.decoder import Decoder, packed_head
from clearhead.models.step import blocks_of

FIRST_ROOM = 256  # positions of the block; it at least doubles when a text needs more
READ_AT_ONCE = 256  # tokens of a prompt


def inference_copy(decoder: Decoder, dtype: torch.dtype | None = None) -> Decoder:
    """The decoder with its products replaced. Weights of the right type are shared and not copied."""
    memo: dict[int, object] = {id(buffer): buffer for buffer in decoder.buffers()}
    for weight in decoder.parameters():
        memo[id(weight)] = nn.Parameter(weight.detach().to(dtype or weight.dtype), requires_grad=False)
    thin = copy.deepcopy(decoder, memo).eval()
    pack_linears(thin, ONE)
    return thin


class ContiguousBackend:
    """A decoder and the text that it has read or written last. One text at a time, so its sequence is always 0.

    Only `tokens` says how much of the block is in use, and it is set when a step is done: one that is interrupted
    leaves the text as it was. What the next text has in common with it is not computed again. Weights of the right
    type are shared with the decoder and not copied.

    With a `draft` tokens are read ahead of what is written, where a token's bits are the same read alone or with
    others; what was not written then is forgotten.
    """

    def __init__(
        self, decoder: Decoder, dtype: torch.dtype | None = None, kv_memory: int | None = None,
        draft: Draft | None = None,
    ) -> None:  # fmt: skip
        config = self.config = decoder.config
        self.decoder = inference_copy(decoder, dtype)
        self._head, self._blocks = packed_head(self.decoder, ONE), blocks_of(self.decoder)
        self.dtype, self.device = self.decoder.embed.weight.dtype, self.decoder.embed.weight.device
        self.vocab, self.max_positions = config.vocab, config.max_positions
        if draft is not None and self._blocks is None:
            raise UserError(
                "reading ahead by a draft needs quantized weights of a Llama-like model; leave the draft out"
            )
        self.speculation = None if draft is None else Speculation(draft)
        self._ahead: tuple[int, int] | None = None  # the length of the text at the last read, and tokens beyond it
        self.tokens: list[int] = []  # computed, and among them what was read ahead
        self._text: list[int] = []  # of the sample that is written
        self._counted = 0  # positions of it that somebody was charged for
        self._refcount = 0
        self._keys, self._values = [[self._empty(0) for _ in range(config.n_layers)] for _ in range(2)]
        self._hidden = torch.empty(0)  # of the last token of the text and of those read ahead
        self._logits: Tensor | None = None  # after each of them, once they are asked for
        row = config.n_kv_heads * config.dim_per_head * self.dtype.itemsize
        self._position_bytes, self._grown_bytes = 2 * config.n_layers * row, row  # growing, one layer is there twice
        self.limit = memory_limit(self.device, kv_memory)

    def room(self, prompt: int) -> int:
        return self.max_positions - prompt

    def check(self, length: int, n: int, new: int) -> None:
        assert n == 1, "one text at a time; several are for the trie"
        if length + new > self._most:
            raise refuse(1, length + new, (length + new) * (self._position_bytes + self._grown_bytes), self.limit)

    def open(self, ids: Sequence[int], n: int, room: int, at: int | None = None) -> int | None:
        if self._refcount:
            return None
        assert at is None
        del self.tokens[common(self.tokens, ids[:-1]) :]
        self._make_room(len(ids) + room)
        self._text, self._refcount, self._ahead, self._counted = list(ids), n, None, len(self.tokens)
        return 0

    def compute(self, seqs: Int[np.ndarray, "N"]) -> Computed:
        length = len(self._text)
        while length - len(self.tokens) > READ_AT_ONCE:
            self._read(self._text[len(self.tokens) :][:READ_AT_ONCE])
        if len(self.tokens) < length:
            self._read_ahead()
        n, self._counted = length - self._counted, length  # what was read ahead counts when it is reached
        return Computed(np.zeros(n, np.int64), np.ones(n, bool))

    def _read_ahead(self) -> None:
        """The rest of the text, and what may follow it."""
        start, length = len(self.tokens), len(self._text)
        if self.speculation is None:
            self._logits, self._hidden = None, self._read(self._text[start:])[-1:]
            return
        if self._ahead is not None and self._ahead[1]:
            self.speculation.judge(self._ahead[1], length - self._ahead[0] - 1)
        began = time.perf_counter()
        guess = self.speculation.propose(self._text, self._keys[0].shape[1] - length)
        self._hidden = self._read(self._text[start:] + guess)[length - start - 1 :]
        self._logits = self._head(self._hidden)
        self._ahead = length, len(guess)
        if length - start == 1:
            self.speculation.took(len(guess), time.perf_counter() - began)

    def logits(self, seqs: Int[np.ndarray, "N"]) -> Float[Tensor, "N V"]:
        if self._logits is None:
            self._logits = self._head(self._hidden)
        row = len(self._text) - 1 - (len(self.tokens) - len(self._hidden))
        logits = capped(self._logits[row : row + 1], self.config.logit_softcap)
        return logits.to(torch.promote_types(self.dtype, torch.float32))

    def advance(
        self, seqs: Int[np.ndarray, "N"], tokens: Int[np.ndarray, "N"]
    ) -> tuple[Int[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
        self._text.append(int(tokens[0]))
        if self.tokens[len(self._text) - 1 : len(self._text)] != self._text[-1:]:
            del self.tokens[len(self._text) - 1 :]  # what was read ahead and is not what was written
        self._refcount += 1
        return seqs, np.ones(1, bool)

    def release(self, seqs: Sequence[int]) -> None:
        self._refcount -= len(seqs)

    def retain(self, seqs: Sequence[int]) -> None:
        self.release(seqs)  # the block stays as it is

    def _read(self, tokens: list[int]) -> Float[Tensor, "T D"]:
        start, end = len(self.tokens), len(self.tokens) + len(tokens)
        positions, ids = torch.arange(start, end, device=self.device), torch.tensor(tokens, device=self.device)
        if self._blocks is None:
            hidden = self.decoder(ids, positions, self._attend_for(start, end))
        else:
            hidden = self.decoder.norm(self._called(self._blocks, ids, positions))
        self.tokens += tokens
        return hidden

    def _called(self, blocks: Blocks, ids: Int[Tensor, "T"], positions: Int[Tensor, "T"]) -> Float[Tensor, "T D"]:
        """What the last block writes, by one call for all of them."""
        x, C = self.decoder.embedded(ids, positions), self.config.dim_per_head
        turned = [part for rotation in self.decoder.rotations(positions, x.dtype) for part in rotation or ()]
        return blocks(x, turned, self._keys, self._values, (C, self._keys[0].shape[1] * C), positions, positions + 1)

    def _attend_for(self, start: int, end: int) -> Attend:
        """Write keys and values of positions start to end into the block; each sees itself and what came before."""
        biases: dict[int, Tensor] = {}

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern = FULL) -> Tensor:
            window, softcap = pattern
            keys, values = self._keys[layer], self._values[layer]  # G S C
            keys[:, start:end] = k.transpose(0, 1)
            values[:, start:end] = v.transpose(0, 1)
            first = max(0, start + 1 - window) if window else 0
            keys, values = keys[None, :, first:end], values[None, :, first:end]
            (T, H, C), G = q.shape, keys.shape[1]
            if T == 1 and not softcap:  # the heads of a group are rows that read the same keys, and all of them
                return F.scaled_dot_product_attention(q.reshape(1, G, H // G, C), keys, values).view(1, H, C)
            if window not in biases:
                biases[window] = bias_of(start, end, first, window).to(q)
            k, v = keys.transpose(1, 2), values.transpose(1, 2)  # 1 S G C
            if softcap:
                return plain_attention(q[None], k, v, biases[window], softcap)[0]
            return fused_attention(q[None], k, v, biases[window])[0]

        return attend

    @property
    def _most(self) -> int:
        """Positions within the limit."""
        return self.limit // (self._position_bytes + self._grown_bytes)

    def _make_room(self, length: int) -> None:
        """A block of so many positions at least, within the limit and the context."""
        room = self._keys[0].shape[1]
        if length > room:
            room = min(self.max_positions, self._most, max(FIRST_ROOM, 2 * room, length))
            used = len(self.tokens)
            for pools in (self._keys, self._values):
                for layer in range(len(pools)):
                    grown = self._empty(room)
                    grown[:, :used] = pools[layer][:, :used]
                    pools[layer] = grown

    def _empty(self, room: int) -> Float[Tensor, "G S C"]:
        config = self.config
        return torch.empty(config.n_kv_heads, room, config.dim_per_head, dtype=self.dtype, device=self.device)


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts begin with alike.

    >>> common([1, 2, 3], [1, 2, 4, 5]), common([], [1]), common([1], [1, 2])
    (2, 0, 1)
    """
    n = min(len(a), len(b))
    if list(a[:n]) == list(b[:n]):
        return n
    return next(i for i in range(n) if a[i] != b[i])


def bias_of(start: int, end: int, first: int, window: int) -> Float[Tensor, "1 T S"]:
    """0 for the keys first ... end - 1 that the queries start ... end - 1 see, -∞ for the others.

    >>> bias_of(1, 4, 0, 2)[0].tolist()
    [[0.0, 0.0, -inf, -inf], [-inf, 0.0, 0.0, -inf], [-inf, -inf, 0.0, 0.0]]
    """
    behind = torch.arange(start, end)[:, None] - torch.arange(first, end)
    hidden = (behind < 0) | (behind >= window) if window else behind < 0
    return torch.zeros(1, *behind.shape).masked_fill(hidden, float("-inf"))
