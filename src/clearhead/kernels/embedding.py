"""Looking up rows of a table, with a gradient that is the same bits every time.

The compiler's own gradient adds the rows of several threads in whatever order they arrive, so that a resumed run would
drift from the uninterrupted one; torch's kernel gives every row of the table to one thread.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

torch.library.define("clearhead::embedding_gradient", "(Tensor gradient, Tensor tokens, int vocab) -> Tensor")


@torch.library.impl("clearhead::embedding_gradient", "CompositeExplicitAutograd")
def _embedding_gradient(gradient: Tensor, tokens: Tensor, vocab: int) -> Tensor:
    return torch.ops.aten.embedding_dense_backward(gradient, tokens, vocab, -1, False)


@torch.library.register_fake("clearhead::embedding_gradient")
def _embedding_gradient_shape(gradient: Tensor, tokens: Tensor, vocab: int) -> Tensor:
    return gradient.new_empty(vocab, gradient.shape[-1])


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(table: Tensor, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, table)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # type: ignore[no-untyped-def]
        table, tokens = inputs
        ctx.vocab = table.shape[0]
        ctx.save_for_backward(tokens)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        (tokens,) = ctx.saved_tensors
        return torch.ops.clearhead.embedding_gradient(gradient.contiguous(), tokens, ctx.vocab), None


def embedding(tokens: Int[Tensor, "*B"], table: Float[Tensor, "V D"]) -> Float[Tensor, "*B D"]:
    """table[tokens]; its gradient adds every position's to the row that it read."""
    return _Embedding.apply(table, tokens) if table.requires_grad else F.embedding(tokens, table)
