import pytest

from clearhead.charts.wording import NARROW
from clearhead.report.data import (
    Comparison,
    Evaluation,
    LanguageModelInfo,
    MachineInfo,
    ModelInfo,
    PointInfo,
    Report,
    RunInfo,
    StrategyInfo,
    TaskInfo,
    TextInfo,
)
from clearhead.report.summary import cheapest, headline, most_expensive, task_info, training_seconds, with_search

MODEL = ModelInfo(parameters=1_843_200.0, training_seconds=361.0)


def strategies(first, search, label="Tree search"):
    return [
        StrategyInfo("greedy", points=[PointInfo(1.0, first, generated=30.0)]),
        StrategyInfo(
            "mcts", label, points=[PointInfo(4.0, 0.5, generated=90.0), PointInfo(64.0, search, generated=900.0)]
        ),
    ]


def report(*found, **more):
    evaluation = {"game24": Evaluation(problems=200.0, strategies=list(found))} if found else {}
    tasks = [TaskInfo("game24", "Game of 24", "hard Game of 24 puzzles")]
    return Report(evaluation=evaluation, tasks=tasks, **{"model": MODEL, **more})


def plain(sentence):
    return sentence.replace(NARROW, " ").replace("\u00a0", " ")


def test_the_run_in_one_sentence():
    run = RunInfo(machine=MachineInfo(cores=8.0, device="cpu"))
    assert (
        plain(headline(report(*strategies(0.31, 0.88), run=run)))
        == "A transformer of 1.8 million parameters, trained in 6 minutes on 8 processor cores, solves 31.0 % of 200"
        " unseen "
        "hard Game of 24 puzzles at first try and 88.0 % with tree search."
    )


def test_a_run_on_text_in_one_sentence():
    text = TextInfo(models=[LanguageModelInfo("decoder", bits_per_byte=1.68134)])
    told = " needs 1.68 bits for a byte of text that it has never seen."
    assert plain(headline(report(text=text))).startswith(
        "A transformer of 1.8 million parameters, trained in 6 minutes"
    )
    assert headline(report(text=text)).endswith(told)
    assert headline(report(text=text, model=ModelInfo(config={"cell": "lstm"}))) == f"An LSTM{told}"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"run": RunInfo(machine=MachineInfo(device="cuda:0"))}, "on one GPU,"),
        ({"run": RunInfo(machine=MachineInfo(cores=1.0))}, "on 1 processor core,"),
        ({}, "on one computer,"),
        ({"model": None}, "A transformer solves"),
        (
            {"model": ModelInfo(training_tokens=1200.0, tokens_per_second=10.0)},
            "A transformer, trained in 2 minutes on",
        ),
    ],
)
def test_what_is_unknown_is_left_out(more, words):
    assert words in plain(headline(report(*strategies(0.31, 0.88), **more)))


def test_search_that_does_not_help_is_not_praised():
    assert "and no more than 20.0 % with tree search." in plain(headline(report(*strategies(0.31, 0.2))))
    assert "and no more than 31.0 % with tree search." in plain(headline(report(*strategies(0.31, 0.31))))


def test_half_of_the_results():
    first, search = strategies(0.31, 0.88)
    assert plain(headline(report(first))).endswith("puzzles at first try.")
    assert plain(headline(report(search))).endswith(
        "solves 88.0 % of 200 unseen hard Game of 24 puzzles with tree search."
    )
    assert plain(headline(report())).endswith("on one computer: not tested yet.")
    assert headline(Report()) == "A transformer: not tested yet."


def test_the_first_measured_task_is_the_headlines():
    r = report(*strategies(0.31, 0.88))
    later = Report(evaluation={"empty": Evaluation(), **r.evaluation})
    assert "Game24 problems" in headline(later)


def test_which_strategy_speaks_for_search():
    vote = StrategyInfo("vote", points=[PointInfo(9.0, 0.95, generated=10.0)])
    found = [*strategies(0.31, 0.88), vote]
    assert with_search(Evaluation(strategies=found))[0].name == "vote"  # the best one
    assert with_search(Evaluation(strategies=found, comparison=Comparison("mcts", "vote")))[0].name == "mcts"
    assert with_search(Evaluation(strategies=found, search="mcts"))[0].name == "mcts"
    assert with_search(Evaluation(strategies=found, search="no such"))[0].name == "vote"
    assert with_search(Evaluation(strategies=found[:1])) is None


def test_a_strategy_is_quoted_at_its_largest_budget_not_at_its_best():
    s = StrategyInfo(
        "a", points=[PointInfo(4.0, 0.9, generated=40.0), PointInfo(8.0, 0.7, generated=80.0), PointInfo(16.0)]
    )
    assert most_expensive(s).accuracy == 0.7 and cheapest(s).accuracy == 0.9
    uncounted = StrategyInfo("a", points=[PointInfo(8.0, 0.7), PointInfo(4.0, 0.9)])
    assert most_expensive(uncounted).accuracy == 0.7


def test_training_time():
    assert training_seconds(MODEL) == 361
    assert training_seconds(ModelInfo()) != training_seconds(ModelInfo())  # not known


def test_an_unnamed_task_goes_by_its_name():
    assert task_info(Report(), "reasoning-gym:chain_sum").title == "Reasoning gym:chain sum"
