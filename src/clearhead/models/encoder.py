"""The BERT-style encoder: every token of a text sees every other, and a head that fills in masked tokens.

Deliberately not here: how texts share a batch (the `attend` that is passed in), the loss, and pooling
(checkpoints.embedder).
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.kernels.attention import Attend, bidirectional_attend
from clearhead.kernels.embedding import embedding
from clearhead.models.decoder import MAX_SIZES, table
from clearhead.nn import functional
from clearhead.nn.layers import MLP, Attention, Elementwise, Norm, PostNormBlock

Activation = Literal["exact_gelu", "gelu", "relu"]
ACTIVATIONS: dict[Activation, Elementwise] = {
    "exact_gelu": functional.exact_gelu, "gelu": functional.gelu, "relu": torch.relu,
}  # fmt: skip


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder. The defaults are BERT's parts at a size that trains in minutes.

    `token_types`: rows of the table that tells a pair's texts apart, 0 for none; a text alone is of type 0.
    `first_position`: the row of the position table that a text's first token reads (RoBERTa's are behind padding's).
    `pooler`: tanh of a product, of the first token. `masked_head`: it predicts masked tokens, `tied` to the embedding.
    """

    vocab: int
    d_model: int = 192
    n_layers: int = 4
    n_heads: int = 3
    d_ff: int = 768
    max_positions: int = 128
    token_types: int = 0
    first_position: int = 0
    mlp: Activation = "exact_gelu"
    head_mlp: Activation = "exact_gelu"
    norm_eps: float = 1e-12
    pooler: bool = False
    masked_head: bool = True
    tied: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("vocab", "d_model", "n_layers", "n_heads", "d_ff", "max_positions"):
            if not 1 <= getattr(self, name) <= MAX_SIZES[name]:
                raise UserError(f"{name} = {getattr(self, name)} must be 1 to {MAX_SIZES[name]}")
        for name in ("token_types", "first_position"):
            if not 0 <= getattr(self, name) <= MAX_SIZES["max_positions"]:
                raise UserError(f"{name} = {getattr(self, name)} must be 0 to {MAX_SIZES['max_positions']}")
        if self.d_model % self.n_heads:
            raise UserError(f"d_model = {self.d_model} is not a multiple of n_heads = {self.n_heads}; change one")
        if not 0 < self.norm_eps < math.inf:
            raise UserError(f"norm_eps = {self.norm_eps} must be a number above 0")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout = {self.dropout} must be at least 0 and below 1")
        if self.context < 1:
            raise UserError(f"first_position = {self.first_position} leaves no row of {self.max_positions}; lower it")

    @property
    def context(self) -> int:
        """The most tokens of a text."""
        return self.max_positions - self.first_position

    @property
    def matrix_parameters(self) -> int:
        """Weights that every token is multiplied by; the head's, where there is one."""
        head = (self.d_model + self.vocab) * self.d_model if self.masked_head else 0
        return self.n_layers * (4 * self.d_model**2 + 2 * self.d_model * self.d_ff) + head

    @property
    def parameters(self) -> int:
        D, F = self.d_model, self.d_ff
        rows = self.max_positions + self.token_types + (0 if self.masked_head and self.tied else self.vocab)
        layer = 4 * D + F + D + 4 * D
        head = D + 2 * D + self.vocab if self.masked_head else 0
        return self.matrix_parameters + rows * D + 2 * D + self.n_layers * layer + head + self.pooler * (D * D + D)

    def flops_per_token(self, keys: int) -> int:
        """A forward pass of a token in a text of `keys`, two operations for a multiply-add; training costs three."""
        return 2 * self.matrix_parameters + 4 * self.n_layers * self.d_model * keys


class Encoder(nn.Module):
    """tokens -> hidden states -> logits of masked tokens. Equal configurations and seeds give equal weights."""

    def __init__(self, config: EncoderConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        D = config.d_model
        self.embed = table(config.vocab, D)
        self.pos_embed = table(config.max_positions, D)
        self.type_embed = table(config.token_types, D) if config.token_types else None
        self.embed_norm = norm_of(config)
        self.blocks = nn.ModuleList(block_of(config) for _ in range(config.n_layers))
        self.pooler = nn.Linear(D, D) if config.pooler else None
        self.head = MaskedHead(config) if config.masked_head else None
        if not self.embed.weight.is_meta:
            initialize(self, seed)

    def forward(
        self,
        tokens: Int[Tensor, "*B"],
        positions: Int[Tensor, "*B"] | None = None,
        attend: Attend | None = None,
        types: Int[Tensor, "*B"] | None = None,
    ) -> Float[Tensor, "*B D"]:
        """The hidden states of the last layer. Left out: positions from 0 along rows "B T", each one text of type 0."""
        if positions is None:
            positions = torch.arange(tokens.shape[-1], device=tokens.device).expand(tokens.shape)
        attend = bidirectional_attend() if attend is None else attend
        x = self.embedded(tokens, positions, types)
        for layer, block in enumerate(self.blocks):
            x = block(x, None, partial(attend, layer))
        return x

    def embedded(
        self, tokens: Int[Tensor, "*B"], positions: Int[Tensor, "*B"], types: Int[Tensor, "*B"] | None = None
    ) -> Float[Tensor, "*B D"]:
        """What the first block reads, in the blocks' type: word + type + position, normed."""
        x = embedding(tokens, self.embed.weight)
        if self.type_embed is not None:
            x = x + embedding(torch.zeros_like(tokens) if types is None else types, self.type_embed.weight)
        x = x + embedding(positions + self.config.first_position, self.pos_embed.weight)
        x = self.embed_norm(x.to(self.dtype))
        return F.dropout(x, self.config.dropout, self.training)

    @property
    def dtype(self) -> torch.dtype:
        """The blocks' type; embeddings may have another."""
        return next(self.blocks.parameters()).dtype

    def pooled(self, first: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """tanh(W h + b) of each text's first token. Devlin et al. 2019, section 3, there for pairs of sentences."""
        if self.pooler is None:
            raise UserError("this encoder has no pooler; take the mean or the first of its hidden states")
        return torch.tanh(self.pooler(first))

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Of the token that stood at each place. Devlin et al. 2019, section 3.1, task 1."""
        if self.head is None:
            raise UserError("this encoder has no head that predicts tokens; take one saved with its masked-LM head")
        return self.head(hidden, self.embed.weight)


class MaskedHead(nn.Module):
    """norm(activation(W h)) Eᵀ + b, E the embedding or a matrix of its own."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.head_mlp]
        self.dense = nn.Linear(config.d_model, config.d_model)
        self.norm = norm_of(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab))
        self.out = None if config.tied else nn.Linear(config.d_model, config.vocab, bias=False)

    def forward(self, hidden: Float[Tensor, "*B D"], embed: Float[Tensor, "V D"]) -> Float[Tensor, "*B V"]:
        x = self.norm(self.activation(self.dense(hidden)))
        weight = embed if self.out is None else self.out.weight
        return F.linear(x, weight.to(x.dtype), self.bias.to(x.dtype))


def norm_of(config: EncoderConfig) -> Norm:
    return Norm("layer", config.d_model, config.norm_eps, "plain", bias=True)


def block_of(config: EncoderConfig) -> PostNormBlock:
    D, H = config.d_model, config.n_heads
    attention = Attention(D, H, H, D // H, bias=(True, True), dropout=config.dropout)
    mlp = MLP(D, config.d_ff, ACTIVATIONS[config.mlp], gated=False, bias=True, dropout=config.dropout)
    return PostNormBlock(attention, mlp, (norm_of(config), norm_of(config)))


@torch.no_grad()
def initialize(model: Encoder, seed: int) -> None:
    """Normal with a deviation of 0.02 for matrices and tables, as BERT's code has it; biases 0, norm weights 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            weight.normal_(std=0.02, generator=generator)
        elif name.endswith("bias"):
            weight.zero_()
