"""A whole tiny run: it learns, it can be killed at any moment, and its pieces agree with each other."""

import json
import random
import signal
import time
from pathlib import Path

import pytest
from tiny import start, write_recipe

from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_policy, load_reward
from clearhead.pipeline.summary import report_data


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


def test_a_run_killed_again_and_again_ends_with_the_same_bits(tiny_run: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    original = (tiny_run / "config.toml").read_text()
    problems = next(line for line in original.splitlines() if "letters.jsonl" in line).split("file:")[1].rstrip('"')
    recipe.write_text(recipe.read_text().replace(str(tmp_path / "letters.jsonl"), problems))
    rng, out, kills = random.Random(4), tmp_path / "run", 0
    for attempt in range(40):
        flags = ["--resume"] if (out / "config.toml").is_file() else []
        process = start("run", recipe, "--out", out, *flags, cwd=tmp_path)
        deadline = time.monotonic() + rng.uniform(2.5, 7.0) + attempt * 0.5
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
    assert kills >= 2, "the machine is too fast for this test: kill earlier"
    assert process.returncode == 0
    assert results(out) == results(tiny_run)


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    process = start("run", recipe, "--out", "mine", cwd=tmp_path)
    while not (tmp_path / "mine" / "pretrain.jsonl").is_file() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume --out mine" in err
    assert "Traceback" not in err


def test_broken_weights_are_told_in_one_line(tiny_run: Path, tmp_path: Path) -> None:
    import shutil

    from clearhead.errors import UserError

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
