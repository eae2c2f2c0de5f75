"""What one decoder computed along a trie of tokens: keys and values of each layer and the last hidden state, by slot.

There is one way to compute: `compute` takes slots, finds whatever is missing on their paths and pushes it through the
decoder in one batch, each token attending along its own path. Prefill, decoding, forks and the checking of branches
differ only in which slots they ask for. Deliberately not here: the trie (trie.py) and sampling (engine.py).
"""

import copy
import math
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clearhead.generation.backend import LEAST_ROWS, Computed, at_least
from clearhead.generation.trie import ROOT, SlotFlags, TokenTrie
from clearhead.kernels.attention import FULL, Attend, Pattern, capped
from clearhead.kernels.linear import MANY, PackedLinear, pack_linears
from clearhead.kernels.machine import bfloat16_is_fast
from clearhead.kernels.quantized import QuantizedLinear
from clearhead.kernels.step import Blocks
from clearhead.models.decoder import Decoder, DecoderConfig, packed_head
from clearhead.models.quantize import is_quantized
from clearhead.models.step import blocks_of

REACH = 16  # a path is read in steps of so many keys, so that a row's arithmetic depends on its own length alone
GATHER_BYTES = {"cpu": 2 << 20}  # keys gathered at once: what stays in a core's cache
GATHER_BYTES_ELSEWHERE = 256 << 20


def frozen_copy(decoder: Decoder, dtype: torch.dtype | None = None) -> Decoder:
    """The decoder as it is now, blocks and last norm in `dtype` (None: the fastest); embedding and head keep theirs.

    A copy, since a cache is only right for the weights that filled it.
    """
    frozen = copy.deepcopy(decoder).eval().requires_grad_(False)
    if is_quantized(decoder):
        dtype = torch.float32
    if dtype is None:
        dtype = torch.bfloat16 if bfloat16_is_fast(decoder.embed.weight.device) else torch.float32
    frozen.blocks.to(dtype)
    frozen.norm.to(dtype)
    pack_linears(frozen, MANY)
    return frozen


def slot_bytes(config: DecoderConfig, dtype: torch.dtype) -> int:
    """Of keys, values and hidden state of one token, and what growing needs for a moment: one of these pools twice."""
    row = config.n_kv_heads * config.dim_per_head
    return (2 * config.n_layers * row + config.d_model + max(row, config.d_model)) * dtype.itemsize


class _Part(NamedTuple):
    """Rows that read paths of one length: where their keys and values lie, and which of them each window hides."""

    rows: slice
    keys: Int[Tensor, "N*G S"]
    values: Int[Tensor, "N*H S"]
    masks: dict[int, Float[Tensor, "N*G 1 S"]]


class KVCache:
    """Keys, values and hidden states of one decoder for the slots of a trie; any number of decoders may share the trie.

    So a reward model reads what the engine's model wrote, each beginning once:
    `KVCache(frozen_copy(reward.decoder), engine.trie).hidden(engine.slots(nodes))`.

    `computed` counts positions pushed through the decoder, `unique` the distinct beginnings of texts among them, told
    apart by a hash of their tokens and not by the marks that decide what is computed.
    """

    @torch.inference_mode()
    def __init__(self, decoder: Decoder, trie: TokenTrie, max_batch_tokens: int = 4096) -> None:
        config, self.decoder, self.trie = decoder.config, decoder, trie
        weight = next(decoder.blocks.parameters())
        self.dtype, self.device = weight.dtype, weight.device
        self.max_batch_tokens = max_batch_tokens
        self.computed = self.unique = 0
        shape = (trie.slots, config.n_kv_heads, config.dim_per_head)
        self._keys = [self._empty(*shape) for _ in range(config.n_layers)]
        self._values = [self._empty(*shape) for _ in range(config.n_layers)]
        self._hidden = self._empty(trie.slots, config.d_model)
        self._blocks = blocks_of(decoder)
        self._windows = {config.pattern(layer).window for layer in range(config.n_layers)}
        self._known = SlotFlags(trie)
        self._known.set(np.array([ROOT]))
        self._seen: set[int] = set()
        trie.on_free.append(self._forget)

    @torch.inference_mode()
    def hidden(self, slots: Int[np.ndarray, "N"]) -> Float[Tensor, "N D"]:
        """The hidden states after the last norm at the given slots, computing what is missing on their paths."""
        self.compute(slots)
        return self._hidden.index_select(0, self._on_device(slots))

    @torch.inference_mode()
    def logits(self, slots: Int[np.ndarray, "N"]) -> Float[Tensor, "N V"]:
        """Of the token after each slot, in float32 at least; computed in the type of the head, which is large."""
        hidden = self.hidden(at_least(LEAST_ROWS, slots))
        product = self._head(hidden.to(self._head.weight.dtype))[: len(slots)]
        logits = capped(product, self.decoder.config.logit_softcap)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    @cached_property
    def _head(self) -> PackedLinear | QuantizedLinear:
        """Made when logits are first asked for: a reward model has none to give."""
        return packed_head(self.decoder, MANY)

    @torch.inference_mode()
    def compute(self, slots: Int[np.ndarray, "N"]) -> Computed:
        """Fill the slots and their ancestors, each at most once; ancestors first where a batch is too large for one."""
        missing, by = self._missing(slots)
        order = np.argsort(self.trie.depth[missing], kind="stable")
        missing, by = missing[order], by[order]
        unique = np.zeros(len(missing), bool)
        self._fit()
        for start in range(0, len(missing), self.max_batch_tokens):
            batch = slice(start, start + self.max_batch_tokens)
            self._forward(missing[batch])
            unique[batch] = self._count(missing[batch])
        return Computed(by, unique)

    def attend_for(self, slots: Int[np.ndarray, "N"]) -> Attend:
        """Write the keys and values of these slots, then let each attend along its path; slots in order of depth."""
        parts = self._parts(slots)
        where = self._on_device(slots.astype(np.int64))

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern = FULL) -> Tensor:
            keys, values = self._keys[layer], self._values[layer]
            keys.index_copy_(0, where, k)
            values.index_copy_(0, where, v)
            return torch.cat([path_attention(q[part.rows], keys, values, part, pattern) for part in parts])

        return attend

    def _forward(self, slots: Int[np.ndarray, "N"]) -> None:
        slots = at_least(LEAST_ROWS, slots)
        tokens, positions = self._on_device(self.trie.token[slots]), self._on_device(self.trie.depth[slots])
        if self._blocks is None:
            hidden = self.decoder(tokens, positions, self.attend_for(slots))
        else:
            hidden = self.decoder.norm(self._called(self._blocks, slots, tokens, positions))
        self._hidden.index_copy_(0, self._on_device(slots.astype(np.int64)), hidden)
        self._known.set(slots)

    def _called(
        self, blocks: Blocks, slots: Int[np.ndarray, "N"], tokens: Int[Tensor, "N"], positions: Int[Tensor, "N"]
    ) -> Float[Tensor, "N D"]:
        """What the last block writes, by one call for all of them."""
        config, x = self.decoder.config, self.decoder.embedded(tokens, positions)
        turned = [part for rotation in self.decoder.rotations(positions, x.dtype) for part in rotation or ()]
        C, where = config.dim_per_head, self._on_device(slots.astype(np.int64))
        paths = self._on_device(self.trie.paths[slots])
        return blocks(
            x, turned, self._keys, self._values, (config.n_kv_heads * C, C), where, positions.long() + 1, paths
        )

    def _count(self, slots: Int[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
        """Which of these positions were never computed before."""
        unique = np.zeros(len(slots), bool)
        for i, name in enumerate(self.trie.hash[slots].tolist()):
            unique[i] = name not in self._seen
            self._seen.add(name)
        self.computed += len(slots)
        self.unique += int(unique.sum())
        return unique

    def _missing(self, slots: Int[np.ndarray, "N"]) -> tuple[Int[np.ndarray, "M"], Int[np.ndarray, "M"]]:
        """The slots to compute, and for each the entry of `slots` that needs it."""
        at, by = slots, np.arange(len(slots))
        found, needed_by = [at[:0]], [by[:0]]
        while len(at):
            unknown = ~self._known[at]
            at, by = at[unknown], by[unknown]
            found.append(at)
            needed_by.append(by)
            at = self.trie.parent[at]
        missing, first = np.unique(np.concatenate(found), return_index=True)
        return missing, np.concatenate(needed_by)[first]

    def _parts(self, slots: Int[np.ndarray, "N"]) -> list[_Part]:
        """Cut the rows where their paths grow by REACH, and again where the gathered keys would outgrow the cache."""
        config, depth = self.decoder.config, self.trie.depth[slots]
        assert (np.diff(depth) >= 0).all(), "rows must come in order of depth"
        G, group = config.n_kv_heads, config.n_heads // config.n_kv_heads
        reach = (depth // REACH + 1) * REACH
        budget = GATHER_BYTES.get(self.device.type, GATHER_BYTES_ELSEWHERE)
        row_bytes = G * config.dim_per_head * self.dtype.itemsize
        parts = []
        for S in np.unique(reach).tolist():
            first, end = np.searchsorted(reach, [S, S + 1]).tolist()
            n = max(1, budget // (S * row_bytes))
            for start in range(first, end, n):
                rows = slice(start, min(start + n, end))
                path = self.trie.paths[slots[rows], :S]
                keys = (path[:, None] * G + np.arange(G, dtype=np.int32)[:, None]).reshape(-1, S)  # N*G S
                values = keys if group == 1 else keys.repeat(group, 0)  # N*H S
                masks = {window: self._mask(depth[rows], S, window) for window in self._windows}
                parts.append(_Part(rows, self._on_device(keys), self._on_device(values), masks))
        return parts

    def _mask(self, depth: Int[np.ndarray, "N"], S: int, window: int) -> Float[Tensor, "M 1 S"]:
        """-∞ for keys after a row's own depth or, with a window, too long before it."""
        behind = depth[:, None] - np.arange(S)
        hidden = (behind < 0) | (behind >= window) if window else behind < 0
        mask = np.where(hidden, np.float32(-math.inf), np.float32(0)).repeat(self.decoder.config.n_kv_heads, 0)
        return self._on_device(mask[:, None]).to(self.dtype)

    def _on_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def _fit(self) -> None:
        """Grow with the trie, one pool after the other, so that no two are there twice."""
        if len(self._hidden) < self.trie.slots:
            for pools in (self._keys, self._values):
                for layer in range(len(pools)):
                    pools[layer] = self._grown(pools[layer])
            self._hidden = self._grown(self._hidden)

    def _grown(self, pool: Tensor) -> Tensor:
        grown = self._empty(self.trie.slots, *pool.shape[1:])
        grown[: len(pool)] = pool
        return grown

    def _forget(self, slots: Int[np.ndarray, "N"]) -> None:
        self._seen.difference_update(self.trie.hash[slots].tolist())


def path_attention(
    q: Float[Tensor, "N H C"],
    keys: Float[Tensor, "M G C"],
    values: Float[Tensor, "M G C"],
    part: _Part,
    pattern: Pattern,
) -> Float[Tensor, "N H C"]:
    """softmax(q kᵀ / √C) v, where row n's keys and values lie scattered over a pool of M slots.

    Keys are gathered for one batched product. Values are not: a sum of rows of a table, with weights, at given indices
    is what an embedding bag computes, without a copy. (The masked entries name the row's own slot, which is finite.)
    """
    (N, H, C), G = q.shape, keys.shape[1]
    k = keys.view(-1, C).index_select(0, part.keys.view(-1)).view(N * G, -1, C)  # N*G S C
    mask, rows, scale = part.masks[pattern.window], q.reshape(N * G, H // G, C), 1 / math.sqrt(C)
    if pattern.softcap:
        scores = capped(torch.bmm(rows, k.mT) * scale, pattern.softcap) + mask
    else:
        scores = torch.baddbmm(mask, rows, k.mT, alpha=scale)
    weights = scores.softmax(-1).view(N * H, -1)  # N*H S
    return F.embedding_bag(part.values, values.view(-1, C), mode="sum", per_sample_weights=weights).view(N, H, C)
