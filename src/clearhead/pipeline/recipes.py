"""Recipes of every kind: a file says by its `kind` what it is, and one of tasks says nothing."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.pipeline import recipe as tasks
from clearhead.pipeline import text_recipe, translate_recipe
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.text_recipe import TextRecipe
from clearhead.pipeline.translate_recipe import TranslateRecipe

AnyRecipe = Recipe | TextRecipe | TranslateRecipe


class Form(NamedTuple):
    """How a recipe is read from plain data, and written as such."""

    recipe: type
    parse: Callable[[Mapping[str, Any], str], Any]
    plain: Callable[[Any], dict[str, Any]]


TASKS = Form(Recipe, tasks.parse, tasks.to_plain)
FORMS = {
    text_recipe.KIND: Form(TextRecipe, text_recipe.parse, text_recipe.to_plain),
    translate_recipe.KIND: Form(TranslateRecipe, translate_recipe.parse, translate_recipe.to_plain),
}


def parse_any(data: Mapping[str, Any], where: str = "recipe") -> AnyRecipe:
    """A recipe of the kind that it says, else of tasks."""
    if "kind" not in data:
        return TASKS.parse(data, where)
    if data["kind"] not in FORMS:
        raise UserError(
            f"{where}: kind = {data['kind']!r:.60} is none of {', '.join(FORMS)}{nearest(str(data['kind']), FORMS)}; "
            "a recipe of tasks has none"
        )
    return FORMS[data["kind"]].parse(data, where)


def plain(recipe: AnyRecipe) -> dict[str, Any]:
    """A recipe as plain data; `parse_any` of it gives the same recipe."""
    return next(form for form in (*FORMS.values(), TASKS) if isinstance(recipe, form.recipe)).plain(recipe)
