"""The decoder-only transformer: one flat configuration, presets, and one forward path for training and decoding.

Deliberately not here: how tokens see each other (the `attend` that is passed in), the loss, and sampling.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.kernels.attention import Attend
from clearhead.kernels.embedding import embedding
from clearhead.nn import functional
from clearhead.nn.layers import MLP, Attention, Block

NORMS = {"rms": functional.rms_norm, "layer": functional.layer_norm}
MLPS = {"gelu": functional.gelu, "swiglu": functional.swiglu, "relu2": functional.relu2}


@dataclass(frozen=True)
class DecoderConfig:
    """The shape of a decoder. Without biases and gains, after the ablations of modded-nanoGPT and OLMo."""

    vocab: int
    d_model: int = 192
    n_layers: int = 4
    n_heads: int = 3
    n_kv_heads: int = 3
    d_ff: int = 768
    max_positions: int = 128
    norm: Literal["rms", "layer"] = "rms"
    positions: Literal["rotary", "learned", "sinusoidal"] = "rotary"
    mlp: Literal["gelu", "swiglu", "relu2"] = "relu2"
    qk_norm: bool = True
    tied: bool = False
    rope_theta: float = 100.0
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("vocab", "d_model", "n_layers", "n_heads", "n_kv_heads", "d_ff", "max_positions"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.d_model % self.n_heads:
            raise UserError(f"d_model = {self.d_model} is not a multiple of n_heads = {self.n_heads}; change one")
        if self.n_heads % self.n_kv_heads:
            raise UserError(f"n_heads = {self.n_heads} is not a multiple of n_kv_heads = {self.n_kv_heads}; change one")
        if self.positions == "rotary" and self.channels % 2:
            raise UserError(
                f"rotary positions turn pairs of channels, but d_model / n_heads = {self.channels} is odd; "
                f"make it even or choose learned positions"
            )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise UserError(f"sinusoidal positions need an even d_model, not {self.d_model}; choose learned positions")

    @property
    def channels(self) -> int:
        """C: channels per head."""
        return self.d_model // self.n_heads

    @property
    def matrix_parameters(self) -> int:
        """Weights that every token is multiplied by: all but the embeddings that are only looked up."""
        D, F, C = self.d_model, self.d_ff, self.channels
        attention = D * (self.n_heads + 2 * self.n_kv_heads) * C + D * D
        mlp = D * F * (3 if self.mlp == "swiglu" else 2)
        return self.n_layers * (attention + mlp) + self.vocab * D

    @property
    def parameters(self) -> int:
        looked_up = (0 if self.tied else self.vocab) + (self.max_positions if self.positions == "learned" else 0)
        return self.matrix_parameters + looked_up * self.d_model

    def flops_per_token(self, keys: int) -> int:
        """A forward pass of a token that sees `keys` keys, two operations for a multiply-add; training costs three."""
        return 2 * self.matrix_parameters + 4 * self.n_layers * self.d_model * keys


PRESETS: dict[str, dict[str, object]] = {
    "tiny": {"d_model": 32, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "d_ff": 64},
    "demo": {"d_model": 192, "n_layers": 4, "n_heads": 3, "n_kv_heads": 3, "d_ff": 768},
    "small": {"d_model": 256, "n_layers": 8, "n_heads": 4, "n_kv_heads": 4, "d_ff": 1024, "max_positions": 256},
    "medium": {
        "d_model": 512, "n_layers": 8, "n_heads": 8, "n_kv_heads": 4, "d_ff": 2048, "max_positions": 1024,
        "rope_theta": 10_000.0,
    },
}  # fmt: skip


class Decoder(nn.Module):
    """tokens -> hidden states -> logits. Equal configurations and seeds give equal weights."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: DecoderConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.norm = partial(NORMS[config.norm], eps=config.norm_eps)
        self.embed = nn.Embedding(config.vocab, config.d_model)
        self.place = nn.Embedding(config.max_positions, config.d_model) if config.positions == "learned" else None
        self.blocks = nn.ModuleList(
            Block(
                Attention(config.d_model, config.n_heads, config.n_kv_heads, self.norm if config.qk_norm else None),
                MLP(config.d_model, config.d_ff, MLPS[config.mlp], gated=config.mlp == "swiglu"),
                self.norm,
            )
            for _ in range(config.n_layers)
        )
        self.head = None if config.tied else nn.Linear(config.d_model, config.vocab, bias=False)
        if config.positions == "rotary":  # looked up: the compiler would compute the table again in every layer
            cos, sin = functional.rotary_table(torch.arange(config.max_positions), config.channels, config.rope_theta)
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)
        initialise(self, seed)

    def forward(self, tokens: Int[Tensor, "*B"], positions: Int[Tensor, "*B"], attend: Attend) -> Float[Tensor, "*B D"]:
        """The hidden states after the last norm."""
        config, dtype = self.config, next(self.blocks.parameters()).dtype
        x, rotation = embedding(tokens, self.embed.weight).to(dtype), None
        if self.place is not None:
            x = x + embedding(positions, self.place.weight).to(dtype)
        elif config.positions == "sinusoidal":
            x = x + functional.sinusoidal(positions, config.d_model).to(dtype)
        else:
            rotation = (self.cos[positions].to(dtype), self.sin[positions].to(dtype))
        for layer, block in enumerate(self.blocks):
            x = block(x, rotation, partial(attend, layer))
        return self.norm(x)

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        weight = self.embed.weight if self.head is None else self.head.weight
        return nn.functional.linear(hidden, weight.to(hidden.dtype))


@torch.no_grad()
def initialise(model: Decoder, seed: int) -> None:
    """Uniform ±1/√fan_in for the matrices that read the stream, zero for those that write to it and for the head.

    A new model is thus the identity between embedding and head, and every logit is 0.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if name.endswith(("out.weight", "down.weight", "head.weight")):
            weight.zero_()
        elif name in ("embed.weight", "place.weight"):
            weight.normal_(std=1 / math.sqrt(model.config.d_model) if model.config.tied else 0.5, generator=generator)
        else:
            bound = 1 / math.sqrt(weight.shape[1])
            weight.uniform_(-bound, bound, generator=generator)
