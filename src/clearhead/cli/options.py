"""Options that several verbs have, written once, so that they are called and explained the same everywhere.

Deliberately not here: the options of sampling (`sampling`) and of a run's Python (`intake`).
"""

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from clearhead.errors import UserError

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
dtype_option = click.option(
    "--dtype", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True,
    help="Type of the weights; auto: as they are, if this processor is fast at it.",
)  # fmt: skip
weights_option = click.option(
    "--weights", type=click.Choice(["float", "auto", "int8", "int4"]), default="float", show_default=True,
    help="How matrices are multiplied: int8 and int4 are faster and smaller; auto: as the file has them.",
)  # fmt: skip
draft_option = click.option(
    "--draft", help="What guesses ahead, changing no text: lookup (in the text itself), none, or a smaller model. "
    "Default: lookup, with quantized weights.",
)  # fmt: skip
run_option = click.option("--run", "directory", help="A finished run's directory, or the address of an endpoint.")
resume_option = click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
skip_bad_option = click.option("--skip-bad", is_flag=True, help="Leave out rows that cannot be used.")
stop_option = click.option("--stop", multiple=True, help="End before this string; may be given several times.")
control_tokens_option = click.option(
    "--control-tokens", is_flag=True, help="Read control tokens spelled in a message as such, not as text."
)
sampling_seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Seed of the sampling.")
training_seed_option = click.option(
    "--seed", type=int, help="Seed of everything random. Default: the recipe's; 0 where there is none."
)
draw_seed_option = click.option(
    "--seed", type=click.IntRange(0), help="Seed of what is drawn, to draw it again; a new one each time if not given."
)
work_folder_option = click.option(
    "--dir", "folder", default="practice", show_default=True, help="Where the files of exercises lie."
)


def set_option(key: str = "KEY") -> Callable[..., Any]:
    """--set KEY=VALUE, where the settings have such keys."""
    told = "Change one setting; may be given several times."
    return click.option("--set", "settings", multiple=True, metavar=f"{key}=VALUE", help=told)


def given(ctx: click.Context) -> dict[str, str]:
    """The parameters that a person gave to this verb, by their names, as they are written on the command line."""
    sources = {param: ctx.get_parameter_source(param.name or "") for param in ctx.command.params}
    return {
        param.name or "": param.opts[0]
        for param, source in sources.items()
        if source not in (None, ParameterSource.DEFAULT)
    }


def refuse_before(ctx: click.Context) -> None:
    """UserError for an option of a verb that stands before one of its commands, which has options of its own."""
    for option in given(ctx).values():
        raise UserError(f"{option} belongs behind {ctx.invoked_subcommand!r}, or there is no such option for it")


def local_only(*names: str) -> None:
    """UserError where one of these options was given, though the model is behind an address."""
    for name, option in given(click.get_current_context()).items():
        if name in names:
            raise UserError(f"{option} is for models here, and this one is behind an address; leave it out")
