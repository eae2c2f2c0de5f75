"""Products of one row against torch's own, both against float64."""

import pytest
import torch
import torch.nn.functional as F

from clearhead.kernels.linear import linear, packed, packed_product, packs, row_product


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> int:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def error(y: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> float:
    exact = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    return (y.double() - exact).abs().max().item()


@pytest.mark.parametrize("rows", [1, 2, 7, 12, 101])  # fewer than threads, a multiple of them, and neither
@pytest.mark.parametrize("shape", [(33,), (1, 33), (1, 1, 33)])
def test_a_row_product_is_the_product(rows: int, shape: tuple[int, ...], threads: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    x, weight = torch.randn(shape, generator=generator), torch.randn(rows, 33, generator=generator)
    y = row_product(x, weight)
    assert y.shape == (*shape[:-1], rows)
    assert error(y, x, weight, None) <= 2 * error(F.linear(x, weight), x, weight, None) + 1e-6


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_takes_any_number_of_rows_and_a_bias(count: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(count, 32, generator=generator).to(dtype)
    weight, bias = torch.randn(24, 32, generator=generator).to(dtype), torch.randn(24, generator=generator).to(dtype)
    for b in (None, bias):
        assert error(linear(x, weight, b), x, weight, b) <= 2 * error(F.linear(x, weight, b), x, weight, b) + 1e-6


@pytest.mark.parametrize("count", [1, 2, 5])
def test_packed_is_the_same_product(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(count, 32, generator=generator).bfloat16()
    weight, bias = torch.randn(24, 32, generator=generator).bfloat16(), torch.randn(24, generator=generator).bfloat16()
    if not packs(weight):
        pytest.skip("no oneDNN")
    for b in (None, bias):
        y = packed_product(x, packed(weight), b)
        assert error(y, x, weight, b) <= 2 * error(F.linear(x, weight, b), x, weight, b) + 1e-6
    assert not packs(weight.float())
