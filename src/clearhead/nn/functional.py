"""The formulas of the layers as pure functions of tensors; no parameters, no state.

Deliberately not here: attention (kernels.attention).
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def rms_norm(x: Float[Tensor, "*B D"], weight: Float[Tensor, "D"] | None, eps: float) -> Float[Tensor, "*B D"]:
    """weight · x / √(mean(x²) + eps); no weight means 1. Zhang and Sennrich 2019, equation 4."""
    return F.rms_norm(x, x.shape[-1:], weight, eps)


def layer_norm(
    x: Float[Tensor, "*B D"],
    weight: Float[Tensor, "D"] | None,
    bias: Float[Tensor, "D"] | None,
    eps: float,
) -> Float[Tensor, "*B D"]:
    """weight · (x - mean(x)) / √(var(x) + eps) + bias; none of them means 1 and 0. Ba et al. 2016, equation 4."""
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def frequencies(dim: int, base: float) -> Float[Tensor, "{dim}//2"]:
    """1 / base^(2i/dim) for i = 0 .. dim/2 - 1: radians a position. Vaswani et al. 2017, section 3.5.

    Rounded as the code that published models were trained with rounds: far from the beginning an ulp is an angle.
    """
    return 1 / base ** (torch.arange(0, dim, 2, dtype=torch.float32, device="cpu") / dim)


def llama3_rope(
    frequency: Float[Tensor, "N"], factor: float, low: float, high: float, original: int
) -> Float[Tensor, "N"]:
    """Frequencies for a context `factor` times the `original`, as Llama 3.1 and later have them.

    Those that turn at least `high` times in the original context stay, those that turn at most `low` times are divided
    by the factor, and between the two the share that stays grows evenly with the turns.
    """
    wavelength = 2 * math.pi / frequency
    stay = (original / wavelength - low) / (high - low)
    between = (1 - stay) * frequency / factor + stay * frequency
    slow, fast = wavelength > original / low, wavelength < original / high
    return torch.where(slow, frequency / factor, torch.where(fast, frequency, between))


def rotary_table(
    positions: Int[Tensor, "*B"], frequency: Float[Tensor, "N"]
) -> tuple[Float[Tensor, "*B 1 N"], Float[Tensor, "*B 1 N"]]:
    """cos and sin of position · frequency, for the positions in use and no others, with an axis for the heads.

    An operation of its own (`_rotary_table`), because the compiler would otherwise compute them again in every layer.
    """
    return torch.ops.clearhead.rotary_table(positions, frequency)


torch.library.define("clearhead::rotary_table", "(Tensor positions, Tensor frequency) -> (Tensor, Tensor)")


@torch.library.impl("clearhead::rotary_table", "CompositeExplicitAutograd")
def _rotary_table(positions: Tensor, frequency: Tensor) -> tuple[Tensor, Tensor]:
    theta = angles(positions, frequency)[..., None, :]  # *B 1 N
    return theta.cos(), theta.sin()


@torch.library.register_fake("clearhead::rotary_table")
def _rotary_table_shape(positions: Tensor, frequency: Tensor) -> tuple[Tensor, Tensor]:
    shape = (*positions.shape, 1, frequency.shape[0])
    return positions.new_empty(shape, dtype=torch.float32), positions.new_empty(shape, dtype=torch.float32)


def angles(positions: Int[Tensor, "*B"], frequency: Float[Tensor, "N"]) -> Float[Tensor, "*B N"]:
    """position · frequency, on the positions' device."""
    return positions[..., None].float() * frequency.to(positions.device)


def rotary(
    x: Float[Tensor, "*B H C"], cos: Float[Tensor, "*B 1 C//2"], sin: Float[Tensor, "*B 1 C//2"]
) -> Float[Tensor, "*B H C"]:
    """Turn channel pair (i, i + C/2) by its angle, so that q·k depends on the distance of the positions alone.

    Su et al. 2021, section 3.4.2, with the pairs taken from the two halves as Llama checkpoints do.
    """
    x1, x2 = x.chunk(2, -1)
    return torch.cat((x1 * cos - x2 * sin, x2 * cos + x1 * sin), -1)


def sinusoidal(positions: Int[Tensor, "*B"], d_model: int) -> Float[Tensor, "*B D"]:
    """Sine and cosine in turn of the angles with base 10,000. Vaswani et al. 2017, section 3.5."""
    theta = angles(positions, frequencies(d_model, 10_000.0))
    return torch.stack((theta.sin(), theta.cos()), -1).flatten(-2)


def gelu(h: Float[Tensor, "*B F"]) -> Float[Tensor, "*B F"]:
    """h Φ(h), by its tanh approximation. Hendrycks and Gimpel 2016, section 2."""
    return F.gelu(h, approximate="tanh")


def exact_gelu(h: Float[Tensor, "*B F"]) -> Float[Tensor, "*B F"]:
    """h Φ(h), Φ the normal distribution function. Hendrycks and Gimpel 2016, section 2."""
    return F.gelu(h)


def halves_sinusoidal(positions: Int[Tensor, "*B"], d_model: int) -> Float[Tensor, "*B D"]:
    """The same sines and cosines, all sines first, as Marian has them."""
    theta = angles(positions, frequencies(d_model, 10_000.0))
    return torch.cat((theta.sin(), theta.cos()), -1)


def relative_bucket(distance: Int[Tensor, "*B"], buckets: int, longest: int, both_ways: bool) -> Int[Tensor, "*B"]:
    """Which of T5's buckets a key at `distance` (key minus query) is in. Raffel et al. 2020, section 2.1.

    Half of the buckets are of one distance each, the others grow with its logarithm up to `longest`; `both_ways`
    halves them between keys before and after, and else all keys after share the bucket of 0.

    >>> relative_bucket(torch.tensor([0, -1, -8, -200, 1]), 32, 128, both_ways=True).tolist()
    [0, 1, 8, 15, 17]
    """
    offset = torch.zeros_like(distance)
    if both_ways:
        buckets //= 2
        offset = buckets * (distance > 0)
        distance = distance.abs()
    else:
        distance = -distance.clamp(max=0)
    exact = buckets // 2
    far = exact + ((distance.clamp(min=1).float() / exact).log() / math.log(longest / exact) * (buckets - exact)).long()
    return offset + torch.where(distance < exact, distance, far.clamp(max=buckets - 1))


def relu2(h: Float[Tensor, "*B F"]) -> Float[Tensor, "*B F"]:
    """max(h, 0)². So et al. 2021 (Primer), section 3."""
    return F.relu(h).square()


def swiglu(h: Float[Tensor, "*B twice_F"]) -> Float[Tensor, "*B twice_F//2"]:
    """silu(gate) · up, where h holds the gate and then the up projection. Shazeer 2020, equation 6."""
    gate, up = h.chunk(2, -1)
    return F.silu(gate) * up


def reglu(h: Float[Tensor, "*B twice_F"]) -> Float[Tensor, "*B twice_F//2"]:
    """relu(gate) · up, where h holds the gate and then the up projection. Shazeer 2020, equation 6."""
    gate, up = h.chunk(2, -1)
    return F.relu(gate) * up


def geglu(h: Float[Tensor, "*B twice_F"]) -> Float[Tensor, "*B twice_F//2"]:
    """gelu(gate) · up, where h holds the gate and then the up projection. Shazeer 2020, equation 6."""
    gate, up = h.chunk(2, -1)
    return gelu(gate) * up


def exact_geglu(h: Float[Tensor, "*B twice_F"]) -> Float[Tensor, "*B twice_F//2"]:
    """`geglu` with Φ itself in the place of its tanh approximation."""
    gate, up = h.chunk(2, -1)
    return exact_gelu(gate) * up
