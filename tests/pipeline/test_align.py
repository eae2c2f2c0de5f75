"""The stage align: a run's policy learns from its own answers, goes on after any interruption, and is told in words."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import Killed, at_step, context_of, kill, timeless
from tiny import SOURCE

from clearhead.alignment.answers import Answer, Prompt
from clearhead.alignment.reward import PROCESS
from clearhead.alignment.scorer import LocalScorer
from clearhead.checkpoints import own
from clearhead.doctor.checkup import round_lines
from clearhead.errors import UserError
from clearhead.pipeline import layout
from clearhead.pipeline.align import align_stage
from clearhead.pipeline.learn import rounds_of
from clearhead.pipeline.recipe import parse
from clearhead.pipeline.rewards import potentials
from clearhead.pipeline.run import begin_from
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_reward, load_tokenizer
from clearhead.pipeline.summary import report_data
from clearhead.plain import mismatch
from clearhead.reasoning.strategy import PartialSolution
from clearhead.report import render
from clearhead.training.jsonl_log import JsonlLog, read

SMALL = {"method": "grpo", "rounds": 4, "problems": 6, "samples": 4, "eval_every": 2, "save_every": 1, "lr": 0.002}


def aligned_run(tiny_run: Path, folder: Path, **align: Any) -> RunDir:
    settings = RunDir(tiny_run).settings() | {"align": {**SMALL, **align}}
    return begin_from(RunDir(tiny_run), "align", folder, parse(settings), {})


def test_the_run_takes_what_it_became_for_its_policy(tiny_run: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run = aligned_run(tiny_run, tmp_path / "run", rounds=6)
    align_stage(context_of(run, said))
    told = json.loads(run.alignment.read_text())
    assert told["method"] == "grpo" and set(told["tasks"]) == {"letters", "multiplication"}
    letters = told["tasks"]["letters"]
    assert {"before", "after", "gain"} == set(letters["greedy"]) and letters["problems"] == 8
    assert (
        letters["sampled"]["gain"]["low"]
        <= letters["sampled"]["gain"]["estimate"]
        <= letters["sampled"]["gain"]["high"]
    )
    rounds = rounds_of(JsonlLog(run.log("align")))
    assert [event["round"] for event in rounds] == list(range(6))
    assert rounds[0]["kl"] == pytest.approx(0, abs=1e-3) and abs(rounds[-1]["kl"]) > 1e-3
    assert any("reward" in line and "KL" in line for line in said) and any("letters: greedy" in line for line in said)
    policy, aligned = own.load_file(run.policy), own.load_decoder(run.path, torch.device("cpu"))
    assert not torch.equal(policy.embed.weight, aligned.embed.weight)
    assert own.models_in(run.path)["decoder"] == run.aligned


@pytest.mark.parametrize("method", ["ppo", "dpo", "expert-iteration"])
def test_the_other_kinds_of_methods(tiny_run: Path, tmp_path: Path, method: str) -> None:
    said: list[str] = []
    run = aligned_run(tiny_run, tmp_path / "run", method=method, rounds=2, epochs=2, minibatches=2)
    align_stage(context_of(run, said))
    learned = [event for event in read(run.log("align")) if event["kind"] == "learned"]
    if method == "ppo":
        assert len(learned) == 8 and all("explained_variance" in event for event in learned)
        assert learned[0]["ratio"] == pytest.approx(1, abs=1e-4), "the policy that wrote the answers"
    if method == "dpo":
        assert len(learned) == 8 and learned[0]["margin"] == pytest.approx(0, abs=1e-4)
    if method == "expert-iteration":
        assert all(event["finds"] > 0 for event in rounds_of(JsonlLog(run.log("align"))))
    assert run.aligned.is_file() and not (run.path / "align.round.safetensors").exists()


UPDATES = {"method": "ppo", "rounds": 3, "epochs": 2, "target_kl": 0.5}  # two steps a round: 3 is in the middle


@pytest.fixture(scope="module")
def whole(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """What the stage leaves where nothing interrupts it."""
    run = aligned_run(tiny_run, tmp_path_factory.mktemp("align") / "whole", **UPDATES)
    align_stage(context_of(run, []))
    return run


@pytest.mark.parametrize(
    ("step", "stop", "error"),
    [(3, kill, Killed), (5, kill, Killed), (3, lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt)],
)
def test_it_goes_on_to_the_same_bits(
    tiny_run: Path, whole: RunDir, tmp_path: Path, step: int, stop: Callable[[], None], error: type[BaseException]
) -> None:
    run = aligned_run(tiny_run, tmp_path / "run", **UPDATES)
    with pytest.raises(error):
        align_stage(context_of(run, [], at_step(step, stop)))
    assert not run.aligned.exists()
    align_stage(context_of(run, []))
    assert run.aligned.read_bytes() == whole.aligned.read_bytes()
    assert timeless(run.log("align")) == timeless(whole.log("align"))


ALONE = """
import sys
from contextlib import nullcontext
from pathlib import Path
import torch
from clearhead.pipeline.align import align_stage
from clearhead.pipeline.rewards import potentials
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_reward, load_tokenizer
from clearhead.pipeline.context import Context
from clearhead.pipeline.summary import report_data
from clearhead.plain import mismatch
from clearhead.reasoning.strategy import PartialSolution
from clearhead.report import render

quiet = lambda *_: nullcontext(lambda *_: None)
align_stage(Context(RunDir(Path(sys.argv[1])), torch.device("cpu"), quiet, lambda line: None, quiet))
"""


def alone(run: RunDir) -> subprocess.Popen[bytes]:
    """The stage in a process of its own, in which nothing is checked."""
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", ALONE, str(run.path)], env=env)


def test_a_killed_process_goes_on_to_the_same_bits(tiny_run: Path, tmp_path: Path) -> None:
    settings = {"rounds": 20, "eval_every": 20}
    whole, killed = (aligned_run(tiny_run, tmp_path / name, **settings) for name in ("whole", "killed"))
    assert alone(whole).wait(timeout=300) == 0
    process = alone(killed)
    while not killed.checkpoint("align").is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not killed.aligned.exists()
    assert alone(killed).wait(timeout=300) == 0
    assert killed.aligned.read_bytes() == whole.aligned.read_bytes()
    assert timeless(killed.log("align")) == timeless(whole.log("align"))


def test_shaping_reads_the_process_head_before_every_token(tiny_run: Path, tmp_path: Path) -> None:
    run = aligned_run(tiny_run, tmp_path / "run", method="ppo", rounds=2, shaping=0.5)
    align_stage(context_of(run, []))
    plain = aligned_run(tiny_run, tmp_path / "plain", method="ppo", rounds=2)
    align_stage(context_of(plain, []))
    assert run.aligned.read_bytes() != plain.aligned.read_bytes()

    tokenizer, reward = load_tokenizer(run), load_reward(run, torch.device("cpu"))
    assert reward is not None
    answers = [Answer(text, tuple(tokenizer.encode(text)), False) for text in ("ab\nb\n", "a\nb")]
    answers[1] = Answer("a\nb", (*answers[1].tokens, tokenizer.end_id), True)  # type: ignore[arg-type]
    asked = [Prompt("", (), "letters", "abc")] * 2
    found = potentials(LocalScorer(reward, tokenizer), tokenizer)(asked, answers)
    states = [[(), (), (), ("ab",), ("ab",)], [(), (), ("a",), ("a",)]]
    for potential, known in zip(found, states, strict=True):
        drafts = [PartialSolution("abc", steps) for steps in known]
        values = [LocalScorer(reward, tokenizer).values([draft])[0, PROCESS] for draft in drafts]
        assert potential == pytest.approx(values, abs=1e-6)


def test_shaping_without_a_reward_model_is_told(tiny_run: Path, tmp_path: Path) -> None:
    run = aligned_run(tiny_run, tmp_path / "run", method="ppo", shaping=1.0)
    run.reward.unlink()
    with pytest.raises(UserError, match=r"align.shaping = 1.0 asks the reward model, and the run has trained none"):
        align_stage(context_of(run, []))


def test_several_betas_show_how_far_the_reward_model_can_be_pushed(tiny_run: Path, tmp_path: Path) -> None:
    run = aligned_run(tiny_run, tmp_path / "run", reward="outcome", rounds=3, betas=[0.0, 0.5])
    align_stage(context_of(run, []))
    found = json.loads(run.overoptimization.read_text())
    assert mismatch(found, layout.OVEROPTIMIZATION) == ""
    free, held = found["lines"]
    assert (free["beta"], held["beta"]) == (0.0, 0.5) and free["kl"] != held["kl"]
    assert found["kept"] == max(found["lines"], key=lambda line: line["held_out"])["beta"]
    assert [point["n"] for point in found["best_of_n"]] == [1, 2, 4, 8, 16, 32, 64]
    assert found["best_of_n"][0]["kl"] == 0 and found["best_of_n"][-1]["kl"] == pytest.approx(3.17, abs=0.01)
    proxies = [point["proxy"]["estimate"] for point in found["best_of_n"]]
    assert proxies == sorted(proxies), "the best of more is never thought worse"
    assert all(0 <= line["proxy"]["estimate"] <= 1 and line["fooled"] for line in found["lines"])
    assert mismatch(json.loads(run.alignment.read_text()), layout.ALIGNMENT) == ""
    page = render(report_data(run))
    assert "How far the reward model can be pushed" in page and "best of 64" in page
    assert len(rounds_of(JsonlLog(run.log("align")))) == 3


REWARD = """
def reward(prompts, completions):
    return [float(len(text)) for text in completions]
"""


def test_a_reward_of_ones_own_beside_the_truth(tiny_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(REWARD)
    run = aligned_run(tiny_run, tmp_path / "run", reward=str(file), rounds=2)
    assert (run.path / "data" / "mine.py").read_text() == REWARD, "the run keeps it"
    file.unlink()
    align_stage(context_of(run, []))
    rounds = rounds_of(JsonlLog(run.log("align")))
    assert rounds[0]["reward"] > 1 >= rounds[0]["truth"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return [1 / 0 for p in prompts]", "ZeroDivisionError"), ("return [1.0]", "1 of them for 24 answers"),
        ("return ['good'] * len(prompts)", "gave 'good' for the answer"), ("return 'good'", "give a list"),
        ("return [float('nan')] * len(prompts)", "must be a finite number"), ("return None", "gave None"),
    ],
)  # fmt: skip
def test_a_reward_function_that_fails_is_one_line(tiny_run: Path, tmp_path: Path, body: str, told: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"def reward(prompts, completions):\n    {body}\n")
    run = aligned_run(tiny_run, tmp_path / "run", reward=str(file))
    with pytest.raises(UserError, match=told) as error:
        align_stage(context_of(run, []))
    assert "\n" not in str(error.value) and not run.aligned.exists()


@pytest.mark.parametrize(
    ("align", "told"),
    [
        ({"reward": "judge"}, "align.reward = 'judge' is unknown"), ({"method": "reinforce"}, "align.method"),
        ({"beta": -1.0}, "align.beta = -1.0"),
        ({"betas": [0.1, 0.1]}, "betas"), ({"betas": [0.1], "beta": 0.1}, "betas"),
        ({"search": "magic", "method": "expert-iteration"}, "magic"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_told(tiny_run: Path, tmp_path: Path, align: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        align_stage(context_of(aligned_run(tiny_run, tmp_path / "run", **align), []))


def healthy(n: int = 12) -> list[dict[str, Any]]:
    return [
        {
            "kind": "round", "round": i, "reward": 0.3 + 0.04 * i, "truth": 0.3 + 0.04 * i, "without_variance": 0.3,
            "kl_token": 0.01 * i, "entropy": 1.0 - 0.03 * i, "cut": 0.0,
        }
        for i in range(n)
    ]  # fmt: skip


def test_a_healthy_run_is_told_nothing() -> None:
    assert round_lines(healthy()) == {}


@pytest.mark.parametrize(
    ("sick", "told"),
    [
        ({"without_variance": lambda i: 1.0, "reward": lambda i: 0.0, "truth": lambda i: 0.0}, "reward 0"),
        ({"without_variance": lambda i: 0.95, "reward": lambda i: 0.99, "truth": lambda i: 0.99}, "reward 0.99"),
        ({"kl_token": lambda i: 0.1 * i}, "moves further away"),
        ({"entropy": lambda i: 1.0 if i < 5 else 0.01}, "tries nothing new"),
        ({"truth": lambda i: 0.6 - 0.04 * i}, "what is really right falls"), ({"cut": lambda i: 0.7}, "cut off"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(sick: dict[str, Callable[[int], float]], told: str) -> None:
    rounds = [event | {key: value(i) for key, value in sick.items()} for i, event in enumerate(healthy())]
    lines = list(round_lines(rounds).values())
    assert len(lines) == 1 and told in lines[0]
    assert not round_lines(rounds[:4]), "too few to say"
