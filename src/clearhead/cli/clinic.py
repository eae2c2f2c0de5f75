"""`clearhead clinic`: broken runs to learn from."""

import textwrap
from pathlib import Path

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json, one_line, text_width


@click.command(
    epilog=examples(
        ("clearhead clinic list", "the faults, and the programs that they are put into"),
        ("clearhead clinic --seed 3", "a broken run that is not named: its code, its curves, and a choice of causes"),
        ("clearhead clinic --seed 3 --answer double-softmax", "the grade, with the doctor's evidence"),
        ("clearhead clinic missing-zero-grad", "one that is named"),
    )
)
@click.argument("name", required=False)
@click.option("--program", help="The program that the fault is put into. Default: one of those it fits.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the run, and of which fault."
)
@click.option("--answer", help="The name of the fault, as you see it.")
@click.option("--code", type=click.Path(path_type=Path), help="Write the program to this file, too.")
@json_option
def command(
    name: str | None, program: str | None, seed: int, answer: str | None, code: Path | None, as_json: bool
) -> int | None:
    """Find the fault in a small broken run: see its code and its curves, and name it.

    Without NAME, the seed draws a fault and does not say which. With --answer the exit code is 1 if it is wrong.
    """
    from clearhead.doctor.clinic import consult
    from clearhead.doctor.clinic.faults import FAULTS

    if name == "list":
        rows = [
            {"name": f.name, "title": f.title, "programs": list(f.patches), "findings": list(f.names)} for f in FAULTS
        ]
        if as_json:
            echo_json(rows)
            return None
        for fault in FAULTS:
            echo(f"{fault.name:<28} {fault.title} ({', '.join(fault.patches)})")
        echo(f"{len(FAULTS)} faults")
        return None
    case = consult.case(name, program, seed)
    if answer is not None:
        from clearhead.doctor.clinic.runs import fault_named

        fault_named(answer)
    if code is not None:
        try:
            code.write_text(case.text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {code}: {error.strerror}") from error
    seen = consult.examine(case)
    if as_json:
        echo_json(consult.as_data(case, seen, answer))
    elif answer is None:
        for line in (case.text.rstrip(), "", *seen.curves, ""):
            echo(line)
        if name is None:
            echo(textwrap.fill(f"Which is it? {', '.join(case.choices)}", text_width()))
            echo(f"clearhead clinic --seed {seed} --answer NAME")
        else:
            _tell(seen.told)
    else:
        echo("right" if answer == case.fault.name else f"no: it is {case.fault.name}")
        echo(f"{case.fault.title}, in {case.program}:")
        for line in case.changes:
            echo(f"  {line}")
        _tell(seen.told)
    return 1 if answer is not None and answer != case.fault.name else None


def _tell(told: list[str]) -> None:
    echo("The doctor's evidence:")
    for line in told:
        echo(textwrap.fill(one_line(line), text_width(), initial_indent="  ", subsequent_indent="      "))
