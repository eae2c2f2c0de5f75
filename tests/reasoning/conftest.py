"""Small games with a known best answer, and a watch on what a search asks of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from clearhead.reasoning.lockstep import Proposal, SearchProblem


def _written_out(
    children: dict[str, str], values: dict[str, float], done: str, root: str = "root", **rest: Any
) -> SearchProblem:
    """A tree given in full: names of children apart by spaces, the value on each name, the finished names."""
    return SearchProblem(
        roots=[root],
        keys=["one"],
        propose=lambda states, seeds: [[Proposal(name, 1.0) for name in children.get(s, "").split()] for s in states],
        value=lambda states: np.array([values[s] for s in states]),
        is_done=lambda state: state in done.split(),
        **rest,
    )


def _branching(
    value: Callable[[tuple], float], depth: int, width: int, games: Sequence[int] = (0,), **rest: Any
) -> SearchProblem:
    """Every state has `width` next ones until `depth`; a state is its game's number and then its moves."""
    return SearchProblem(
        roots=[(game,) for game in games],
        keys=[str(game) for game in games],
        propose=lambda states, seeds: [[Proposal((*s, move), 1.0) for move in range(width)] for s in states],
        value=lambda states: np.array([value(s) for s in states]),
        is_done=lambda state: len(state) == depth + 1,
        **rest,
    )


def _needle(depth: int, noise: float, games: Sequence[int], **rest: Any) -> SearchProblem:
    """Binary trees with one winning leaf: values 0.7 on its path and 0.4 off it, blurred; 0.95 and 0.3 at leaves."""
    winner = {game: (game, *Random(f"winner {game}").choices((0, 1), k=depth)) for game in games}

    def value(state: tuple) -> float:
        on_path = winner[state[0]][: len(state)] == state
        if len(state) == depth + 1:
            return 0.95 if on_path else 0.3
        return min(0.9, max(0.1, (0.7 if on_path else 0.4) + Random(str(state)).gauss(0, noise)))

    return _branching(value, depth, 2, games, **rest)


def _coins(amounts: Sequence[int], coins: tuple[int, ...]) -> SearchProblem:
    """Pay amounts with as few coins as possible, in any order; values are optimistic: 1 / coins needed at least.

    Taking what looks best at once fails: 6 from (4, 3, 1) is 3 + 3, not 4 + 1 + 1. A state is amount and coins paid.
    """

    def propose(states: Sequence[tuple], seeds: Sequence[int]) -> list[list[Proposal]]:
        return [[Proposal((*s, coin), 1.0) for coin in coins if sum(s[1:]) + coin <= s[0]] for s in states]

    def value(states: Sequence[tuple]) -> np.ndarray:
        return np.array([1 / (len(paid) + math.ceil((amount - sum(paid)) / max(coins))) for amount, *paid in states])

    keys = [str(amount) for amount in amounts]
    return SearchProblem([(amount,) for amount in amounts], keys, propose, value, lambda s: sum(s[1:]) == s[0])


def _ragged(keys: Sequence[str], **rest: Any) -> SearchProblem:
    """Random families of 0 to 4 steps, with equal siblings, drawn from the seed that the search hands over."""

    def propose(states: Sequence[tuple], seeds: Sequence[int]) -> list[list[Proposal]]:
        rngs = [Random(seed) for seed in seeds]
        return [
            [Proposal((*s, rng.randrange(6)), rng.random()) for _ in range(rng.choice((0, 2, 3, 3, 4, 5)))]
            if s
            else [Proposal((i + rng.randrange(90),), 1.0) for i in range(0, 400, 100)]
            for s, rng in zip(states, rngs, strict=True)
        ]

    def value(states: Sequence[tuple]) -> np.ndarray:
        return np.array([Random(str(s)).random() for s in states])

    return SearchProblem([()] * len(keys), keys, propose, value, lambda s: len(s) >= 3 and s[-1] >= 3, **rest)


def _watched(space: SearchProblem) -> tuple[SearchProblem, list[tuple[str, Any]]]:
    """The same space, and the log of every ("propose" | "value", state) in order."""
    log: list[tuple[str, Any]] = []

    def propose(states: Sequence[Any], seeds: Sequence[int]) -> Any:
        log.extend(("propose", state) for state in states)
        return space.propose(states, seeds)

    def value(states: Sequence[Any]) -> np.ndarray:
        log.extend(("value", state) for state in states)
        return space.value(states)

    return replace(space, propose=propose, value=value), log


@pytest.fixture
def written_out() -> Callable[..., SearchProblem]:
    return _written_out


@pytest.fixture
def branching() -> Callable[..., SearchProblem]:
    return _branching


@pytest.fixture
def needle() -> Callable[..., SearchProblem]:
    return _needle


@pytest.fixture
def coins() -> Callable[..., SearchProblem]:
    return _coins


@pytest.fixture
def ragged() -> Callable[..., SearchProblem]:
    return _ragged


@pytest.fixture
def watched() -> Callable[..., tuple[SearchProblem, list[tuple[str, Any]]]]:
    return _watched
