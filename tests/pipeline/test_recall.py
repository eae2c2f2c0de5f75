"""The test of memory: its rows by hand, a model that looks answers up and one that guesses."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from clearhead.errors import UserError
from clearhead.pipeline.recall import batch, measure, rows, sizes
from clearhead.pipeline.text_recipe import RecallConfig
from clearhead.text.packing import IGNORE_INDEX

CONFIG = RecallConfig(steps=1, pairs=6, symbols=10, batch_size=8, asked=600)
CPU = torch.device("cpu")


@pytest.mark.parametrize("pairs", [2, 5, 6])
def test_each_first_symbol_is_asked_once_for_the_second_that_stood_beside_it(pairs: int) -> None:
    found = rows(CONFIG, pairs, 20, np.random.default_rng(0))
    for tokens, targets, positions in zip(found.tokens, found.targets, found.positions, strict=True):
        told = dict(zip(tokens[: 2 * pairs : 2].tolist(), tokens[1 : 2 * pairs : 2].tolist(), strict=True))
        assert len(told) == pairs and all(a < CONFIG.symbols <= b < CONFIG.vocab for a, b in told.items())
        asked = tokens[2 * pairs :: 2].tolist()
        assert sorted(asked) == sorted(told)
        assert targets[2 * pairs :: 2].tolist() == [told[a] for a in asked] == tokens[2 * pairs + 1 :: 2].tolist()
        assert (targets[: 2 * pairs] == IGNORE_INDEX).all() and (targets[2 * pairs + 1 :: 2] == IGNORE_INDEX).all()
        assert positions.tolist() == list(range(4 * pairs))
    assert len({tuple(row) for row in found.tokens.tolist()}) == 20


def test_a_batch_depends_on_seed_and_step_alone_and_all_sizes_come() -> None:
    assert all(np.array_equal(a, b) for a, b in zip(batch(CONFIG, 3, 7), batch(CONFIG, 3, 7), strict=True))
    assert not np.array_equal(rows(CONFIG, 6, 4, np.random.default_rng((3, 7))).tokens, batch(CONFIG, 3, 8).tokens)
    lengths = {batch(CONFIG, 0, step).tokens.shape[1] // 4 for step in range(40)}
    assert lengths == set(sizes(CONFIG)) == {2, 4, 6}


class Looks:
    """Knows what stood after the same token before, or, where it does not look, the same answer for all."""

    def __init__(self, looks: bool) -> None:
        self.looks = looks

    def __call__(self, tokens: Tensor, positions: Tensor, attend: Any) -> Tensor:
        answers = torch.full_like(tokens, CONFIG.symbols)
        for row, at in np.ndindex(*tokens.shape):
            earlier = (tokens[row, :at] == tokens[row, at]).nonzero()
            if self.looks and len(earlier):
                answers[row, at] = tokens[row, earlier[0] + 1]
        return torch.nn.functional.one_hot(answers, CONFIG.vocab).float()

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden


def test_who_looks_it_up_recalls_all_and_who_guesses_as_many_as_chance_has() -> None:
    assert [found["accuracy"] for found in measure(CONFIG, Looks(True), CPU, 0)] == [1.0] * 3
    for found in measure(CONFIG, Looks(False), CPU, 0):
        assert found["low"] < 1 / CONFIG.symbols < found["high"] and found["asked"] >= CONFIG.asked


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"pairs": 1}, "recall.pairs = 1 must be at least 2"),
        ({"pairs": 40, "symbols": 39}, "recall.symbols = 39 must be at least recall.pairs = 40"),
        ({"d_model": 48}, "recall.d_model = 48 must be a multiple of 32"),
        ({"steps": -1}, "recall.steps = -1 must be at least 0"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, int], told: str) -> None:
    with pytest.raises(UserError, match=told):
        RecallConfig(**given)
