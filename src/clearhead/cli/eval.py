"""`clearhead eval`: ways of reasoning compared on the same problems at the same price."""

import json
from pathlib import Path

import click

from clearhead.cli.examples import examples

STRATEGIES = "greedy,self-consistency,best-of-n-joint,beam:4,mcts-puct"


@click.command(
    epilog=examples(
        ("clearhead eval --run runs/demo --task game24", "the test problems, the usual strategies"),
        ("clearhead eval --run runs/demo --task game24 --strategies greedy,halving --budget 300", "choose"),
        ("clearhead eval --run runs/demo --task multiplication --problems mine.txt --json", "problems of your own"),
    )
)
@click.option("--run", "directory", type=click.Path(path_type=Path), required=True, help="A finished run's directory.")
@click.option("--task", "task_name", help="A task of the run. Default: its first.")
@click.option(
    "--problems",
    "file",
    type=click.Path(path_type=Path),
    help="A text file, one problem a line. Default: the test split.",
)
@click.option(
    "--strategies", default=STRATEGIES, show_default=True, help="Names separated by commas; beam:8 sets a width."
)
@click.option("--budget", "budgets", type=click.IntRange(min=1), multiple=True, default=(1000,), show_default=True,
              help="Tokens a problem may cost; may be given several times.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many sampling seeds.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many problems at most.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def command(
    directory: Path, task_name: str | None, file: Path | None, strategies: str, budgets: tuple[int, ...], seeds: int,
    limit: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Measure strategies on problems of a task: accuracy with its 95% interval, tokens and seconds a problem.

    Strategies: direct, greedy, self-consistency, best-of-n-outcome, best-of-n-last, best-of-n-min, best-of-n-product,
    best-of-n-joint, weighted-vote, beam, tree-of-thought, mcts-ucb, mcts-puct, halving.
    """
    from clearhead.cli.display import Display
    from clearhead.pipeline.compare import evaluate
    from clearhead.pipeline.run import choose_device
    from clearhead.pipeline.rundir import RunDir

    names = [name.strip() for name in strategies.split(",") if name.strip()]
    display = Display()
    rows = evaluate(
        RunDir(directory),
        task_name,
        file,
        names,
        sorted(budgets),
        seeds,
        limit,
        choose_device(device),
        display.progress,
    )
    if as_json:
        click.echo(json.dumps([row._asdict() for row in rows], ensure_ascii=False))
        return
    display.table(rows)
