"""Numbers that are none are found, whatever their type, and large ones are not taken for them."""

import pytest
import torch

from clearhead.models.weight_map import finite

TYPES = [torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", TYPES)
def test_large_numbers_are_finite(dtype: torch.dtype) -> None:
    largest = torch.full((100, 100), torch.finfo(dtype).max, dtype=dtype)
    assert finite(largest) and finite(-largest) and finite(torch.zeros(0, dtype=dtype))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_one_that_is_none_is_found(dtype: torch.dtype, wrong: float) -> None:
    tensor = torch.randn(100, 100).to(dtype)
    tensor[77, 3] = wrong
    assert not finite(tensor)
    tensor[0, 0] = -wrong
    assert not finite(tensor)
