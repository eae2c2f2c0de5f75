"""`clearhead solve`: one problem, one strategy, the answer with its steps and its price."""

import json
from pathlib import Path
from typing import Any

import click

from clearhead.cli.examples import examples
from clearhead.errors import UserError


@click.command(
    epilog=examples(
        ('clearhead solve "What is 17 × 24?" --run runs/demo', "the task is recognised from the problem"),
        ('clearhead solve "4 5 6 10" --run runs/demo --strategy mcts-puct --tree', "show the search tree"),
        ('clearhead solve "4 5 6 10" --run runs/demo --task game24 --budget 300 --json', "for a program"),
    )
)
@click.argument("problem")
@click.option("--run", "directory", type=click.Path(path_type=Path), required=True, help="A finished run's directory.")
@click.option("--task", "task_name", help="A task of the run. Default: the first that can read the problem.")
@click.option(
    "--strategy", help="How to answer (see `clearhead eval --help`). Default: mcts-puct, or greedy without a judge."
)
@click.option("--budget", type=click.IntRange(min=1), default=1000, show_default=True, help="Tokens to spend at most.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the sampling.")
@click.option("--tree", "show_tree", is_flag=True, help="Print the search tree.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    problem: str, directory: Path, task_name: str | None, strategy: str | None, budget: int, seed: int,
    show_tree: bool, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Solve PROBLEM, typed as you like ("What is 17 × 24?", "4 5 6 10"), with the models of a run."""
    from clearhead.pipeline.answer import Answer, solve
    from clearhead.pipeline.run import choose_device
    from clearhead.pipeline.rundir import RunDir

    solved: Answer = solve(RunDir(directory), problem, task_name, strategy, budget, seed, choose_device(device))
    if show_tree and solved.tree is None:
        raise UserError(f"strategy {solved.strategy!r} builds no tree; leave out --tree, or use --strategy mcts-puct")
    if as_json:
        click.echo(json.dumps(solved.plain(with_tree=show_tree), ensure_ascii=False))
        return
    click.echo(solved.problem)
    for step in solved.steps or ():
        click.echo(f"  {step}")
    known = {True: "right", False: "wrong", None: "the task does not know the answer to check it"}
    verdict = "no finished solution" if solved.answer is None else known[solved.correct]
    click.echo(f"answer: {solved.answer or '-'} ({verdict})")
    click.echo(
        f"{solved.strategy}: {solved.generated} generated + {solved.reward} reward-model tokens, {solved.seconds:.2f} s"
    )
    if show_tree and solved.tree is not None:
        print_tree(solved.tree)


def print_tree(root: dict[str, Any]) -> None:
    """The tree as indented lines, the chosen path in bold; values are the reward model's chance of success."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

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
    Console().print(drawn)
