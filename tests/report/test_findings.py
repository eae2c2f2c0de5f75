import math

import pytest

from clearhead.report.data import (
    CalibrationBin,
    Comparison,
    EvalPoint,
    Evaluation,
    FirstError,
    Point,
    Quality,
    Strategy,
)
from clearhead.report.findings import (
    calibration_gap,
    losses,
    reward_findings,
    search_findings,
    training_findings,
    wilson,
)


def strategy(name, *points, half=0.02):
    """A strategy from (tokens, accuracy) pairs."""
    return Strategy(
        name,
        points=[
            Point(float(i), accuracy, accuracy - half, accuracy + half, tokens, 0.0)
            for i, (tokens, accuracy) in enumerate(points)
        ],
    )


def said(findings, kind):
    return " ".join(text for k, text in findings if k == kind)


def test_search_that_wins_everywhere_is_not_blamed():
    e = Evaluation(strategies=[strategy("greedy", (10.0, 0.3)), strategy("mcts", (20.0, 0.4), (40.0, 0.9))])
    findings = search_findings(e)
    assert not said(findings, "bad")
    assert "At every budget mcts solves more than any other way" in said(findings, "good")
    assert "60.0 points more than the first try, for 4 times the tokens" in said(findings, "plain")


def test_where_search_clearly_loses_is_said():
    vote = strategy("vote", (20.0, 0.5), (40.0, 0.55))
    search = strategy("mcts", (21.0, 0.1), (41.0, 0.2), (80.0, 0.9))
    e = Evaluation(search="mcts", strategies=[vote, search])
    assert [(p.tokens, s.name, r.tokens) for p, s, r in losses(e, search)] == [(21, "vote", 20), (41, "vote", 40)]
    bad = said(search_findings(e), "bad")
    assert "With 21 and 41 tokens a problem mcts is not worth it: vote solves 50.0" in bad
    assert not said(search_findings(e), "good")


def test_a_dearer_rival_is_no_loss():
    search = strategy("mcts", (20.0, 0.4))
    assert losses(Evaluation(strategies=[search, strategy("vote", (21.0, 0.9))]), search) == []


def test_within_the_intervals_nobody_loses_for_sure():
    search = strategy("mcts", (20.0, 0.50), half=0.1)
    e = Evaluation(search="mcts", strategies=[search, strategy("vote", (20.0, 0.52), half=0.1)])
    assert not said(search_findings(e), "bad")
    assert "the intervals overlap" in said(search_findings(e), "plain")


def test_search_worse_than_the_first_try_is_bad():
    e = Evaluation(strategies=[strategy("greedy", (10.0, 0.6)), strategy("mcts", (20.0, 0.4))])
    assert "20.0 points fewer than the first try" in said(search_findings(e), "bad")


def test_equal_at_more_cost_is_not_praised():
    e = Evaluation(strategies=[strategy("greedy", (10.0, 0.4)), strategy("mcts", (20.0, 0.4))])
    findings = search_findings(e)
    assert "solves as many as the first try, for 2 times the tokens" in said(findings, "bad")
    assert not said(findings, "good")


def test_more_budget_that_hurts_is_said():
    e = Evaluation(strategies=[strategy("mcts", (20.0, 0.8), (40.0, 0.5))])
    assert "More budget stopped helping" in said(search_findings(e), "bad")
    e = Evaluation(strategies=[strategy("mcts", (20.0, 0.51), (40.0, 0.5))])
    assert "More budget stopped helping" in said(search_findings(e), "plain")


@pytest.mark.parametrize(
    ("comparison", "kind", "words"),
    [
        (
            Comparison("a", "b", 100.0, 98.0, 0.12, 0.05, 0.19),
            "good",
            "At equal cost (100 against 98 tokens a problem), a",
        ),
        (Comparison("a", "b", 100.0, 98.0, 0.03, -0.04, 0.10), "plain", "includes zero"),
        (Comparison("a", "b", 100.0, 98.0, -0.12, -0.19, -0.05), "bad", "12.0 points fewer than b"),
        (Comparison("a", "b", 100.0, 98.0, 0.0, -0.04, 0.04), "plain", "a solves as many as b; the 95 % interval"),
        (Comparison("a", "b", 200.0, 100.0, 0.12, 0.05, 0.19), "plain", "At 2 times the cost"),
        (Comparison("a", "b", 50.0, 100.0, 0.12, 0.05, 0.19), "good", "At lower cost"),
        (Comparison("a", "b", 100.0, 100.0, 0.12), "plain", "no interval was computed"),
        (Comparison("a", "b", difference=0.12, low=0.05, high=0.19), "good", "A solves 12.0 points more than b"),
    ],
)
def test_the_comparison_is_judged_by_its_interval_and_its_cost(comparison, kind, words):
    findings = search_findings(Evaluation(comparison=comparison))
    assert [k for k, _ in findings] == [kind] and words in findings[0][1]


def test_nothing_measured_nothing_found():
    assert search_findings(Evaluation()) == []
    assert search_findings(Evaluation(strategies=[Strategy("a", points=[Point()])])) == []
    assert reward_findings(Quality()) == [] and training_findings([]) == []


@pytest.mark.parametrize(
    ("held_out", "kind", "words"),
    [
        ([3.0, 1.0, 0.5, 0.9], "bad", "memorise"),
        ([0.501, 0.5, 0.5], "bad", "hardly fell: from 0.501 to 0.5"),
        ([3.0, 1.0, 0.5], "plain", "still falling"),
        ([3.0, 0.5, 0.5, 0.498], "good", "from 3 to 0.498 and levelled off"),
    ],
)
def test_the_end_of_training_is_judged(held_out, kind, words):
    found = training_findings([EvalPoint(step=float(i), loss=loss) for i, loss in enumerate(held_out)])
    assert [k for k, _ in found] == [kind] and words in found[0][1]


@pytest.mark.parametrize(("auc", "kind"), [(0.9, "good"), (0.7, "plain"), (0.55, "bad")])
def test_a_reward_model_near_a_coin_is_bad(auc, kind):
    (finding,) = reward_findings(Quality(auc_process=auc))
    assert finding[0] == kind and ("coin, and search" in finding[1]) == (kind == "bad")


def test_calibration_gap_weighs_bins_by_their_size():
    def bin_(predicted, observed, n):
        return CalibrationBin(predicted, observed, n)

    bins = [bin_(0.2, 0.3, 30.0), bin_(0.8, 0.4, 10.0), bin_(0.5, math.nan, 99.0), bin_(0.5, 0.9, 0.0)]
    assert calibration_gap(Quality(calibration=bins)) == pytest.approx((30 * 0.1 + 10 * 0.4) / 40)
    assert ("bad", "On average its probabilities are off by 17.5 points.") in reward_findings(Quality(calibration=bins))
    assert math.isnan(calibration_gap(Quality()))


def test_every_measured_quality_is_told():
    full = Quality(0.9, 0.8, 0.7, 0.1, [CalibrationBin(0.5, 0.5, 2.0)], FirstError(0.6, 50.0))
    assert len(reward_findings(full)) == 5


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_matches_the_published_table(successes, n, low, high):
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3
    assert wilson(successes / n, float(n)) == pytest.approx((low, high), abs=6e-5)


def test_wilson_of_nothing_is_not_known():
    assert all(math.isnan(bound) for bound in (*wilson(0.5, 0.0), *wilson(math.nan, 5.0), *wilson(1.5, 5.0)))
