"""`clearhead doctor`: what is wrong with a training run."""

import json
import shutil
import textwrap
from pathlib import Path

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json, one_line


@click.command(
    epilog=examples(
        ("clearhead doctor runs/demo", "every training of a run of yours, finished or going on"),
        ("clearhead doctor --log metrics.csv", "anybody's log: JSON lines, CSV, tfevents"),
        ("clearhead doctor watched.json", "what doctor.watch saved"),
        ("clearhead doctor --log log.jsonl --json", "for a program"),
    )
)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--log", type=click.Path(path_type=Path), help="A log of losses, gradient norms and rates.")
@json_option
def command(run: Path | None, log: Path | None, as_json: bool) -> int | None:
    """Name what is wrong with a training RUN: with evidence, where, what to change, and what would prove it.

    RUN is a run's directory, or a file that doctor.watch saved. Causes come before symptoms. The exit code is 1 if
    something calls for a change. Nothing of the run is changed.
    """
    from clearhead.doctor.finding import alarms
    from clearhead.doctor.log import read_log
    from clearhead.doctor.record import from_json, of_run
    from clearhead.doctor.table import findings
    from clearhead.doctor.telling import as_data, lines, summary

    if (run is None) == (log is None):
        raise UserError("name a run's directory, or a log by --log FILE, and not both")
    if log is not None:
        records = [read_log(log)]
    elif run is not None and run.is_dir():
        records = of_run(run)
    elif run is not None and run.is_file():
        try:
            records = [from_json(json.loads(run.read_text(encoding="utf-8")))]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{run} is not what doctor.watch saves; give a log by --log {run}") from None
    else:
        raise UserError(f"there is no run {run}; name its directory, or a log by --log FILE")
    found = [(record, findings(record)) for record in records]
    code = 1 if any(alarms(each) for _, each in found) else None
    if as_json:
        echo_json([{"log": record.name, "summary": summary(each), "findings": as_data(each)} for record, each in found])
        return code
    width = shutil.get_terminal_size().columns
    for record, each in found:
        echo(one_line(f"{record.name}: {summary(each)}"))
        for finding in each:
            for name, line in lines(finding, record):
                start = "  " if not name else f"      {name}: "
                echo(textwrap.fill(one_line(line), width, initial_indent=start, subsequent_indent="        "))
    return code
