"""`clearhead practice`: coding exercises, handed out as files and really graded."""

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import draw_seed_option, json_option, work_folder_option
from clearhead.cli.study.passes import record, tried
from clearhead.cli.study.problems import problems
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json, text_width, to_json

FAILED = 1  # exit code of a solution that is wrong
MAX_SOLUTION_BYTES = 200_000  # bytes of a solution


class _Practice(click.Group):
    """Tells the name of an exercise from a misspelled command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from clearhead.study.practice import exercise

        if args and self.get_command(ctx, args[0]) is None and args[0] in exercise.names():
            raise UserError(f"{args[0]} is an exercise; begin it with: clearhead practice start {args[0]}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Practice,
    epilog=examples(
        ("clearhead practice list", "the exercises, and what you have done"),
        ("clearhead practice start softmax", "write practice/softmax.py"),
        ("clearhead practice grade softmax", "run it, and say what is wrong where"),
        ("clearhead practice hint softmax", "the next of three hints"),
        ("clearhead practice problems bayes", "a problem for pen and paper"),
    ),
)
def command() -> None:
    """Practice the subject in code: each exercise is graded against the reference."""


command.add_command(problems)


@command.command(
    "list",
    short_help="The exercises, and what you have done.",
    epilog=examples(("clearhead practice list --json", "the same for a program")),
)
@json_option
def list_(as_json: bool) -> None:
    """List the exercises by section, with what you have done."""
    from clearhead.study.practice import exercise, progress

    done = progress.read(record())
    rows = []
    for name in exercise.names():
        found = exercise.load(name)
        rows.append({"name": name, "title": found.title, "section": found.section} | asdict(done.get(name, _none())))
    if as_json:
        echo_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    for section in dict.fromkeys(row["section"] for row in sorted(rows, key=lambda row: str(row["section"]))):
        echo(section)
        for row in rows:
            if row["section"] == section:
                mark = "✓" if row["passed"] else "·" if row["attempts"] else " "
                echo(f" {mark} {row['name']:<{width}}  {row['title']}")
    echo(f"{sum(row['passed'] for row in rows)} of {len(rows)} passed")


@command.command(
    short_help="Write the file to work in.",
    epilog=examples(
        ("clearhead practice start softmax", "write practice/softmax.py"),
        ("clearhead practice start softmax --dir DIR", "write DIR/softmax.py"),
    ),
)
@click.argument("name")
@work_folder_option
@click.option("--force", is_flag=True, help="Write over the file that is there.")
@json_option
def start(name: str, folder: str, force: bool, as_json: bool) -> None:
    """Write the file to work in: the statement, the shapes, the rules."""
    from clearhead.study.practice import exercise

    found = exercise.load(name)
    path = exercise.file_of(name, folder)
    text = exercise.stub(found, name)
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        if not path.is_file():
            raise UserError(f"cannot write {path}: {error.filename} is in the way") from None
        raise UserError(f"{path} is there already; --force writes over it") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    if as_json:
        echo_json({"name": name, "path": str(path), "statement": found.statement.strip()})
        return
    echo(f"{found.title}\n")
    for paragraph in _paragraphs(found.statement):
        echo(textwrap.fill(paragraph, text_width()))
    echo()
    echo(f"Write it in {path}, then:")  # the command has a line of its own, so that it can be copied
    echo(f"clearhead practice grade {name}{_told_folder(folder)}")


@command.command(
    short_help="Say what is wrong where.",
    epilog=examples(
        ("clearhead practice grade softmax", "grade practice/softmax.py"),
        ("clearhead practice grade softmax --file mine.py", "grade another file"),
        ("clearhead practice grade softmax --seed 1", "draw the same cases again"),
        ("clearhead practice grade softmax --unsafe", "where a machine cannot keep it in"),
    ),
)
@click.argument("name")
@work_folder_option
@click.option("--file", "file", help="The file, where it has another name.")
@draw_seed_option
@click.option("--unsafe", is_flag=True, help="Run it even where this machine cannot keep it from your files.")
@json_option
def grade(name: str, folder: str, file: str | None, seed: int | None, unsafe: bool, as_json: bool) -> int:
    """Run your solution on random inputs and say what is wrong where. Exit code 1 if it is wrong.

    It runs in a process that the kernel keeps from your files, the network and other processes (Linux, with Landlock
    and seccomp). Elsewhere it is not run unless you say --unsafe: then it can do what you can.
    """
    from functools import partial

    from clearhead.console import SafeConsole
    from clearhead.sandbox.process import told
    from clearhead.study.practice import exercise, progress
    from clearhead.study.practice.grade import grade as judge
    from clearhead.study.practice.runner import run_apart

    found = exercise.load(name)
    path = Path(file) if file else exercise.file_of(name, folder)
    source = _source(path, name)
    progress.read(record())  # so that a file that cannot be read is told before the work
    with SafeConsole(stderr=True).status("running your solution"):
        verdict = judge(found, source, partial(run_apart, unsafe=unsafe), seed)
    if verdict.missing:
        echo(f"warning: {told(list(verdict.missing))}", err=True)
    tried(name, verdict.passed)
    if as_json:
        echo_json({"name": name} | asdict(verdict))
        return 0 if verdict.passed else FAILED
    if verdict.printed.strip():
        echo(f"Your solution printed:\n{textwrap.indent(verdict.printed.rstrip(), '  ')}\n")
    if verdict.passed:
        echo(f"{name}: passed, {verdict.cases} cases")
        return 0
    echo(f"{name}: not yet")
    for line in verdict.said:
        echo(textwrap.fill(line, text_width(), initial_indent="- ", subsequent_indent="  "))
    if verdict.shown:
        echo(f"\nThe smallest case that fails:\n{textwrap.indent(verdict.shown, '  ')}")
    return FAILED


@command.command(
    short_help="The next of three hints.", epilog=examples(("clearhead practice hint softmax", "the next hint"))
)
@click.argument("name")
@json_option
def hint(name: str, as_json: bool) -> None:
    """Give the next hint of three, each stronger than the one before."""
    from clearhead.study.practice import exercise, progress

    found = exercise.load(name)
    seen = progress.read(record()).get(name, _none()).hints
    if seen < len(found.hints):
        progress.changed(record(), name, hints=1)
    place = min(seen, len(found.hints) - 1)
    if as_json:
        echo_json({"name": name, "hint": place + 1, "of": len(found.hints), "text": found.hints[place]})
        return
    last = " (there are no more)" if seen >= len(found.hints) else ""
    echo(textwrap.fill(f"Hint {place + 1} of {len(found.hints)}{last}: {found.hints[place]}", text_width()))


@command.command(
    epilog=examples(
        ("clearhead practice solution softmax", "a right solution, once you have passed"),
        ("clearhead practice solution softmax --torch", "in PyTorch"),
    )
)
@click.argument("name")
@click.option("--torch", "in_torch", is_flag=True, help="In PyTorch, not in NumPy.")
@click.option("--yes", is_flag=True, help="Show it before you have passed.")
@json_option
def solution(name: str, in_torch: bool, yes: bool, as_json: bool) -> None:
    """Print a right solution."""
    from clearhead.study.practice import exercise, progress

    found = exercise.load(name)
    if not progress.read(record()).get(name, _none()).passed:
        if not yes:
            raise UserError(f"you have not passed {name} yet; --yes shows the solution all the same")
        progress.changed(record(), name, solution_seen=True)
    text = (found.torch if in_torch else found.solution).strip()
    echo(to_json({"name": name, "source": text}) if as_json else text)


def _paragraphs(text: str) -> list[str]:
    """Lines joined to what can be wrapped anew: a short line ends a paragraph, and so does the next item of a list."""
    found: list[str] = []
    short = True
    for line in text.strip().splitlines():
        if short or line.startswith(("- ", "1. ", "2. ", "3. ")):
            found.append(line)
        else:
            found[-1] += f" {line.strip()}"
        short = len(line) < 90
    return found


def _none() -> Any:
    from clearhead.study.practice.progress import Progress

    return Progress()


def _told_folder(folder: str) -> str:
    return "" if folder == "practice" else f" --dir {folder}"


def _source(path: Path, name: str) -> str:
    try:
        if path.stat().st_size > MAX_SOLUTION_BYTES:
            raise UserError(f"{path} has {path.stat().st_size:,} bytes; a solution has at most {MAX_SOLUTION_BYTES:,}")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no {path}; `clearhead practice start {name}` writes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error
