from collections import Counter
from random import Random

import numpy as np
import pytest

from clearhead.reasoning.curve import Point
from clearhead.reasoning.votes import (
    best_of_n,
    best_of_n_curve,
    last,
    majority,
    minimum,
    product,
    vote_curve,
)


def test_aggregates_by_hand():
    steps = [0.5, 0.25, 0.5]
    assert (last(steps), minimum(steps), product(steps)) == (0.5, 0.25, 0.0625)
    many = np.array([steps, [1.0, 1.0, 0.75]])
    assert last(many).tolist() == [0.5, 0.75]
    assert minimum(many).tolist() == [0.25, 0.75]
    assert product(many).tolist() == [0.0625, 0.75]


@pytest.mark.parametrize(
    ("answers", "weights", "winner"),
    [
        (["a", "b", "b"], None, "b"),
        (["a", "b", "b"], [0.9, 0.4, 0.4], "a"),
        (["a", "b", "b"], [0.8, 0.4, 0.4], "a"),  # a tie: a came first
        (["b", "a", "a", "b"], None, "b"),
        (["a", None, None], None, "a"),  # no answer is no vote
        ([None, None], None, None),
        ([], None, None),
        (["a", "b"], [0.0, 0.0], "a"),
        ([("1", "2"), ("3",), ("3",)], None, ("3",)),  # whatever can be hashed
    ],
)
def test_majority(answers, weights, winner):
    assert majority(answers, weights) == winner


def test_a_vote_does_not_depend_on_the_order_but_for_ties():
    for seed in range(20):
        rng = Random(seed)
        answers = rng.choices("abcde", k=31)
        (first, n), (_, m) = Counter(answers).most_common(2)
        if n > m:
            assert majority(answers) == first == majority(answers[::-1])


@pytest.mark.parametrize(
    ("answers", "scores", "winner"),
    [
        (["a", "b", "c"], [0.1, 0.9, 0.5], "b"),
        (["a", "b", "c"], [0.9, 0.9, 0.5], "a"),
        (["a", None, "c"], [0.1, 0.9, 0.5], "c"),
        ([None], [0.9], None),
        ([], [], None),
        (["a"], [0.0], "a"),
    ],
)
def test_best_of_n(answers, scores, winner):
    assert best_of_n(answers, scores) == winner


def test_the_vote_at_every_prefix():
    curve = vote_curve([None, "a", "b", "b"], [10, 20, 30, 40])
    assert curve == [
        Point(10, None, None),
        Point(20, "a", 1.0),
        Point(30, "a", 0.5),
        Point(40, "b", pytest.approx(2 / 3)),
    ]


def test_the_best_at_every_prefix():
    curve = best_of_n_curve([None, "a", "b", "c"], [10, 20, 30, 40], [0.99, 0.3, 0.2, 0.4])
    assert curve == [Point(10, None, None), Point(20, "a", 0.3), Point(30, "a", 0.3), Point(40, "c", 0.4)]


@pytest.mark.parametrize("seed", range(10))
def test_each_prefix_is_the_whole_of_its_samples(seed):
    rng = Random(seed)
    answers = rng.choices(["a", "b", "c", None], k=12)
    weights = [rng.choice([0.25, 0.5, 0.75]) for _ in answers]
    costs = sorted(rng.sample(range(100), 12))
    votes, best = vote_curve(answers, costs, weights), best_of_n_curve(answers, costs, weights)
    for n in range(1, 13):
        assert votes[n - 1][:2] == (costs[n - 1], majority(answers[:n], weights[:n]))
        assert best[n - 1][:2] == (costs[n - 1], best_of_n(answers[:n], weights[:n]))


@pytest.mark.parametrize(
    ("answers", "costs", "weights"),
    [
        (["a", "b"], [10], [1.0, 1.0]),
        (["a", "b"], [10, 20], [1.0]),
        (["a", "b"], [20, 10], [1.0, 1.0]),
        (["a", "b"], [10, 20], [1.0, float("nan")]),
    ],
)
def test_wrong_samples_are_refused(answers, costs, weights):
    for curve in (vote_curve, best_of_n_curve):
        with pytest.raises(AssertionError):
            curve(answers, costs, weights)


def test_a_weight_is_not_negative_but_a_score_may_be() -> None:
    with pytest.raises(AssertionError, match="never negative"):
        vote_curve(["a", "b"], [10, 20], [1.0, -1.0])
    assert best_of_n_curve(["a", "b"], [10, 20], [-2.0, -1.0])[-1].answer == "b"  # a log-probability
