"""Calibration: the weights that planted data call for, the prior where they call for none, honest probabilities."""

import numpy as np
import pytest

from clearhead.alignment.calibration import PRIOR, Head, Samples, fit_head, fit_logistic, fit_order, fit_step, sharpness
from clearhead.alignment.quality import right_first


def planted(weights: tuple[float, float, float], seed: int = 0, problems: int = 400) -> tuple[np.ndarray, Samples]:
    """Samples that are right with probability σ(weights · voices + how easy the problem is)."""
    rng = np.random.default_rng(seed)
    problem = np.repeat(np.arange(problems), 12)
    voices = rng.normal(size=(len(problem), 3)) * 2
    easy = rng.normal(size=problems)[problem] * 3
    right = rng.random(len(problem)) < 1 / (1 + np.exp(-(voices @ np.array(weights) + easy)))
    return voices, Samples(problem, np.column_stack([voices[:, 0]] * 2), voices[:, 1], voices[:, 2], right)


@pytest.mark.parametrize("weights", [(1.0, 0.0, 0.0), (0.0, 0.5, 1.0), (0.3, 0.3, 0.3)])
def test_the_order_finds_the_voices_that_know(weights: tuple[float, float, float]) -> None:
    voices, samples = planted(weights)
    found = fit_order(voices, samples.problem, samples.right)
    np.testing.assert_allclose(found / np.linalg.norm(found), weights / np.linalg.norm(weights), atol=0.12)


def test_a_voice_that_is_wrong_has_no_say() -> None:
    voices, samples = planted((-1.0, 0.5, 0.5))
    assert fit_order(voices, samples.problem, samples.right)[0] == 0.0


def test_without_a_problem_that_has_both_the_writers_decide() -> None:
    voices, samples = planted((1.0, 0.0, 0.0))
    assert fit_order(voices, samples.problem, np.ones(len(voices), bool)).tolist() == PRIOR.tolist()


def test_what_chooses_worse_than_a_plainer_set_gives_way() -> None:
    """One problem that the policy gets badly wrong outweighs, in likelihood, many that it gets right by a little."""
    easy = [[0.0, 0.0, 0.4], [0.0, 0.3, 0.0]]  # the right one first: the policy knows, the reader slightly errs
    hard = [[0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]
    voices, problem = np.array(easy * 30 + hard), np.repeat(np.arange(31), 2)
    right = np.tile([True, False], 31)
    chosen = fit_order(voices, problem, right)
    scores = (voices @ chosen).reshape(31, 2)
    assert (scores[:, 0] > scores[:, 1]).sum() >= 30


def test_how_easy_problems_are_does_not_pass_for_judgment() -> None:
    """A voice that only knows which problems are easy has a fine AUC over all of them, and no say within one."""
    rng = np.random.default_rng(1)
    problem = np.repeat(np.arange(300), 10)
    easy = rng.normal(size=300)[problem] * 3
    right = rng.random(len(problem)) < 1 / (1 + np.exp(-easy))
    voices = np.column_stack([easy + rng.normal(size=len(problem)) * 0.1, rng.normal(size=(2, len(problem))).T])
    assert fit_order(voices, problem, right)[0] < 0.3
    assert np.mean(right_first(voices[:, 0], problem, right)) == pytest.approx(0.5, abs=0.05)


def test_probabilities_hold_on_problems_that_were_not_fitted() -> None:
    _, fitted = planted((0.5, 0.5, 0.5))
    _, new = planted((0.5, 0.5, 0.5), seed=1)
    head = fit_head(fitted.z[:, 0], fitted)
    p = 1 / (1 + np.exp(-head.logit(new.z[:, 0], new.reward, new.policy)))
    for low in (0.0, 0.25, 0.5, 0.75):
        at = (p >= low) & (p < low + 0.25)
        assert new.right[at].mean() == pytest.approx(p[at].mean(), abs=0.06)


def test_an_overconfident_logit_is_tempered() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=5000) * 2
    right = rng.random(5000) < 1 / (1 + np.exp(-(0.5 * z - 1)))
    (scale,), bias = fit_logistic(10 * z[:, None], right)
    assert (scale, bias) == (pytest.approx(0.05, abs=0.005), pytest.approx(-1, abs=0.1))


def test_all_right_or_all_wrong_stays_finite() -> None:
    z = np.linspace(-1, 1, 20)
    for right in (np.ones(20, bool), np.zeros(20, bool)):
        (scale,), bias = fit_logistic(z[:, None], right)
        assert np.isfinite([scale, bias]).all()
        assert (bias > 0) == right.all()


def test_the_order_is_kept_where_the_voices_say_nothing_across_problems() -> None:
    """What is likelier is right in every problem, and yet over all problems the right ones are the less likely."""
    policy, right = np.array([0.0, -1.0, -9.0, -10.0, 0.0, -2.0]), np.array([False, False, True, False, False, False])
    samples = Samples(np.array([0, 0, 1, 1, 2, 2]), np.zeros((6, 2)), policy, policy, right)
    head = fit_head(samples.z[:, 0], samples)
    s = head.logit(samples.z[:, 0], samples.reward, samples.policy)
    assert s[2] > s[3]


def test_no_unfinished_state_leaves_the_heads_as_they_are() -> None:
    assert fit_step(np.zeros(0), np.zeros(0), np.zeros(0, bool)) == Head()


def test_a_vote_is_sharp_where_the_odds_know_and_blunt_where_numbers_do() -> None:
    knows = [{"a": [2.0], "b": [0.0, 0.0, 0.0]}] * 20
    assert sharpness(knows, [{"a"}] * 20) == 4
    misled = [{"a": [1.0], "b": [0.9, 0.9, 0.9]}] * 20
    assert sharpness(misled, [{"b"}] * 20) == 0.25
