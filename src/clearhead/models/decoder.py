"""The decoder-only transformer: one flat configuration, presets, and one forward path for training and decoding.

Deliberately not here: how tokens see each other (the `attend` that is passed in), the loss, and sampling.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.kernels.attention import Attend, Pattern, capped, causal_attend
from clearhead.kernels.embedding import embedding
from clearhead.kernels.linear import PackedLinear, packed_table
from clearhead.kernels.quantized import QuantizedLinear
from clearhead.nn import functional
from clearhead.nn.layers import MLP, Attention, Norm, PostNormBlock, PreNormBlock, SandwichBlock

ACTIVATIONS = {
    "gelu": functional.gelu, "exact_gelu": functional.exact_gelu, "relu2": functional.relu2,
    "swiglu": functional.swiglu, "geglu": functional.geglu, "reglu": functional.reglu,
}  # fmt: skip
GATED = ("swiglu", "geglu", "reglu")
Rotation = tuple[Tensor, Tensor]
BLOCKS: dict[str, Callable[..., nn.Module]] = {"pre": PreNormBlock, "post": PostNormBlock, "sandwich": SandwichBlock}
MOST_LAYERS = 10_000  # far above what there is, and far below what brings a computer down before a mistake is seen
MAX_SIZES = {
    "n_layers": MOST_LAYERS, "vocab": 1 << 24, "d_model": 1 << 20, "n_heads": 1 << 16, "n_kv_heads": 1 << 16,
    "d_ff": 1 << 24, "head_dim": 1 << 16, "max_positions": 1 << 24, "window": 1 << 31, "global_every": 1 << 31,
    "rope_original": 1 << 31,
}  # fmt: skip
NORMS_OF = {"pre": 2, "post": 2, "sandwich": 4}


@dataclass(frozen=True)
class DecoderConfig:
    """The shape of a decoder. The defaults are Qwen 3's without its norm weights, so that other programs can read it.

    The second half describes published families. 0 stands for "none", for `head_dim` "d_model / n_heads" and for
    `attention_scale` "1/√C". With a window, every `global_every`-th layer sees everything, and turns by `rope_theta`
    and its scaling where the others, if `rope_local_theta` is given, turn by that, `rope_local_factor` times as slowly.
    """

    vocab: int
    d_model: int = 192
    n_layers: int = 4
    n_heads: int = 3
    n_kv_heads: int = 3
    d_ff: int = 512
    max_positions: int = 128
    norm: Literal["rms", "layer"] = "rms"
    positions: Literal["rotary", "learned", "sinusoidal"] = "rotary"
    mlp: Literal["gelu", "exact_gelu", "swiglu", "geglu", "reglu", "relu2"] = "swiglu"
    qk_norm: bool = True
    tied: bool = False
    rope_theta: float = 100.0
    norm_eps: float = 1e-6
    block: Literal["pre", "post", "sandwich"] = "pre"
    norm_weight: Literal["none", "plain", "one_plus"] = "none"
    bias: Literal["none", "qkv", "all"] = "none"
    head_dim: int = 0
    window: int = 0
    global_every: int = 0
    rope_local_theta: float = 0.0
    rope_local_factor: float = 1.0
    rope_scaling: Literal["none", "linear", "llama3"] = "none"
    rope_factor: float = 1.0
    rope_low: float = 1.0
    rope_high: float = 4.0
    rope_original: int = 8192
    embed_scale: bool = False
    attention_scale: float = 0.0
    attention_softcap: float = 0.0
    logit_softcap: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("vocab", "d_model", "n_layers", "n_heads", "n_kv_heads", "d_ff", "max_positions"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        for name, most in MAX_SIZES.items():
            if getattr(self, name) > most:
                raise UserError(f"{name} = {getattr(self, name)} is too large; at most {most} is possible")
        for name in ("rope_theta", "norm_eps"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} = {getattr(self, name)} must be a number above 0")
        for name in (
            "head_dim", "window", "global_every", "rope_local_theta", "attention_scale", "attention_softcap",
            "logit_softcap",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} = {getattr(self, name)} must not be negative; 0 means none")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout = {self.dropout} must be at least 0 and below 1")
        if self.d_model % self.n_heads and not self.head_dim:
            raise UserError(f"d_model = {self.d_model} is not a multiple of n_heads = {self.n_heads}; change one")
        if self.n_heads % self.n_kv_heads:
            raise UserError(f"n_heads = {self.n_heads} is not a multiple of n_kv_heads = {self.n_kv_heads}; change one")
        if self.positions == "rotary" and self.dim_per_head % 2:
            raise UserError(
                f"rotary positions turn pairs of channels, but d_model / n_heads = {self.dim_per_head} is odd; "
                f"make it even or choose learned positions"
            )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise UserError(f"sinusoidal positions need an even d_model, not {self.d_model}; choose learned positions")
        if self.global_every and not self.window:
            raise UserError(f"global_every = {self.global_every} needs a window for the other layers; set window")
        if self.positions != "rotary" and (self.rope_scaling != "none" or self.rope_local_theta):
            raise UserError(f"rope_scaling and rope_local_theta need rotary positions, not {self.positions} ones")
        if self.rope_local_theta and not self.window:
            raise UserError(f"rope_local_theta = {self.rope_local_theta} is for windowed layers; set window")
        if not 1 <= self.rope_local_factor < math.inf or (self.rope_local_factor > 1 and not self.rope_local_theta):
            raise UserError(
                f"rope_local_factor = {self.rope_local_factor} must be at least 1, and needs rope_local_theta above 1"
            )
        if self.rope_factor < 1 or not 0 < self.rope_low < self.rope_high:
            raise UserError(
                f"rope_factor = {self.rope_factor} must be at least 1, and rope_low = {self.rope_low} above 0 "
                f"and below rope_high = {self.rope_high}"
            )

    @property
    def dim_per_head(self) -> int:
        """C, channels per head: `head_dim`, or what it stands for."""
        return self.head_dim or self.d_model // self.n_heads

    @property
    def gated(self) -> bool:
        return self.mlp in GATED

    def is_global(self, layer: int) -> bool:
        """Whether this layer's queries see everything before them."""
        return not self.window or (self.global_every > 0 and (layer + 1) % self.global_every == 0)

    def pattern(self, layer: int) -> Pattern:
        return Pattern(0 if self.is_global(layer) else self.window, self.attention_softcap)

    @property
    def matrix_parameters(self) -> int:
        """Weights that every token is multiplied by: all but the embeddings that are only looked up."""
        D, F, C = self.d_model, self.d_ff, self.dim_per_head
        attention = D * (self.n_heads + 2 * self.n_kv_heads) * C + self.n_heads * C * D
        mlp = D * F * (3 if self.gated else 2)
        return self.n_layers * (attention + mlp) + self.vocab * D

    @property
    def vector_parameters(self) -> int:
        """Biases and norm weights."""
        D, C, qkv = self.d_model, self.dim_per_head, (self.n_heads + 2 * self.n_kv_heads) * self.dim_per_head
        a_norm = (self.norm_weight != "none") + (self.norm == "layer" and self.bias == "all")
        biases = {"none": 0, "qkv": qkv, "all": qkv + D + self.d_ff * (2 if self.gated else 1) + D}[self.bias]
        layer = biases + NORMS_OF[self.block] * a_norm * D + (2 * a_norm * C if self.qk_norm else 0)
        return self.n_layers * layer + (0 if self.block == "post" else a_norm * D)

    @property
    def parameters(self) -> int:
        looked_up = (0 if self.tied else self.vocab) + (self.max_positions if self.positions == "learned" else 0)
        return self.matrix_parameters + self.vector_parameters + looked_up * self.d_model

    def flops_per_token(self, keys: int) -> int:
        """A forward pass of a token that sees `keys` keys, two operations for a multiply-add; training costs three."""
        return 2 * self.matrix_parameters + 4 * self.n_layers * self.n_heads * self.dim_per_head * keys


PRESETS: dict[str, dict[str, object]] = {
    "tiny": {"d_model": 32, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "d_ff": 64},
    "demo": {"d_model": 192, "n_layers": 4, "n_heads": 3, "n_kv_heads": 3, "d_ff": 512},
    "small": {"d_model": 256, "n_layers": 8, "n_heads": 4, "n_kv_heads": 4, "d_ff": 704, "max_positions": 256},
    "medium": {
        "d_model": 512, "n_layers": 8, "n_heads": 8, "n_kv_heads": 4, "d_ff": 1344, "max_positions": 1024,
        "rope_theta": 10_000.0,
    },
}  # fmt: skip


class Decoder(nn.Module):
    """tokens -> hidden states -> logits. Equal configurations and seeds give equal weights."""

    def __init__(self, config: DecoderConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.embed = table(config.vocab, config.d_model)
        self.pos_embed = table(config.max_positions, config.d_model) if config.positions == "learned" else None
        self.blocks = nn.ModuleList(block_of(config) for _ in range(config.n_layers))
        self.norm = nn.Identity() if config.block == "post" else norm_of(config, config.d_model)
        self.head: nn.Linear | QuantizedLinear | None = (
            None if config.tied else nn.Linear(config.d_model, config.vocab, bias=False)
        )
        if not self.embed.weight.is_meta:  # there is nothing to set, and finding that out takes seconds
            initialize(self, seed)
        # No buffers: a decoder in half precision still turns by whole frequencies.
        self.frequencies = global_frequencies(config) if config.positions == "rotary" else None
        local = config.rope_local_theta
        self.local_frequencies = self.frequencies
        if local:
            self.local_frequencies = functional.frequencies(config.dim_per_head, local) / config.rope_local_factor

    def forward(
        self, tokens: Int[Tensor, "*B"], positions: Int[Tensor, "*B"] | None = None, attend: Attend | None = None
    ) -> Float[Tensor, "*B D"]:
        """The hidden states after the last norm. Left out, positions count from 0 along rows "B T", each one text."""
        if positions is None:
            positions = torch.arange(tokens.shape[-1], device=tokens.device).expand(tokens.shape)
        attend = causal_attend() if attend is None else attend
        x = self.embedded(tokens, positions)
        rotation, local = self.rotations(positions, x.dtype)
        for layer, block in enumerate(self.blocks):
            here = partial(attend, layer, pattern=self.config.pattern(layer))
            x = block(x, rotation if self.config.is_global(layer) else local, here)
        return self.norm(x)

    def embedded(self, tokens: Int[Tensor, "*B"], positions: Int[Tensor, "*B"]) -> Float[Tensor, "*B D"]:
        """What the first block reads, in the blocks' type."""
        config, dtype = self.config, self.dtype
        x = embedding(tokens, self.embed.weight).to(dtype)
        if config.embed_scale:
            x = x * torch.tensor(config.d_model**0.5, dtype=dtype, device=x.device)  # rounded, as Gemma was trained
        if self.pos_embed is not None:
            x = x + embedding(positions, self.pos_embed.weight).to(dtype)
        elif config.positions == "sinusoidal":
            x = x + functional.sinusoidal(positions, config.d_model).to(dtype)
        return nn.functional.dropout(x, config.dropout, self.training)

    def rotations(self, positions: Int[Tensor, "*B"], dtype: torch.dtype) -> tuple[Rotation | None, Rotation | None]:
        """Cosines and sines for global and for windowed layers."""
        if self.frequencies is None or self.local_frequencies is None:
            return None, None
        cos, sin = functional.rotary_table(positions, self.frequencies)
        rotation = (cos.to(dtype), sin.to(dtype))
        if self.local_frequencies is self.frequencies:
            return rotation, rotation
        cos, sin = functional.rotary_table(positions, self.local_frequencies)
        return rotation, (cos.to(dtype), sin.to(dtype))

    @property
    def dtype(self) -> torch.dtype:
        """The blocks' type; embedding and head may have another."""
        return next(self.blocks.parameters()).dtype

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        if isinstance(self.head, QuantizedLinear):
            product = self.head(hidden)
        else:
            weight = self.embed.weight if self.head is None else self.head.weight
            product = nn.functional.linear(hidden, weight.to(hidden.dtype))
        return capped(product, self.config.logit_softcap)


def packed_head(decoder: Decoder, rows: int) -> PackedLinear | QuantizedLinear:
    """The head of a decoder whose linear layers are packed; where it is the embedding, a packed copy of that."""
    head: nn.Module | None = decoder.head
    if head is None:
        return packed_table(decoder.embed, rows)
    assert isinstance(head, PackedLinear | QuantizedLinear)
    return head


def table(rows: int, width: int) -> nn.Embedding:
    """Not set to anything yet: `initialize` does that, or a file."""
    return nn.Embedding(rows, width, _weight=torch.empty(rows, width))


def norm_of(config: DecoderConfig, width: int) -> Norm:
    bias = config.norm == "layer" and config.bias == "all"
    return Norm(config.norm, width, config.norm_eps, config.norm_weight, bias)


def block_of(config: DecoderConfig) -> nn.Module:
    C, D = config.dim_per_head, config.d_model
    attention = Attention(
        D, config.n_heads, config.n_kv_heads, C,
        bias=(config.bias != "none", config.bias == "all"),
        qk_norm=(norm_of(config, C), norm_of(config, C)) if config.qk_norm else None,
        q_scale=config.attention_scale * C**0.5 if config.attention_scale else 1.0,
        dropout=config.dropout,
    )  # fmt: skip
    mlp = MLP(D, config.d_ff, ACTIVATIONS[config.mlp], config.gated, config.bias == "all", config.dropout)
    norms = tuple(norm_of(config, D) for _ in range(NORMS_OF[config.block]))
    return BLOCKS[config.block](attention, mlp, norms)


def global_frequencies(config: DecoderConfig) -> Float[Tensor, "N"]:
    """How fast each pair of channels turns in layers that see everything, and in all layers without a local base."""
    frequency = functional.frequencies(config.dim_per_head, config.rope_theta)
    if config.rope_scaling == "linear":  # positions are closer together. Chen et al. 2023, section 2.3
        return frequency / config.rope_factor
    if config.rope_scaling == "llama3":
        return functional.llama3_rope(
            frequency, config.rope_factor, config.rope_low, config.rope_high, config.rope_original
        )
    return frequency


@torch.no_grad()
def initialize(model: Decoder, seed: int) -> None:
    """Uniform ±1/√fan_in for the matrices that read the stream, zero for those that write to it and for the head.

    A new pre-norm model is thus the identity between embedding and head, and every logit is 0. Biases and norm weights
    have their neutral values from the start.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            continue
        if name.endswith(("out.weight", "down.weight", "head.weight")):
            weight.zero_()
        elif name in ("embed.weight", "pos_embed.weight"):
            weight.normal_(std=1 / math.sqrt(model.config.d_model) if model.config.tied else 0.5, generator=generator)
        else:
            bound = 1 / math.sqrt(weight.shape[1])
            weight.uniform_(-bound, bound, generator=generator)
