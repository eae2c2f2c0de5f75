"""x Wᵀ for one row at a time, which is all that decoding one text does: reading W is the work, so W is read well.

Deliberately not here: products of many rows, at which torch's own are good.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def row_product(x: Float[Tensor, "*one D"], weight: Float[Tensor, "E D"]) -> Float[Tensor, "*one E"]:
    """x Wᵀ for a single row x, the rows of W dealt out as a batch of products.

    The library's product of a matrix and a vector reads W at half the speed of memory, its batched product at nearly
    all of it, if the vector lies there as a row that is turned. O(E D), no copy of W.
    """
    E, D = weight.shape
    parts = min(max(2, torch.get_num_threads()), E)
    even = E - E % parts
    row = x.reshape(1, D)
    y = torch.bmm(weight[:even].view(parts, -1, D), row.mT.expand(parts, D, 1)).view(even)
    if even < E:
        y = torch.cat((y, torch.mv(weight[even:], row[0])))
    return y.view(*x.shape[:-1], E)


def packs(weight: Float[Tensor, "E D"]) -> bool:
    """Whether `packed` can do anything for this matrix: bfloat16 on a CPU for which oneDNN has a product of it."""
    here = weight.device.type == "cpu" and torch.backends.mkldnn.is_available()
    return here and weight.dtype == torch.bfloat16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def packed(weight: Float[Tensor, "E D"]) -> Tensor:
    """A copy of the matrix in the order that oneDNN reads it in, as torch's compiler prepares it; opaque otherwise."""
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), 1)


def packed_product(
    x: Float[Tensor, "*B D"], weight: Tensor, bias: Float[Tensor, "E"] | None = None
) -> Float[Tensor, "*B E"]:
    """x Wᵀ + b, W packed."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def linear(
    x: Float[Tensor, "*B D"], weight: Float[Tensor, "E D"], bias: Float[Tensor, "E"] | None = None
) -> Float[Tensor, "*B E"]:
    """x Wᵀ + b, by `row_product` where that is the faster way: one row of float32 on a CPU."""
    if x.numel() != weight.shape[1] or x.dtype != torch.float32 or x.device.type != "cpu":
        return F.linear(x, weight, bias)
    y = row_product(x, weight)
    return y if bias is None else y + bias
