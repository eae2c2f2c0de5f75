import pytest

from clearhead.charts.wording import NARROW
from clearhead.report.advice import advice
from clearhead.report.data import (
    CurvePoint,
    DifferenceInfo,
    EvalPoint,
    Evaluation,
    Labels,
    Limit,
    PointInfo,
    Report,
    Reward,
    RowsCurve,
    RowsPoint,
    StrategyInfo,
    TaskInfo,
    Training,
)


def told(**parts):
    return [item.replace(NARROW, " ") for item in advice(Report(tasks=[TaskInfo("t", "Dates")], **parts))]


def curve(*losses):
    return [CurvePoint(step=float(i), loss=loss) for i, loss in enumerate(losses)]


def evals(losses, shares):
    pairs = enumerate(zip(losses, shares, strict=True))
    return [EvalPoint(step=float(i), loss=loss, accuracy={"t": share}) for i, (loss, share) in pairs]


def test_a_run_in_which_nothing_is_wrong_gets_no_advice():
    training = Training(curve(2.0, 0.4), evals((2.0, 0.41, 0.4, 0.4), (0.1, 0.97, 0.97, 0.97)))
    reward = Reward(curve(0.7, 0.3), evals((0.7, 0.4), (0.0, 0.0)))
    fine = StrategyInfo("greedy", points=[PointInfo(accuracy=0.97, generated=30.0)], cut=1.0, drawn=200.0)
    evaluation = Evaluation(problems=100.0, strategies=[fine])
    assert told(training=training, reward=reward, evaluation={"t": evaluation}) == []
    assert told() == []


def limited(name, amount):
    return StrategyInfo(name, cut=amount, drawn=100.0, limits=[Limit("search.solution_tokens", 160.0)])


def test_a_limit_that_cuts_off_is_to_be_raised_by_the_strategy_it_hit_most():
    strategies = [limited("vote", 3.0), limited("Greedy", 12.0), limited("none", 0.0)]
    assert told(evaluation={"t": Evaluation(strategies=strategies)}) == [
        "Raise search.solution_tokens: 12.0 % of the solutions of greedy were cut off at 160 tokens (Dates)."
    ]
    assert told(evaluation={"t": Evaluation(strategies=[limited("greedy", 0.9)])}) == []
    assert len(told(evaluation={"t": Evaluation(strategies=[limited("greedy", 1.0)])})) == 1


def test_a_model_that_rambles_on_is_to_be_trained_longer():
    def rambling(amount):
        return StrategyInfo("greedy", cut=amount, drawn=100.0, limits=[Limit("search.solution_tokens", 160.0, 96.0)])

    assert told(evaluation={"t": Evaluation(strategies=[rambling(12.0)])}) == [
        "Train longer (pretrain.steps): 12.0 % of the solutions of greedy were cut off at 160 tokens, more than any "
        "solution of the data needs (Dates)."
    ]
    assert told(evaluation={"t": Evaluation(strategies=[rambling(9.0)])}) == []
    labels = Labels(cut=900.0, drawn=1000.0, limits=[Limit("rollouts.max_tokens", 96.0, 60.0)])
    assert told(reward=Reward(labels=labels)) == []


def test_rows_known_by_heart_call_for_more_of_them():
    by_heart = Training(curve(*[0.05] * 9), evals((2.0, 0.9), (0.0, 0.06)))
    assert told(training=by_heart) == [
        "More rows like these, or a generator that draws them afresh: the policy memorizes its rows (loss 0.05 on "
        "them, 0.9 on held-out text, 6.0 % of the held-out problems solved)."
    ]
    solved = Training(by_heart.curve, evals((2.0, 0.9), (0.0, 0.95)))
    assert told(training=solved) == []


def test_an_accuracy_that_still_rises_calls_for_longer_training():
    losses = (1.0, 1.0, 1.0, 1.0)
    assert told(training=Training(evals=evals(losses, (0.1, 0.3, 0.5, 0.7)))) == [
        "Train longer (pretrain.steps): held-out accuracy was still rising when training stopped, by 20.0 points "
        "over its last quarter."
    ]
    assert told(training=Training(evals=evals(losses, (0.1, 0.7, 0.7, 0.7)))) == []


def rows(*points, advice=""):
    return RowsCurve([RowsPoint(*point) for point in points], advice)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (rows((1000.0, 0.2, 0.1, 0.3), (2000.0, 0.5, 0.4, 0.6)), "More rows like these: 20.0 % solved with 1,000 rows"),
        (rows((2000.0, 0.5, 0.4, 0.6), (1000.0, 0.2, 0.1, 0.3)), "50.0 % with 2,000, and still rising."),
        (rows((1000.0, 0.4, 0.3, 0.5), (2000.0, 0.5, 0.4, 0.6)), None),  # the interval holds what half of them gave
        (rows((1000.0, 0.39, 0.3, 0.5), (2000.0, 0.5, 0.4, 0.6)), "More rows like these"),
        (rows((1000.0, 0.5, 0.4, 0.6), (2000.0, 0.2, 0.1, 0.3)), None),
        (rows((2000.0, 0.5, 0.4, 0.6)), None),
        (rows(advice="Train longer; more rows would not help."), "Train longer; more rows would not help."),
        (rows(), None),
    ],
)
def test_more_rows_are_advised_where_the_curve_surely_rises(found, words):
    items = told(rows_curve=found)
    assert len(items) == (words is not None)
    assert words is None or words in items[0]


@pytest.mark.parametrize(("cut", "much"), [(0.0, False), (9.9, False), (10.0, True)])
def test_completions_that_were_cut_off_call_for_more_room(cut, much):
    labels = Labels(cut=cut, drawn=1000.0, limits=[Limit("rollouts.max_tokens", 96.0)])
    wanted = (
        "Raise rollouts.max_tokens: 1.0 % of the completions were cut off at 96 tokens, and their steps were labeled "
        "wrong for it."
    )
    assert told(reward=Reward(labels=labels)) == ([wanted] if much else [])


def test_a_reward_model_that_overfits_calls_for_rollouts():
    reward = Reward(curve(2.0, 1.0, 0.12), evals((1.77, 2.0, 2.21), (0.0, 0.0, 0.0)))
    (item,) = told(reward=reward)
    assert item.startswith("More rollouts (rollouts.problems), or fewer steps of the reward model (reward.steps)")
    assert item.endswith("its held-out loss rose from 1.77 at step 0 to 2.21.")
    (item,) = told(reward=Reward(reward.curve, reward.evals, kept=0.0))
    assert item == "More rollouts (rollouts.problems): the reward model overfits after step 0, whose weights were kept."
    assert told(reward=Reward(reward.curve, evals((1.77, 1.5, 1.4), (0.0, 0.0, 0.0)))) == []


def chooser(name, accuracy, high):
    estimate = DifferenceInfo(accuracy - 0.9, -1.0, high)
    return StrategyInfo(name, points=[PointInfo(1.0, accuracy, generated=9.0, reward=9.0)], against_first=estimate)


def test_where_choosing_spoils_answers_the_best_other_way_is_named():
    greedy = StrategyInfo("greedy", "Greedy", points=[PointInfo(accuracy=0.9, generated=9.0)])
    vote = StrategyInfo("vote", "Majority vote", points=[PointInfo(accuracy=0.94, generated=90.0)])
    evaluation = Evaluation(problems=100.0, strategies=[greedy, vote, chooser("a", 0.3, -0.4), chooser("b", 0.2, -0.5)])
    assert told(evaluation={"t": evaluation}) == [
        "Answer Dates with majority vote (94.0 %): of the strategies that choose by the reward model, 2 are below the "
        "first try."
    ]
    unsure = Evaluation(problems=100.0, strategies=[greedy, vote, chooser("a", 0.85, 0.0)])
    assert told(evaluation={"t": unsure}) == []
