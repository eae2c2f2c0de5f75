"""`clearhead solve`: one problem, the answer with its steps and its price; or a file of them, as predictions."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearhead.cli.examples import examples
from clearhead.cli.intake import allow, trust_option
from clearhead.cli.options import (
    device_option,
    json_option,
    local_only,
    run_option,
    sampling_seed_option,
    set_option,
)
from clearhead.cli.sampling import kv_memory_option
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json

if TYPE_CHECKING:
    from clearhead.pipeline.answer import Solver, SolveResult
    from clearhead.tasks.rows import Typed

ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt")  # of what is meant as a file, though it is not there
UNREAD = 1  # the exit code where a problem of a file could not be read


@click.command(
    epilog=examples(
        ('clearhead solve "What is 17 × 24?" --run runs/demo', "the task is recognized from the problem"),
        ('clearhead solve "4 5 6 10" --run runs/demo --strategy mcts-puct --tree', "show the search tree"),
        ('clearhead solve "4 5 6 10" --run runs/demo --task game24 --budget 300 --json', "for a program"),
        ("clearhead solve problems.txt --run runs/demo --out predictions.jsonl", "a file of problems, one a line"),
        ("clearhead solve rows.csv --run runs/own-task --set search.samples=8", "its column `problem`, to the screen"),
        ("clearhead solve problems.txt --run http://localhost:8000/v1 --task game24", "by a model behind an address"),
        ("generate | clearhead solve - --run runs/demo > predictions.jsonl", "problems from a pipe"),
    )
)
@click.argument("problem")
@run_option
@click.option("--task", "task_name", help="A task of the run. Default: the first that can read the problem.")
@click.option(
    "--strategy",
    help="How to answer (see `clearhead eval --help`). Default: auto where the run has measured it, else mcts-puct, or "
    "greedy without a reward model.",
)
@click.option("--budget", type=click.IntRange(min=1), default=1000, show_default=True, help="Tokens to spend at most.")
@sampling_seed_option
@set_option("search.KEY")
@click.option("--columns", metavar="problem=COLUMN", help="What a file of rows calls the problem.")
@click.option("--out", type=click.Path(path_type=Path), help="Of a file: where the predictions go.")
@click.option(
    "--tree", "show_tree", is_flag=True, help="Print the search tree of one problem, by default that of mcts-puct."
)
@kv_memory_option
@device_option
@trust_option
@json_option
def command(
    problem: str, directory: str | None, task_name: str | None, strategy: str | None, budget: int, seed: int,
    settings: tuple[str, ...], columns: str | None, out: Path | None, show_tree: bool, kv_memory: int | None,
    device: str, trust: bool, as_json: bool,
) -> int:  # fmt: skip
    """Solve PROBLEM, typed as you like ("What is 17 × 24?", "4 5 6 10"), with the models of a run.

    A model behind an OpenAI-compatible endpoint, such as a run that was exported and is served by vLLM, solves them as
    well: name its --task, and a strategy that needs no reward model.

    Where PROBLEM is the name of a file, or - for standard input, every problem in it is solved: a text of one problem a
    line, or a file of rows (JSONL, JSON, CSV, Parquet) with a column `problem`. The predictions are one JSON object a
    line, in the order of the problems; where a row has an answer as well, it is what was expected. With --out this may
    be stopped at any time: the same command goes on; and --json tells how many were right.
    """
    from clearhead.generation.remote import is_address
    from clearhead.kernels.machine import choose_device
    from clearhead.pipeline.answer import endpoint_solver, solver
    from clearhead.pipeline.rundir import RunDir

    if directory is None:
        raise UserError("name who is to solve it: --run DIR, a finished run, or --run http://HOST:PORT/v1#MODEL")
    many = problem == "-" or _is_file(problem)
    if not is_address(directory):
        allow(RunDir(Path(directory)), trust)
    if (out or columns) and not many:
        flag = "--out" if out else "--columns"
        raise UserError(f"{flag} is for a file of problems, and there is no file {problem[:60]!r}; leave out {flag}")
    if show_tree and many:
        raise UserError("--tree shows the tree of one problem; leave it out, or type one problem")
    if show_tree and strategy is None:
        strategy = "mcts-puct"  # whatever the run answers best with may build none
    if not many and problem.endswith(ENDINGS) and " " not in problem:
        raise UserError(f"there is no file {problem[:60]}; name a file of problems, or type a problem")
    typed = read_typed(problem, columns) if many else []
    if is_address(directory):
        local_only("device", "kv_memory", "trust")
        ready = endpoint_solver(directory, task_name, strategy, budget, seed, settings)
    else:
        ready = solver(RunDir(Path(directory)), strategy, budget, seed, settings, choose_device(device), kv_memory)
    if many:
        return _solve_many(ready, typed, task_name, out, as_json)
    _solve_one(ready, problem, task_name, show_tree, as_json)
    return 0


def _is_file(name: str) -> bool:
    try:
        return Path(name).exists() and not Path(name).is_dir()
    except (OSError, ValueError):  # too long for a name, or with a zero byte: a problem
        return False


def read_typed(name: str, columns: str | None) -> "list[Typed]":
    """The problems of a file as they stand there; of a text those of its lines that are not blank."""
    from clearhead.cli.intake import parse_columns
    from clearhead.tasks.records import SUFFIXES
    from clearhead.tasks.rows import Typed, read_problems

    if Path(name).suffix.lower() in SUFFIXES:
        typed = read_problems(Path(name), parse_columns(columns) if columns else {})
    elif columns:
        raise UserError(f"--columns is for a file of rows ({', '.join(SUFFIXES)}); {name} is read line by line")
    else:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise UserError(f"{name}, line {line}: this is not UTF-8 text; save it as UTF-8") from None
        typed = [Typed(line.strip()) for line in text.split("\n") if line.strip()]
    if not typed:
        raise UserError(f"{'standard input' if name == '-' else name} holds no problem; write one a line")
    return typed


def _solve_many(ready: "Solver", typed: "list[Typed]", task_name: str | None, out: Path | None, as_json: bool) -> int:
    """Predictions to standard output, or to a file that a second call completes."""
    from clearhead.cli.display import Display
    from clearhead.pipeline.answer import about, predictions, tally
    from clearhead.pipeline.journal import Journal, line

    display, counts = Display(), Counter[str]()
    journal = Journal(out, about(ready, typed, task_name)) if out else None
    before = [json.loads(text) for text in journal.begin()] if journal else []
    counts.update(tally(before))
    if before:
        display.say(f"{len(before):,} of {len(typed):,} problems were solved before")
    try:
        with display.progress("solve", len(typed)) as advance:
            advance(len(before))
            for made in predictions(ready, typed[len(before) :], task_name):
                if journal:
                    journal.add(made)
                else:
                    echo("".join(map(line, made)), nl=False)
                counts.update(tally(made))
                advance(len(made))
    except KeyboardInterrupt:
        if journal:
            done = f"{journal.count():,} of {len(typed):,} problems"
            display.say(f"stopped after {done}, which are in {journal.part}; the same command goes on")
        raise
    if journal:
        journal.end()
    if journal and as_json:
        echo_json({**counts, "predictions": str(out)})
    else:
        display.say(", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count))
    return UNREAD if counts["not_read"] else 0


def _solve_one(ready: "Solver", problem: str, task_name: str | None, show_tree: bool, as_json: bool) -> None:
    from clearhead.pipeline.answer import solve

    solved: SolveResult = solve(ready, problem, task_name)
    if show_tree and solved.tree is None:
        raise UserError(f"strategy {solved.strategy!r} builds no tree; leave out --tree, or use --strategy mcts-puct")
    if as_json:
        echo_json(solved.plain(with_tree=show_tree))
        return
    echo(solved.problem)
    for step in solved.steps or ():
        echo(f"  {step}")
    known = {True: "right", False: "wrong", None: "the task does not know the answer to check it"}
    grade = "no finished solution" if solved.answer is None else known[solved.correct]
    echo(f"answer: {solved.answer or '-'} ({grade})")
    echo(
        f"{solved.strategy}: {solved.generated} generated + {solved.reward} reward-model tokens, {solved.seconds:.2f} s"
    )
    if show_tree and solved.tree is not None:
        print_tree(solved.tree)


def print_tree(root: dict[str, Any]) -> None:
    """The tree as indented lines, the chosen path in bold; values are the reward model's probability of success."""
    from rich.text import Text
    from rich.tree import Tree

    from clearhead.console import SafeConsole

    def described(node: dict[str, Any]) -> Text:
        style = "bold" if node["chosen"] else ""
        numbers = f"  value {node['raw_value']:.2f}  visits {node['visits']}  prior {node['prior']:.2f}"
        return Text(node["text"], style=style).append(numbers, style="dim")

    drawn = Tree(described(root))
    stack = [(root, drawn)]
    while stack:
        node, branch = stack.pop()
        for child in sorted(node["children"], key=lambda c: (-c["chosen"], -c["visits"], -c["raw_value"])):
            stack.append((child, branch.add(described(child))))
    SafeConsole().print(drawn)
