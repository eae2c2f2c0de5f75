"""The loop: it learns, tells what happens, survives being killed, and stops where numbers break."""

import contextlib
import json
import os
import random
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from clearhead.errors import UserError
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.nn.lora import LoraConfig, add_lora
from clearhead.text.packing import Batch, Document, PackedStream
from clearhead.training import checkpoint
from clearhead.training.jsonl_log import JsonlLog, read
from clearhead.training.loop import TrainConfig, train
from clearhead.training.schedule import lr_multiplier

MODEL = DecoderConfig(vocab=13, **PRESETS["tiny"])  # type: ignore[arg-type]
CONFIG = TrainConfig(
    steps=12, batch_size=4, seq_len=32, warmup=3, save_every=4, eval_every=5, compile="off", dtype="float32"
)


def draw(rng: random.Random) -> Document:
    a, b = rng.randrange(10), rng.randrange(10)
    return Document([2 + a, 12, 2 + b], [2 + (a + b) // 10, 2 + (a + b) % 10, 1])


def stream(config: TrainConfig = CONFIG, seed: int = 0) -> PackedStream:
    return PackedStream(draw, config.batch_size, config.seq_len, seed, chunk=4)


def same_numbers(a: Path, b: Path) -> bool:
    def timeless(path: Path) -> list[dict[str, Any]]:
        return [{k: v for k, v in event.items() if k != "seconds"} for event in read(path)]

    return timeless(a) == timeless(b)


def run(
    folder: Path, config: TrainConfig = CONFIG, batches: Callable[[int], Any] | None = None, **more: Any
) -> Decoder:
    model = Decoder(MODEL, seed=1)
    held_out = [stream(config, seed=9).batch(0)]
    options = {"checkpoint": folder / "c", "log": JsonlLog(folder / "r.jsonl"), "held_out": held_out} | more
    train(config, model, batches or stream(config).batch, **options)
    return model


def test_it_learns_and_tells(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=120, eval_every=60, save_every=50)
    asked: list[int] = []
    told: list[dict] = []

    def batch(i: int) -> Batch:
        asked.append(i)
        return stream(config).batch(i)

    def on_eval(model: nn.Module, step: int) -> dict[str, Any]:
        return {"sample": f"at {step}"}

    model = run(
        tmp_path, config, batch, callbacks=[lambda e: told.append(dict(e))], on_eval=on_eval, meta={"note": "x"}
    )
    assert asked == list(range(120))
    events = read(tmp_path / "r.jsonl")
    steps = [e for e in events if e["kind"] == "step"]
    assert [e["step"] for e in steps] == list(range(1, 121))
    assert steps[0]["loss"] == pytest.approx(np.log(13), rel=1e-5)  # a new model knows nothing
    assert np.mean([e["loss"] for e in steps[-10:]]) < 1.6
    assert all(e["tokens"] == 128 and e["grad_norm"] > 0 and e["seconds"] > 0 for e in steps)
    evals = [e for e in events if e["kind"] == "eval"]
    assert [(e["step"], e["sample"]) for e in evals] == [(60, "at 60"), (120, "at 120")]
    assert evals[1]["held_out_loss"] < evals[0]["held_out_loss"] < np.log(13)
    assert events[0] == {
        "kind": "start", "step": 0, "steps": 120, "parameters": MODEL.parameters, "compiled": False, "dtype": "float32",
    }  # fmt: skip
    assert [e["step"] for e in told if e["kind"] == "checkpoint"] == [50, 100, 120]
    assert [e for e in told if e["kind"] != "checkpoint"] == events
    tensors, meta = checkpoint.load(tmp_path / "c")
    assert meta["step"] == 120 and meta["note"] == "x" and meta["train"] == asdict(config)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in checkpoint.weights(tensors).items())


def test_more_steps_of_micro_batches_in_order(tmp_path: Path) -> None:
    asked: list[int] = []

    def batch(i: int) -> Batch:
        asked.append(i)
        return stream().batch(i)

    run(tmp_path, replace(CONFIG, accumulate=3, steps=5), batch)
    assert asked == list(range(15))
    assert {e["tokens"] for e in read(tmp_path / "r.jsonl") if e["kind"] == "step"} == {3 * 128}


def test_on_policy_batches_are_made_of_the_model_as_it_is(tmp_path: Path) -> None:
    """Without prefetch a batch sees the update before it, and a run that broke off makes the same ones again."""

    def train_on_its_own(folder: Path, stop_at: int = 0) -> tuple[Decoder, list[float]]:
        model, seen = Decoder(MODEL, seed=1), list[float]()

        def batch(i: int) -> Batch:
            seen.append(float(sum(weight.detach().double().sum() for weight in model.parameters())))
            greedy = model.logits(model(torch.tensor([[2, 12, 3]])))[0, -1].argmax().item()
            return stream(seed=i + 100 * greedy).batch(0)

        def stop(event: Any) -> None:
            if event["kind"] == "step" and event["step"] == stop_at:
                raise Stop

        with contextlib.suppress(Stop):
            train(CONFIG, model, batch, checkpoint=folder / "c", prefetch=0, callbacks=[stop])
        return model, seen

    whole, seen = train_on_its_own(tmp_path / "whole")
    assert len(set(seen)) == CONFIG.steps, "every batch after another update"
    train_on_its_own(tmp_path / "parts", stop_at=6)
    resumed, again = train_on_its_own(tmp_path / "parts")
    assert again == seen[4:]  # from the checkpoint of step 4 on
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


class Stop(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("stop_at", [2, 4, 7, 11])
def test_a_run_that_broke_off_goes_on_to_the_same_bits(stop_at: int, optimizer: Any, tmp_path: Path) -> None:
    config = replace(CONFIG, optimizer=optimizer, dtype="bfloat16")

    def until(i: int) -> Batch:
        if i == stop_at:
            raise Stop
        return stream(config).batch(i)

    for folder in ("whole", "broken"):
        (tmp_path / folder).mkdir()
    run(tmp_path / "whole", config)
    with pytest.raises(Stop):
        run(tmp_path / "broken", config, until)
    run(tmp_path / "broken", config)
    assert (tmp_path / "whole/c").read_bytes() == (tmp_path / "broken/c").read_bytes()
    assert same_numbers(tmp_path / "whole/r.jsonl", tmp_path / "broken/r.jsonl")


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    first = run(tmp_path)
    before = (tmp_path / "c").read_bytes(), (tmp_path / "r.jsonl").read_bytes()

    def no_batch(i: int) -> Batch:
        raise AssertionError("a finished run asked for a batch")

    again = run(tmp_path, batches=no_batch)
    assert before == ((tmp_path / "c").read_bytes(), (tmp_path / "r.jsonl").read_bytes())
    assert torch.equal(first.embed.weight, again.embed.weight)


def test_losses_that_draw_resume_too(tmp_path: Path) -> None:
    class Points(NamedTuple):
        x: np.ndarray

    def noisy(model: nn.Module, batch: Points) -> torch.Tensor:
        return (model(batch.x) * torch.rand(3, 1)).square().sum()

    def until(stop: int) -> Callable[[int], Points]:
        def batch(i: int) -> Points:
            if i == stop:
                raise Stop
            return Points(np.full((3, 2), float(i), np.float32))

        return batch

    results = []
    for stops in ((99,), (6, 99)):
        path = tmp_path / str(len(stops))
        for stop in stops:
            torch.manual_seed(0)
            model = nn.Linear(2, 1)
            try:
                train(CONFIG, model, until(stop), noisy, checkpoint=path)
            except Stop:
                continue
        results.append(path.read_bytes())
    assert results[0] == results[1]


@pytest.mark.parametrize("change", [{"lr": 0.01}, {"steps": 13}, {"accumulate": 2}])
def test_another_run_s_checkpoint_is_refused(change: dict, tmp_path: Path) -> None:
    run(tmp_path)
    (key, value), before = next(iter(change.items())), (tmp_path / "c").read_bytes()
    with pytest.raises(UserError, match=f"{key} = {getattr(CONFIG, key)!r}, this run has {value!r}"):
        run(tmp_path, replace(CONFIG, **change))
    with pytest.raises(UserError, match="note = None, this run has 1"):
        run(tmp_path, meta={"note": 1})
    assert (tmp_path / "c").read_bytes() == before
    assert read(tmp_path / "r.jsonl")[-1]["step"] == CONFIG.steps


def test_ctrl_c_ends_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def interrupt(event: Any) -> None:
        if event["kind"] == "step" and event["step"] == 6:
            os.kill(os.getpid(), signal.SIGINT)

    for folder in ("whole", "broken"):
        (tmp_path / folder).mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", callbacks=[interrupt])
    assert signal.getsignal(signal.SIGINT) is before
    assert checkpoint.load(tmp_path / "broken/c")[1]["step"] == 6
    run(tmp_path / "broken")
    run(tmp_path / "whole")
    assert (tmp_path / "whole/c").read_bytes() == (tmp_path / "broken/c").read_bytes()
    assert same_numbers(tmp_path / "whole/r.jsonl", tmp_path / "broken/r.jsonl")


def scripted(values: dict[int, float]) -> Callable[[nn.Module, int], dict[str, float]]:
    """An evaluation whose number at each step is known beforehand."""
    return lambda model, step: {"score": values[step]}


def weights_at(folder: Path, config: TrainConfig, step: int) -> Decoder:
    """What an uninterrupted run had after so many steps."""
    model = Decoder(MODEL, seed=1)

    class Enough(Exception):
        pass

    def enough(event: Any) -> None:
        if event["kind"] == "eval" and event["step"] == step:
            raise Enough

    plain = replace(config, keep_best="", patience=0, eval_every=step, save_every=0)
    with pytest.raises(Enough):
        train(plain, model, stream(config).batch, callbacks=[enough])
    return model


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, dict(b.named_parameters())[name]) for name, p in a.named_parameters())


BEST = replace(CONFIG, steps=20, eval_every=2, save_every=3, keep_best="score")
RISE_AND_FALL = {2: 0.1, 4: 0.5, 6: 0.9, 8: 0.3, 10: 0.2, 12: 0.8, 14: 0.1, 16: 0.1, 18: 0.1, 20: 0.1}


def test_the_best_weights_are_the_result_and_the_last_ones_can_be_continued(tmp_path: Path) -> None:
    model = run(tmp_path, BEST, on_eval=scripted(RISE_AND_FALL))
    events = read(tmp_path / "r.jsonl")
    assert [e["step"] for e in events if e["kind"] == "eval" and e["best"]] == [2, 4, 6]
    assert events[-1] == {"kind": "kept", "step": 20, "best_step": 6, "measure": "score", "value": 0.9}
    assert same_weights(model, weights_at(tmp_path, BEST, 6))
    tensors, meta = checkpoint.load(tmp_path / "c")
    assert meta["step"] == 20 and meta["best"]["step"] == 6
    kept = checkpoint.weights(tensors, checkpoint.BEST)
    assert kept.keys() == dict(model.named_parameters()).keys()
    assert all(torch.equal(value, model.get_parameter(name)) for name, value in kept.items())
    assert not torch.equal(checkpoint.weights(tensors)["embed.weight"], kept["embed.weight"])


@pytest.mark.parametrize(
    ("set_so", "why", "at", "end"),
    [
        ({"patience": 1}, "patience", 8, 16),  # the evaluation at 8 is the first that is no better
        ({"patience": 2}, None, None, 20),  # at 10 the fall begins anyway
        ({"goal": 0.5}, "goal", 4, 8),
        ({"goal": 0.95}, None, None, 20),
        ({"goal": 0.9, "patience": 1}, "goal", 6, 12),
    ],
)
def test_what_leaves_little_to_gain_makes_the_rate_fall(
    set_so: dict[str, Any], why: str | None, at: int | None, end: int, tmp_path: Path
) -> None:
    """From there on the rates are those of a shorter run."""
    config = replace(BEST, decay_start=0.5, **set_so)
    run(tmp_path, config, on_eval=scripted(RISE_AND_FALL))
    events = read(tmp_path / "r.jsonl")
    (cut,) = [e for e in events if e["kind"] == "cut_short"] or [{}]
    assert (cut.get("why"), cut.get("step")) == (why, at)
    assert cut.get("steps", 20) == end == events[-1]["step"] == checkpoint.load(tmp_path / "c")[1]["step"]
    rates = [e["lr_scale"] for e in events if e["kind"] == "step"]
    assert rates == [lr_multiplier(step, end, config.warmup, 0.5) for step in range(1, end + 1)]
    assert rates[end // 2] == 1.0 > rates[end // 2 + 1]


def test_a_loss_reaches_its_goal_from_above(tmp_path: Path) -> None:
    config = replace(BEST, decay_start=0.5, keep_best="some_loss", goal=0.2)
    falling = {step: {"some_loss": 0.9 - 0.1 * step} for step in range(2, 21, 2)}
    run(tmp_path, config, on_eval=lambda model, step: falling[step])
    assert [e["step"] for e in read(tmp_path / "r.jsonl") if e["kind"] == "cut_short"] == [8]


def test_nothing_is_cut_short_while_the_rate_warms_up(tmp_path: Path) -> None:
    config = replace(BEST, decay_start=0.5, goal=0.05, warmup=7)
    run(tmp_path, config, on_eval=scripted(RISE_AND_FALL))
    assert [e["step"] for e in read(tmp_path / "r.jsonl") if e["kind"] == "cut_short"] == [8]


@pytest.mark.parametrize("kept", ["score", "held_out_loss"])
@pytest.mark.parametrize("stops", [(1,), (4, 7), (9, 10, 11), (11, 12)])
def test_the_best_survives_interruptions(stops: tuple[int, ...], kept: str, tmp_path: Path) -> None:
    config = replace(BEST, keep_best=kept, patience=1, decay_start=0.5)

    def until(stop: int) -> Callable[[int], Batch]:
        def batch(i: int) -> Batch:
            if i == stop:
                raise Stop
            return stream(config).batch(i)

        return batch

    for folder in ("whole", "broken"):
        (tmp_path / folder).mkdir()
    whole = run(tmp_path / "whole", config, on_eval=scripted(RISE_AND_FALL))
    for stop in stops:
        with contextlib.suppress(Stop):
            run(tmp_path / "broken", config, until(stop), on_eval=scripted(RISE_AND_FALL))
    broken = run(tmp_path / "broken", config, on_eval=scripted(RISE_AND_FALL))
    assert same_weights(whole, broken)
    assert (tmp_path / "whole/c").read_bytes() == (tmp_path / "broken/c").read_bytes()
    assert same_numbers(tmp_path / "whole/r.jsonl", tmp_path / "broken/r.jsonl")
    again = run(tmp_path / "broken", config, until(0), on_eval=scripted({}))  # a finished run, asked once more
    assert same_weights(whole, again)


@pytest.mark.parametrize(
    ("name", "values", "best"),
    [
        ("score", [(0.5, 1.0), (0.5, 0.8), (0.4, 0.1), (0.5, 0.9)], 2),  # ties by the held-out loss
        ("held_out_loss", [(0.5, 1.0), (0.5, 0.8), (0.4, 0.1), (0.5, 0.9)], 3),  # of a loss the lowest
        ("score", [(float("nan"), 0.0), (0.1, 1.0), (float("nan"), 0.0)], 2),
        ("score", [(0, 0.5), (1, 0.5)], 2),
    ],
)
def test_what_counts_as_better(name: str, values: list[tuple[float, float]], best: int, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=len(values), warmup=0, eval_every=1, keep_best=name)

    def on_eval(model: nn.Module, step: int) -> dict[str, float]:
        return {"score": values[step - 1][0], "held_out_loss": values[step - 1][1]}

    run(tmp_path, config, on_eval=on_eval)
    assert read(tmp_path / "r.jsonl")[-1]["best_step"] == best


def test_a_measure_that_nobody_gives_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="keep_best = 'accuracy' is not a number of the evaluation; it gives held_out"):
        run(tmp_path, replace(BEST, keep_best="accuracy"), on_eval=lambda model, step: {"accuracy": {"a": 1.0}})


def test_dropout_resumes_to_the_same_bits(tmp_path: Path) -> None:
    def thinned(folder: Path, batches: Callable[[int], Any]) -> None:
        model = Decoder(replace(MODEL, dropout=0.2), seed=1)
        train(CONFIG, model, batches, checkpoint=folder / "c", log=JsonlLog(folder / "r.jsonl"))

    def until(i: int) -> Batch:
        if i == 7:
            raise Stop
        return stream().batch(i)

    thinned(tmp_path / "a", stream().batch)
    with pytest.raises(Stop):
        thinned(tmp_path / "b", until)
    thinned(tmp_path / "b", stream().batch)
    assert (tmp_path / "a/c").read_bytes() == (tmp_path / "b/c").read_bytes()
    assert read(tmp_path / "a/r.jsonl")[1]["loss"] != read(tmp_path / "a/r.jsonl")[2]["loss"]


def test_what_was_seen_is_measured_like_what_was_not(tmp_path: Path) -> None:
    one, other = stream(seed=9).batch(0), stream(seed=8).batch(0)
    run(tmp_path, held_out=[one], seen=[one, other])
    for event in read(tmp_path / "r.jsonl"):
        if event["kind"] == "eval":
            assert event["seen_loss"] != event["held_out_loss"] > 0
    (tmp_path / "again").mkdir()
    run(tmp_path / "again", held_out=[one], seen=[one])
    events = [e for e in read(tmp_path / "again/r.jsonl") if e["kind"] == "eval"]
    assert events and all(e["seen_loss"] == e["held_out_loss"] for e in events)


def test_every_held_out_target_counts_alike_unless_a_batch_is_said_to_weigh_something_else(tmp_path: Path) -> None:
    """Batches of few and of many targets: their mean is not the mean over the targets."""
    full = stream(seed=9).batch(0)
    few = Batch(*(array[:1, :5] for array in full))
    counts = [int((batch.targets != -1).sum()) for batch in (few, full)]
    assert 0 < 5 * counts[0] < counts[1]
    losses: dict[str, float] = {}
    alike: dict[str, Any] = {"weight": lambda batch: 1}
    for name, held_out, more in (
        ("few", [few], {}), ("full", [full], {}), ("both", [few, full], {}), ("alike", [few, full], alike)
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        run(tmp_path / name, held_out=held_out, **more)
        losses[name] = next(e for e in read(tmp_path / name / "r.jsonl") if e["kind"] == "eval")["held_out_loss"]
    by_target = (counts[0] * losses["few"] + counts[1] * losses["full"]) / sum(counts)
    by_batch = (losses["few"] + losses["full"]) / 2
    assert losses["both"] == pytest.approx(by_target, rel=1e-6) != pytest.approx(by_batch, rel=1e-3)
    assert losses["alike"] == pytest.approx(by_batch, rel=1e-6)


class Numbers(NamedTuple):
    x: np.ndarray


def test_a_poisoned_batch_stops_the_run_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    def poisoned(i: int) -> Numbers:
        return Numbers(np.full((3, 2), np.nan if i == 6 else 1.0, np.float32))

    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    with pytest.raises(UserError) as told:
        train(CONFIG, model, poisoned, lambda m, b: m(b.x).square().mean(), checkpoint=tmp_path / "c")
    message = str(told.value)
    assert "stopped at step 7: the loss is nan" in message and "it began in the output of 0;" in message
    assert "the checkpoint of step 4 is kept" in message and "\n" not in message
    assert all(advice in message for advice in ("a lower lr and adam_lr", "clip = 1", "dtype = 'float32'"))
    assert checkpoint.load(tmp_path / "c")[1]["step"] == 4
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize(("optimizer", "lr"), [("muon", 1e30), ("adamw", 1e38), ("adamw", 1e40)])
def test_a_huge_learning_rate_is_told_before_anything_broken_is_saved(
    optimizer: Any, lr: float, tmp_path: Path
) -> None:
    config = replace(CONFIG, optimizer=optimizer, lr=lr, adam_lr=lr, save_every=1)
    with pytest.raises(UserError, match=r"training stopped at step [1-9].*try a lower lr and adam_lr"):
        run(tmp_path, config)
    if (tmp_path / "c").exists():
        assert all(torch.isfinite(t).all() for t in checkpoint.load(tmp_path / "c")[0].values())


def test_weights_that_overflow_in_the_update_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"at step 1: model/.* is no longer finite after the update; .*nothing was saved"
    ):
        run(tmp_path, replace(CONFIG, optimizer="adamw", adam_lr=1e40, save_every=1))
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"accumulate": 0}, "accumulate = 0"),
        ({"lr": -1.0}, "lr = -1.0"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"decay_start": 1.0}, "decay_start = 1.0"),
        ({"warmup": 12}, "warmup = 12 must be below steps = 12"),
        ({"patience": -1, "keep_best": "held_out_loss"}, "patience = -1"),
        ({"goal": 1.0}, "goal = 1.0 needs to know what counts as better; set keep_best"),
        ({"goal": 0.9, "keep_best": "first_try", "eval_every": 5, "decay_start": 0.0}, "and decay_start above 0"),
        ({"patience": 1}, "patience = 1 needs to know what counts as better; set keep_best"),
        ({"keep_best": "held_out_loss", "eval_every": 0}, "'held_out_loss' needs evaluations; set eval_every"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        replace(CONFIG, **wrong)


KILLED = '''
import json, os, random, signal, sys, time
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
from test_loop import CONFIG, checkpoint, read, replace, run, same_numbers

torch.set_num_threads(1)  # a process with threads cannot be forked
config = replace(CONFIG, steps=60, save_every=3, eval_every=10, keep_best="held_out_loss")
folder = Path(sys.argv[2])
rng = random.Random()

def step_of(name):
    return checkpoint.load(folder / name / "c")[1]["step"] if (folder / name / "c").exists() else 0

def attempt(name, kill_after):
    """Train in a child; kill -9 at a random moment after so many steps of its own. Whether it died of that."""
    (folder / name).mkdir(exist_ok=True)
    record, target = folder / name / "r.jsonl", step_of(name) + kill_after
    child = os.fork()
    if child == 0:
        run(folder / name, config)
        os._exit(0)
    ended = 0
    while not ended and not (record.exists() and any(e["step"] >= target for e in read(record)[-1:])):
        time.sleep(0.003)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        time.sleep(rng.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return os.WIFSIGNALED(status)

attempt("whole", 1000)
resumed_from = []
while attempt("broken", rng.randint(1, 15)):
    resumed_from.append(step_of("broken"))
print(json.dumps({
    "resumed_from": resumed_from,
    "same_bytes": (folder / "whole/c").read_bytes() == (folder / "broken/c").read_bytes(),
    "same_numbers": same_numbers(folder / "whole/r.jsonl", folder / "broken/r.jsonl"),
}))
'''


def test_killed_at_any_moment_it_resumes_to_the_same_bits(run_python: Callable[..., str], tmp_path: Path) -> None:
    result = json.loads(run_python(KILLED, str(Path(__file__).parent), str(tmp_path)))
    assert len({step for step in result["resumed_from"] if step > 0}) >= 2, result
    assert result["same_bytes"] and result["same_numbers"], result


COMPILED = """
import json, sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
import test_loop
from test_loop import CONFIG, Stop, replace, run, same_numbers, stream
from clearhead.training.step import Gradients, language_model_loss

torch.set_num_threads(2)
folder = Path(sys.argv[2])
test_loop.MODEL = replace(test_loop.MODEL, n_layers=1)  # one layer compiles sooner
config = replace(CONFIG, compile="on", dtype="bfloat16", batch_size=32, steps=8, save_every=3)

def until(i):
    if i == 5:
        raise Stop
    return stream(config).batch(i)

for name in ("whole", "broken"):
    (folder / name).mkdir()
run(folder / "whole", config)
try:
    run(folder / "broken", config, until)
except Stop:
    pass
model = run(folder / "broken", config)

batch = [stream(config).batch(0)]
exact = Gradients(model, language_model_loss, torch.float64, compiled=False)(batch)[1]
def error(dtype, compiled):
    found = Gradients(model, language_model_loss, dtype, compiled)(batch)[1]
    return {n: float((found[n].double() - exact[n].double()).norm() / exact[n].norm()) for n in exact}
print(json.dumps({
    "same_bytes": (folder / "whole/c").read_bytes() == (folder / "broken/c").read_bytes(),
    "same_numbers": same_numbers(folder / "whole/r.jsonl", folder / "broken/r.jsonl"),
    "eager": error(torch.bfloat16, False),
    "compiled": error(torch.bfloat16, True),
}))
"""


def test_compiled_it_is_as_exact_and_resumes_to_the_same_bits(run_python: Callable[..., str], tmp_path: Path) -> None:
    result = json.loads(run_python(COMPILED, str(Path(__file__).parent), str(tmp_path)))
    assert result["same_bytes"] and result["same_numbers"]
    assert all(0 < result["compiled"][name] <= 2 * eager for name, eager in result["eager"].items())


def test_frozen_weights_are_left_alone_and_out_of_the_checkpoint(tmp_path: Path) -> None:
    def lora() -> Decoder:
        model = Decoder(MODEL, seed=1)
        with torch.no_grad():
            for i, weight in enumerate(model.parameters()):
                weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(i)))
        add_lora(model, LoraConfig(rank=2, dropout=0.3))
        return model

    held_out = [stream(seed=9).batch(0)]

    def tuned(folder: Path, batches: Callable[[int], Any]) -> Decoder:
        model = lora()
        config = replace(CONFIG, optimizer="adamw")
        train(config, model, batches, checkpoint=folder / "c", log=JsonlLog(folder / "r.jsonl"), held_out=held_out)
        return model

    whole = tuned(tmp_path / "a", stream().batch)
    fresh = dict(lora().named_parameters())
    for name, p in whole.named_parameters():
        assert torch.equal(p, fresh[name]) != p.requires_grad, name
    tensors, _ = checkpoint.load(tmp_path / "a" / "c")
    trained = {n for n, p in whole.named_parameters() if p.requires_grad}
    assert set(tensors) == {f"{kind}/{n}" for n in trained for kind in ("model", "optimizer/m", "optimizer/v")}

    class Stop(Exception):
        pass

    def failing(i: int) -> Any:
        if i == 7:
            raise Stop
        return stream().batch(i)

    with pytest.raises(Stop):
        tuned(tmp_path / "b", failing)
    resumed = tuned(tmp_path / "b", stream().batch)
    assert all(torch.equal(p, dict(resumed.named_parameters())[n]) for n, p in whole.named_parameters())
    assert same_numbers(tmp_path / "a" / "r.jsonl", tmp_path / "b" / "r.jsonl")  # held-out losses too: no dropout there
