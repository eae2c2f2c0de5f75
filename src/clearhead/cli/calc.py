"""`clearhead calc`: what a decoder costs in parameters, arithmetic and memory, from the formulas of the reference."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.reference import costs
from clearhead.terminal import echo, echo_json

if TYPE_CHECKING:
    from clearhead.reference.costs import Architecture

PER_HEAD = 64  # channels of a head where neither they nor the heads are given, as in GPT-2


def architecture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument PRESET and an option for every field of Architecture."""
    hints = get_type_hints(costs.Architecture)
    for field in reversed(fields(costs.Architecture)):
        hint, name = hints[field.name], "--" + field.name.replace("_", "-")
        kind: Any = click.IntRange(min=1)
        if hint is bool:
            command = click.option(f"{name}/--no-{name[2:]}", field.name, default=None)(command)
            continue
        if get_origin(hint) is Literal:
            kind = click.Choice(get_args(hint))
        command = click.option(name, field.name, type=kind)(command)
    command = json_option(command)
    return click.argument("preset", required=False)(command)


def architecture(preset: str | None, given: Mapping[str, Any]) -> "Architecture":
    """The preset with what is given in its place; without one, the shape that the given numbers describe."""
    known = {key: value for key, value in given.items() if value is not None}
    if preset is not None:
        if preset not in costs.PRESETS:
            raise UserError(f"no preset {preset!r}{nearest(preset, costs.PRESETS)}; or give numbers, as --d-model")
        known = asdict(costs.PRESETS[preset]) | known
    else:
        known = _completed(known)
    try:
        return costs.Architecture(**known)
    except ValueError as error:
        raise UserError(str(error)) from error


def _completed(known: dict[str, Any]) -> dict[str, Any]:
    """The usual proportions for what was left out: heads of 64 channels, as many for keys, an MLP 4 times as wide."""
    missing = [name for name in ("vocab", "d_model", "n_layers") if name not in known]
    if missing:
        wanted = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise UserError(f"name a preset ({', '.join(costs.PRESETS)}), or give at least {wanted}")
    width = known["d_model"]
    heads = known.get("n_heads") or max(1, width // known.get("head_dim", PER_HEAD))
    if "head_dim" not in known and width % heads:
        raise UserError(f"--d-model {width} is not a multiple of --n-heads {heads}; give --head-dim")
    usual = {"n_heads": heads, "n_kv_heads": heads, "head_dim": width // heads, "d_ff": 4 * width, "context": 1024}
    return usual | known


def show(as_json: bool, title: str, numbers: Mapping[str, tuple[float, str]]) -> None:
    """Each number with its unit: B for bytes, "" for a count, anything else as it stands."""
    if as_json:
        echo_json({re.sub("[ ,]+", "_", name): value for name, (value, _) in numbers.items()})
        return
    echo(title)
    width = max(map(len, numbers))
    for name, (value, unit) in numbers.items():
        echo(f"  {name:<{width}}  {written(value, unit)}")


def written(value: float, unit: str) -> str:
    """
    >>> written(327680, "B"), written(124439808, ""), written(15.4e9, "FLOP")
    ('327,680 B = 320 KiB', '124,439,808 = 124M', '15,400,000,000 FLOP = 15.4 GFLOP')
    """
    exact = f"{value:,.0f}{unit and ' ' + unit}"
    if value < 10_000:
        return exact
    base, names = (1024, ("", "Ki", "Mi", "Gi", "Ti")) if unit == "B" else (1000, ("", "k", "M", "G", "T", "P"))
    power = 0
    while value >= base and power < len(names) - 1:
        value, power = value / base, power + 1
    short = f"{value:.3g}" if value < 1000 else f"{value:.0f}"
    return f"{exact} = {short}{unit and ' '}{names[power]}{unit}"


@click.group(
    epilog=examples(
        ("clearhead calc params gpt2", "where the 124 million are"),
        ("clearhead calc kv-cache llama-2-70b --tokens 4096", "memory of the keys and values"),
        ("clearhead calc kv-cache llama-2-70b --n-kv-heads 64", "had every head its own keys"),
        ("clearhead calc params --vocab 32000 --d-model 512 --n-layers 8", "a shape of your own"),
    )
)
def command() -> None:
    """Count what a decoder costs, for a preset or for any numbers."""


def _shape(a: "Architecture", preset: str | None) -> str:
    return f"{preset or 'decoder'}: {a.n_layers} layers of width {a.d_model}, {a.n_heads} heads of {a.head_dim}"


TOKENS = click.option("--tokens", type=click.IntRange(min=1), help="Of each text. Default: the context.")
BATCH = click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Texts at once.")
BITS = click.option(
    "--bits", type=click.Choice(["8", "16", "32"]), default="16", show_default=True, help="Of a number."
)


@command.command(epilog=examples(("clearhead calc params llama-2-7b", "6,738,415,616")))
@architecture_options
def params(preset: str | None, as_json: bool, **given: Any) -> None:
    """Parameters, by part; an embedding that is the head as well counts once."""
    a = architecture(preset, given)
    table = {part: (float(n), "") for part, n in costs.parameter_table(a).items() if n}
    show(as_json, _shape(a, preset), table | {"total": (costs.parameters(a), "")})


@command.command(epilog=examples(("clearhead calc flops gpt2 --tokens 1024", "per token and to write 1,024 of them")))
@TOKENS
@architecture_options
def flops(preset: str | None, tokens: int | None, as_json: bool, **given: Any) -> None:
    """Arithmetic of a token and of a text; a multiplication and an addition are two."""
    a = architecture(preset, given)
    n = tokens or a.context
    keys = costs.mean_keys(a, n)
    numbers = {
        "forward per token": costs.forward_flops_per_token(a, keys),
        "backward per token": costs.backward_flops_per_token(a, keys),
        "rule of thumb 6 N": 6 * costs.parameters(a),
        "training on the text": costs.training_flops(a, n, n),
        "writing it with a cache": costs.generation_flops(a, n),
        "writing it without": costs.generation_flops_without_cache(a, n),
    }
    show(as_json, f"{_shape(a, preset)}\n{n:,} tokens", {name: (value, "FLOP") for name, value in numbers.items()})


@command.command(
    "kv-cache", epilog=examples(("clearhead calc kv-cache mistral-7b --tokens 32768", "its window bounds it"))
)
@TOKENS
@BATCH
@BITS
@architecture_options
def kv_cache(preset: str | None, tokens: int | None, batch: int, bits: str, as_json: bool, **given: Any) -> None:
    """Memory of the keys and values that decoding keeps."""
    a = architecture(preset, given)
    n, width = tokens or a.context, int(bits) // 8
    full = architecture(preset, {**given, "n_heads": a.n_heads, "n_kv_heads": a.n_heads})
    numbers = {
        "per token": costs.kv_cache_bytes_per_token(a, width),
        "per token with all heads": costs.kv_cache_bytes_per_token(full, width),
        "total": costs.kv_cache_bytes(a, batch, n, width),
    }
    title = f"{_shape(a, preset)}, {a.n_kv_heads} for keys\n{batch} x {n:,} tokens, {bits} bits"
    show(as_json, title, {name: (value, "B") for name, value in numbers.items()})


@command.command(epilog=examples(("clearhead calc activations gpt2 --batch 8", "what a training step keeps")))
@TOKENS
@BATCH
@BITS
@architecture_options
def activations(preset: str | None, tokens: int | None, batch: int, bits: str, as_json: bool, **given: Any) -> None:
    """Memory that a training step keeps from the forward pass for the backward pass, and beside it."""
    a = architecture(preset, given)
    n, width = tokens or a.context, int(bits) // 8
    numbers = {
        **costs.activation_table(a, batch, n, width),
        "total": costs.activation_bytes(a, batch, n, width),
        "attention matrices, if kept": a.n_layers * costs.attention_matrix_bytes(a, batch, n, width),
        "weights gradients and Adam": costs.training_state_bytes(a),
    }
    title = f"{_shape(a, preset)}\n{batch} x {n:,} tokens, {bits} bits"
    show(as_json, title, {name: (value, "B") for name, value in numbers.items()})


@command.command(
    "attention-memory",
    epilog=examples(("clearhead calc attention-memory gpt2 --tokens 8192", "the matrix, or its sums")),
)
@TOKENS
@BATCH
@BITS
@architecture_options
def attention_memory(
    preset: str | None, tokens: int | None, batch: int, bits: str, as_json: bool, **given: Any
) -> None:
    """Memory of one layer's attention matrix, and of what attention by tiles keeps instead."""
    a = architecture(preset, given)
    n, width = tokens or a.context, int(bits) // 8
    numbers = {
        "matrix of a layer": costs.attention_matrix_bytes(a, batch, n, width),
        "matrices of all layers": a.n_layers * costs.attention_matrix_bytes(a, batch, n, width),
        "by tiles, a layer": costs.flash_statistics_bytes(a, batch, n),
    }
    title = f"{_shape(a, preset)}\n{batch} x {n:,} tokens, {bits} bits"
    show(as_json, title, {name: (value, "B") for name, value in numbers.items()})
