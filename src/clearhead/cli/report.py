"""`clearhead report`: the report of a run, written again from what its directory holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearhead.cli.examples import examples
from clearhead.cli.intake import allow, trust_option
from clearhead.cli.options import json_option

if TYPE_CHECKING:
    from clearhead.pipeline.rundir import RunDir


@click.command(
    epilog=examples(
        ("clearhead report runs/demo", "write runs/demo/report.html again"),
        ("clearhead report runs/demo --json", "the headline figures for a program"),
    )
)
@click.argument("directory", type=click.Path(path_type=Path))
@trust_option
@json_option
def command(directory: Path, trust: bool, as_json: bool) -> None:
    """Write the report of the run in DIRECTORY as one HTML page, finished or not; of a tuning, when it is finished."""
    from clearhead.cli.display import Display
    from clearhead.pipeline.rundir import RunDir

    if (directory / "align.toml").is_file():
        from clearhead.cli import align

        align.report_again(directory, as_json)
        return
    if (directory / "tune.toml").is_file():
        from clearhead.cli import tune

        tune.report_again(directory, as_json)
        return
    run = RunDir(directory)
    allow(run, trust)
    Display().headline(write_report(run), as_json)


def write_report(run: "RunDir") -> dict[str, Any]:
    """report.json and report.html; returns the headline figures, with what was told before training."""
    from clearhead.files import write_json
    from clearhead.pipeline.kinds import kind_of
    from clearhead.pipeline.rundir import read_json
    from clearhead.report import write

    told = kind_of(run.any_recipe())
    data = told.report_data(run)
    write_json(run.report_data, data)
    write(data, run.report)
    before = {"preflight": read_json(run.preflight)} if run.preflight.is_file() else {}
    return told.headline(run, data) | before
