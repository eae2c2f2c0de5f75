"""From what a run directory holds to what its report shows."""

import json
import math
import shutil
from pathlib import Path

import pytest

from clearhead.pipeline.recipe import parse
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.summary import cut_off, headline, kept, report_data, stages
from clearhead.report import render
from clearhead.report.data import read


def test_the_time_of_a_stage_that_was_stopped_counts() -> None:
    done = {"name": "tokenizer", "seconds": 1.0, "more": 3}
    assert stages({"stages": [done]}) == [{"name": "tokenizer", "seconds": 1.0}]
    assert stages({"stages": [done], "going": {"pretrain": 9.0}})[1] == {
        "name": "pretrain, not finished",
        "seconds": 9.0,
    }


def test_the_step_that_was_kept_is_told() -> None:
    assert kept([{"kind": "eval", "step": 60}, {"kind": "kept", "step": 120, "best_step": 60}]) == 60
    assert kept([{"kind": "eval", "step": 60}]) is None


def test_what_was_cut_off_is_told_once_for_the_same_samples() -> None:
    recipe = parse({"name": "x", "tasks": {"game24": {}}, "search": {"solution_tokens": 160, "step_tokens": 48}})
    solutions, steps = [[{"setting": f"search.{what}_tokens"}] for what in ("solution", "step")]
    lines = [
        {"name": "greedy", "cut": 1, "drawn": 12, "limits": solutions, "cut_unit": "solution"},
        {"name": "self-consistency", "cut": 3, "drawn": 90, "limits": solutions, "cut_unit": "solution"},
        {"name": "best-of-n-last", "cut": 3, "drawn": 90, "limits": solutions, "cut_unit": "solution"},
        {"name": "mcts-puct", "cut": 5, "drawn": 12, "limits": steps, "cut_unit": "step"},
        {"name": "direct", "cut": 0, "drawn": 12, "limits": [], "cut_unit": "solution"},
    ]
    assert cut_off(lines, recipe, None) == [
        "greedy: 1 of 12 solutions were cut off at search.solution_tokens = 160: raise it",
        "self-consistency and 1 more: 3 of 90 solutions were cut off at search.solution_tokens = 160: raise it",
        "mcts-puct: 5 of 12 steps were cut off at search.step_tokens = 48: raise it",
    ]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> RunDir:
    """A copy of the tiny run, free to be changed."""
    shutil.copytree(tiny_run, tmp_path / "run")
    return RunDir(tmp_path / "run")


def test_a_run_tells_expected_answers_and_losses_of_its_reward_model(run: RunDir) -> None:
    data = report_data(run)
    shown = data["evaluation"]["multiplication"]["answers"]
    assert {part["strategy"] for part in shown} >= {"greedy"}
    assert all(sum(part["counts"].values()) == 8 for part in shown)
    assert [point["step"] for point in data["reward"]["evals"]] == [15, 30]
    assert set(data["reward"]["quality"]) == {"letters", "multiplication"}, "a task without checked steps has it, too"
    assert math.isclose(data["run"]["seconds"], sum(stage["seconds"] for stage in data["run"]["stages"]))
    told = headline(run, data)
    assert set(told["cut_off"]["letters"]["greedy"]) == {"cut", "drawn", "limits"}
    json.dumps(told)
    render(data)


def test_what_later_stages_leave_is_shown(run: RunDir) -> None:
    pairs = {"pairs": 90, "right_first": 0.9, "low": 0.8, "high": 0.95, "ties": 3}
    deep = {"depth": 1, "right_first": 0.7, "pairs": 9, "low": 0.5, "high": 0.9}
    quality = {
        "auc_outcome": 0.8,
        "brier": 0.1,
        "ece": 0.1,
        "calibration": [],
        "within": {"all": pairs, "by_depth": [deep]},
    }
    (run.evaluation / "letters" / "quality.json").write_text(json.dumps(quality))
    choice = {"budget": 120, "strategy": "beam:2", "spend": 120, "accuracy": 0.9, "low": 0.8, "high": 1.0,
              "candidates": {"greedy": 0.9}}  # fmt: skip
    auto = {"problems": 9, "calibration": None, "budgets": [choice], "weights": {"a": 1},
            "reward_model_helps": False, "why": "greedy is as good"}  # fmt: skip
    (run.path / "auto.json").write_text(json.dumps({"letters": auto}))
    contradictions = [{"problem": "a"}, {"problem": "b"}]
    letters = {"splits": {"train": 240, "valid": 30, "test": 30}, "intake": ["300 rows"], "seen": 9.5,
               "rows": {"rows": 300, "used": 298, "duplicates": 0, "contradictions": contradictions, "skipped": 2},
               "lengths": {"problem": 4, "steps": 1, "stepped": 60, "solved": 240}}  # fmt: skip
    before = {"tasks": {"letters": letters}, "model": {"context": 96}, "seconds": {"all": 90}, "warnings": ["too few"]}
    (run.path / "preflight.json").write_text(json.dumps(before))
    (run.path / "rows_curve.json").write_text(json.dumps([{"rows": 150, "accuracy": 0.4, "low": 0.3, "high": 0.5}]))
    state = json.loads(run.state.read_text())
    run.state.write_text(json.dumps(state | {"going": {"report": 2.0}}))
    report = read(report_data(run))
    assert report.reward is not None and report.reward.quality["letters"].within is not None
    assert report.reward.quality["letters"].within.pairs == 90
    found = report.evaluation["letters"].auto
    assert found is not None and found.reward_model_helps is False and found.choices[0].strategy == "beam:2"
    assert report.preflight is not None
    assert report.preflight.tasks["letters"] == {
        "rows in the file": 300, "rows used": 298, "duplicates": 0, "contradictions": 2, "rows left out": 2,
        "problems to train on": 240, "problems to watch": 30, "problems to test": 30, "with steps": "25%",
        "longest problem": 4, "most steps": 1, "times each is seen": 9.5,
    }  # fmt: skip
    assert report.preflight.run == {"context": 96} and report.preflight.seconds == 90
    assert report.preflight.warnings == ["too few"] and report.preflight.intake == ["letters: 300 rows"]
    assert report.rows_curve is not None and report.rows_curve.points[0].rows == 150
    assert report.run.stages[-1].seconds == 2.0
    render(report_data(run))


def test_a_run_of_before_still_has_its_report(run: RunDir) -> None:
    """What units and the record lacked until lately; its accuracies are the same."""
    before = report_data(run)["evaluation"]["letters"]["strategies"]
    for file in run.evaluation.rglob("*.json"):
        found = json.loads(file.read_text())
        for old in found.get("units", ()) if isinstance(found, dict) else ():
            for problem in old["problems"]:
                for key in ("expected", "cut", "drawn", "limits"):
                    problem.pop(key, None)
        file.write_text(json.dumps(found))
    data = report_data(run)
    after = data["evaluation"]["letters"]["strategies"]
    assert [line["points"] for line in after] == [line["points"] for line in before]
    assert all(line["drawn"] == 0 for line in after)
    assert not any("cut off" in line for line in headline(run, data)["lines"])
    render(data)
