"""What a model can hold in mind: pairs of symbols are read, and then each first one is asked for its second.

    a 1  c 4  b 7     c ? b ? a ?

Nothing but memory helps, since the pairs are drawn anew for every row. Arora et al. 2023 (Zoology), section 3.
Deliberately not here: the sizes of the models (text_models) and what the report makes of the figures.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from clearhead.pipeline.text_recipe import RecallConfig
from clearhead.reasoning.statistics import wilson
from clearhead.text.packing import IGNORE_INDEX, Batch
from clearhead.training.step import hidden_states, to_tensors

FEWEST = 2  # pairs of a row
ROWS = 64  # of a batch that is measured


def sizes(config: RecallConfig) -> list[int]:
    """The numbers of pairs that rows have, each twice the one before.

    >>> sizes(RecallConfig(pairs=20))
    [2, 4, 8, 16, 20]
    """
    found = [FEWEST]
    while found[-1] < config.pairs:
        found.append(min(2 * found[-1], config.pairs))
    return found


def rows(config: RecallConfig, pairs: int, n: int, rng: np.random.Generator) -> Batch:
    """n rows of so many pairs; the targets are the second symbols after the first ones that are asked."""
    order = rng.permuted(np.tile(np.arange(config.symbols), (n, 1)), axis=1)[:, :pairs]
    second = config.symbols + rng.integers(config.symbols, size=(n, pairs))
    asked = rng.permuted(np.tile(np.arange(pairs), (n, 1)), axis=1)
    told = _in_turn(order, second)
    again = _in_turn(np.take_along_axis(order, asked, 1), np.take_along_axis(second, asked, 1))
    tokens = np.concatenate([told, again], 1)
    targets = np.full_like(tokens, IGNORE_INDEX)
    targets[:, 2 * pairs :: 2] = again[:, 1::2]
    positions = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    return Batch(tokens, positions.copy(), np.ones_like(tokens), targets)


def batch(config: RecallConfig, seed: int, step: int) -> Batch:
    """The rows of a training step, of one of the `sizes`."""
    rng = np.random.default_rng((seed, step))
    return rows(config, int(rng.choice(sizes(config))), config.batch_size, rng)


@torch.no_grad()
def measure(config: RecallConfig, model: Any, device: torch.device, seed: int) -> list[dict[str, Any]]:
    """The share of right answers by the number of pairs, with 95% intervals, on rows that no training has."""
    found = []
    for pairs in sizes(config):
        rng = np.random.default_rng((seed, 1 << 40, pairs))
        right = asked = 0
        while asked < config.asked:
            tensors = to_tensors(rows(config, pairs, min(ROWS, -(-config.asked // pairs)), rng), device)
            answers = model.logits(hidden_states(model, tensors)).argmax(-1)
            known = tensors.targets != IGNORE_INDEX
            right += int((answers == tensors.targets)[known].sum())
            asked += int(known.sum())
        interval = wilson(right, asked)
        found.append(
            {"pairs": pairs, "asked": asked, "accuracy": right / asked, "low": interval.low, "high": interval.high}
        )
    return found


def _in_turn(first: Int[np.ndarray, "N P"], second: Int[np.ndarray, "N P"]) -> Int[np.ndarray, "N twice_P"]:
    return np.stack([first, second], -1).reshape(len(first), -1)
