"""A run within minutes: the largest share that fits, by a clock of our own; what follows is kept with the run."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.pipeline import preflight
from clearhead.pipeline.context import Context
from clearhead.pipeline.preflight import Speed
from clearhead.pipeline.recipe import Recipe, parse, to_plain
from clearhead.pipeline.rundir import create
from clearhead.pipeline.stages import tokenizer_stage
from clearhead.pipeline.time_limit import LEAST, USED, limited, limits, reduced, told

ASKED = {
    "tasks": {"multiplication": {}}, "model": {"preset": "tiny"},
    "pretrain": {"steps": 1000, "warmup": 150, "eval_every": 0, "keep_best": "", "compile": "off"},
    "reward": {"steps": 400}, "evaluation": {"problems": 30, "seeds": 1}, "align": {"method": "rloo", "rounds": 8},
}  # fmt: skip


def seconds(recipe: Recipe) -> float:
    """1,000 + 800 + 2,000 + 300: 4,100 for what is asked."""
    return (
        recipe.pretrain.steps + 2 * (recipe.reward.steps + recipe.rollouts.problems) + 10 * recipe.evaluation.problems
    )


def asked(minutes: float) -> Recipe:
    return parse({**ASKED, "minutes": minutes})


def test_nothing_is_less_where_all_fits_and_without_a_limit() -> None:
    assert limits(asked(0), seconds) == {}
    assert limits(asked(4100 / 60 / USED), seconds) == {}


@pytest.mark.parametrize("minutes", [12, 25, 60])
def test_the_share_is_the_largest_that_fits(minutes: float) -> None:
    recipe = asked(minutes)
    found = limits(recipe, seconds)
    spent, most = seconds(limited(recipe, found)), 60 * minutes * USED
    assert 0.99 * most <= spent <= most
    assert "evaluation.problems" not in found  # 30 are fewer than the least that is left
    assert limited(recipe, found).pretrain.steps == found["pretrain.steps"] < 1000


def test_what_is_only_measured_goes_first() -> None:
    recipe = parse({**ASKED, "evaluation": {"problems": 400, "seeds": 3}})
    assert reduced(recipe, 0.5) == {
        "pretrain.steps": 500, "reward.steps": 200, "align.rounds": 4, "rollouts.problems": 500,
        "evaluation.problems": 100, "evaluation.seeds": 1,
    }  # fmt: skip


def test_the_least_is_left_and_fewer_minutes_are_an_error() -> None:
    recipe = asked(1)
    assert reduced(recipe, 0.0) == {key: LEAST[key] for key in LEAST if key in {
        "pretrain.steps", "reward.steps", "align.rounds", "rollouts.problems"
    }}  # fmt: skip
    assert limited(recipe, reduced(recipe, 0.0)).pretrain.warmup == 99  # below the steps that are left
    with pytest.raises(UserError, match=r"minutes = 1 are too few: the least that makes sense takes 10\.7 here"):
        limits(recipe, seconds)


@pytest.mark.parametrize("minutes", [-1, float("nan"), float("inf")])
def test_a_limit_is_a_number_of_minutes(minutes: float) -> None:
    with pytest.raises(UserError, match="minutes = "):
        asked(minutes)


def test_a_person_is_told_what_is_less() -> None:
    assert told(asked(10), {"pretrain.steps": 300}) == [
        "to end within 10 minutes: pretrain.steps 1,000 -> 300; more minutes teach more"
    ]
    assert told(asked(10), {}) == []


def test_a_run_keeps_what_followed_from_the_speed_of_its_first_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = asked(20)
    assert parse(to_plain(recipe)) == recipe
    run = create(tmp_path / "run", recipe, {})
    said: list[str] = []
    nothing = nullcontext(lambda *_: None)
    monkeypatch.setattr(preflight, "measured", lambda *_: Speed(step=2.0, token=0.0))
    tokenizer_stage(Context(run, torch.device("cpu"), lambda label: nothing, said.append, lambda label, n: nothing))
    kept = run.recipe()
    assert kept.pretrain.steps < 1000 and kept.reward.steps < 400
    assert any(line.startswith("to end within 20 minutes: pretrain.steps 1,000 -> ") for line in said)
    monkeypatch.setattr(preflight, "measured", lambda *_: pytest.fail("a resumed run is not measured again"))
    assert run.recipe() == kept and run.any_recipe() == recipe


def test_limits_of_another_shape_are_one_line(tmp_path: Path) -> None:
    run = create(tmp_path / "run", asked(20), {})
    write_json(run.sizes, {"limits": {"pretrain.step": 3}})
    with pytest.raises(UserError, match=r"sizes\.json"):
        run.recipe()
    assert replace(asked(20), minutes=0.0) == parse(ASKED)
