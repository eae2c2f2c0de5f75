"""The encoder-decoder transformer: every target token sees the tokens before it and the whole source.

One flat configuration for our own and for T5, BART and Marian. `read` is the one forward path: of a whole target while
training, of one token at a time, with what was read before as its state, while decoding. Deliberately not here: the
loss, and searching for a translation (generation).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.kernels.attention import attention_weights, plain_attention, weighted_sum
from clearhead.kernels.embedding import embedding
from clearhead.models.decoder import ACTIVATIONS, BLOCKS, GATED, MAX_SIZES, table
from clearhead.models.seq2seq import Reading
from clearhead.nn import functional
from clearhead.nn.layers import MLP, Attention, CrossAttention, Elementwise, Norm

EVERY_ACTIVATION: dict[str, Elementwise] = {
    **ACTIVATIONS, "relu": torch.relu, "silu": nn.functional.silu, "exact_geglu": functional.exact_geglu,
}  # fmt: skip
SINUSOIDS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "sinusoidal": functional.sinusoidal, "halves": functional.halves_sinusoidal,
}  # fmt: skip


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """The shape of an encoder-decoder; its defaults are plain pre-norm layers with sinusoidal positions.

    The second half describes published families. 0 stands, for `head_dim`, for "d_model / n_heads" and, for
    `attention_scale`, for "1/√C". `max_positions` bounds source and target, each for itself; 0, where positions are
    relative: nothing does. "halves": sinusoidal with all sines first. `start` is the token that a target begins with.
    """

    vocab: int
    d_model: int = 128
    encoder_layers: int = 2
    decoder_layers: int = 2
    n_heads: int = 4
    d_ff: int = 384
    max_positions: int = 256
    norm: Literal["rms", "layer"] = "rms"
    positions: Literal["sinusoidal", "halves", "learned", "relative"] = "sinusoidal"
    mlp: Literal[
        "gelu", "exact_gelu", "relu", "silu", "relu2", "swiglu", "geglu", "exact_geglu", "reglu"
    ] = "swiglu"  # fmt: skip
    norm_eps: float = 1e-6
    tied: bool = False
    dropout: float = 0.0
    start: int = 1
    block: Literal["pre", "post"] = "pre"
    bias: Literal["none", "all"] = "none"
    head_dim: int = 0
    relative_buckets: int = 32
    relative_distance: int = 128
    attention_scale: float = 0.0
    embed_scale: bool = False
    embed_norm: bool = False
    head_scale: bool = False
    head_bias: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab", "d_model", "encoder_layers", "decoder_layers", "n_heads", "d_ff"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        limits = {**MAX_SIZES, "encoder_layers": MAX_SIZES["n_layers"], "decoder_layers": MAX_SIZES["n_layers"]}
        for name, most in limits.items():
            if getattr(self, name, 0) > most:
                raise UserError(f"{name} = {getattr(self, name)} is too large; at most {most} is possible")
        if self.max_positions < (self.positions != "relative"):
            raise UserError(f"max_positions = {self.max_positions} must be at least 1")
        if not 0 < self.norm_eps < math.inf:
            raise UserError(f"norm_eps = {self.norm_eps} must be a number above 0")
        if not 0 <= self.attention_scale < math.inf or self.head_dim < 0:
            raise UserError("attention_scale and head_dim must not be negative; 0 means the usual")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout = {self.dropout} must be at least 0 and below 1")
        if self.d_model % self.n_heads and not self.head_dim:
            raise UserError(f"d_model = {self.d_model} is not a multiple of n_heads = {self.n_heads}; change one")
        if self.positions in SINUSOIDS and self.d_model % 2:
            raise UserError(f"sinusoidal positions need an even d_model, not {self.d_model}; choose learned positions")
        if not 0 <= self.start < self.vocab:
            raise UserError(f"start = {self.start} must be a token: 0 to {self.vocab - 1}")
        if (
            self.relative_buckets < 4
            or self.relative_buckets % 4
            or self.relative_distance <= self.relative_buckets // 2
        ):
            raise UserError(
                f"relative_buckets = {self.relative_buckets} must be a multiple of 4, and relative_distance = "
                f"{self.relative_distance} above half of it"
            )

    @property
    def dim_per_head(self) -> int:
        """C, channels per head."""
        return self.head_dim or self.d_model // self.n_heads

    @property
    def gated(self) -> bool:
        return self.mlp in (*GATED, "exact_geglu")

    @property
    def parameters(self) -> int:
        with torch.device("meta"):
            return sum(weight.numel() for weight in EncoderDecoder(self).parameters())


class DecoderLayer(nn.Module):
    """Self-attention, attention to the memory, MLP, each with its norm before it or, `post`, after the sum."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.post = config.block == "post"
        self.attention, self.mlp = self_attention(config), mlp_of(config)
        self.cross = CrossAttention(
            config.d_model, config.n_heads, config.dim_per_head, config.bias == "all", q_scale(config), config.dropout
        )
        self.attention_norm, self.cross_norm, self.mlp_norm = (norm_of(config) for _ in range(3))

    def forward(
        self, x: Float[Tensor, "B T D"], attend: Callable[..., Tensor], look: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "B T D"]:
        """`attend` is for this layer's tokens; `look` is its cross-attention, the memory put in."""
        for f, norm in (
            (lambda y: self.attention(y, None, attend), self.attention_norm),
            (look, self.cross_norm),
            (self.mlp, self.mlp_norm),
        ):
            x = norm(x + f(x)) if self.post else x + f(norm(x))
        return x


class EncoderDecoder(nn.Module):
    """Source -> memory; memory and target -> hidden states -> logits. Equal configurations and seeds, equal weights."""

    def __init__(self, config: EncoderDecoderConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        D = config.d_model
        self.embed = table(config.vocab, D)
        learned, relative = config.positions == "learned", config.positions == "relative"
        self.encoder_pos_embed = table(config.max_positions, D) if learned else None
        self.decoder_pos_embed = table(config.max_positions, D) if learned else None
        self.encoder_distance = table(config.relative_buckets, config.n_heads) if relative else None
        self.decoder_distance = table(config.relative_buckets, config.n_heads) if relative else None
        self.encoder_embed_norm = norm_of(config) if config.embed_norm else nn.Identity()
        self.decoder_embed_norm = norm_of(config) if config.embed_norm else nn.Identity()
        self.encoder = nn.ModuleList(
            BLOCKS[config.block](self_attention(config), mlp_of(config), (norm_of(config), norm_of(config)))
            for _ in range(config.encoder_layers)
        )
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.encoder_norm = nn.Identity() if config.block == "post" else norm_of(config)
        self.decoder_norm = nn.Identity() if config.block == "post" else norm_of(config)
        self.head = None if config.tied else nn.Linear(D, config.vocab, bias=False)
        self.head_bias = nn.Parameter(torch.zeros(config.vocab)) if config.head_bias else None
        if not self.embed.weight.is_meta:
            initialize(self, seed)

    def encode(
        self, source: Int[Tensor, "B S"], mask: Bool[Tensor, "B S"]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Keys and values of the source for every layer of the decoder, and the state of a target with no token."""
        S, config = source.shape[1], self.config
        x = self.encoder_embed_norm(self._embedded(source, 0, self.encoder_pos_embed))
        bias = self._hidden(mask)
        if self.encoder_distance is not None:
            bias = bias + self._bias_of(self.encoder_distance, S, S, both_ways=True)
        for layer in self.encoder:
            x = layer(x, None, lambda q, k, v: plain_attention(q, k, v, bias))
        memory = self._drop(self.encoder_norm(x))
        pairs = [part for layer in self.decoder for part in _cross(layer).keys_values(memory)]
        empty = x.new_zeros(len(source), 0, config.n_heads, config.dim_per_head)
        return tuple(pairs), (empty,) * (2 * config.decoder_layers)

    def read(
        self,
        tokens: Int[Tensor, "B T"],
        state: tuple[Tensor, ...],
        memory: tuple[Tensor, ...],
        mask: Bool[Tensor, "B S"],
    ) -> Reading:
        """T more target tokens, each of which predicts the next one. The weights are the last layer's heads' mean."""
        T, past = tokens.shape[1], state[0].shape[1]
        x = self.decoder_embed_norm(self._embedded(tokens, past, self.decoder_pos_embed))
        later = torch.ones(T, past + T, dtype=torch.bool, device=tokens.device).triu(past + 1)
        causal = x.new_zeros(1, 1, T, past + T).masked_fill_(later, -math.inf)
        if self.decoder_distance is not None:
            causal = causal + self._bias_of(self.decoder_distance, T, past + T, both_ways=False)
        hidden = self._hidden(mask)
        after: list[Tensor] = []
        looks: list[Tensor] = []

        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            at = len(after)
            after.extend((torch.cat([state[at], k], 1), torch.cat([state[at + 1], v], 1)))
            return plain_attention(q, after[at], after[at + 1], causal)

        def look(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            looks.append(attention_weights(q, k, hidden))
            return weighted_sum(looks[-1], v)

        for i, layer in enumerate(self.decoder):
            k, v, cross = memory[2 * i], memory[2 * i + 1], _cross(layer)
            x = layer(x, attend, lambda y, cross=cross, k=k, v=v: cross(y, k, v, look))
        return Reading(self._drop(self.decoder_norm(x)), tuple(after), looks[-1].mean(1))

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        if self.config.head_scale:
            hidden = hidden * self.config.d_model**-0.5
        weight = self.embed.weight if self.head is None else self.head.weight
        return nn.functional.linear(hidden, weight.to(hidden.dtype), self.head_bias)

    def _embedded(self, tokens: Tensor, past: int, learned: nn.Embedding | None) -> Tensor:
        config, dtype = self.config, next(self.encoder.parameters()).dtype
        x = embedding(tokens, self.embed.weight).to(dtype)
        if config.embed_scale:
            x = x * math.sqrt(config.d_model)
        positions = torch.arange(past, past + tokens.shape[1], device=tokens.device)
        if learned is not None:
            x = x + embedding(positions, learned.weight).to(dtype)
        elif config.positions in SINUSOIDS:
            x = x + SINUSOIDS[config.positions](positions, config.d_model).to(dtype)
        return self._drop(x)

    def _hidden(self, mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B 1 1 S"]:
        """-∞ where there is no source."""
        zero = torch.zeros(mask.shape, dtype=next(self.encoder.parameters()).dtype, device=mask.device)
        return zero.masked_fill_(~mask, -math.inf)[:, None, None]

    def _bias_of(self, distances: nn.Embedding, T: int, S: int, both_ways: bool) -> Float[Tensor, "1 H T S"]:
        """What each head adds to the scores of the last T of S tokens, by their distance."""
        config, device = self.config, distances.weight.device
        query = torch.arange(S - T, S, device=device)[:, None]
        distance = torch.arange(S, device=device) - query
        bucket = functional.relative_bucket(distance, config.relative_buckets, config.relative_distance, both_ways)
        return embedding(bucket, distances.weight).permute(2, 0, 1)[None]

    def _drop(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.config.dropout, self.training)


def _cross(layer: nn.Module) -> CrossAttention:
    assert isinstance(layer, DecoderLayer)
    return layer.cross


def q_scale(config: EncoderDecoderConfig) -> float:
    """What makes of the usual 1/√C the scale that the configuration asks for."""
    return config.attention_scale * config.dim_per_head**0.5 if config.attention_scale else 1.0


def self_attention(config: EncoderDecoderConfig) -> Attention:
    bias = config.bias == "all"
    return Attention(
        config.d_model, config.n_heads, config.n_heads, config.dim_per_head, (bias, bias), None, q_scale(config),
        config.dropout,
    )  # fmt: skip


def mlp_of(config: EncoderDecoderConfig) -> MLP:
    activation = EVERY_ACTIVATION[config.mlp]
    return MLP(config.d_model, config.d_ff, activation, config.gated, config.bias == "all", config.dropout)


def norm_of(config: EncoderDecoderConfig) -> Norm:
    return Norm(config.norm, config.d_model, config.norm_eps, "plain", config.norm == "layer" and config.bias == "all")


@torch.no_grad()
def initialize(model: EncoderDecoder, seed: int) -> None:
    """As the decoder's: uniform ±1/√fan_in for what reads the stream, zero for what writes to it and for the head."""
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            continue
        if name.endswith(("out.weight", "down.weight", "head.weight", "distance.weight")):
            weight.zero_()
        elif "embed" in name:
            weight.normal_(std=1 / math.sqrt(config.d_model) if config.tied else 0.5, generator=generator)
        else:
            bound = 1 / math.sqrt(weight.shape[1])
            weight.uniform_(-bound, bound, generator=generator)
