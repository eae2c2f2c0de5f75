"""Cosines and sines of rotary positions, for the positions in use and no others.

An operation of its own, because the compiler would otherwise compute them again in every layer.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

torch.library.define("clearhead::rotation", "(Tensor positions, Tensor frequency) -> (Tensor, Tensor)")


@torch.library.impl("clearhead::rotation", "CompositeExplicitAutograd")
def _rotation(positions: Tensor, frequency: Tensor) -> tuple[Tensor, Tensor]:
    theta = positions[..., None, None].float() * frequency.to(positions.device)  # *B 1 N
    return theta.cos(), theta.sin()


@torch.library.register_fake("clearhead::rotation")
def _rotation_shape(positions: Tensor, frequency: Tensor) -> tuple[Tensor, Tensor]:
    shape = (*positions.shape, 1, frequency.shape[0])
    return positions.new_empty(shape, dtype=torch.float32), positions.new_empty(shape, dtype=torch.float32)


def rotation(
    positions: Int[Tensor, "*B"], frequency: Float[Tensor, "N"]
) -> tuple[Float[Tensor, "*B 1 N"], Float[Tensor, "*B 1 N"]]:
    """cos and sin of position · frequency, with an axis for the heads, on the positions' device."""
    return torch.ops.clearhead.rotation(positions, frequency)
