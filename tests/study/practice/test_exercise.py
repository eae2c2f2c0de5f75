"""Inputs are drawn from the axes of the signature; stubs say the rules."""

import dataclasses

import numpy as np
import pytest

from clearhead.errors import UserError
from clearhead.study.practice.exercise import inputs, load, mutant, smallest, stub


def test_sizes_come_from_the_named_axes() -> None:
    signature = 'def f(x: "float[B, K]", y: "float[K]", n):'
    found = dataclasses.replace(load("softmax"), signature=signature, sizes={"K": (3, 4)})
    assert smallest(found) == {"B": 1, "K": 3}
    seen = set()
    for seed in range(30):
        given = inputs(found, np.random.default_rng(seed))
        assert given.keys() == {"x", "y"} and given["x"].shape[1] == given["y"].shape[0]
        seen.add(given["x"].shape)
    assert seen == {(b, k) for b in (1, 2, 3) for k in (3, 4)}
    assert inputs(found, np.random.default_rng(0), {"B": 7, "K": 9})["x"].shape == (7, 9)


def test_a_stub_names_what_is_forbidden_and_compiles() -> None:
    text = stub(load("multi-head-attention"), "multi-head-attention")
    assert "Do not call torch.nn.MultiheadAttention." in text and "raise NotImplementedError" in text
    compile(text, "stub", "exec")
    limited = dataclasses.replace(load("softmax"), memory=({"B": 8}, 2**20))
    assert "At B = 8 no more than 1 MiB" in stub(limited, "softmax")


def test_a_mutant_must_change_something() -> None:
    found = dataclasses.replace(load("softmax"), wrong={"nothing": ("not there", "x")})
    with pytest.raises(AssertionError, match="found 0 times"):
        mutant(found, "nothing")
    with pytest.raises(UserError, match="did you mean 'softmax'"):
        load("softmx")
