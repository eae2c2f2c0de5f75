"""Recipes are checked whole before anything runs."""

from pathlib import Path

import pytest

from clearhead.config import load_toml
from clearhead.errors import UserError
from clearhead.pipeline.recipe import parse, to_plain
from clearhead.pipeline.recipes import parse_any, plain

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
GOOD = {"name": "x", "tasks": {"game24": {"share": 2.0}}}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_shipped_recipes_are_whole_and_survive_being_saved(path: Path) -> None:
    recipe = parse_any(load_toml(path), str(path))
    assert recipe.name == path.stem
    assert parse_any(plain(recipe)) == recipe


def test_a_generator_takes_the_place_of_the_own_file() -> None:
    """As README says: the recipe's other settings must not be a file's alone."""
    plain = load_toml(next(path for path in RECIPES if path.stem == "own-task"))
    plain["tasks"]["mine"]["source"] = "reasoning-gym:chain_sum"
    (task,) = parse(plain).tasks
    assert task.load().problems("train", 2, 0)


def test_one_seed_seeds_everything() -> None:
    recipe = parse(GOOD | {"seed": 7})
    assert (recipe.pretrain.seed, recipe.reward.seed) == (7, 7)


def test_options_go_to_the_task() -> None:
    (config,) = parse(GOOD | {"tasks": {"easy": {"source": "game24", "train_max": 20, "relatives": 0.3}}}).tasks
    assert (config.name, config.options) == ("easy", {"train_max": 20, "relatives": 0.3})
    assert config.load().name == "game24"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pretran": {}}, "pretran"),
        ({"pretrain": {"stepz": 3}}, "pretrain.stepz"),
        ({"pretrain": {"steps": "many"}}, "pretrain.steps"),
        ({"pretrain": {"steps": 0}}, "^pretrain.steps = 0 must be at least 1"),
        ({"reward": {"warmup": 500}}, "^reward.warmup = 500 must be below steps = "),
        ({"pretrain": 3}, r"\[pretrain\]"),
        ({"pretrain": {"seed": 3}}, "pretrain.seed"),
        ({"tasks": {}}, "names no task"),
        ({"tasks": {"game24": 3}}, "tasks.game24"),
        ({"tasks": {"game24": {"share": 0}}}, "share = 0"),
        ({"model": {"preset": "huge"}}, "huge"),
        ({"model": {"d_model": 7}}, "^model.d_model = 7"),
        ({"model": {"heads": 3}}, "model.heads"),
        ({"data": {"direct": 1.0}}, "data.direct"),
        ({"evaluation": {"strategies": ["magic"]}}, "magic"),
        ({"evaluation": {"budgets": [0]}}, "budgets"),
        ({"evaluation": {"strategies": ["in-context"]}}, r"set in_context\.steps"),
        ({"in_context": {"tokens": 300}}, r"set in_context\.steps"),
        ({"in_context": {"steps": 0, "lr": 0}}, "in_context: steps"),
        ({"in_context_align": {"method": "rloo"}}, r"needs in_context\.steps"),
        (
            {"in_context": {"steps": 9}, "in_context_align": {"method": "ppo", "betas": [0.0, 1.0]}},
            "only .align. compares",
        ),
        ({"name": "../../outside"}, "name = '../../outside' is no name"),
        ({"name": "a\x1b[2J"}, r"name = 'a\\x1b\[2J' is no name"),
        ({"name": ""}, "name = '' is no name"),
        ({"tasks": {"../../outside": {"source": "game24"}}}, "the name of a task = '../../outside'"),
    ],
)
def test_a_wrong_recipe_is_told_by_its_key(change: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        parse(GOOD | change)


def test_whoever_learns_to_search_within_one_text_is_measured() -> None:
    assert "in-context" not in parse(GOOD).evaluation.strategies
    learned = parse(GOOD | {"in_context": {"steps": 9}})
    assert learned.evaluation.strategies == (*parse(GOOD).evaluation.strategies, "in-context")
    assert parse(to_plain(learned)) == learned
