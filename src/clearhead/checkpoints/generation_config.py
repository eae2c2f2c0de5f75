"""What a folder of Hugging Face says of generation: the tokens that end a text, and how its authors would sample."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from clearhead.errors import UserError
from clearhead.generation.language_model import SamplingParams

GENERATION_CONFIG = "generation_config.json"
WHOLE = {"temperature": 1.0, "top_p": 1.0}  # what whoever says that a model samples means by saying no more


def end_ids(told: Mapping[str, Any], vocab: int, where: Path) -> frozenset[int]:
    """`eos_token_id`: a token, or a list of tokens any of which ends a text."""
    value = told.get("eos_token_id")
    found = value if isinstance(value, list) else [] if value is None else [value]
    for i in found:
        if not isinstance(i, int) or isinstance(i, bool):
            raise UserError(f"{where}: eos_token_id = {i!r:.40} is no token's number; write one without quotes")
    return frozenset(i for i in found if 0 <= i < vocab)  # small models are saved with the number of a large one


def _float(value: float, name: str, where: Path) -> float:
    try:
        return float(value)
    except OverflowError:
        raise UserError(f"{where}: {name} = {value!r:.40} is too large; mend it, or delete it from the file") from None


def sampling(told: Mapping[str, Any], where: Path) -> dict[str, float]:
    """Fields of a SamplingParams, of a generation_config.json. Without do_sample it says nothing of how to draw."""
    names = {field.name for field in fields(SamplingParams)} - {"max_tokens"}
    if not told.get("do_sample"):
        names = {"repetition_penalty"}
    found = dict(WHOLE) if told.get("do_sample") else {}
    for name in names:
        value = told.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{where}: {name} = {value!r:.40} is no number; mend it, or delete it from the file")
        if name == "top_k" and not isinstance(value, int):
            raise UserError(f"{where}: top_k = {value} is no whole number; mend it, or delete it from the file")
        found[name] = value if name == "top_k" else _float(value, name, where)
    try:
        SamplingParams(**found)  # type: ignore[arg-type]
    except (UserError, TypeError) as error:
        raise UserError(f"{where}: {error}; mend it, or delete it from the file") from None
    return found
