import math
from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from clearhead.reasoning.mcts import greedy, puct, search, select, ucb1
from clearhead.reasoning.tree import ROOT, add_children, backup, best_value, mean_value, new_tree

PRODUCT = {
    "children": {"root": "A B", "A": "A1 A2", "A1": "A1a", "B": "B1", "A2": "A2a", "B1": ""},
    "values": {"root": 0.5, "A": 0.9, "B": 0.2, "A1": 0.9, "A2": 0.3, "A1a": 0.95, "B1": 0.4, "A2a": 0.1},
    "done": "A1a A2a",
}


def test_the_walk_of_17_times_24(written_out):
    """Five simulations by hand, with ucb1(0.9). The root is worth 0.5 by itself; N visits, W sum of values.

    1  the root is expanded: A 0.9, B 0.2.                         root N 3, W 1.6
    2  A 0.9 + 0.9 √ln 3 = 1.84 beats B 1.14; A gives A1, A2.      A N 3, W 2.1       root N 5, W 2.8
    3  A 0.7 + 0.9 √(ln 5 / 3) = 1.359 beats
       B 0.2 + 0.9 √ln 5 = 1.342; A1 (0.9) beats A2 (0.3);
       A1 gives A1a, finished.                                     A1 N 2, W 1.85     A N 4, W 3.05   root N 6, W 3.75
    4  B 0.2 + 0.9 √ln 6 = 1.405 beats
       A 0.7625 + 0.9 √(ln 6 / 4) = 1.365; B gives B1.             B N 2, W 0.6                       root N 7, W 4.15
    5  A 0.7625 + 0.9 √(ln 7 / 4) = 1.390 beats
       B 0.3 + 0.9 √(ln 7 / 2) = 1.188; nothing is open under A1,
       so A2; it gives A2a, finished.                              A2 N 2, W 0.4      A N 5, W 3.15   root N 8, W 4.25
    """
    result = search(written_out(**PRODUCT), simulations=5, rule=ucb1(0.9))
    tree = result.tree
    nodes = {state: i for i, state in enumerate(tree.states[0])}
    assert list(nodes) == ["root", "A", "B", "A1", "A2", "A1a", "B1", "A2a"]
    told = {state: (int(tree.visits[0, i]), round(float(tree.value_sum[0, i]), 12)) for state, i in nodes.items()}
    assert told == {
        "root": (8, 4.25),
        "A": (5, 3.15),
        "B": (2, 0.6),
        "A1": (2, 1.85),
        "A2": (2, 0.4),
        "A1a": (1, 0.95),
        "B1": (1, 0.4),
        "A2a": (1, 0.1),
    }
    assert [tree.states[0][p] for p in tree.parent[0, 1:8]] == ["root", "root", "A", "A", "A1", "B", "A2"]
    assert {state for state, i in nodes.items() if tree.open[0, i]} == {"root", "B", "B1"}
    assert result.answer(0) == "A1a"
    # the curve: root, then one point for each simulation; nothing is finished before the third
    assert result.curves[0] == [
        (1, None, None),
        (3, None, None),
        (5, None, None),
        (6, "A1a", 0.95),
        (7, "A1a", 0.95),
        (8, "A1a", 0.95),
    ]


class Listing:
    """The textbook listing that goes wrong, to show that each test below can fail: the same functions, one root."""

    def __init__(self, space, iterations, c=1.4, shift=0.0):
        self.space, (root,) = space, space.roots
        self.children, self.visits, self.total, self.parent = {root: []}, Counter({root: 1}), Counter(), {}
        for _ in range(iterations):
            state = root
            while self.children[state]:
                N = self.visits[state]
                state = max(self.children[state], key=lambda s, N=N: self.ucb(s, N, c))
            ((*proposals,),) = space.propose([state], [0])
            for child in [proposal.state for proposal in proposals]:
                self.children[state].append(child)
                self.children[child], self.parent[child] = [], state
            if self.children[state]:
                child = self.children[state][0]
                self.total[child], self.visits[child] = float(space.value([child])[0]) + shift, 1
                worth = self.total[child]
                while child in self.parent:
                    child = self.parent[child]
                    self.visits[child] += 1
                    self.total[child] += worth

    def ucb(self, state, N, c):
        n = self.visits[state]
        return self.total[state] / n + c * math.sqrt(math.log(N) / n) if n else math.inf

    def answer(self):
        (state,) = self.space.roots
        while self.children[state]:
            state = max(self.children[state], key=lambda s: self.total[s] / max(self.visits[s], 1))
        return state


def ours(space, simulations, **rest):
    return search(space, simulations=simulations, rule=rest.pop("rule", ucb1(1.4)), **rest)


def faultless(log):
    """What a search may never do, read off the log of what it asked."""
    scored, proposed = set(), set()
    faults = set()
    for what, state in log:
        if what == "value":
            scored.add(state)
        else:
            faults |= {"expanded unscored"} if state not in scored else set()
            faults |= {"expanded twice"} if state in proposed else set()
            proposed.add(state)
    return faults, scored, proposed


def test_every_child_is_scored_not_the_first_alone(written_out, watched):
    game = {"children": {"root": "bad good"}, "values": {"root": 0.5, "bad": 0.1, "good": 0.9}, "done": "bad good"}
    space, log = watched(written_out(**game))
    assert ours(space, 1).answer(0) == "good"
    assert faultless(log)[1] == {"root", "bad", "good"}
    space, log = watched(written_out(**game))
    assert Listing(space, 1).answer() == "bad"
    assert faultless(log)[1] == {"bad"}


def test_a_finished_state_is_not_expanded(written_out, watched):
    game = {
        "children": {"root": "end", "end": "beyond"},
        "values": {"root": 0.5, "end": 0.9, "beyond": 1.0},
        "done": "end",
    }
    space, log = watched(written_out(**game))
    assert ours(space, 9).answer(0) == "end"
    assert faultless(log)[2] == {"root"}
    space, log = watched(written_out(**game))
    assert Listing(space, 9).answer() == "beyond"


def test_nothing_is_expanded_before_it_is_scored(written_out, watched):
    space, log = watched(written_out(**PRODUCT))
    ours(space, 5)
    assert "expanded unscored" not in faultless(log)[0]
    space, log = watched(written_out(**PRODUCT))
    Listing(space, 5)
    assert "expanded unscored" in faultless(log)[0]


def test_a_dead_end_is_tried_once(written_out, watched):
    game = {
        "children": {"root": "stuck way", "way": "end"},
        "values": {"root": 0.5, "stuck": 0.9, "way": 0.1, "end": 0.6},
    }
    space, log = watched(written_out(**game, done="end"))
    result = ours(space, 9, rule=ucb1(0.1))
    assert result.answer(0) == "end" and not faultless(log)[0]
    space, log = watched(written_out(**game, done="end"))
    assert Listing(space, 9, c=0.1).answer() == "stuck"
    assert "expanded twice" in faultless(log)[0]


def test_the_answer_is_finished_and_visited(written_out):
    """Values below zero (a logit, a log-probability) make the listing's final walk prefer what it never looked at."""
    game = {
        "children": {"root": "seen unseen"},
        "values": {"root": 0.5, "seen": 0.9, "unseen": 0.2},
        "done": "seen unseen",
    }
    listing = Listing(written_out(**game), 1, shift=-1.0)
    assert listing.answer() == "unseen" and listing.visits["unseen"] == 0
    result = ours(written_out(**game), 1)
    assert result.answer(0) == "seen"
    # an unfinished state wins over every finished one by its value, and still is no answer
    game["done"] = "unseen"
    assert ours(written_out(**game), 1).answer(0) == "unseen"
    game["done"] = ""
    nothing = ours(written_out(**game), 9)
    assert nothing.answer(0) is None and nothing.curves[0][-1][1:] == (None, None)


@pytest.mark.parametrize("simulations", [1, 2, 4])
def test_a_visit_is_a_value_at_the_root_too(branching, watched, simulations):
    space, log = watched(branching(lambda s: 0.5, depth=9, width=3))
    result = ours(space, simulations)
    values = sum(what == "value" for what, _ in log)
    assert result.tree.visits[0, ROOT] == values == 1 + 3 * simulations
    assert result.tree.value_sum[0, ROOT] == 0.5 * values
    space, log = watched(branching(lambda s: 0.5, depth=9, width=3))
    assert Listing(space, simulations).visits[(0,)] == 1 + sum(what == "value" for what, _ in log)


def test_a_root_that_is_finished_is_the_answer(written_out, watched):
    space, log = watched(written_out({"root": "A"}, {"root": 0.5, "A": 0.9}, "root"))
    assert ours(space, 5).answer(0) == "root"
    assert log == [("value", "root")]


def test_no_roots_no_simulations(written_out):
    assert ours(replace(written_out(**PRODUCT), roots=[], keys=[]), 5).curves == []
    assert ours(written_out(**PRODUCT), 0).answer(0) is None


# --- the rules, as formulas and as players of a bandit ------------------------------------------------------------


def test_ucb_by_hand():
    # 0.5 + 2 √(ln 8 / 4) = 0.5 + 2 · 0.721013 = 1.942027
    scores = ucb1(2.0)(np.array([[0.5, 0.0]]), np.array([[4, 0]]), None, np.array([[8]]))
    assert scores[0, 0] == pytest.approx(1.942027, abs=1e-6)
    assert scores[0, 1] == np.inf


def test_puct_by_hand():
    # 0.5 + 2 · 0.25 · √9 / (1 + 2) = 1.0;  0.1 + 2 · 0.75 · 3 / (1 + 0) = 4.6
    scores = puct(2.0)(np.array([[0.5, 0.1]]), np.array([[2, 0]]), np.array([[0.25, 0.75]]), np.array([[9]]))
    assert scores[0] == pytest.approx([1.0, 4.6])


def pulls(rule, chances, rounds, priors=None, seed=0):
    """How often a rule pulls each arm of a bandit with these chances of winning."""
    rng = Random(seed)
    n, wins = np.zeros(len(chances), int), np.zeros(len(chances))
    p = np.full(len(chances), 1 / len(chances)) if priors is None else np.array(priors)
    for _ in range(rounds):
        arm = int(rule(wins / np.maximum(n, 1), n, p, n.sum()).argmax())
        n[arm] += 1
        wins[arm] += rng.random() < chances[arm]
    return n.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_ucb_finds_the_best_arm_of_a_bandit(seed):
    chances = [0.2, 0.8, 0.4, 0.3]
    n = pulls(ucb1(math.sqrt(2)), chances, 2000, seed=seed)
    assert n[1] > 1700
    # every arm goes on being tried, about (c² ln N) / gap² times: 2 · 7.6 / 0.36 = 42 for a gap of 0.6
    assert min(n) > 15
    assert min(pulls(greedy(), chances, 2000, seed=seed)) <= 1


def test_puct_follows_the_prior():
    n = pulls(puct(2.0), [0.5] * 4, 400, priors=[0.7, 0.1, 0.1, 0.1])
    assert n[0] > 200 and n[0] > 3 * max(n[1:])
    # a prior of zero is never tried while others are
    assert pulls(puct(2.0), [0.5] * 3, 100, priors=[0.5, 0.5, 0.0])[2] == 0
    # a wrong prior is overcome by what is seen
    assert pulls(puct(1.0), [0.1, 0.9], 600, priors=[0.9, 0.1])[1] > 400


def test_priors_reach_the_rule(written_out):
    """Equal siblings merge and add up: b is proposed three times of four, so PUCT expands it first."""
    game = {"children": {"root": "a b b b", "a": "a1", "b": "b1"}}
    space = written_out(**game, values=dict.fromkeys(["root", "a", "b", "a1", "b1"], 0.5), done="a1 b1")
    result = search(space, simulations=2, rule=puct(1.0))
    assert result.tree.states[0] == ["root", "a", "b", "b1"]
    assert result.tree.prior[0, :4].tolist() == [1.0, 0.25, 0.75, 1.0]


# --- several leaves at once ---------------------------------------------------------------------------------------


def fan(values):
    """A root with these children, all open and backed up."""
    tree = new_tree(["r"], np.array([0.5]), np.array([False]))
    given = np.array(values)
    tree = add_children(tree, 0, ROOT, list(values), np.full(len(values), 1 / len(values)), given, given, given < 0)
    backup(tree, np.array([0]), np.array([ROOT]))
    return tree


def test_leaves_chosen_at_once_differ_and_best_come_first():
    tree = fan([0.3, 0.9, 0.6, 0.1])
    visits = tree.visits.copy()
    leaves = select(tree, np.zeros(4, int), np.zeros(4, int), ucb1(0.1), mean_value)
    assert leaves.tolist() == [2, 3, 1, 4]
    assert np.array_equal(tree.visits, visits)  # pending visits are not values: nothing stays


def test_pending_visits_spread_over_subtrees():
    """Two children of equal worth with two open leaves each: the second leaf comes from the other child."""
    tree = fan([0.5, 0.5])
    for node in (1, 2):
        half = np.array([0.5, 0.5])
        tree = add_children(tree, 0, node, ["x", "y"], half, half, half, half < 0)
        backup(tree, np.array([0]), np.array([node]))
    leaves = select(tree, np.zeros(2, int), np.zeros(2, int), ucb1(1.0), mean_value)
    assert tree.parent[0, leaves].tolist() == [1, 2]
    # and when only one subtree has leaves left, all of them are found there
    assert sorted(select(tree, np.zeros(4, int), np.zeros(4, int), greedy(), best_value).tolist()) == [3, 4, 5, 6]


def test_many_leaves_reach_what_one_reaches(needle):
    one = search(needle(8, 0.1, range(20)), simulations=48, rule=ucb1(0.2))
    four = search(needle(8, 0.1, range(20)), simulations=13, rule=ucb1(0.2), leaves_per_simulation=4)
    assert sum(a[-1].value == b[-1].value == 0.95 for a, b in zip(one.curves, four.curves, strict=True)) >= 18
    assert max(len(states) for states in four.tree.states) <= 1 + 2 * (1 + 2 + 4 * 11)


# --- games with a known optimum -----------------------------------------------------------------------------------


@pytest.mark.parametrize("q_value", [mean_value, best_value])
def test_the_needle_is_found_in_a_fraction_of_the_tree(needle, q_value):
    """256 leaves, one wins; 40 expansions of 255. Chance alone would find it in 40 / 255 of the games."""
    found = search(needle(8, 0.1, range(20)), simulations=40, rule=ucb1(0.2), q_value=q_value)
    assert sum(curve[-1].value == 0.95 for curve in found.curves) >= 18
    # without values to go by it is hopeless, so they are what finds it
    space = replace(needle(8, 0.1, range(20)), value=lambda states: np.full(len(states), 0.5))
    blind = search(space, simulations=40, rule=ucb1(0.2), q_value=q_value)
    assert sum(blind.answer(row) == found.answer(row) for row in range(20)) <= 6


def test_the_fewest_coins_are_found(coins):
    amounts = range(6, 15)
    fewest = {0: 0}
    for total in range(1, max(amounts) + 1):
        fewest[total] = 1 + min(fewest[total - coin] for coin in (4, 3, 1) if coin <= total)
    best_first = search(coins(amounts, (4, 3, 1)), simulations=40, rule=greedy(), q_value=best_value)
    tried = search(coins(amounts, (4, 3, 1)), simulations=120, rule=ucb1(0.3))
    for row, amount in enumerate(amounts):
        assert len(best_first.answer(row)[1:]) == len(tried.answer(row)[1:]) == fewest[amount]


def test_max_backup_sees_one_good_step_among_many_bad(branching):
    """Below the first step, which looks best, one way leads to 0.9 and nineteen to 0.05; elsewhere all is 0.3."""

    def value(state):
        match state[1:]:
            case (0,):
                return 0.4
            case (0, 7, *_):
                return 0.9
            case (0, *_):
                return 0.05
        return 0.3

    def last_expanded(q_value):
        tree = search(branching(value, 9, 20), simulations=6, rule=greedy(), q_value=q_value).tree
        return tree.states[0][-1][1:]

    assert last_expanded(best_value)[:2] == (0, 7) and len(last_expanded(best_value)) == 6
    assert last_expanded(mean_value)[0] != 0
