"""Settings are refused one by one, by name; usage adds up."""

import math

import pytest

from clearhead.errors import UserError
from clearhead.generation.language_model import GREEDY, SamplingParams, Usage


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("top_p", math.nan),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("max_tokens", 0),
    ],
)
def test_a_bad_value_is_named(field: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"^{field} = {value}"):
        SamplingParams(**{field: value})  # type: ignore[arg-type]


def test_the_edges_are_allowed() -> None:
    assert SamplingParams(temperature=0, top_k=0, top_p=1, min_p=1, max_tokens=1).greedy
    assert GREEDY.greedy
    assert not SamplingParams().greedy


def test_usage_adds_and_subtracts_field_by_field() -> None:
    a, b = Usage(1, 20, 300, 4000), Usage(5, 60, 700, 8000)
    assert a + b == Usage(6, 80, 1000, 12000)
    assert a + b - b == a
