"""One text at a time, as fast as its weights can be read: keys and values in one block a layer, written in place.

Reading the weights once for every token is the least that decoding can cost, so everything here is about doing little
else. Deliberately not here: many texts with shared beginnings (engine.py), and characters (streaming.py).
"""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.generation.language_model import SampleConfig
from clearhead.generation.sampling import Token, apply_filters, cumulative, described, draw, uniforms
from clearhead.kernels.attention import FULL, Attend, Pattern, capped, fused_attention, plain_attention
from clearhead.kernels.linear import linear, packed, packed_product, packs
from clearhead.models.decoder import Decoder

FIRST_ROOM = 256  # positions; the block doubles when it is full
READ_AT_ONCE = 256  # tokens of a prompt
SEED_BITS = (1 << 64) - 1


class Product(nn.Module):
    """What stands for a linear layer here: the same matrix, read in the fastest way there is for one row."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.packed = packed(layer.weight) if packs(layer.weight) else None
        # Of a packed matrix only the type is left here, for those who ask a model's parameters for it.
        self.weight = (
            layer.weight if self.packed is None else nn.Parameter(torch.empty(0, dtype=layer.weight.dtype), False)
        )
        self.bias = layer.bias

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        if self.packed is None:
            return linear(x, self.weight, self.bias)
        return packed_product(x, self.packed, self.bias)


def for_reading(decoder: Decoder, dtype: torch.dtype | None = None) -> tuple[Decoder, nn.Module]:
    """The decoder with its products replaced, and its head. Weights of the right type are shared and not copied."""
    memo: dict[int, object] = {id(buffer): buffer for buffer in decoder.buffers()}
    for weight in decoder.parameters():
        memo[id(weight)] = nn.Parameter(weight.detach().to(dtype or weight.dtype), requires_grad=False)
    thin = copy.deepcopy(decoder, memo).eval()
    for module in list(thin.blocks.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) is nn.Linear:
                setattr(module, name, Product(layer))
    rows = thin.embed.weight if thin.head is None else thin.head.weight
    head = nn.Linear(rows.shape[1], rows.shape[0], bias=False, device="meta")
    head.weight = rows
    return thin, Product(head)


class Writer:
    """The text that a decoder has read or written last, with everything computed along it.

    Only `tokens` says how much of the block is in use, and it is set when a step is done: one that is interrupted
    leaves the text as it was.
    """

    @torch.inference_mode()
    def __init__(self, decoder: Decoder, dtype: torch.dtype | None = None) -> None:
        self.config = decoder.config
        self.decoder, self._head = for_reading(decoder, dtype)
        self.dtype, self.device = self.decoder.embed.weight.dtype, self.decoder.embed.weight.device
        self.tokens: list[int] = []
        self.computed = 0  # positions pushed through the decoder
        self._keys, self._values = self._empty(0), self._empty(0)

    @torch.inference_mode()
    def logits_after(self, text: Sequence[int]) -> Float[Tensor, "V"]:
        """Of the token after `text`, in float32; what the text before has in common with it is not computed again."""
        if not len(text):
            raise UserError("an empty prompt has nothing to continue; give at least one character")
        if len(text) > self.config.max_positions:
            raise UserError(
                f"the text is {len(text)} tokens long, but the model's context is {self.config.max_positions}; "
                "shorten it"
            )
        same = common(self.tokens, text[:-1])
        del self.tokens[same:]
        for start in range(same, len(text), READ_AT_ONCE):
            hidden = self._read(list(text[start : start + READ_AT_ONCE]))
        return self._logits(hidden[-1:])[0].to(torch.promote_types(self.dtype, torch.float32))

    def _logits(self, hidden: Float[Tensor, "1 D"]) -> Float[Tensor, "1 V"]:
        return capped(self._head(hidden), self.config.logit_softcap)

    def _read(self, tokens: list[int]) -> Float[Tensor, "T D"]:
        start, end = len(self.tokens), len(self.tokens) + len(tokens)
        self._make_room(end)
        positions = torch.arange(start, end, device=self.device)
        hidden = self.decoder(torch.tensor(tokens, device=self.device), positions, self._attend_for(start, end))
        self.tokens += tokens
        self.computed += len(tokens)
        return hidden

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

    def _make_room(self, length: int) -> None:
        """Twice the room when there is too little, never more than the context."""
        room = self._keys.shape[2]
        if length > room:
            room = min(self.config.max_positions, max(FIRST_ROOM, 2 * room, length))
            used = len(self.tokens)
            for name in ("_keys", "_values"):
                grown = self._empty(room)
                grown[:, :, :used] = getattr(self, name)[:, :, :used]
                setattr(self, name, grown)

    def _empty(self, room: int) -> Float[Tensor, "L G S C"]:
        config = self.config
        return torch.empty(
            config.n_layers, config.n_kv_heads, room, config.channels, dtype=self.dtype, device=self.device
        )

    @torch.inference_mode()
    def write(
        self,
        prompt: Sequence[int],
        sampling: SampleConfig,
        seed: int,
        never: Bool[Tensor, "V"],
        ends: frozenset[int],
        sample: int = 0,
        show: int = 0,
    ) -> Iterator[Token]:
        """The tokens after a prompt, as they are drawn; the last is one of `ends` if one comes. `show` likeliest each.

        Drawn with the engine's numbers: seed, sample and position alone decide, so the text is the same.
        """
        text = list(prompt)
        seen = torch.zeros(1, self.config.vocab, dtype=torch.bool, device=self.device)
        seen[0, text] = True
        for _ in range(min(sampling.max_tokens, self.config.max_positions - len(text))):
            logits = self.logits_after(text)
            if not logits.isfinite().all():
                raise UserError("the model's logits are not finite numbers: its weights are broken; load others")
            token = self._draw(logits.masked_fill(never, float("-inf"))[None], sampling, seen, seed, sample, len(text))
            yield described(logits, token, show)
            if token in ends:
                return
            text.append(token)
            seen[0, token] = True

    def _draw(
        self, logits: Float[Tensor, "1 V"], sampling: SampleConfig, seen: Bool[Tensor, "1 V"],
        seed: int, sample: int, position: int,
    ) -> int:  # fmt: skip
        if sampling.greedy and sampling.repetition_penalty == 1:
            return int(logits.argmax())
        filtered = apply_filters(logits, sampling, seen)
        if sampling.greedy:
            return int(filtered.argmax())
        u = uniforms(np.array([seed & SEED_BITS], np.uint64), np.array([sample]), np.array([position]))
        return int(draw(cumulative(filtered), torch.from_numpy(u).to(self.device)))


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
