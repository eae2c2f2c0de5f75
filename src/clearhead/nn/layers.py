"""Norm, attention, MLP and the block of them: modules that hold the weights and call nn.functional.

Deliberately not here: masks and caches. A block is handed a function that attends, so training and decoding share it.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clearhead.nn.functional import layer_norm, rms_norm, rotary

Elementwise = Callable[[Tensor], Tensor]
AttendHere = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(q "*B H C", k "*B G C", v "*B G C") -> "*B H C": how the tokens of one layer see each other."""


class Norm(nn.Module):
    """RMSNorm or LayerNorm with its weight. `one_plus`: it scales by 1 + weight, which decay pulls to 1 (Gemma)."""

    def __init__(
        self, kind: Literal["rms", "layer"], width: int, eps: float, weight: Literal["none", "plain", "one_plus"],
        bias: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kind, self.eps, self.one_plus = kind, eps, weight == "one_plus"
        self.weight = None if weight == "none" else nn.Parameter(torch.full((width,), 0.0 if self.one_plus else 1.0))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        weight = 1 + self.weight if self.one_plus and self.weight is not None else self.weight
        if self.kind == "rms":
            return rms_norm(x, weight, self.eps)
        return layer_norm(x, weight, self.bias, self.eps)


class Attention(nn.Module):
    """One product for q, k and v, then `attend`, then the output product.

    `bias`: of q, k and v, and of the output. `qk_norm`: applied to each head of q and k, each with a norm of its own.
    `dropout`: of what is written to the stream, while training.
    """

    def __init__(
        self, width: int, n_heads: int, n_kv_heads: int, head_dim: int,
        bias: tuple[bool, bool] = (False, False), qk_norm: tuple[Elementwise, Elementwise] | None = None,
        q_scale: float = 1.0, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.head_dim = head_dim
        self.heads = (n_heads, n_kv_heads)
        self.q_scale = q_scale
        self.dropout = dropout
        self.q_norm: Elementwise | None = qk_norm and qk_norm[0]
        self.k_norm: Elementwise | None = qk_norm and qk_norm[1]
        self.qkv = nn.Linear(width, (n_heads + 2 * n_kv_heads) * head_dim, bias=bias[0])
        self.out = nn.Linear(n_heads * head_dim, width, bias=bias[1])

    def forward(
        self, x: Float[Tensor, "*B D"], rotation: tuple[Tensor, Tensor] | None, attend: AttendHere
    ) -> Float[Tensor, "*B D"]:
        H, G = self.heads
        qk, v = self.qkv(x).unflatten(-1, (-1, self.head_dim)).split((H + G, G), -2)  # *B H+G C, *B G C
        if self.q_norm is not None and self.k_norm is not None:
            qk = self.normed(qk)
        if rotation is not None:
            qk = rotary(qk, *rotation)
        q, k = qk.split((H, G), -2)
        if self.q_scale != 1:
            q = q * self.q_scale
        return F.dropout(self.out(attend(q, k, v).flatten(-2)), self.dropout, self.training)

    def normed(self, qk: Float[Tensor, "*B N C"]) -> Float[Tensor, "*B N C"]:
        """The heads of q and k, each normed; norms without a weight are one function and need one call."""
        assert self.q_norm is not None and self.k_norm is not None
        if getattr(self.q_norm, "weight", None) is None:
            return self.q_norm(qk)
        q, k = qk.split(self.heads, -2)
        return torch.cat((self.q_norm(q), self.k_norm(k)), -2)


class CrossAttention(nn.Module):
    """The queries are the stream's, the keys and values those of a memory, which are computed once.

    `bias`: of q, k, v and the output. `dropout`: of what is written to the stream, while training.
    """

    def __init__(
        self, width: int, n_heads: int, head_dim: int, bias: bool = False, q_scale: float = 1.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.head_dim, self.q_scale, self.dropout = head_dim, q_scale, dropout
        self.q, self.k, self.v = (nn.Linear(width, n_heads * head_dim, bias=bias) for _ in range(3))
        self.out = nn.Linear(n_heads * head_dim, width, bias=bias)

    def keys_values(self, memory: Float[Tensor, "B S D"]) -> tuple[Float[Tensor, "B S H C"], Float[Tensor, "B S H C"]]:
        return self.k(memory).unflatten(-1, (-1, self.head_dim)), self.v(memory).unflatten(-1, (-1, self.head_dim))

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        k: Float[Tensor, "B S H C"],
        v: Float[Tensor, "B S H C"],
        attend: AttendHere,
    ) -> Float[Tensor, "B T D"]:
        q = self.q(x).unflatten(-1, (-1, self.head_dim)) * self.q_scale
        return F.dropout(self.out(attend(q, k, v).flatten(-2)), self.dropout, self.training)


class MLP(nn.Module):
    """down(activation(up(x))), with dropout while training; a gated activation takes an `up` of twice the width."""

    def __init__(
        self, width: int, hidden: int, activation: Elementwise, gated: bool, bias: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.activation = activation
        self.up = nn.Linear(width, hidden * (2 if gated else 1), bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        return F.dropout(self.down(self.activation(self.up(x))), self.dropout, self.training)


class PreNormBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)). Xiong et al. 2020, figure 1b."""

    def __init__(self, attention: Attention, mlp: MLP, norms: tuple[Elementwise, Elementwise]) -> None:
        super().__init__()
        self.attention, self.mlp = attention, mlp
        self.attention_norm, self.mlp_norm = norms

    def forward(
        self, x: Float[Tensor, "*B D"], rotation: tuple[Tensor, Tensor] | None, attend: AttendHere
    ) -> Float[Tensor, "*B D"]:
        x = x + self.attention(self.attention_norm(x), rotation, attend)
        return x + self.mlp(self.mlp_norm(x))


class PostNormBlock(nn.Module):
    """norm(x + attention(x)), then norm(x + mlp(x)). Vaswani et al. 2017, section 3.1."""

    def __init__(self, attention: Attention, mlp: MLP, norms: tuple[Elementwise, Elementwise]) -> None:
        super().__init__()
        self.attention, self.mlp = attention, mlp
        self.attention_norm, self.mlp_norm = norms

    def forward(
        self, x: Float[Tensor, "*B D"], rotation: tuple[Tensor, Tensor] | None, attend: AttendHere
    ) -> Float[Tensor, "*B D"]:
        x = self.attention_norm(x + self.attention(x, rotation, attend))
        return self.mlp_norm(x + self.mlp(x))


class SandwichBlock(nn.Module):
    """x + norm(attention(norm(x))), then x + norm(mlp(norm(x))). Ding et al. 2021, section 2.4; Gemma 2."""

    def __init__(
        self, attention: Attention, mlp: MLP, norms: tuple[Elementwise, Elementwise, Elementwise, Elementwise]
    ) -> None:
        super().__init__()
        self.attention, self.mlp = attention, mlp
        self.attention_norm, self.mlp_norm, self.attention_out_norm, self.mlp_out_norm = norms

    def forward(
        self, x: Float[Tensor, "*B D"], rotation: tuple[Tensor, Tensor] | None, attend: AttendHere
    ) -> Float[Tensor, "*B D"]:
        x = x + self.attention_out_norm(self.attention(self.attention_norm(x), rotation, attend))
        return x + self.mlp_out_norm(self.mlp(self.mlp_norm(x)))
