"""x Wᵀ with a matrix that stays as it is, as in decoding: for one row, where reading W is the work, and for many.

Deliberately not here: training, which changes W and has torch's own products.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

ONE, MANY = 1, 64  # rows that a matrix is packed for: of one text, and of as many as are advanced together
LARGE = 1 << 18  # numbers in a matrix of float32 for which oneDNN pays


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


def packs(weight: Float[Tensor, "E D"], rows: int) -> bool:
    """Whether it pays to pack this matrix for products of so many rows.

    It needs a CPU for which oneDNN has a product of this type. For one row of float32 `row_product` is as good, and a
    small matrix is multiplied before oneDNN has been asked.
    """
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32 and rows > 1 and weight.numel() >= LARGE


def packed(weight: Float[Tensor, "E D"], rows: int) -> Tensor:
    """A copy of the matrix in the order in which oneDNN reads it for so many rows, as torch's compiler prepares it.

    It is opaque, good for any number of rows, and best near `rows`.
    """
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)


def packed_product(
    x: Float[Tensor, "*B D"], weight: Tensor, bias: Float[Tensor, "E"] | None = None
) -> Float[Tensor, "*B E"]:
    """x Wᵀ + b, W packed. Of 2 rows or more, packed for many, the bits of each do not depend on the others."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def linear(
    x: Float[Tensor, "*B D"], weight: Float[Tensor, "E D"], bias: Float[Tensor, "E"] | None = None
) -> Float[Tensor, "*B E"]:
    """x Wᵀ + b, by `row_product` where that is the faster way: one row of float32 on a CPU."""
    if x.numel() != weight.shape[1] or x.dtype != torch.float32 or x.device.type != "cpu":
        return F.linear(x, weight, bias)
    y = row_product(x, weight)
    return y if bias is None else y + bias


class PackedLinear(nn.Module):
    """What stands for a linear layer whose weights stay: the same matrix, read in the fastest way there is."""

    def __init__(self, layer: nn.Linear, rows: int) -> None:
        super().__init__()
        self.packed = packed(layer.weight, rows) if packs(layer.weight, rows) else None
        # Of a packed matrix only the type is left here, for those who ask a model's parameters for it.
        self.weight = (
            layer.weight if self.packed is None else nn.Parameter(torch.empty(0, dtype=layer.weight.dtype), False)
        )
        self.bias = layer.bias

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        if self.packed is None:
            return linear(x, self.weight, self.bias)
        return packed_product(x, self.packed, self.bias)


def pack_linears(model: nn.Module, rows: int) -> None:
    """Put a `PackedLinear` for so many rows in the place of every linear layer."""
    for module in list(model.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) is nn.Linear:
                setattr(module, name, PackedLinear(layer, rows))


def packed_table(table: nn.Embedding, rows: int) -> PackedLinear:
    """The product with all rows of a table, which stays as it is for those who look them up."""
    layer = nn.Linear(table.embedding_dim, table.num_embeddings, bias=False, device="meta")
    layer.weight = table.weight
    return PackedLinear(layer, rows)
