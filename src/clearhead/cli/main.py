"""`clearhead`: the table of verbs, and what an error looks like.

A verb's module is imported when the verb runs and not before, so that help answers at once: only click is loaded.
"""

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import TextIO

import click

import clearhead
from clearhead.cli.examples import examples
from clearhead.errors import Ignored, UserError
from clearhead.terminal import echo, one_line

VERBS = {  # name: (module whose `command` it is, one line of help)
    "run": ("clearhead.cli.run", "Train, reason by search, write a report: a whole recipe."),
    "solve": ("clearhead.cli.solve", "Solve problems of your own with a trained run."),
    "eval": ("clearhead.cli.eval", "Compare strategies at equal compute."),
    "report": ("clearhead.cli.report", "Write a run's report again as one HTML page."),
    "tasks": ("clearhead.cli.tasks", "List the tasks a model can be trained on."),
    "generate": ("clearhead.cli.generate", "Complete a prompt with a language model."),
    "translate": ("clearhead.cli.translate", "Translate sentences with all models of a run."),
    "chat": ("clearhead.cli.chat", "Talk to a language model."),
    "serve": ("clearhead.cli.serve", "Serve models by OpenAI's API, and a page to work in."),
    "agent": ("clearhead.cli.agent", "Let a model do a task with tools."),
    "tune": ("clearhead.cli.tune", "Tune a model on chats, with LoRA or in full."),
    "align": ("clearhead.cli.align", "Align a model by pairs of answers, or by a reward."),
    "doctor": ("clearhead.cli.doctor", "Find out what is wrong with a training run."),
    "clinic": ("clearhead.cli.clinic", "Find the fault in a small broken run."),
    "inspect": ("clearhead.cli.inspect", "Say what a model is, without loading it."),
    "convert": ("clearhead.cli.convert", "Write a model in another form: Hugging Face, GGUF."),
    "quantize": ("clearhead.cli.quantize", "Write a model in 8 or 4 bits, and say what that costs."),
    "diff": ("clearhead.cli.diff", "Find where two models part."),
    "embed": ("clearhead.cli.embed", "Texts as vectors, and searched by their meaning."),
    "vectors": ("clearhead.cli.vectors", "Word vectors of any text, kept, asked and measured."),
    "graph": ("clearhead.cli.graph", "Classes of a graph's nodes, by graph networks of any depth."),
    "tokenize": ("clearhead.cli.tokenize", "Cut text into tokens, train a tokenizer, compare several."),
    "guide": ("clearhead.cli.study.guide", "Read the guide: questions about all of it, answered."),
    "study": ("clearhead.cli.study.study", "Decks of cards from your notes and from the guide."),
    "practice": ("clearhead.cli.study.practice", "Coding exercises and pen-and-paper problems, graded."),
    "calc": ("clearhead.cli.calc", "Count parameters, arithmetic and memory of a decoder."),
}
OK, CLOSED, USAGE, INTERRUPTED = 0, 1, 2, 130  # exit codes


class Verbs(click.Group):
    """A click group that reads its commands from VERBS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            from clearhead.config import nearest

            raise UserError(f"no verb {cmd_name!r}{nearest(cmd_name, VERBS)}")
        command = importlib.import_module(VERBS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.command(
    cls=Verbs,
    subcommand_metavar="VERB ...",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        ("clearhead run demo", "the recipe that comes with Clearhead: train, search, report"),
        ("clearhead tasks", "what else a model can learn here"),
        ("clearhead VERB --help", "more about one verb"),
    ),
)
@click.version_option(clearhead.__version__, prog_name="clearhead", message="%(prog)s %(version)s")
def group() -> None:
    """Train a small transformer on the computer in front of you and let it reason by search."""


def wait_briefly() -> None:
    """Let a thread that waits for the others spin for microseconds, then sleep. Read when torch is loaded.

    By default it spins for long and takes the core from whom it waits for: beside one other busy process a training
    step took up to ten times as long. Sleeping at once costs a tenth of a step on an idle machine.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    """A warning of ours in one line, without the place in the code; others as Python has it."""
    if issubclass(category, Ignored):
        echo(f"warning: {one_line(str(message))}", err=True)
    else:
        echo(warnings.formatwarning(message, category, filename, lineno, line), err=True, nl=False)


def show_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A traceback as Python has it, but what it quotes may be another's text."""
    import traceback

    echo("".join(traceback.format_exception(kind, error, trace)), err=True, nl=False)


def main(args: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; a person's mistake is one line, a defect keeps its traceback."""
    args = list(sys.argv[1:] if args is None else args) or ["--help"]
    wait_briefly()
    warnings.showwarning, sys.excepthook = show_warning, show_defect
    warnings.simplefilter("default", Ignored)  # each line once
    try:
        code = group.main(args, prog_name="clearhead", standalone_mode=False)
        sys.stdout.flush()
    except (UserError, click.ClickException) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        echo(f"error: {one_line(message)}", err=True)
        return USAGE
    except (KeyboardInterrupt, click.Abort):
        echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python flushes at exit and complains
        return CLOSED
    except OSError as error:  # a full disk, a folder that cannot be written, a file that is not to be read
        where = f"{error.filename}: " if error.filename is not None else ""
        told = one_line(f"{where}{error.strerror or error}")
        echo(f"error: {told}; choose another place, or make room", err=True)
        return USAGE
    return code if isinstance(code, int) else OK
