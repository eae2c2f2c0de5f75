from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from clearhead.errors import UserError
from clearhead.reasoning import beam, halving, mcts, tree_of_thought
from clearhead.reasoning.lockstep import Proposal, SearchProblem, derive_seed
from clearhead.reasoning.tree import best_value
from clearhead.reasoning.votes import minimum, product

SEARCHES = {
    "ucb": partial(mcts.search, simulations=15, rule=mcts.ucb1(0.5)),
    "puct, three leaves": partial(mcts.search, simulations=8, rule=mcts.puct(), leaves_per_simulation=3),
    "best first": partial(mcts.search, simulations=15, rule=mcts.greedy(), q_value=best_value),
    "halving": partial(halving.search, simulations=17, actions=4),
    "beam": partial(beam.search, width=3, depth=5, aggregate=product),
    "breadth first": partial(tree_of_thought.breadth_first, keep=2, depth=5),
    "depth first": partial(tree_of_thought.depth_first, threshold=0.3, depth=5, solutions=3),
}
every_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)


def told(result, row):
    """Everything there is to know about one root."""
    tree, used = result.tree, slice(0, len(result.tree.states[row]))
    names = (
        "parent",
        "depth",
        "visits",
        "value_sum",
        "best",
        "prior",
        "raw_value",
        "score",
        "done",
        "open",
        "n_children",
    )
    arrays = {name: getattr(tree, name)[row, used].tolist() for name in names}
    return tree.states[row], arrays, result.curves[row], result.chosen[row]


def priced(space, price):
    """The same space, and the ledger of what each key has spent: `price(state)` for each proposing, 1 for a value.

    The first move of every state must be its root's own (the roots are told apart by it).
    """
    spent = dict.fromkeys(space.keys, 0)
    paid = []

    def propose(states, seeds):
        for state in states:
            spent[state[0]] += price(state)
            paid.append((state[0], price(state)))
        return space.propose(states, seeds)

    def value(states):
        for state in states:
            spent[state[0]] += 1
        return space.value(states)

    return replace(space, propose=propose, value=value, cost=lambda row: spent[space.keys[row]]), paid


def named(space):
    """The ragged game with the key in front of every state, so that a state tells whose it is."""

    def propose(states, seeds):
        families = space.propose([state[1:] for state in states], seeds)
        return [
            [Proposal((s[0], *p.state), p.prior) for p in family] for s, family in zip(states, families, strict=True)
        ]

    return SearchProblem(
        roots=[(key,) for key in space.keys],
        keys=space.keys,
        propose=propose,
        value=lambda states: space.value([state[1:] for state in states]),
        is_done=lambda state: space.is_done(state[1:]),
        limit=space.limit,
        seed=space.seed,
    )


@every_search
def test_a_root_in_a_batch_is_that_root_alone(search, ragged):
    keys = ["a", "b", "c", "d"]
    together = search(ragged(keys))
    alone = {key: told(search(ragged([key])), 0) for key in keys}
    assert [told(together, row) for row in range(4)] == list(alone.values())
    shuffled = search(ragged(["c", "a", "d"]))
    assert [told(shuffled, row) for row in range(3)] == [alone["c"], alone["a"], alone["d"]]
    assert len({str(outcome[0]) for outcome in alone.values()}) == 4  # and the keys do make a difference


@every_search
def test_a_root_that_stops_early_disturbs_nobody(search, ragged):
    """Each root has its own spending, so roots leave the batch at different times."""
    keys = ["a", "b", "c", "d"]

    def limited(names):
        space, _ = priced(named(ragged(names, limit=90)), lambda state: 5 + 25 * (state[0] in "bd"))
        return search(space)

    together = limited(keys)
    assert [told(together, row) for row in range(4)] == [told(limited([key]), 0) for key in keys]
    assert together.curves[1][-1].cost != together.curves[0][-1].cost


@every_search
def test_all_roots_share_one_batch(search, ragged):
    """Forty roots ask the model as many times as the slowest of them alone, not forty times as often."""
    keys = [str(i) for i in range(40)]

    def batches(names):
        space, sizes = ragged(names), {"propose": [], "value": []}

        def propose(states, seeds):
            sizes["propose"].append(len(states))
            return space.propose(states, seeds)

        def value(states):
            sizes["value"].append(len(states))
            return space.value(states)

        search(replace(space, propose=propose, value=value))
        return len(sizes["propose"]), len(sizes["value"])

    together = batches(keys)
    alone = [batches([key]) for key in keys[:6]]
    assert together[0] <= 2 * max(proposed for proposed, _ in alone)
    assert together[1] <= together[0] + 1


@every_search
def test_the_seed_decides(search, ragged):
    first, again, other = (search(ragged(["a", "b"], seed=seed)) for seed in (1, 1, 2))
    assert [told(first, row) for row in (0, 1)] == [told(again, row) for row in (0, 1)]
    assert told(first, 0)[0] != told(other, 0)[0]


@every_search
@pytest.mark.parametrize("limit", [1, 30, 77, 150])
def test_the_budget_is_passed_by_one_expansion_at_most(search, ragged, limit):
    space, paid = priced(named(ragged(["a", "b", "c"], limit=limit)), lambda state: 11)
    result = search(space)
    for row, key in enumerate(space.keys):
        spent = result.curves[row][-1].cost
        assert spent == space.cost(row)
        assert spent < limit + 11 + 5  # proposing, and a value on each of five steps
        assert limit > 1 or not any(name == key for name, _ in paid)


@every_search
@pytest.mark.parametrize("limit", [1, 30, 77, 150])
def test_with_a_known_price_the_budget_is_never_passed(search, ragged, limit):
    space, _ = priced(named(ragged(["a", "b", "c"], limit=limit)), lambda state: 11)
    result = search(replace(space, expansion_cost=11 + 5))
    assert all(curve[-1].cost <= limit for curve in result.curves)


def test_a_broken_promise_about_the_price_is_noticed(ragged):
    space, _ = priced(named(ragged(["a"], limit=100)), lambda state: 11)
    with pytest.raises(AssertionError, match="not 3 at most"):
        SEARCHES["ucb"](replace(space, expansion_cost=3))


@pytest.mark.parametrize("name", ["ucb", "best first", "depth first"])
def test_a_longer_run_begins_with_the_shorter_one(name, ragged):
    """One leaf at a time, the curve of a small limit is the beginning of the curve of a big one: one run shows both.

    Searches that expand many leaves at once have coarser curves; halving plans for the whole budget.
    """

    def limited(limit):
        space, _ = priced(named(ragged(["a", "b"], limit=limit)), lambda state: 11)
        return SEARCHES[name](space)

    short, long = limited(40), limited(140)
    for row in (0, 1):
        assert 3 <= len(short.curves[row]) < len(long.curves[row])
        assert long.curves[row][: len(short.curves[row])] == short.curves[row]


@every_search
def test_curves_only_rise_and_end_with_the_answer(search, ragged):
    result = search(ragged([str(i) for i in range(12)]))
    assert any(chosen is not None for chosen in result.chosen)
    for row, curve in enumerate(result.curves):
        costs = [point.cost for point in curve]
        values = [point.value for point in curve if point.value is not None]
        assert costs == sorted(costs) and values == sorted(values)
        assert curve[-1].answer == result.answer(row)
        assert [point.answer is None for point in curve] == sorted(
            (point.answer is None for point in curve), reverse=True
        )
        node = result.chosen[row]
        assert node is None or result.tree.done[row, node]


@pytest.mark.parametrize("wrong", [1.5, -0.1, float("nan")])
def test_a_value_outside_0_to_1_is_refused(written_out, wrong):
    space = written_out({"root": "A"}, {"root": 0.5, "A": wrong}, "A")
    with pytest.raises(UserError, match="check the reward model"):
        SEARCHES["ucb"](space)


def test_a_missing_value_is_noticed(written_out):
    space = written_out({"root": "A B"}, {"root": 0.5}, "")
    with pytest.raises(AssertionError, match="2 states"):
        SEARCHES["ucb"](replace(space, value=lambda states: np.array([0.5])))
    with pytest.raises(AssertionError, match="one key"):
        SEARCHES["ucb"](replace(space, keys=[]))


def test_the_aggregate_decides_among_the_finished(written_out):
    """A's way has a weak step (0.2), B's is even; the last value prefers A, the weakest step and the product B."""
    space = written_out(
        {"root": "A B", "A": "A1", "B": "B1"},
        {"root": 0.1, "A": 0.2, "A1": 0.9, "B": 0.7, "B1": 0.8},
        "A1 B1",
    )
    for aggregate, answer, score in ((None, "A1", 0.9), (minimum, "B1", 0.7), (product, "B1", 0.56)):
        rest = {} if aggregate is None else {"aggregate": aggregate}
        result = mcts.search(space, simulations=5, rule=mcts.greedy(), **rest)
        assert result.answer(0) == answer
        assert result.curves[0][-1].value == pytest.approx(score)  # the root is no step: its 0.1 does not count


def test_without_a_cost_the_scored_states_count(written_out):
    space = written_out({"root": "A B", "A": "A1"}, dict.fromkeys(("root", "A", "B", "A1"), 0.5), "", limit=3)
    result = SEARCHES["ucb"](space)
    assert [point.cost for point in result.curves[0]] == [1, 3]


@every_search
def test_every_expansion_has_a_seed_of_its_own(search, ragged):
    space, asked = ragged(["a", "b"]), []

    def propose(states, seeds):
        asked.extend(seeds)
        return space.propose(states, seeds)

    search(replace(space, propose=propose))
    assert len(asked) > 10 and len(set(asked)) == len(asked)


def test_seeds_are_spread_and_fixed():
    assert derive_seed(0, "17 × 24", 0) == derive_seed(0, "17 × 24", 0)
    seeds = {derive_seed(seed, key, node) for seed in range(4) for key in ("a", "b", "1|a") for node in range(50)}
    assert len(seeds) == 4 * 3 * 50 and all(0 <= seed < 2**63 for seed in seeds)
