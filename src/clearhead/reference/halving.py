"""Which of K arms is best, found with a budget fixed in advance: sequential halving.

UCB (search.py) keeps down what is lost while learning; here only the final choice counts, and halving wins at that.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


class Round(NamedTuple):
    """Each of `arms` arms is pulled `pulls` times."""

    arms: int
    pulls: int


class Race(NamedTuple):
    """The winner, and the arms that entered each round with their mean rewards in it."""

    best: int
    arms: tuple[tuple[int, ...], ...]
    means: tuple[tuple[float, ...], ...]


def halving_rounds(arms: int, budget: int) -> list[Round]:
    """⌈log₂ K⌉ rounds of equal budget T: S_r arms get ⌊T / (S_r ⌈log₂ K⌉)⌋ pulls each, and ⌈S_r / 2⌉ go on.

    >>> halving_rounds(8, 48)
    [Round(arms=8, pulls=2), Round(arms=4, pulls=4), Round(arms=2, pulls=8)]

    O(log K). Karnin, Koren and Somekh 2013, section 4. ValueError: no arms, or a budget that gives an arm no pull.
    """
    if arms < 1:
        raise ValueError(f"arms = {arms} must be 1 or more")
    count = (arms - 1).bit_length()  # ⌈log₂ K⌉ exactly
    if budget < arms * count:
        raise ValueError(f"budget = {budget} must be at least {arms * count}, one pull for each of {arms} arms a round")
    rounds = []
    for _ in range(count):
        rounds.append(Round(arms, budget // (arms * count)))
        arms = (arms + 1) // 2
    return rounds


def sequential_halving(pull: Callable[[int, int], float], arms: int, budget: int) -> Race:
    """Pull the arms of each round, then keep the better half by this round's means; the smaller arm among equals.

    `pull(arm, times)` is the mean reward of pulling that arm so often. Earlier rounds are forgotten, as in the proof.

    >>> sequential_halving(lambda arm, times: [0.1, 0.9, 0.5][arm], arms=3, budget=12)
    Race(best=1, arms=((0, 1, 2), (1, 2)), means=((0.1, 0.9, 0.5), (0.9, 0.5)))

    O(budget). Karnin, Koren and Somekh 2013, section 4. ValueError: as halving_rounds.
    """
    ranked = tuple(range(arms))
    entered, means = [], []
    for size, pulls in halving_rounds(arms, budget):
        racing = tuple(sorted(ranked[:size]))
        mean = tuple(float(pull(arm, pulls)) for arm in racing)
        entered.append(racing)
        means.append(mean)
        ranked = tuple(arm for _, arm in sorted(zip((-m for m in mean), racing, strict=True)))
    return Race(ranked[0], tuple(entered), tuple(means))


def hardness(mean: Float[Array, "K"]) -> float:
    """H₂ = max_{i ≥ 2} i / Δ_i² with Δ_i = μ_1 - μ_i for means in falling order: the pulls it takes to tell.

    >>> hardness(np.array([0.5, 1.0, 0.0]))
    8.0

    O(K log K). Audibert, Bubeck and Munos 2010, section 2. ValueError: one arm, or a best arm that is not alone.
    """
    falling = np.sort(mean)[::-1]
    if len(falling) < 2 or falling[0] == falling[1]:
        raise ValueError("hardness needs two arms or more, and one that is better than all others")
    return float((np.arange(2, len(falling) + 1) / (falling[0] - falling[1:]) ** 2).max())


def halving_error_bound(mean: Float[Array, "K"], budget: int) -> float:
    """P(wrong arm) ≤ 3 log₂ K exp(-T / (8 H₂ log₂ K)), for rewards in [0, 1].

    >>> round(halving_error_bound(np.array([0.9, 0.1, 0.1, 0.1]), 400), 4)
    0.1099

    O(K log K). Karnin, Koren and Somekh 2013, theorem 4.1. ValueError: as hardness.
    """
    rounds = np.log2(len(mean))
    return float(3 * rounds * np.exp(-budget / (8 * hardness(mean) * rounds)))
