"""Few rows: what is chosen for them, what is left alone, and what counts as learning by heart."""

import json
import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clearhead.pipeline import few_rows
from clearhead.pipeline.context import Context
from clearhead.pipeline.recipe import Recipe, parse
from clearhead.pipeline.rundir import create
from clearhead.pipeline.stages import pretrain_stage, tokenizer_stage
from clearhead.tasks import load
from clearhead.training import checkpoint
from clearhead.training.jsonl_log import read

LEFT_OPEN = {"tasks": {"mine": {"source": "game24"}}, "pretrain": {"steps": 500, "eval_every": 10}}


def recipe(**sections: dict) -> Recipe:
    return parse({**LEFT_OPEN, **{key: {**LEFT_OPEN.get(key, {}), **value} for key, value in sections.items()}})


@pytest.mark.parametrize("rows", [0, few_rows.FEW, 10 * few_rows.FEW])
def test_nothing_changes_where_rows_are_many_or_drawn_afresh(rows: int) -> None:
    given = recipe()
    assert few_rows.followed(given, rows) == given
    assert few_rows.told(given, rows) == []


def test_of_few_rows_the_best_weights_are_kept() -> None:
    found = few_rows.followed(recipe(), 2_400)
    assert found == replace(recipe(), pretrain=replace(recipe().pretrain, keep_best="first_try"))
    assert few_rows.followed(found, 2_400) == found
    (told,) = few_rows.told(found, 2_400)
    assert told == "2,400 training rows are few: the weights with the best first_try are kept"


def test_what_the_recipe_says_is_kept() -> None:
    said = recipe(pretrain={"keep_best": "held_out_loss"})
    assert few_rows.followed(said, 2_400) == said
    assert few_rows.followed(recipe(pretrain={"eval_every": 0}), 2_400).pretrain.keep_best == ""


def test_who_does_not_say_for_how_long_trains_until_it_rises_no_more() -> None:
    open_, said = (
        parse({"tasks": {"mine": {"source": "game24"}}, "pretrain": p}).pretrain for p in ({}, {"steps": 90})
    )
    assert open_.patience and open_.goal and open_.keep_best == "first_try" and open_.steps > said.steps
    assert (said.patience, said.goal, said.keep_best) == (0, 0.0, "")
    assert said.eval_every == open_.eval_every > 0
    found = few_rows.in_steps(open_, 10)
    assert (found.steps, found.warmup, found.patience, found.goal) == (10, 9, 0, 0.0)


def test_rows_are_counted_where_no_task_draws_afresh(tmp_path: Path) -> None:
    files = []
    for name, count in (("a", 40), ("b", 30)):
        files.append(tmp_path / f"{name}.jsonl")
        rows = [{"problem": f"{name} {i}", "answer": str(i)} for i in range(count)]
        files[-1].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    a, b = (load(f"file:{path}") for path in files)
    assert few_rows.training_rows([a, b]) == sum(len(set(task.problems("train", 500, 0))) for task in (a, b))
    assert few_rows.training_rows([a, load("game24")]) == 0


@pytest.mark.parametrize(
    ("seen", "held_out", "seen_loss", "held_out_loss", "memorizes"),
    [
        (0.06, 0.06, 0.90, 0.95, False),
        (0.95, 0.93, 0.02, 0.03, False),
        (0.95, 0.06, 0.05, 0.06, True),  # by accuracy
        (0.50, 0.40, 0.20, 0.25, False),  # as chance may have it
        (0.02, 0.01, 0.20, 0.60, True),  # by loss, before accuracy shows it
        (0.00, 0.00, 0.50, 0.80, False),
        (0.99, 0.98, 0.001, 0.02, False),  # many times nothing is nothing
    ],
)
def test_memorizing(seen: float, held_out: float, seen_loss: float, held_out_loss: float, memorizes: bool) -> None:
    numbers = {
        "seen_first_try": seen, "first_try": held_out, "seen_loss": seen_loss, "held_out_loss": held_out_loss, "step": 9
    }  # fmt: skip
    assert few_rows.memorizes(numbers, 100, 100) == memorizes
    line = few_rows.memorizing_line("policy", numbers, 2400)
    assert "step 9" in line and "2,400 rows" in line and f"{seen:.0%} of training problems" in line


def test_a_run_that_learns_by_heart_says_so_and_keeps_the_best_weights(tmp_path: Path) -> None:
    rng, file = random.Random(0), tmp_path / "nonsense.jsonl"
    rows = [{"problem": f"{i} {rng.random():.3f}", "answer": f"{rng.random():.4f}"} for i in range(40)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = recipe(
        tasks={"mine": {"source": f"file:{file}"}}, model={"preset": "tiny", "dropout": 0.0, "max_positions": 64},
        pretrain={"steps": 200, "batch_size": 4, "seq_len": 64, "eval_every": 40, "compile": "off"},
    )  # fmt: skip
    said: list[str] = []
    run = create(tmp_path / "run", given, {})
    display = nullcontext(lambda event: None)
    context = Context(run, torch.device("cpu"), lambda label: display, said.append, lambda label, n: nullcontext(print))
    tokenizer_stage(context)
    pretrain_stage(context)
    events = read(run.log("pretrain"))
    evals = [event for event in events if event["kind"] == "eval"]
    assert evals[-1]["held_out_loss"] > 2 * evals[-1]["seen_loss"]
    found = [event for event in events if event["kind"] == "memorizes"]
    assert found and found[-1] == {"kind": "memorizes", "step": 200, "rows": context.tasks()["mine"].rows}
    assert sum("it memorizes its" in line for line in said) == 1
    assert any(line.endswith("best first_try are kept") for line in said)
    kept = next(event for event in events if event["kind"] == "kept")
    assert kept["best_step"] < 200  # the held-out loss, which breaks ties, rises
    tensors, _ = checkpoint.load(run.checkpoint("pretrain"))
    result, _ = checkpoint.load(run.policy)
    assert all(torch.equal(result[name], value) for name, value in checkpoint.weights(tensors, checkpoint.BEST).items())
