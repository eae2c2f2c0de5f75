"""`clearhead work`: pen-and-paper problems solved line by line, with the usual numbers or with yours."""

import inspect
from collections.abc import Callable
from typing import Any

import click

from clearhead.cli.examples import examples
from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.reference import worked
from clearhead.terminal import echo, echo_json

PROBLEMS: dict[str, Callable[..., list[worked.Line]]] = {
    "gradient-descent": worked.gradient_descent,
    "mlp-forward": worked.mlp_forward,
    "mlp-backward": worked.mlp_backward,
    "momentum": worked.momentum,
    "layer-norm": worked.layer_norm,
    "attention": worked.attention,
    "softmax": worked.softmax_by_hand,
    "bayes": worked.bayes_by_hand,
    "mcts": worked.mcts,
    "parameter-count": worked.parameter_count,
    "attention-cost": worked.attention_cost,
}


def read(name: str, text: str, usual: Any) -> Any:
    """A number, a vector `1,2` or a matrix `1,2;3,4`, whichever the problem has there.

    >>> read("x", "1,2", (0.0,)), read("w", "1,2;3,4", ((0.0,),)), read("steps", "4", 3)
    ((1.0, 2.0), ((1.0, 2.0), (3.0, 4.0)), 4)
    """
    kind = "a matrix such as 1,2;3,4" if _is_matrix(usual) else "a vector such as 1,2"
    try:
        if _is_matrix(usual):
            rows = tuple(tuple(float(part) for part in row.split(",")) for row in text.split(";"))
            if len({len(row) for row in rows}) != 1:
                raise ValueError
            return rows
        if isinstance(usual, tuple):
            return tuple(float(part) for part in text.split(","))
        kind = "a whole number" if isinstance(usual, int) else "a number"
        return type(usual)(text)
    except ValueError:
        raise UserError(f"{name} = {text!r} must be {kind}") from None


def _is_matrix(usual: Any) -> bool:
    return isinstance(usual, tuple) and bool(usual) and isinstance(usual[0], tuple)


def given(problem: str, numbers: tuple[str, ...]) -> dict[str, Any]:
    """The numbers typed for a problem, checked against its parameters."""
    parameters = inspect.signature(PROBLEMS[problem]).parameters
    found = {}
    for item in numbers:
        name, equals, text = item.partition("=")
        if not equals or name not in parameters:
            known = ", ".join(f"{key}={_written(p.default)}" for key, p in parameters.items())
            raise UserError(f"{item!r} is no number of {problem}; write name=value, of {known}")
        found[name] = read(name, text, parameters[name].default)
    return found


def _written(value: Any) -> str:
    if _is_matrix(value):
        return ";".join(_written(row) for row in value)
    return ",".join(f"{part:g}" for part in value) if isinstance(value, tuple) else f"{value:g}"


@click.command(
    epilog=examples(
        ("clearhead work", "the problems, with their numbers"),
        ("clearhead work mlp-backward", "the backward pass of two layers"),
        ("clearhead work gradient-descent --numbers w=3 --numbers rate=0.2", "with numbers of yours"),
        ("clearhead work softmax --numbers z=0,1,5", "a vector"),
        ("clearhead work attention --numbers 'v=1,0;0,1'", "a matrix"),
    )
)
@click.argument("name", required=False)
@click.option("--numbers", multiple=True, metavar="NAME=VALUE", help="May be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, numbers: tuple[str, ...], as_json: bool) -> None:
    """Solve a pen-and-paper problem line by line; without a name, list the problems."""
    if name is None:
        if numbers:
            raise UserError("--numbers needs a problem: clearhead work NAME --numbers ...")
        _list(as_json)
        return
    if name not in PROBLEMS:
        raise UserError(f"no problem {name!r}{nearest(name, PROBLEMS)}")
    chosen = given(name, numbers)
    try:
        lines = PROBLEMS[name](**chosen)
    except ValueError as error:
        raise UserError(f"{name}: {' '.join(str(error).split())}") from error
    if as_json:
        echo_json([line._asdict() for line in lines])
        return
    width = max(len(line.name) for line in lines)
    for line in lines:
        value = line.value if isinstance(line.value, str) else f"= {worked.say(line.value)}"
        echo("  ".join(part for part in (f"{line.name:<{width}}", line.how, value) if part))


def _list(as_json: bool) -> None:
    usual = {
        name: {key: _written(p.default) for key, p in inspect.signature(solve).parameters.items()}
        for name, solve in PROBLEMS.items()
    }
    if as_json:
        echo_json(usual)
        return
    for name, numbers in usual.items():
        echo(f"{name:<18}{'  '.join(f'{key}={value}' for key, value in numbers.items() if value)}")
