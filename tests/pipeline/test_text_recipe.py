"""Recipes for text are checked whole before anything runs, and are told from those with tasks."""

from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.recipes import parse_any
from clearhead.pipeline.text_recipe import TextRecipe, parse, to_plain

GOOD = {"kind": "text", "model": {"max_positions": 256}}


def test_the_kind_decides() -> None:
    assert isinstance(parse_any(GOOD), TextRecipe)
    assert isinstance(parse_any({"tasks": {"game24": {}}}), Recipe)
    with pytest.raises(UserError, match="kind = 'txt' is none of text, translate; did you mean 'text'"):
        parse_any({"kind": "txt"})


def test_a_recipe_survives_being_saved() -> None:
    recipe = parse(GOOD | {"seed": 3, "data": {"files": ["a", "b"]}, "tokenizer": {"kind": "char"}})
    assert parse(to_plain(recipe)) == recipe
    assert recipe.pretrain.seed == 3


def test_kinds_of_models() -> None:
    assert parse(GOOD).kinds == ("decoder",)
    for kind, kinds in (("lstm", ("lstm",)), (["decoder", "rnn"], ("decoder", "rnn"))):
        recipe = parse(GOOD | {"model": {"kind": kind, "max_positions": 256, "d_model": 96}})
        assert recipe.kinds == kinds
        assert parse(to_plain(recipe)) == recipe
        assert recipe.recurrent("lstm", 500).parameters == pytest.approx(recipe.decoder(500).parameters, rel=0.01)


@pytest.mark.parametrize(
    ("files", "paths"), [("a.txt", ["a.txt"]), (["a", "b"], ["a", "b"]), ("", []), ([], []), ("~/x", None)]
)
def test_one_file_or_several(files: object, paths: list[str] | None) -> None:
    wanted = [Path.home() / "x"] if paths is None else list(map(Path, paths))
    assert parse(GOOD | {"data": {"files": files}}).data.paths == wanted


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tasks": {"game24": {}}}, "tasks is not a setting"),
        ({"data": {"file": "x"}}, "data.file is not a setting; did you mean 'files'"),
        ({"data": {"held_out": 0.0}}, "data.held_out = 0.0"),
        ({"data": {"files": 3}}, "data.files is 3"),
        ({"tokenizer": {"kind": "words"}}, "tokenizer.kind is 'words'"),
        ({"tokenizer": {"vocab": 10}}, "tokenizer.vocab = 10"),
        ({"model": {"preset": "huge"}}, "huge"),
        ({"model": {"kind": "gru", "max_positions": 256}}, "model.kind = 'gru'"),
        ({"model": {"kind": ["lstm", "lstm"], "max_positions": 256}}, "each once"),
        ({"model": {"kind": [], "max_positions": 256}}, "model.kind = \\[\\]"),
        ({"model": {"kind": 3, "max_positions": 256}}, "model.kind = 3"),
        ({"pretrain": {"seq_len": 512}}, "pretrain.seq_len = 512 is more than the model's context"),
        ({"pretrain": {"seed": 3}}, "pretrain.seed"),
        ({"recall": {"pairs": 8}}, "would change nothing without steps"),
        ({"recall": {"steps": 5}, "model": {"kind": "encoder", "max_positions": 256}}, "predict the next token"),
        ({"evaluation": {"tokens": 0}}, "evaluation.tokens = 0"),
        ({"evaluation": {"temperature": -1.0}}, "evaluation.temperature"),
    ],
)
def test_a_wrong_recipe_is_told_by_its_key(change: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        parse(GOOD | change)
