"""`clearhead graph`: classes of a graph's nodes by graph networks, by depth."""

from pathlib import Path
from typing import Any

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json, one_line

LAYERS, CURES = ("gcn", "sage", "gat"), ("none", "residual", "pairnorm", "jumping")
DEEPEST = 256
path_type: Any = click.Path(path_type=Path)


@click.command(
    epilog=examples(
        ("clearhead graph", "a GCN on Zachary's karate club, which needs no file"),
        ("clearhead graph --layer gat --depths 1,2,4", "graph attention, three depths"),
        ("clearhead graph --cure none --cure pairnorm --depths 2,8,32 --report g.html", "over-smoothing and a cure"),
        ("clearhead graph edges.csv --labels classes.csv --known 5", "a graph of your own"),
    )
)
@click.argument("edges", required=False, type=path_type)
@click.option("--labels", type=path_type, help="A file of lines: node, class. Nodes without one may be left out.")
@click.option(
    "--known", type=click.IntRange(1), default=1, show_default=True, help="Nodes of each class to learn from."
)
@click.option("--layer", "layers", multiple=True, type=click.Choice(LAYERS), default=("gcn",), show_default=True,
              help="The kind of layer; may be given several times.")  # fmt: skip
@click.option("--cure", "cures", multiple=True, type=click.Choice(CURES), default=("none",), show_default=True,
              help="Against over-smoothing; may be given several times.")  # fmt: skip
@click.option("--depths", default="2", show_default=True, metavar="N,N,...", help="Numbers of layers.")
@click.option("--width", type=click.IntRange(1), default=16, show_default=True, help="Hidden units.")
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, help="Of training, each.")
@click.option("--lr", type=float, default=0.01, show_default=True, help="The learning rate.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Networks of each kind.")
@click.option("--report", type=path_type, help="Write a page: accuracy and spread by depth, the graph node by node.")
@json_option
def command(
    edges: Path | None, labels: Path | None, known: int, layers: tuple[str, ...], cures: tuple[str, ...], depths: str,
    width: int, steps: int, lr: float, seeds: int, report: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Tell the classes of a graph's nodes from a few that are known.

    EDGES is a file of lines: node, node. Without it, Zachary's karate club. Every layer, cure and depth is trained with
    every seed, and measured on the nodes that it was not told.
    """
    from clearhead.cli.display import Display
    from clearhead.files import write_text
    from clearhead.pipeline.graph import read, study
    from clearhead.report.graph import render

    if not 0 < lr < 100:
        raise UserError(f"--lr {lr} must be a number above 0, such as 0.01")
    graph = read(edges, labels)
    found = study(graph, known, layers, cures, _numbers(depths), seeds, steps, lr, width, Display().progress)
    if report is not None:
        write_text(report, render(found))
    if as_json:
        echo_json({key: value for key, value in found.items() if key != "map"})
        return
    echo(f"{one_line(found['graph'])}: {found['nodes']:,} nodes, {found['edges']:,} edges, {len(found['known'])} known")
    for row in found["rows"]:
        echo(
            f"{row['layer']:>5} {row['cure']:>8} {row['depth']:>3} layers  accuracy {row['accuracy']:.1%} "
            f"({row['low']:.1%} to {row['high']:.1%})  spread {row['spread']:.2g}"
        )


def _numbers(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(1 <= depth <= DEEPEST for depth in found):
        raise UserError(f"--depths {text!r:.60} must be numbers from 1 to {DEEPEST}, such as 2,4,8")
    return found
