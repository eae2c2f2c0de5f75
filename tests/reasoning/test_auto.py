"""What "auto" chooses: the best on held-out problems, the cheaper one in doubt, and never less for more tokens."""

import numpy as np
import pytest

from clearhead.reasoning.auto import AutoChoice, AutoStage, ahead, choose

GOOD, MIDDLING, BAD = [1.0] * 30 + [0.0] * 10, [1.0] * 20 + [0.0] * 20, [1.0] * 10 + [0.0] * 30


def test_the_best_at_each_budget() -> None:
    scores = {"greedy": {100: MIDDLING, 900: MIDDLING}, "mcts-puct": {100: BAD, 900: GOOD}}
    assert choose(scores).stages == (AutoStage(100, "greedy", 100, 0.5), AutoStage(900, "mcts-puct", 900, 0.75))


def test_what_gets_worse_with_more_tokens_is_stopped_where_it_was_best() -> None:
    scores = {"greedy": {100: BAD, 900: BAD}, "odds-vote": {100: GOOD, 900: MIDDLING}}
    assert choose(scores).at(900) == AutoStage(900, "odds-vote", 100, 0.75)


def test_in_doubt_the_cheaper_one() -> None:
    one_better = [*MIDDLING[:20], 1.0, *MIDDLING[21:]]
    scores = {"greedy": {100: MIDDLING}, "mcts-puct": {100: [0.0, *one_better[1:21], 1.0, *one_better[22:]]}}
    assert choose(scores).at(100).strategy == "greedy", "two won and one lost is no reason"
    assert choose(scores | {"mcts-puct": {100: one_better}}).at(100).strategy == "mcts-puct", "one won and none lost is"


def test_a_budget_below_all_stages_takes_the_first() -> None:
    assert AutoChoice((AutoStage(100, "greedy", 100, 0.5),)).at(1).strategy == "greedy"


def test_accuracies_that_fall_are_no_choice() -> None:
    with pytest.raises(AssertionError):
        AutoChoice((AutoStage(100, "greedy", 100, 0.5), AutoStage(200, "odds-vote", 200, 0.4)))


def test_ahead_is_a_paired_comparison() -> None:
    """A small lead that is always the same way round is surer than a large one among as many losses."""
    steady = ahead([1] * 10 + [0] * 90, [0] * 100)
    noisy = ahead([1] * 40 + [0] * 30 + [0] * 30, [0] * 40 + [1] * 30 + [0] * 30)
    assert steady > 2 > noisy
    assert ahead([0.0], [1.0]) < 0


def test_the_accuracy_never_falls_with_the_budget_whatever_the_scores() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = {
            name: {b: (rng.random(25) < rng.random()).astype(float).tolist() for b in (1, 2, 4)} for name in "abc"
        }
        found = choose(scores)
        accuracies = [stage.accuracy for stage in found.stages]
        assert accuracies == sorted(accuracies)
