"""The options by which verbs draw tokens, and what they mean where they are not given."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from clearhead.errors import UserError

if TYPE_CHECKING:
    from clearhead.checkpoints.load import LoadedModel
    from clearhead.generation.language_model import SamplingParams

USUAL = {"temperature": 0.7, "top_k": 0, "top_p": 0.95, "min_p": 0.0, "repetition_penalty": 1.0}
OPTIONS = {
    "temperature": (float, "0: always the likeliest token."),
    "top_k": (int, "Of the k likeliest only; 0: all."),
    "top_p": (float, "Of the likeliest that hold p together."),
    "min_p": (float, "Of those p times as likely as the first."),
    "repetition_penalty": (float, "Above 1: tokens that were there already are less likely."),
}
Given = dict[str, float | None]


def sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that are None where the user leaves them out."""
    for name, (kind, meaning) in reversed(OPTIONS.items()):
        told = f"{meaning} Default: the model's own, else {USUAL[name]}."
        command = click.option("--" + name.replace("_", "-"), type=kind, help=told)(command)
    return command


class Bytes(click.ParamType):
    """A number of bytes, as people write it: 64MiB, 1.5GiB, 200MB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        from clearhead.config import parse_bytes

        try:
            return parse_bytes(value)
        except UserError as error:
            self.fail(str(error), param, ctx)


def kv_memory_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--kv-memory", type=Bytes(),
        help="Memory for keys and values at most, such as 64MiB. Default: half of what is free.",
    )(command)  # fmt: skip


def checked(given: Given, tokens: int) -> "SamplingParams":
    """What was given, and the usual for the rest. UserError names what cannot be."""
    from clearhead.generation.language_model import SamplingParams

    usual: dict[str, Any] = {name: USUAL[name] if value is None else value for name, value in given.items()}
    return SamplingParams(**usual, max_tokens=tokens)


def of_model(sampling: "SamplingParams", given: Given, loaded: "LoadedModel") -> "SamplingParams":
    """The model's own in place of the usual."""
    own: dict[str, Any] = {name: value for name, value in loaded.sampling.items() if given[name] is None}
    return replace(sampling, **own)
