"""Attention, MLP and the block of both: modules that hold the matrices and call nn.functional.

Deliberately not here: masks and caches. A block is handed a function that attends, so training and decoding share it.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from clearhead.nn.functional import rotary

Elementwise = Callable[[Tensor], Tensor]


class Attention(nn.Module):
    """One product for q, k and v, then `attend`, then the output product."""

    def __init__(self, width: int, n_heads: int, n_kv_heads: int, qk_norm: Elementwise | None) -> None:
        super().__init__()
        self.channels = width // n_heads
        self.heads = (n_heads, n_kv_heads)
        self.qk_norm = qk_norm
        self.qkv = nn.Linear(width, (n_heads + 2 * n_kv_heads) * self.channels, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "*B D"],
        rotation: tuple[Tensor, Tensor] | None,
        attend: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> Float[Tensor, "*B D"]:
        H, G = self.heads
        qk, v = self.qkv(x).unflatten(-1, (-1, self.channels)).split((H + G, G), -2)  # *B H+G C, *B G C
        if self.qk_norm is not None:
            qk = self.qk_norm(qk)
        if rotation is not None:
            qk = rotary(qk, *rotation)
        q, k = qk.split((H, G), -2)
        return self.out(attend(q, k, v).flatten(-2))


class MLP(nn.Module):
    """down(activation(up(x))); a gated activation takes an `up` of twice the width."""

    def __init__(self, width: int, hidden: int, activation: Elementwise, gated: bool) -> None:
        super().__init__()
        self.activation = activation
        self.up = nn.Linear(width, hidden * (2 if gated else 1), bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        return self.down(self.activation(self.up(x)))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): the pre-norm block of Xiong et al. 2020, figure 1b."""

    def __init__(self, attention: Attention, mlp: MLP, norm: Elementwise) -> None:
        super().__init__()
        self.attention = attention
        self.mlp = mlp
        self.norm = norm

    def forward(
        self,
        x: Float[Tensor, "*B D"],
        rotation: tuple[Tensor, Tensor] | None,
        attend: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> Float[Tensor, "*B D"]:
        x = x + self.attention(self.norm(x), rotation, attend)
        return x + self.mlp(self.norm(x))
