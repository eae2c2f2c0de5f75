"""The formulas of the layers as pure functions of tensors; no parameters, no state.

Deliberately not here: attention (kernels.attention).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def rms_norm(x: Float[Tensor, "*B D"], eps: float) -> Float[Tensor, "*B D"]:
    """x / √(mean(x²) + eps), without a gain: the next matrix can learn it. Zhang and Sennrich 2019, equation 4."""
    return F.rms_norm(x, x.shape[-1:], eps=eps)


def layer_norm(x: Float[Tensor, "*B D"], eps: float) -> Float[Tensor, "*B D"]:
    """(x - mean(x)) / √(var(x) + eps), without gain and bias. Ba et al. 2016, equation 4."""
    return F.layer_norm(x, x.shape[-1:], eps=eps)


def angles(positions: Int[Tensor, "*B"], channels: int, base: float) -> Float[Tensor, "*B {channels}//2"]:
    """position · base^(-2i/channels) for i = 0 .. channels/2 - 1. Vaswani et al. 2017, section 3.5."""
    i = torch.arange(channels // 2, device=positions.device, dtype=torch.float32)
    return positions[..., None].float() * base ** (-2 * i / channels)


def rotary_table(
    positions: Int[Tensor, "*B"], channels: int, base: float
) -> tuple[Float[Tensor, "*B 1 {channels}//2"], Float[Tensor, "*B 1 {channels}//2"]]:
    """Cosines and sines of the angles, with an axis for the heads."""
    theta = angles(positions, channels, base)[..., None, :]
    return theta.cos(), theta.sin()


def rotary(
    x: Float[Tensor, "*B H C"], cos: Float[Tensor, "*B 1 C//2"], sin: Float[Tensor, "*B 1 C//2"]
) -> Float[Tensor, "*B H C"]:
    """Turn channel pair (i, i + C/2) by its angle, so that q·k depends on the distance of the positions alone.

    Su et al. 2021, section 3.4.2, with the pairs taken from the two halves as Llama checkpoints do.
    """
    x1, x2 = x.chunk(2, -1)
    return torch.cat((x1 * cos - x2 * sin, x2 * cos + x1 * sin), -1)


def sinusoidal(positions: Int[Tensor, "*B"], channels: int) -> Float[Tensor, "*B D"]:
    """The sines, then the cosines, of the angles with base 10,000. Vaswani et al. 2017, section 3.5."""
    theta = angles(positions, channels, 10_000.0)
    return torch.cat((theta.sin(), theta.cos()), -1)


def gelu(h: Float[Tensor, "*B F"]) -> Float[Tensor, "*B F"]:
    """h Φ(h), by its tanh approximation. Hendrycks and Gimpel 2016, section 2."""
    return F.gelu(h, approximate="tanh")


def relu2(h: Float[Tensor, "*B F"]) -> Float[Tensor, "*B F"]:
    """max(h, 0)². So et al. 2021 (Primer), section 3."""
    return F.relu(h).square()


def swiglu(h: Float[Tensor, "*B twice_F"]) -> Float[Tensor, "*B twice_F//2"]:
    """silu(gate) · up, where h holds the gate and then the up projection. Shazeer 2020, equation 6."""
    gate, up = h.chunk(2, -1)
    return F.silu(gate) * up
