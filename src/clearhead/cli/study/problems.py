"""`clearhead practice problems`: pen-and-paper problems, posed with fresh numbers or solved line by line."""

import sys
import textwrap
from typing import Any

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import draw_seed_option, json_option
from clearhead.cli.study.passes import of_problem, record, tried
from clearhead.errors import UserError
from clearhead.study.practice import progress
from clearhead.terminal import echo, echo_json, text_width

FAILED = 1  # exit code of an answer that is wrong


@click.command(
    short_help="A pen-and-paper problem.",
    epilog=examples(
        ("clearhead practice problems", "the problems there are"),
        ("clearhead practice problems softmax", "one of them, with fresh numbers"),
        ("clearhead practice problems bayes --seed 3 --answer 2/13", "your answer to that of seed 3"),
        ("clearhead practice problems mlp-backward --solve", "the solution, line by line"),
        ("clearhead practice problems softmax --solve --numbers z=0,1,5", "with numbers of yours"),
        ("clearhead practice problems attention --solve --numbers 'v=1,0;0,1'", "a matrix"),
    ),
)
@click.argument("name", required=False)
@draw_seed_option
@click.option("--answer", help="Your answer to the problem of that seed; else it is asked for.")
@click.option(
    "--solve",
    "solved",
    is_flag=True,
    help="Print the solution, line by line; of the usual numbers unless others are given.",
)
@click.option("--numbers", multiple=True, metavar="NAME=VALUE", help="To solve it with; may be given several times.")
@json_option
def problems(
    name: str | None, seed: int | None, answer: str | None, solved: bool, numbers: tuple[str, ...], as_json: bool
) -> int:
    """Pose a pen-and-paper problem and check your answer, or solve it; without a name, list them.

    Exit code 1 if the answer is wrong. With --json nothing is asked.
    """
    if name is None:
        if answer is not None or seed is not None or numbers:
            raise UserError("--seed, --answer and --numbers need a problem: clearhead practice problems NAME")
        _list(solved, as_json)
        return 0
    if numbers and not solved:
        raise UserError("--numbers goes with --solve; a problem that is posed draws its numbers")
    if solved and answer is not None:
        raise UserError("--solve and --answer do not go together; leave out one of them")
    if solved:
        return _solve(name, seed, numbers, as_json)
    return _pose(name, seed, answer, as_json)


def _list(solved: bool, as_json: bool) -> None:
    from clearhead.study.practice.problem_set import PROBLEMS
    from clearhead.study.practice.solved import SOLUTIONS, usual, written

    numbers = {key: {name: written(value) for name, value in usual(key).items()} for key in SOLUTIONS}
    if as_json:
        titles = {name: problem.title for name, problem in PROBLEMS.items()}
        names = SOLUTIONS if solved else PROBLEMS
        echo_json([{"name": name, "title": titles.get(name, ""), "numbers": numbers[name]} for name in names])
        return
    told = {name: problem.title for name, problem in PROBLEMS.items()}
    if solved:
        told = {name: "  ".join(f"{key}={value}" for key, value in of.items() if value) for name, of in numbers.items()}
    done = progress.read(record())
    width = max(map(len, told))
    for name, rest in told.items():
        so_far = done.get(of_problem(name), progress.Progress())
        mark = "" if solved else "✓ " if so_far.passed else "· " if so_far.attempts else "  "
        echo(f"{mark}{name:<{width}}  {rest}")
    if sys.stdout.isatty():
        does = "--solve solves one, line by line" if solved else "poses one, with fresh numbers"
        echo(f"\nclearhead practice problems NAME {does}.")


def _pose(name: str, seed: int | None, answer: str | None, as_json: bool) -> int:
    import numpy as np

    from clearhead.study.practice.problem_set import find
    from clearhead.study.practice.problems import check, question, wanted

    problem = find(name)
    if answer is not None and seed is None:
        raise UserError("--answer needs --seed, which says what the numbers were")
    chosen = int(np.random.default_rng().integers(10_000)) if seed is None else seed
    numbers = problem.draw(np.random.default_rng(chosen))
    posed = {"name": name, "seed": chosen, "question": question(problem, numbers)}
    if as_json and answer is None:
        echo_json(posed)
        return 0
    if not as_json:
        for line in str(posed["question"]).splitlines():
            echo(textwrap.fill(line, text_width()))
        echo(f"(seed {chosen}; {wanted(problem)})")
    reply = None if answer is None else check(problem, numbers, answer)
    while reply is None:
        try:
            reply = check(problem, numbers, click.prompt("answer", type=str))
        except UserError as error:  # a slip of the pen is no answer
            echo(str(error))
    tried(of_problem(name), reply.right)
    if as_json:
        lines = [line._asdict() for line in reply.lines]
        found = {"right": reply.right, "said": reply.said, "wrong_line": reply.wrong_line, "solution": lines}
        echo_json(posed | found)
    elif reply.right:
        echo("Right.")
    else:
        at = [i for i, line in enumerate(reply.lines) if line.name == reply.wrong_line][-1:]
        told = [f"{'→' if [i] == at else ' '} {line}" for i, line in enumerate(_told(reply.lines, reply.is_formula))]
        echo("\n".join([f"Not yet: {reply.said}.", *told]))
    return 0 if reply.right else FAILED


def _solve(name: str, seed: int | None, numbers: tuple[str, ...], as_json: bool) -> int:
    from clearhead.study.practice.problem_set import PROBLEMS
    from clearhead.study.practice.solved import solve

    lines = solve(name, numbers, seed)
    if as_json:
        echo_json([line._asdict() for line in lines])
    else:
        echo("\n".join(_told(lines, name in PROBLEMS and bool(PROBLEMS[name].variables))))
    return 0


def _told(lines: Any, is_formula: bool = False) -> list[str]:
    """A line each: the quantity, how it is found, and its value unless it stands for a formula."""
    from clearhead.reference.worked import say

    width = max(len(line.name) for line in lines)
    values = [line.value if isinstance(line.value, str) else f"= {say(line.value)}" for line in lines]
    return [
        "  ".join(part for part in (f"{line.name:<{width}}", line.how, "" if is_formula else value) if part)
        for line, value in zip(lines, values, strict=True)
    ]
