"""Aligning a tiny checkpoint: by pairs and by a reward, resumed to the same bits, and read again by peft."""

import json
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from chatty import write_model, write_rows

from clearhead.alignment.methods import AlignConfig
from clearhead.checkpoints.load import load_model
from clearhead.cli.align import show, write_report
from clearhead.errors import UserError
from clearhead.models.adapter import CONFIG, TENSORS
from clearhead.pipeline.align_model import BEFORE, LOG, REPORT, RESULT, SETTINGS, AlignModelConfig, align, prepare
from clearhead.pipeline.context import Context
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.tune import BadRows, open_folder
from clearhead.training.jsonl_log import Event, read

CPU = torch.device("cpu")
WORDS = ("red", "blue", "green", "tall", "small", "old", "new", "soft")
REWARD = """
def reward(prompts, completions):
    return [float("e" in text) for text in completions]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("align")
    write_model(folder / "model")
    rng = random.Random(0)
    pairs = [
        {"prompt": f"{rng.choice(WORDS)} or {word}?", "chosen": "red", "rejected": rng.choice(WORDS[1:])}
        for word in WORDS * 4
    ]
    write_rows(folder / "pairs.jsonl", pairs)
    write_rows(folder / "prompts.jsonl", [{"prompt": pair["prompt"]} for pair in pairs])
    (folder / "reward.py").write_text(REWARD)
    return folder


def settings(place: Path, **changes: Any) -> AlignModelConfig:
    config = AlignModelConfig(
        model=str(place / "model"), data=place / "pairs.jsonl", steps=12, pairs=4, rank=4, shown=2,
        align=AlignConfig(method="dpo", lr=0.02, eval_every=4, save_every=2, warmup=2),
    )  # fmt: skip
    return replace(config, **changes)


def by_reward(place: Path, **align_settings: Any) -> AlignModelConfig:
    plain = {"method": "grpo", "rounds": 5, "problems": 4, "samples": 6, "lr": 0.02, "eval_every": 5, "save_every": 1}
    chosen = AlignConfig(**{**plain, "warmup": 1, "reward": str(place / "reward.py"), **align_settings})
    pairs = 4 if chosen.reward.endswith(".jsonl") else AlignModelConfig.pairs
    return settings(place, data=place / "prompts.jsonl", align=chosen, max_tokens=4, steps=0, pairs=pairs)


def run(
    config: AlignModelConfig, folder: Path, resume: bool = False, stop_at: int = 0, say: Callable[[str], Any] = str
) -> dict[str, Any]:
    @contextmanager
    def watch(label: str) -> Iterator[Any]:
        def see(event: Event) -> None:
            if stop_at and event["kind"] == "step" and event["step"] == stop_at:
                raise KeyboardInterrupt

        yield see

    @contextmanager
    def progress(label: str, total: int) -> Iterator[Any]:
        yield lambda count: None

    prepared = prepare(config, load_model(config.model, CPU, torch.float32 if config.full else None), say=str)
    open_folder(folder, config, resume, SETTINGS, "align")
    return align(prepared, Context(RunDir(folder), CPU, watch, say, progress))


def test_dpo_makes_the_chosen_answer_likelier(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = place / "dpo"
    result = run(settings(place), folder)
    likelier = result["figures"]["chosen answer likelier"]
    assert likelier["after"]["estimate"] > likelier["before"]["estimate"]
    assert result["figures"]["margin in nats times beta"]["gain"]["low"] > 0
    assert result["rows"] + result["held_out_rows"] == 32 and result["method"] == "DPO"
    losses = [event["held_out_loss"] for event in read(folder / LOG) if event["kind"] == "eval"]
    assert len(losses) == 3 and losses[-1] < 0.6931
    assert {p.name for p in folder.iterdir()} == {SETTINGS, BEFORE, RESULT, LOG, TENSORS, CONFIG}
    write_report(folder)
    assert "chosen answer likelier" in (folder / REPORT).read_text()
    show(result, folder)
    assert "gain" in capsys.readouterr().out


def test_peft_reads_what_was_aligned(place: Path) -> None:
    import peft
    import transformers

    folder = place / "for-peft"
    run(settings(place, steps=4), folder)
    tokens = torch.arange(40).view(1, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = transformers.AutoModelForCausalLM.from_pretrained(place / "model")
        theirs = peft.PeftModel.from_pretrained(base, str(folder)).eval()
    with torch.no_grad():
        expected = theirs(tokens).logits
    ours = load_model(str(folder), CPU).decoder
    assert torch.allclose(ours.logits(ours(tokens)), expected, atol=1e-4)


def test_a_reward_is_earned(place: Path) -> None:
    folder = place / "grpo"
    result = run(by_reward(place, rounds=25), folder)
    rounds = [event for event in read(folder / LOG) if event["kind"] == "round"]
    assert sum(r["reward"] for r in rounds[-5:]) > sum(r["reward"] for r in rounds[:5]) + 1
    assert result["figures"]["reward of a sampled answer"]["gain"]["estimate"] > 0.2
    assert len(result["answers"]) == 2 and result["answers"][0]["before"] != result["answers"][0]["after"]
    write_report(folder)
    assert "What it learned from its own answers" in (folder / REPORT).read_text()


def test_a_reward_model_learns_from_pairs_and_the_policy_from_it(place: Path, tmp_path: Path) -> None:
    config = replace(by_reward(place, reward=str(place / "pairs.jsonl"), rounds=3), epochs=20.0)
    told: list[str] = []
    run(config, tmp_path / "out", say=told.append)
    (line,) = {line for line in told if "reward model prefers" in line}
    share = int(line.partition(" in ")[2].partition("%")[0])
    assert share > 60, "red is always chosen"
    losses = [event["loss"] for event in read(tmp_path / "out" / "reward.jsonl") if event["kind"] == "step"]
    assert losses[0] == pytest.approx(0.6931, abs=1e-3) and losses[-1] < 0.4
    rounds = [event for event in read(tmp_path / "out" / LOG) if event["kind"] == "round"]
    assert len(rounds) == 3 and all(event["reward"] != 0 for event in rounds)


@pytest.mark.parametrize("kind", ["dpo", "ppo", "pairs"])
def test_it_goes_on_to_the_same_bits(place: Path, tmp_path: Path, kind: str) -> None:
    config = settings(place) if kind == "dpo" else by_reward(place, method="ppo", epochs=2)
    if kind == "pairs":  # stopped while the reward model learns
        config = by_reward(place, reward=str(place / "pairs.jsonl"), rounds=2)
    run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "stopped", stop_at=5)
    run(config, tmp_path / "stopped", resume=True)
    assert (tmp_path / "stopped" / TENSORS).read_bytes() == (tmp_path / "whole" / TENSORS).read_bytes()
    with pytest.raises(UserError, match="was begun with"):
        run(replace(config, seed=1), tmp_path / "whole", resume=True)


def test_all_weights_and_a_merged_model(place: Path, tmp_path: Path) -> None:
    run(settings(place, full=True, steps=2), tmp_path / "full")
    run(settings(place, merge=True, steps=2), tmp_path / "merged")
    for name in ("full", "merged"):
        assert load_model(str(tmp_path / name), CPU).decoder.config.vocab


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"align": AlignConfig(method="grpo")}, "needs a reward"), ({"pairs": 0}, "pairs = 0"),
        ({"align": AlignConfig(method="expert-iteration")}, "task's checker"), ({"max_tokens": 0}, "max_tokens = 0"),
        ({"align": AlignConfig(method="dpo", reward="a.py")}, "pairs of its file alone"), ({"epochs": 0.0}, "epochs"),
        ({"full": True, "merge": True}, "nothing to merge"), ({"max_tokens": 9}, "would change nothing with dpo"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together(place: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        settings(place, **changes)


def test_bad_rows_are_told_and_nothing_is_written(place: Path, tmp_path: Path) -> None:
    data = tmp_path / "bad.jsonl"
    same = {"prompt": "a", "chosen": "red", "rejected": "red"}
    data.write_text("\n".join(map(json.dumps, [{"prompt": "a", "chosen": "red", "rejected": "new"}, same])))
    with pytest.raises(BadRows) as error:
        run(settings(place, data=data), tmp_path / "out")
    assert error.value.lines == [f"{data}, line 2: chosen and rejected are the same, and tell nothing apart"]
    assert not (tmp_path / "out").exists()
