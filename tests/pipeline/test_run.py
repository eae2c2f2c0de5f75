"""A whole tiny run: it learns, it can be killed at any moment, and its pieces agree with each other."""

import json
import random
import shlex
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tiny import clearhead, start, write_recipe

from clearhead.errors import UserError
from clearhead.pipeline.data import load_tasks
from clearhead.pipeline.kinds import TASK_STAGES, kind_of
from clearhead.pipeline.recipe import parse
from clearhead.pipeline.recipes import parse_any, plain
from clearhead.pipeline.run import begin_from, stage_of
from clearhead.pipeline.rundir import RunDir, differences
from clearhead.pipeline.stages import load_policy, load_reward
from clearhead.pipeline.summary import report_data
from clearhead.training.jsonl_log import read


def results(run: Path) -> dict[str, object]:
    """Everything a run has made, without times: bytes of the weights, and what was measured."""
    made: dict[str, object] = {
        name: (run / name).read_bytes() for name in ("policy.safetensors", "reward.safetensors", "tokenizer.json")
    }
    made |= {path.name: path.read_bytes() for path in (run / "rollouts").glob("*.json")}
    for path in (run / "evaluation").rglob("*.json"):
        data = json.loads(path.read_text())
        for unit in data.get("units", ()) if isinstance(data, dict) else ():
            for problem in unit["problems"]:
                problem["marks"] = [[g, r, ok] for g, r, _, ok in problem["marks"]]
        made[str(path.relative_to(run))] = data
    for stage in ("pretrain", "reward"):
        lines = (run / f"{stage}.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        made[stage] = [{k: v for k, v in e.items() if k != "seconds"} for e in events if e["kind"] != "start"]
    return made


def test_the_run_learned_a_task_that_it_met_in_a_file(tiny_run: Path) -> None:
    data = report_data(RunDir(tiny_run))
    greedy = {line["name"]: line["points"][-1] for line in data["evaluation"]["letters"]["strategies"]}["greedy"]
    assert greedy["accuracy"] >= 0.5, "guessing gets one word in a hundred"
    losses = [point["loss"] for point in data["training"]["curve"]]
    assert losses[-1] < losses[0] / 3


def test_no_prefix_was_computed_twice(tiny_run: Path) -> None:
    for found in report_data(RunDir(tiny_run))["evaluation"].values():
        engine = found["engine"]
        assert engine["computed"] > 0
        assert engine["computed"] - engine["unique"] == 0
        assert engine["reused"] > 0


def test_no_budget_was_passed_in_the_table(tiny_run: Path) -> None:
    for found in report_data(RunDir(tiny_run))["evaluation"].values():
        for line in found["strategies"]:
            for point in line["points"]:
                if line["name"] not in ("direct", "greedy") and point["accuracy"] > 0:
                    assert point["generated"] + point["reward"] <= point["budget"]


def progress(run: Path) -> int:
    """Events in the logs of a run, and files that its jobs have left."""
    logs = (run / f"{stage}.jsonl" for stage in ("pretrain", "reward"))
    events = sum(log.read_bytes().count(b"\n") for log in logs if log.is_file())
    return events + sum(len(list((run / name).rglob("*.json"))) for name in ("rollouts", "calibration", "evaluation"))


def test_a_run_killed_again_and_again_ends_with_the_same_bits(tiny_run: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    rng, out, kills = random.Random(4), tmp_path / "run", 0
    for _ in range(40):
        flags = ["--resume"] if (out / "config.toml").is_file() else []
        process = start("run", recipe, "--out", out, *flags, cwd=tmp_path)
        goal = progress(out) + rng.randint(20, 110)
        while process.poll() is None and progress(out) < goal:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
    assert kills >= 2
    assert process.returncode == 0
    assert results(out) == results(tiny_run)


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    (tmp_path / "held.txt").write_text("abc\nfed\n")
    changes = ["--set", "pretrain.steps=150", "--seed", 5, "--holdout", "letters=held.txt"]
    for small in (
        "evaluation.problems=2",
        "evaluation.strategies=['greedy']",
        "rollouts.problems=4",
        "report.trees=[]",
    ):
        changes += ["--set", small]  # what is asked of this run is over before
    process = start("run", recipe, "--out", "mine", *changes, cwd=tmp_path)
    while not (tmp_path / "mine" / "pretrain.jsonl").is_file() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (printed,) = (line.partition("go on with: ")[2] for line in err.splitlines() if "go on with: " in line)
    verb, *args = shlex.split(printed)
    assert verb == "clearhead"
    spent = RunDir(tmp_path / "mine").spent("pretrain")
    assert spent > 0
    clearhead(*args, cwd=tmp_path)  # as it was printed, for it holds all of --set, --seed and --holdout
    run = RunDir(tmp_path / "mine")
    assert run.recipe().seed == 5 and run.recipe().pretrain.steps == 150
    assert {"abc", "fed"} == set(load_tasks(run.recipe())["letters"].problems("test", 9, 0))
    took = {stage["name"]: stage["seconds"] for stage in run.read_state()["stages"]}
    trained = [event["seconds"] for event in read(run.log("pretrain")) if event["kind"] == "step"]
    assert took["pretrain"] >= max(spent, sum(trained))


def test_a_run_goes_on_from_another_ones_stages(tiny_run: Path, tmp_path: Path) -> None:
    args = ["--redo", "reward", "--set", "reward.steps=12", "--set", "evaluation.strategies=['greedy']"]
    clearhead("run", "--from", tiny_run, *args, "--out", "new", cwd=tmp_path)
    old, new = RunDir(tiny_run), RunDir(tmp_path / "new")
    assert new.policy.read_bytes() == old.policy.read_bytes()
    assert [path.name for path in new.rollouts.iterdir()] == [path.name for path in old.rollouts.iterdir()]
    assert read(new.log("reward"))[-1]["step"] == 12
    assert new.reward.read_bytes() != old.reward.read_bytes()
    took = [{stage["name"]: stage["seconds"] for stage in run.read_state()["stages"]} for run in (old, new)]
    assert took[0].keys() == took[1].keys()
    assert took[0]["rollouts"] == took[1]["rollouts"] and took[0]["reward"] != took[1]["reward"]
    assert new.report.is_file()


@pytest.mark.parametrize(
    ("redo", "changes", "told"),
    [
        ("reward", {"pretrain": {"steps": 99}}, r"pretrain.steps belongs to the stage pretrain.*--redo pretrain"),
        ("pretrain", {"seed": 9}, "seed belongs to the stage tokenizer"),
        ("reward", {"rollouts": {"problems": 3}}, "rollouts.problems belongs to the stage rollouts"),
        ("magic", {}, "no stage 'magic' to redo; the stages are tokenizer, pretrain"),
    ],
)
def test_what_is_taken_over_is_not_changed(
    tiny_run: Path, tmp_path: Path, redo: str, changes: dict[str, Any], told: str
) -> None:
    old = RunDir(tiny_run)
    settings = old.settings()
    for key, value in changes.items():
        settings[key] = {**settings[key], **value} if isinstance(value, dict) else value
    with pytest.raises(UserError, match=told):
        begin_from(old, redo, tmp_path / "new", parse(settings), {})
    assert not (tmp_path / "new").exists()


def test_an_unfinished_stage_is_not_taken_over(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "old")
    old = RunDir(tmp_path / "old")
    state = old.read_state()
    old.state.write_text(json.dumps({**state, "stages": state["stages"][:2]}))
    with pytest.raises(UserError, match="has not finished the stage rows-curve"):
        begin_from(old, "reward", tmp_path / "new", old.any_recipe(), {})
    begin_from(old, "rows-curve", tmp_path / "new", old.any_recipe(), {})


def test_every_setting_has_a_stage() -> None:
    """A section that no stage reads could be changed by --redo without effect."""
    text = {"kind": "text", "pretrain": {"seq_len": 64}}
    based = {"tasks": {"game24": {}}, "model": {"from": "smollm2"}}
    for recipe in map(parse_any, ({"tasks": {"game24": {}}}, based, text)):
        settings = differences(plain(recipe), {})
        assert {key for key in settings if stage_of(key, kind_of(recipe).stages) is None} <= {"name", "kind"}
    assert stage_of("tasks.game24.rollouts", TASK_STAGES) == "rollouts"
    assert stage_of("tasks.game24.source", TASK_STAGES) == "tokenizer"


def test_broken_weights_are_told_in_one_line(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    whole = (run / "policy.safetensors").read_bytes()
    (run / "policy.safetensors").write_bytes(whole[: len(whole) // 2])
    import torch

    cpu = torch.device("cpu")
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load_policy(RunDir(run), cpu)
    (run / "policy.safetensors").write_bytes((run / "reward.safetensors").read_bytes())
    with pytest.raises(UserError, match="does not fit the model"):
        load_policy(RunDir(run), cpu)
    (run / "reward.safetensors").unlink()
    assert load_reward(RunDir(run), cpu) is None
