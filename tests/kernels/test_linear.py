"""Products of one row, and of packed matrices, against float64 within what rounding explains on any processor."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from rounding import is_product

from clearhead.kernels.linear import (
    LARGE,
    MANY,
    ONE,
    PackedLinear,
    linear,
    pack_linears,
    packed_product,
    packed_table,
    packs,
    row_product,
)
from clearhead.kernels.linear import packed as pack


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
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


KINDS = [(torch.bfloat16, ONE, 24), (torch.bfloat16, MANY, 24), (torch.float32, MANY, LARGE // 32)]


@pytest.mark.parametrize(("dtype", "rows", "width"), KINDS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_packed_is_the_same_product(count: int, dtype: torch.dtype, rows: int, width: int) -> None:
    x, weight, bias = drawn(count, 32, width, dtype)
    if not packs(weight, rows):
        pytest.skip(f"no product of {dtype} in oneDNN here")
    for b in (None, bias):
        assert is_product(packed_product(x, pack(weight, rows), b), x, weight, b)


def test_what_gains_nothing_is_not_packed() -> None:
    large = torch.empty(LARGE, 1)
    assert not packs(large, ONE) and not packs(large[1:], MANY) and not packs(large.double(), MANY)
    assert not packs(torch.empty(LARGE, 1, device="meta"), MANY)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("width", "rows"), [(1536, 576), (576, 960), (64, LARGE // 64 + 3), (33, 77)])
def test_the_bits_of_a_row_do_not_depend_on_its_company(
    dtype: torch.dtype, width: int, rows: int, threads: int
) -> None:
    """From 16 rows on, the fewest that the engine computes at once."""
    x, weight, bias = drawn(150, width, rows, dtype)
    layer = torch.nn.Linear(width, rows)
    layer.weight, layer.bias = (torch.nn.Parameter(it, requires_grad=False) for it in (weight, bias))
    product = PackedLinear(layer, MANY)
    whole = product(x)
    for first, end in ((0, 16), (3, 20), (0, 64), (50, 83), (1, 150)):
        assert torch.equal(product(x[first:end]), whole[first:end])


@pytest.mark.parametrize("rows", [ONE, MANY])
def test_the_linear_layers_of_a_model_are_packed_where_they_are(rows: int) -> None:
    """In its modules too; the numbers stay what they were, and what was packed holds no second copy."""
    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Linear(512, 512, bias=False), torch.nn.GELU())
    model = torch.nn.Sequential(torch.nn.Linear(32, 512), inner, torch.nn.Embedding(2, 2))
    x = torch.randn(16, 32)
    before = model[:2](x)
    pack_linears(model, rows)
    assert [type(model[0]), type(model[1][0])] == [PackedLinear, PackedLinear]
    torch.testing.assert_close(model[:2](x), before)
    is_packed = packs(torch.empty(512, 512), rows)
    assert model[1][0].weight.numel() == (0 if is_packed else 512 * 512) and model[0].weight.numel() == 32 * 512


def test_a_table_is_multiplied_and_still_looked_up() -> None:
    table = torch.nn.Embedding(LARGE // 32, 32)
    x = torch.randn(16, 32)
    assert is_product(packed_table(table, MANY)(x), x, table.weight)
    assert table(torch.tensor([3])).shape == (1, 32)


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
