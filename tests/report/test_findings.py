import pytest

from clearhead.charts.wording import NARROW
from clearhead.report.data import (
    Auto,
    AutoChoice,
    Comparison,
    DifferenceInfo,
    Evaluation,
    Limit,
    PointInfo,
    StrategyInfo,
)
from clearhead.report.findings import (
    FEW,
    MUCH_CUT,
    auto_finding,
    cut_findings,
    falling,
    losses,
    search_findings,
    worse_than_first,
)


def strategy(name, *points, half=0.02):
    """A strategy from (tokens, accuracy) pairs."""
    return StrategyInfo(
        name,
        points=[
            PointInfo(float(i), accuracy, accuracy - half, accuracy + half, tokens, 0.0)
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
    assert search_findings(Evaluation(strategies=[StrategyInfo("a", points=[PointInfo()])])) == []


def plain(findings):
    return [(kind, text.replace(NARROW, " ")) for kind, text in findings]


def cut(name, amount, drawn, *limits, unit="solution"):
    return StrategyInfo(name, cut=amount, drawn=drawn, cut_unit=unit, limits=[Limit(*limit) for limit in limits])


SOLUTIONS = ("search.solution_tokens", 160.0)


def test_what_a_limit_cut_off_is_told_with_the_limit_to_raise():
    assert plain(cut_findings([cut("Greedy", 12.0, 100.0, SOLUTIONS)])) == [
        (
            "bad",
            "12.0 % of the solutions of greedy (12 of 100) were cut off at 160 tokens: raise search.solution_tokens.",
        )
    ]


def test_a_limit_that_is_a_checkpoint_s_is_not_to_be_raised():
    context = ("model.max_positions", 64.0, 90.0, True)
    (one,) = cut_findings([cut("Greedy", 12.0, 100.0, context)])
    assert one[1].endswith(": give shorter problems or start from a model with a longer context.")
    (both,) = cut_findings([cut("Greedy", 12.0, 100.0, context, SOLUTIONS)])
    assert "raise search.solution_tokens and give shorter" in both[1] and "raise model" not in both[1]


@pytest.mark.parametrize(("amount", "kind"), [(0.0, None), (9.0, "plain"), (10.0, "bad"), (1000.0, "bad")])
def test_few_that_were_cut_off_are_told_without_an_advice(amount, kind):
    found = cut_findings([cut("greedy", amount, 10 / MUCH_CUT, SOLUTIONS)])
    assert [k for k, _ in found] == ([kind] if kind else [])
    assert all(("raise" in text) == (kind == "bad") for _, text in found)


def test_each_limit_has_one_sentence_about_whom_it_hit_most():
    steps, depth = ("search.step_tokens", 48.0), ("search.depth", 8.0)
    found = cut_findings(
        [
            cut("vote", 10.0, 100.0, SOLUTIONS),
            cut("greedy", 30.0, 100.0, SOLUTIONS),
            cut("mcts", 20.0, 100.0, steps, unit="step"),
            cut("beam", 60.0, 100.0, depth, steps, unit="step"),
            cut("direct", 0.0, 100.0),
            StrategyInfo("older"),
        ]
    )
    assert [text.replace(NARROW, " ") for _, text in found] == [
        "30.0 % of the solutions of greedy (30 of 100) were cut off at 160 tokens, and some of one other strategy: "
        "raise search.solution_tokens.",
        "20.0 % of the steps of mcts (20 of 100) were cut off at 48 tokens: raise search.step_tokens.",
        "60.0 % of the steps of beam (60 of 100) were cut off at 8 steps or 48 tokens: raise search.depth and "
        "search.step_tokens.",
    ]


@pytest.mark.parametrize(
    ("longest", "share", "kind", "words"),
    [
        (161.0, 0.09, "bad", "raise search.solution_tokens."),
        (160.0, 0.009, "plain", "more than any solution of the data needs."),
        (160.0, 0.09, "plain", "more than any solution of the data needs: the model rambles on."),
        (160.0, 0.1, "bad", "more than any solution of the data needs: the model rambles on."),
    ],
)
def test_a_limit_that_holds_the_data_is_not_to_be_raised(longest, share, kind, words):
    (found,) = cut_findings([cut("greedy", 100 * share, 100.0, (*SOLUTIONS, longest))])
    assert found[0] == kind and found[1].endswith(words)


def test_a_limit_that_no_one_named_is_guessed_from_what_was_cut():
    (found,) = cut_findings([cut("mcts", 5.0, 10.0, unit="step")])
    assert found[1].endswith("were cut off: raise search.step_tokens.")


def changed(name, *, gain=None, first=None, reward=50.0, budgets=((100.0, 0.725), (1000.0, 0.2))):
    points = [PointInfo(budget, accuracy, 0.0, 1.0, budget, reward) for budget, accuracy in budgets]
    return StrategyInfo(
        name,
        unit="tokens",
        points=points,
        gain=None if gain is None else DifferenceInfo(*gain),
        against_first=None if first is None else DifferenceInfo(*first),
    )


def measured_on(n, *strategies):
    return Evaluation(
        problems=n, strategies=[StrategyInfo("greedy", points=[PointInfo(accuracy=0.9, generated=9.0)]), *strategies]
    )


@pytest.mark.parametrize(
    ("first", "reward", "problems", "worse"),
    [
        ((-0.4, -0.5, -0.3), 50.0, 100.0, True),
        ((-0.4, -0.5, 0.0), 50.0, 100.0, False),  # the interval touches zero
        ((-0.4, -0.5, -0.001), 50.0, 100.0, True),
        ((0.1, 0.05, 0.2), 50.0, 100.0, False),
        ((-0.4, -0.5, -0.3), 0.0, 100.0, False),  # it never asked a reward model
        ((-0.4, -0.5, -0.3), 50.0, FEW - 1.0, False),
        ((-0.4, -0.5, -0.3), 50.0, float(FEW), True),
        (None, 50.0, 100.0, False),
    ],
)
def test_choosing_worse_than_greedy_needs_its_evidence(first, reward, problems, worse):
    e = measured_on(problems, changed("best-of-n", first=first, reward=reward))
    assert [s.name for s in worse_than_first(e)] == (["best-of-n"] if worse else [])
    told = [text for _, text in search_findings(e) if text.startswith("Choosing by the reward model is worse")]
    assert len(told) == worse


def test_choosing_worse_than_greedy_is_told_with_its_interval_the_worst_first():
    e = measured_on(100.0, changed("a", first=(-0.1, -0.15, -0.05)), changed("b", first=(-0.4, -0.5, -0.3)))
    assert (
        "bad",
        "Choosing by the reward model is worse than not choosing: b is below greedy by 40.0 points (95 % interval "
        "30.0 to 50.0); a is below greedy by 10.0 points (95 % interval 5.0 to 15.0).",
    ) in search_findings(e)


@pytest.mark.parametrize(
    ("gain", "problems", "falls"),
    [
        ((-0.525, -0.6, -0.45), 100.0, True),
        ((-0.525, -0.6, 0.0), 100.0, False),
        ((0.1, 0.02, 0.2), 100.0, False),
        ((-0.525, -0.6, -0.45), FEW - 1.0, False),
        (None, 100.0, False),
    ],
)
def test_an_accuracy_that_falls_with_budget_needs_its_evidence(gain, problems, falls):
    e = measured_on(problems, changed("a", gain=gain))
    assert [s.name for s in falling(e)] == (["a"] if falls else [])
    told = [text for _, text in plain(search_findings(e)) if "falls with budget" in text]
    wanted = (
        "The accuracy of a falls with budget: 72.5 % with 100 tokens, 20.0 % with 1,000, a change of −52.5 points "
        "(95 % interval −60.0 to −45.0)."
    )
    assert told == ([wanted] if falls else [])


def test_a_fall_is_told_once():
    search = changed("mcts", gain=(-0.525, -0.6, -0.45))
    told = " ".join(text for _, text in search_findings(measured_on(100.0, search)))
    assert "falls with budget" in told and "More budget stopped helping" not in told


@pytest.mark.parametrize(
    ("auto", "kind", "words"),
    [
        (Auto(), None, ""),
        (Auto(reward_model_helps=True), None, ""),
        (Auto([AutoChoice(600.0, "mcts", 0.91, 0.85, 0.95)], True), "plain", "With 600 tokens a problem auto uses tree "
         "search, which solved 91.0 % of the problems it was chosen on (95 % interval 85.0 to 95.0 %). The reward "
         "model helps on held-out problems."),
        (Auto([AutoChoice(600.0, "beam:4")]), "plain", "auto uses beam, width 4."),
        (Auto([AutoChoice(1.0, "x"), AutoChoice(600.0, "y")]), "plain", "auto uses y."),
        (Auto(why="greedy is as good"), "plain", "Greedy is as good."),
        (Auto(why="it does not help.", reward_model_helps=False), "bad", "It does not help."),
        (Auto([AutoChoice(strategy="greedy")], False), "bad", "Auto uses greedy. The reward model does not help"),
    ],
)  # fmt: skip
def test_what_auto_does_is_one_line(auto, kind, words):
    found = auto_finding(Evaluation(auto=auto, strategies=[StrategyInfo("mcts", "Tree search")]))
    assert (found and found[0]) == kind
    assert not found or words in found[1].replace(NARROW, " ")
    assert auto_finding(Evaluation()) is None
