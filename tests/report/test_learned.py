import math
from dataclasses import replace

import pytest

from clearhead.charts.wording import NARROW
from clearhead.report.data import (
    CalibrationBin,
    CurvePoint,
    EvalPoint,
    FirstError,
    Quality,
    Reward,
    Training,
    Within,
)
from clearhead.report.learned import (
    FAR,
    GAP,
    LEVEL,
    RISING,
    SOLVES,
    calibration_gap,
    memorizes,
    overfit_finding,
    overfits,
    reward_findings,
    rising,
    share_interval,
    training_findings,
    within_finding,
)


def curve(*losses):
    return [CurvePoint(step=float(i), loss=loss) for i, loss in enumerate(losses)]


def evals(*losses, accuracy=()):
    shares = [{"t": share} for share in accuracy] or [{}] * len(losses)
    return [
        EvalPoint(step=float(i), loss=loss, accuracy=a) for i, (loss, a) in enumerate(zip(losses, shares, strict=True))
    ]


def test_nothing_measured_nothing_found():
    assert reward_findings(Quality()) == [] and training_findings(Training()) == []
    assert overfits(Reward()) is None and not memorizes(Training()) and math.isnan(rising([]))


@pytest.mark.parametrize(
    ("held_out", "kind", "words"),
    [
        ([3.0, 1.0, 0.5, 0.9], "bad", "memorize"),
        ([0.501, 0.5, 0.5], "bad", "hardly fell: from 0.501 to 0.5"),
        ([3.0, 1.0, 0.5], "plain", "still falling"),
        ([3.0, 0.5, 0.5, 0.498], "good", "from 3 to 0.498 and leveled off"),
    ],
)
def test_the_end_of_training_is_judged(held_out, kind, words):
    found = training_findings(Training(evals=evals(*held_out)))
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
def test_share_interval_matches_the_published_table(successes, n, low, high):
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3
    assert share_interval(successes / n, float(n)) == pytest.approx((low, high), abs=6e-5)


def test_share_interval_of_nothing_is_not_known():
    assert all(
        math.isnan(bound)
        for bound in (*share_interval(0.5, 0.0), *share_interval(math.nan, 5.0), *share_interval(1.5, 5.0))
    )


def test_a_rise_whose_best_weights_were_kept_is_no_fault():
    (finding,) = training_findings(Training(evals=evals(3.0, 0.5, 0.9), kept=1.0))
    assert finding[0] == "plain" and finding[1].endswith("The weights of step 1 were kept.")
    (finding,) = training_findings(Training(evals=evals(3.0, 0.5, 0.9), kept=2.0))  # the last ones after all
    assert finding[0] == "bad" and "kept" not in finding[1]


@pytest.mark.parametrize(
    ("trained", "held_out", "solves", "yes"),
    [
        (0.05, 0.9, 0.06, True),
        (0.5, 0.5 * GAP, 0.06, True),
        (0.5, 0.5 * GAP - 0.001, 0.06, False),
        (0.01, 0.01 + FAR, 0.06, True),
        (0.01, 0.009 + FAR, 0.06, False),
        (0.05, 0.9, SOLVES, False),
        (0.05, 0.9, SOLVES - 0.01, True),
        (0.05, 0.9, math.nan, False),
        (math.nan, 0.9, 0.06, False),
        (0.05, math.nan, 0.06, False),
        (0.9, 0.05, 0.06, False),
    ],
)
def test_a_policy_memorizes_where_it_knows_only_its_rows(trained, held_out, solves, yes):
    training = Training(curve(2.0, *[trained] * 9), evals(2.0, 1.0, held_out, accuracy=(0.0, 0.0, solves)))
    assert memorizes(training) == yes
    assert ["memorizes its rows" in text for _, text in training_findings(training)].count(True) == yes


def test_memorizing_takes_the_praise_away():
    training = Training(curve(2.0, *[0.05] * 9), evals(3.0, 0.5, 0.5, 0.498, accuracy=[0.06] * 4))
    ((kind, text),) = training_findings(training)
    assert kind == "bad"
    assert text.replace(NARROW, " ") == (
        "The policy memorizes its rows: its loss on them is 0.05 and 0.498 on held-out text, and it solves 6.0 % of "
        "the held-out problems at first try."
    )


def test_memorizing_is_told_of_the_weights_that_were_kept():
    shown = evals(3.0, 0.2, 0.9, accuracy=(0.0, 0.95, 0.5))
    assert memorizes(Training(curve(*[0.05] * 9), shown))
    assert not memorizes(Training(curve(*[0.05] * 9), shown, kept=1.0))
    unsolved = evals(3.0, 0.2, 0.9, accuracy=(0.0, 0.5, 0.5))
    assert memorizes(Training(curve(3.0, 0.1, 0.05), unsolved, kept=1.0))
    assert not memorizes(Training(curve(3.0, 0.2, 0.05), unsolved, kept=1.0)), "the rows were learned by heart later"


def test_memorizing_is_measured_without_dropout_where_that_was_done():
    (reached,) = evals(0.9, accuracy=(0.06,))
    dropped = Training(curve(*[0.8] * 9), [reached])
    assert not memorizes(dropped) and memorizes(replace(dropped, evals=[replace(reached, seen_loss=0.05)]))


@pytest.mark.parametrize(
    ("shares", "rise"),
    [
        ((0.1, 0.2, 0.3, 0.4), 0.1),
        ((0.5, 0.5, 0.5, 0.55), RISING),  # just enough
        ((0.5, 0.5, 0.5, 0.54), math.nan),
        ((0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 0.2),  # a quarter is two evaluations
        ((0.1, 0.9, 0.9, 0.9), math.nan),  # a plateau
        ((0.0, 0.0, 0.0, 0.0, 0.1, 0.9, 0.9, 0.9), math.nan),
        ((0.1, 0.2, 0.5, 0.4), math.nan),  # the last is not the best
        ((0.7, 0.1, 0.5, 0.6), math.nan),
        ((0.2, 0.3, 0.4), math.nan),  # too few to tell
        ((1.0, 1.0, 1.0, 1.0), math.nan),
    ],
)
def test_accuracy_still_rises_where_its_last_evaluations_say_so(shares, rise):
    shown = evals(*[1.0] * len(shares), accuracy=shares)
    assert rising(shown) == pytest.approx(rise, nan_ok=True)
    told = [text for _, text in training_findings(Training(evals=shown)) if "still rising" in text]
    assert len(told) == (not math.isnan(rise))


@pytest.mark.parametrize(
    ("held_out", "trained", "yes"),
    [
        ((1.77, 2.0, 2.21), (2.0, 1.0, 0.12), True),
        ((1.77, 1.77 * LEVEL, 1.77 * LEVEL), (2.0, 1.0, 0.12), False),  # level
        ((1.77, 1.8, 1.77 * LEVEL + 0.01), (2.0, 1.0, 0.12), True),
        ((1.77, 2.0, 2.21), (2.0, 2.1, 2.2), False),  # the training loss rose as well: it diverges
        ((1.77, 1.5, 1.2), (2.0, 1.0, 0.12), False),
        ((1.77,), (2.0,), False),
    ],
)
def test_a_reward_model_overfits_where_its_two_losses_part(held_out, trained, yes):
    reward = Reward(curve(*trained), evals(*held_out))
    assert (overfits(reward) is not None) == yes
    assert (overfit_finding(reward) is not None) == yes


def test_overfitting_is_told_with_both_losses():
    reward = Reward(curve(2.0, 1.0, 0.12), evals(1.77, 2.0, 2.21))
    assert overfit_finding(reward) == (
        "bad",
        "The reward model overfits: its held-out loss was lowest at step 0 (1.77) and ended at 2.21, while its "
        "training loss fell to 0.12.",
    )
    kind, text = overfit_finding(Reward(reward.curve, reward.evals, kept=0.0))
    assert kind == "plain" and text.endswith("The weights of step 0 were kept.")


@pytest.mark.parametrize(
    ("within", "kind"),
    [
        (Within(100.0, 0.85, 0.8, 0.9), "good"),
        (Within(100.0, 0.849, 0.8, 0.9), "plain"),
        (Within(100.0, 0.6, 0.501, 0.7), "plain"),
        (Within(100.0, 0.6, 0.5, 0.7), "bad"),
        (Within(100.0, 0.48, 0.4, 0.56), "bad"),
        (Within(right_first=0.7), "plain"),
        (Within(right_first=0.6), "bad"),
    ],
)
def test_ranking_within_a_problem_is_judged_by_its_interval(within, kind):
    assert within_finding(within)[0] == kind
    assert ("cannot tell them apart" in within_finding(within)[1]) == (kind == "bad")


def test_ranking_within_a_problem_is_told_with_its_doubt():
    told = within_finding(Within(1204.0, 0.881, 0.853, 0.906))[1].replace(NARROW, " ").replace("\u00a0", " ")
    assert "higher 88.1 % of the time (95 % interval 85.3 to 90.6 %, 1,204 pairs); 50 % would be a coin." in told
    assert "of the time; 50 %" in within_finding(Within(right_first=0.881))[1]


def test_what_a_task_without_checked_steps_has_is_told():
    quality = Quality(auc_outcome=0.9, within=Within(10.0, 0.9, 0.7, 1.0))
    assert len(reward_findings(quality)) == 2
