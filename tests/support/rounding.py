"""How far from the truth rounding may lead, whatever processor computes and in whatever order it adds.

One kernel against another is compared by the root mean square of many errors. The largest of them is a matter of luck,
and so is any of a few: the one may be exact by chance where the other is not.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def product_bound(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The most that each entry of x Wᵀ + b can be off by when it is computed in x's type.

    A sum of n products, fused or not, in any order, is off by at most γ Σ|xᵢwᵢ|, γ = nu / (1 - nu), where u bounds one
    rounding (Higham 2002, section 3.1, equation 3.5). u is taken as a whole unit in the last place, not half of one,
    since matrix units may truncate. Products of bfloat16 are summed in float32 and rounded twice at most, before and
    after the bias.
    """
    size = F.linear(x.double().abs(), weight.double().abs(), None if bias is None else bias.double().abs())
    n, u = x.shape[-1] + (bias is not None), torch.finfo(torch.float32).eps
    gamma = n * u / (1 - n * u)
    if x.dtype == torch.bfloat16:
        gamma = (1 + gamma) * (1 + torch.finfo(torch.bfloat16).eps) ** 2 - 1
    return gamma * size


def is_product(y: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Whether y is x Wᵀ + b, every entry within `product_bound` of the same in float64."""
    exact = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    return bool(((y.double() - exact).abs() <= product_bound(x, weight, bias)).all())


def rms(errors: Tensor) -> float:
    """Root mean square."""
    return float(errors.square().mean().sqrt())
