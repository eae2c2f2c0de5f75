"""Sequential halving at the root, tree search below: the budget goes in equal shares to fewer and fewer first steps.

Karnin et al. 2013 bound the probability of picking a wrong arm with a budget fixed in advance, which is what test-time
search has; UCB bounds regret, and keeps spending on first steps that it will not take. Halving at the root of a tree:
Pepels et al. 2014, Danihelka et al. 2022. Deliberately without the latter's Gumbel noise: here every arm has a value
before the race begins.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clearhead.reasoning.lockstep import Choose, Result, Run, SearchProblem, best_done
from clearhead.reasoning.mcts import QValue, SelectionRule, puct, select
from clearhead.reasoning.tree import ROOT, mean_value
from clearhead.reasoning.votes import Aggregate, last


@dataclass
class _Race:
    """Where one root stands. The first `size` arms of the ranking that are still open are in the race."""

    ranking: list[int]
    size: int
    phases: int  # left, this one included
    simulations: int  # left in all
    share: int  # left in this phase
    ceiling: float  # the spending at which this phase ends


def search(
    problem: SearchProblem,
    *,
    simulations: int,
    actions: int = 16,
    rule: SelectionRule | None = None,
    q_value: QValue = mean_value,
    aggregate: Aggregate = last,
    choose: Choose = best_done,
) -> Result:
    """Spend `simulations` expansions, or the problem's limit, on every root by sequential halving.

    The first expansion opens the root; its `actions` best steps enter the race. In each of ⌈log₂ actions⌉ phases of
    equal budget the arms in the race take turns, one expansion each, at the leaf that `rule` (PUCT) picks below; then
    the worse half leaves. An arm with no open leaf left gives its place to the next in the ranking, so the whole budget
    is spent while anything is open. The turns of all arms of all roots are one batch.
    """
    run = Run(problem, aggregate, choose)
    rule = rule or puct()
    first = [row for row, leaves in enumerate(run.tree.open[:, ROOT].tolist()) if leaves and simulations > 0]
    first = [row for row in first if run.affordable(row, 1)]
    _expand(run, first, [ROOT] * len(first), rule, q_value)
    races = {row: _start(run, row, simulations - 1, actions, q_value) for row in first}
    while True:
        turns = [(row, arm) for row, race in races.items() for arm in _turn(run, row, race, q_value)]
        if not turns:
            return run.result()
        _expand(run, [row for row, _ in turns], [arm for _, arm in turns], rule, q_value)


def _expand(run: Run, rows: Sequence[int], starts: Sequence[int], rule: SelectionRule, q_value: QValue) -> None:
    at = np.array(rows, int)
    leaves = select(run.tree, at, np.array(starts, int), rule, q_value)
    run.expand(at, leaves)
    run.backup(at, leaves)


def _start(run: Run, row: int, simulations: int, actions: int, q_value: QValue) -> _Race:
    arms = list(run.tree.children(row, ROOT))
    size = max(1, min(actions, int(np.count_nonzero(run.tree.open[row, arms]))))
    race = _Race(_ranked(run, row, arms, q_value), size, max(1, math.ceil(math.log2(size))), simulations, 0, 0.0)
    _allot(run, row, race)
    return race


def _turn(run: Run, row: int, race: _Race, q_value: QValue) -> list[int]:
    """The arms of this root to expand next; none when its race is over."""
    while True:
        arms = [arm for arm in race.ranking if run.tree.open[row, arm] > 0][: race.size]
        turns = run.affordable(row, min(len(arms), race.share), race.ceiling)
        if turns or race.phases == 1:
            race.share -= turns
            race.simulations -= turns
            return arms[:turns]
        out = [arm for arm in race.ranking if arm not in arms]
        race.ranking = _ranked(run, row, arms, q_value) + out
        race.size = max(1, math.ceil(len(arms) / 2))
        race.phases -= 1
        _allot(run, row, race)


def _allot(run: Run, row: int, race: _Race) -> None:
    """Give the phase that begins its part of what is left; the last one gets the rest."""
    race.share = race.simulations // race.phases
    race.ceiling = run.spent[row] + (run.limit - run.spent[row]) / race.phases


def _ranked(run: Run, row: int, arms: list[int], q_value: QValue) -> list[int]:
    nodes = np.array(arms, int)
    values = q_value(run.tree, np.full_like(nodes, row), nodes)
    return [arm for _, arm in sorted(zip((-values).tolist(), arms, strict=True))]
