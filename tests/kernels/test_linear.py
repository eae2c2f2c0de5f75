"""Products of one row, and of packed matrices, against float64 within what rounding explains on any processor."""

import pytest
import torch
import torch.nn.functional as F
from rounding import is_product

from clearhead.kernels.linear import linear, packed, packed_product, packs, row_product


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> int:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def drawn(count: int, width: int, rows: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, W and b."""
    generator = torch.Generator().manual_seed(count * 1000 + rows)
    shapes = ((count, width), (rows, width), (rows,))
    return tuple(torch.randn(shape, generator=generator).to(dtype) for shape in shapes)  # type: ignore[return-value]


@pytest.mark.parametrize("rows", [1, 2, 7, 12, 101])  # fewer than threads, a multiple of them, and neither
@pytest.mark.parametrize("shape", [(33,), (1, 33), (1, 1, 33)])
def test_a_row_product_is_the_product(rows: int, shape: tuple[int, ...], threads: int) -> None:
    x, weight, _ = drawn(1, 33, rows, torch.float32)
    y = row_product(x.view(shape), weight)
    assert y.shape == (*shape[:-1], rows)
    assert is_product(y, x.view(shape), weight)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_takes_any_number_of_rows_and_a_bias(count: int, dtype: torch.dtype) -> None:
    x, weight, bias = drawn(count, 32, 24, dtype)
    for b in (None, bias):
        assert linear(x, weight, b).dtype == dtype
        assert is_product(linear(x, weight, b), x, weight, b)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_packed_is_the_same_product(count: int) -> None:
    x, weight, bias = drawn(count, 32, 24, torch.bfloat16)
    if not packs(weight):
        pytest.skip("no product of bfloat16 in oneDNN here")
    for b in (None, bias):
        assert is_product(packed_product(x, packed(weight), b), x, weight, b)
    assert not packs(weight.float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_no_product_is_told_from_rounding(dtype: torch.dtype) -> None:
    narrower = torch.bfloat16 if dtype == torch.float32 else torch.float8_e4m3fn
    x, weight, bias = drawn(5, 33, 24, dtype)
    assert is_product(F.linear(x, weight, bias), x, weight, bias)
    wrong = {
        "another's rows": F.linear(x, weight.roll(1, 0), bias),
        "no bias": F.linear(x, weight),
        "a term too few": F.linear(x[:, 1:], weight[:, 1:], bias),
        "a narrower type": F.linear(x.to(narrower).to(dtype), weight, bias),
    }
    for name, product in wrong.items():
        assert not is_product(product, x, weight, bias), name
