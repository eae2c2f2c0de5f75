from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from clearhead.reasoning import halving
from clearhead.reasoning.mcts import greedy
from clearhead.reasoning.tree import ROOT, best_value, mean_value


def ranked_arms(branching, arms=8, **rest):
    """Arm i is worth 0.9 - i / 25 wherever one looks, and never ends."""
    return branching(lambda s: 0.9 - s[1] / 25 if len(s) > 1 else 0.5, depth=99, width=arms, **rest)


def pulls(log):
    """How many expansions each first step got."""
    counts = Counter(state[1] for what, state in log if what == "propose" and len(state) > 1)
    return [counts[arm] for arm in range(max(counts, default=-1) + 1)]


def test_the_schedule_by_hand(branching, watched):
    """25 simulations: 1 opens the root, 24 are 3 phases of 8: 8 arms once, 4 arms twice, 2 arms four times."""
    space, log = watched(ranked_arms(branching))
    halving.search(space, simulations=25)
    assert pulls(log) == [7, 7, 3, 3, 1, 1, 1, 1]


def test_what_does_not_divide_goes_to_the_best(branching, watched):
    """29 after the root: 29 // 3 = 9 on 8 arms, 20 // 2 = 10 on 4 arms, 10 on 2."""
    space, log = watched(ranked_arms(branching))
    halving.search(space, simulations=30)
    assert pulls(log) == [2 + 3 + 5, 1 + 3 + 5, 1 + 2, 1 + 2, 1, 1, 1, 1]


def test_only_the_best_steps_enter(branching, watched):
    space, log = watched(ranked_arms(branching))
    halving.search(space, simulations=9, actions=4)
    assert pulls(log) == [1 + 2, 1 + 2, 1, 1]


def test_a_single_step_gets_everything(branching, watched):
    space, log = watched(ranked_arms(branching, arms=1))
    halving.search(space, simulations=6)
    assert pulls(log) == [5]


@pytest.mark.parametrize("simulations", [0, 1, 2, 3, 7, 16, 31, 64])
@pytest.mark.parametrize("arms", [1, 2, 3, 7, 8, 20])
def test_exactly_the_budget_is_spent(branching, watched, simulations, arms):
    space, log = watched(ranked_arms(branching, arms, games=[0, 1]))
    halving.search(space, simulations=simulations)
    assert Counter(state[0] for what, state in log if what == "propose") == Counter({0: simulations, 1: simulations})


@pytest.mark.parametrize("limit", [0, 1, 8, 9, 10, 100, 201])
def test_exactly_the_limit_is_spent_where_costs_are_known(branching, limit):
    """An expansion costs 8 scored states, the root 1: what is left in the end is less than one expansion."""
    result = halving.search(replace(ranked_arms(branching), limit=limit, expansion_cost=8), simulations=10_000)
    spent = result.curves[0][-1].cost
    assert spent == 1 + max(0, limit - 1) // 8 * 8


def test_a_limit_makes_the_same_schedule_as_simulations(branching, watched):
    space, log = watched(replace(ranked_arms(branching), limit=1 + 25 * 8, expansion_cost=8))
    halving.search(space, simulations=10_000)
    assert pulls(log) == [7, 7, 3, 3, 1, 1, 1, 1]
    space, log = watched(replace(ranked_arms(branching), limit=1 + 25 * 8))  # the price is learned from the first
    halving.search(space, simulations=10_000)
    assert pulls(log) == [7, 7, 3, 3, 1, 1, 1, 1]


def test_exhausted_arms_give_their_place_to_the_next(written_out, watched):
    """Two places. A ends at once, B after one step: C and D get the rest of the budget."""
    children = {"root": "A B C D", "B": "B1", "C": "C1", "C1": "C2", "C2": "C3", "D": "D1", "D1": "D2", "D2": "D3"}
    values = {"A": 0.9, "B": 0.8, "C": 0.7, "D": 0.6}
    names = " ".join(["root", *children.values()]).split()
    q_value = {name: values.get(name[0], 0.5) for name in names}
    space, log = watched(written_out(children, q_value, "A B1 C3 D3"))
    result = halving.search(space, simulations=6, actions=2)
    assert Counter(state[0] for what, state in log if what == "propose") == {"r": 1, "B": 1, "C": 3, "D": 1}
    assert result.answer(0) == "A"


def test_a_small_tree_is_searched_whole_and_no_further(coins):
    result = halving.search(coins([6], (4, 3, 1)), simulations=1000, actions=2, rule=greedy(), q_value=best_value)
    tree = result.tree
    assert tree.open[0, ROOT] == 0
    assert result.answer(0) == (6, 3, 3)


def test_halving_finds_the_best_arm_that_first_looks_deceive(branching, watched):
    """Six first steps, the first value on each is noise; below, values tell 0.6 from 0.5, blurred by 0.15."""

    def value(state):
        if len(state) < 3:
            return Random(f"look {state}").uniform(0.3, 0.8)
        game, arm, *_ = state
        truth = 0.6 if arm == game % 6 else 0.45
        return min(1.0, max(0.0, Random(str(state)).gauss(truth, 0.15)))

    games = range(40)
    result = halving.search(branching(value, 99, 6, games), simulations=40, q_value=mean_value)
    tree = result.tree
    most_visited = [max(tree.children(row, ROOT), key=lambda arm, row=row: tree.visits[row, arm]) - 1 for row in games]
    looked_best = [
        max(tree.children(row, ROOT), key=lambda arm, row=row: tree.raw_value[row, arm]) - 1 for row in games
    ]
    truth = [game % 6 for game in games]
    assert sum(a == b for a, b in zip(most_visited, truth, strict=True)) >= 34
    assert sum(a == b for a, b in zip(looked_best, truth, strict=True)) <= 15
