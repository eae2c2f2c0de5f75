"""The look-up against indexing, and its gradient against a sum that is written out."""

import torch

from clearhead.kernels.embedding import embedding


def test_value_and_gradient() -> None:
    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    tokens = torch.tensor([[0, 3, 3], [3, 4, 0]])
    upstream = torch.randn(2, 3, 3, dtype=torch.float64)
    out = embedding(tokens, table)
    out.backward(upstream)
    assert torch.equal(out, table[tokens])
    expected = torch.zeros(5, 3, dtype=torch.float64)
    for row in range(2):
        for column in range(3):
            expected[tokens[row, column]] += upstream[row, column]
    torch.testing.assert_close(table.grad, expected, rtol=1e-15, atol=0)


def test_the_rules_of_gradients_hold() -> None:
    table = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    tokens = torch.tensor([1, 1, 3])
    assert torch.autograd.gradcheck(lambda t: embedding(tokens, t), (table,))
