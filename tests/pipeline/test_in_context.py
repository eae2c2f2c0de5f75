"""The stage in-context: what it leaves, that it goes on to the same bits, and the strategy that asks it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import Killed, context_of, kill, timeless

from clearhead.checkpoints import own
from clearhead.errors import UserError
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.pipeline.in_context import in_context_stage, with_room
from clearhead.pipeline.recipe import Recipe, parse
from clearhead.pipeline.run import begin_from
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_models, strategy_context
from clearhead.reasoning.strategies import known_to, run_strategies
from clearhead.training.jsonl_log import read

TAUGHT = {"steps": 4, "tokens": 192, "batch_size": 2, "warmup": 1, "eval_every": 2, "save_every": 1}
BY_REWARD = {"method": "rloo", "rounds": 2, "problems": 3, "samples": 2, "eval_every": 1, "save_every": 1}


def searching_run(tiny_run: Path, folder: Path, **sections: Any) -> RunDir:
    settings = RunDir(tiny_run).settings() | {"in_context": TAUGHT} | sections
    return begin_from(RunDir(tiny_run), "in-context", folder, parse(settings), {})


@pytest.fixture(scope="module")
def whole(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """What the stage leaves where nothing interrupts it."""
    run = searching_run(tiny_run, tmp_path_factory.mktemp("in-context") / "whole", in_context_align=BY_REWARD)
    in_context_stage(context_of(run, []))
    return run


def test_the_run_learns_to_search_and_the_strategy_asks_it(whole: RunDir) -> None:
    run = whole
    assert not (run.path / "in_context.taught.safetensors").exists(), "only what the run goes on with is left"
    searcher, policy = own.load_file(run.searcher), own.load_file(run.policy)
    assert searcher.config.max_positions == 192 > policy.config.max_positions
    assert not torch.equal(searcher.embed.weight, policy.embed.weight)
    evals = [event for event in read(run.log("in_context")) if event["kind"] == "eval"]
    assert evals and set(evals[-1]["accuracy"]) == {"letters", "multiplication"}
    rounds = [event for event in read(run.log("in_context_align")) if event["kind"] == "round"]
    assert len(rounds) == 2 and rounds[0]["kl"] == pytest.approx(0, abs=1e-3), "the first answers are its own"

    models = load_models(run, context_of(run, []).tasks(), torch.device("cpu"), None)
    assert models.searcher is not None and models.searcher.max_positions == 192
    task = context_of(run, []).tasks()["letters"]
    context = strategy_context(models, task, run.recipe().search)
    known_to(context, ["in-context"])
    problems = task.problems("test", 4, 0)
    (traces, _), before = run_strategies(["in-context"], context, problems, 100, 0), models.engine.usage().generated
    points = [trace.points[-1] for trace in traces["in-context"]]
    assert len(points) == 4 and all(0 < point.generated <= 192 for point in points)
    assert models.engine.usage().generated == before, "the policy was not asked"
    cut = [trace for trace in traces["in-context"] if trace.points[-1].steps is None]
    assert all(trace.limits == ("in_context.tokens",) for trace in cut)


def test_without_steps_there_is_none_and_the_strategy_says_so(tiny_run: Path, tmp_path: Path) -> None:
    run = searching_run(tiny_run, tmp_path / "run", in_context={"steps": 0})
    in_context_stage(context_of(run, []))
    assert not run.searcher.exists()
    tasks = context_of(run, []).tasks()
    context = strategy_context(
        load_models(run, tasks, torch.device("cpu"), None), tasks["letters"], run.recipe().search
    )
    with pytest.raises(UserError, match=r"in_context\.steps"):
        known_to(context, ["in-context"])


@pytest.mark.parametrize("step", [3, 6])
def test_it_goes_on_to_the_same_bits(tiny_run: Path, whole: RunDir, tmp_path: Path, step: int) -> None:
    """Step 3 is in the middle of learning from traces, step 6 in the middle of learning by reward."""
    run = searching_run(tiny_run, tmp_path / "run", in_context_align=BY_REWARD)
    steps = iter(range(1, 100))

    def watch(event: Any) -> None:
        if event["kind"] == "step" and next(steps) == step:
            kill()

    with pytest.raises(Killed):
        in_context_stage(context_of(run, [], watch))
    assert not run.searcher.exists()
    in_context_stage(context_of(run, []))
    assert run.searcher.read_bytes() == whole.searcher.read_bytes()
    for name in ("in_context", "in_context_align"):
        assert timeless(run.log(name)) == timeless(whole.log(name))


def recipe_of(**in_context: Any) -> Recipe:
    return parse({"name": "x", "tasks": {"multiplication": {}}, "in_context": in_context})


def test_a_longer_model_has_the_same_weights_and_turns_slower() -> None:
    short = Decoder(DecoderConfig(vocab=12, max_positions=32), seed=1)
    longer = with_room(short, recipe_of(steps=1, tokens=128))
    assert longer.config.max_positions == 128 and longer.config.rope_theta == 4 * short.config.rope_theta
    assert all(torch.equal(a, b) for a, b in zip(short.parameters(), longer.parameters(), strict=True))
    assert with_room(short, recipe_of(steps=1, tokens=32)) is short


def test_less_room_than_the_policy_has_bounds_a_search_and_changes_nothing_else() -> None:
    long = Decoder(DecoderConfig(vocab=12, max_positions=256), seed=1)
    bounded = with_room(long, recipe_of(steps=1, tokens=64))
    assert bounded.config == replace(long.config, max_positions=64)


def test_learned_positions_cannot_be_changed() -> None:
    short = Decoder(DecoderConfig(vocab=12, max_positions=32, positions="learned"), seed=1)
    with pytest.raises(UserError, match="learned positions"):
        with_room(short, recipe_of(steps=1, tokens=128))
