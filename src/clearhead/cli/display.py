"""What a person sees while a run goes on: one bar for what is happening now, one line for what is done."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from clearhead.console import SafeConsole
from clearhead.terminal import echo, echo_json
from clearhead.training.jsonl_log import Callback
from clearhead.training.progress import TrainingProgress

if TYPE_CHECKING:
    from clearhead.reasoning.evaluate import EvalRow

PLAIN_LINES = 10  # of a stage with many pieces, where there is no terminal to draw a bar on


def cut_off(rows: "Sequence[EvalRow]") -> list[str]:
    """A line for each strategy of a table that limits cut off, naming the settings; of its rows the last counts."""
    cut = {row.strategy: row for row in rows if row.cut}
    return [
        f"{name}: {row.cut:,} of the {row.drawn:,} texts it drew were cut off by {' and '.join(row.limits)}: raise it, "
        "or train longer where the model rambles on"
        for name, row in cut.items()
    ]


class Display:
    """Progress on standard error, so that standard output holds results alone."""

    def __init__(self) -> None:
        self.console = SafeConsole(stderr=True)

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def watch(self, label: str) -> Iterator[Callback]:
        """A callback of one training."""
        with TrainingProgress(label, self.console) as progress:
            yield progress

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar over pieces of equal standing; call the result with the number of pieces just finished."""
        if not self.console.is_terminal:
            done = 0

            def tell(count: int) -> None:
                nonlocal done
                before, done = done * PLAIN_LINES // max(total, 1), done + count
                if done * PLAIN_LINES // max(total, 1) > before:
                    self.say(f"{label}: {done}/{total}")

            yield tell
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task(label, total=total)
            yield lambda count: bar.advance(task, count)

    def table(self, rows: "Sequence[EvalRow]") -> None:
        """Strategies, what they reach and what they cost."""
        columns = ("strategy", "budget", "accuracy", "95% interval", "generated", "reward", "seconds")
        drawn = Table(*(Column(name, no_wrap=True) for name in columns), box=SIMPLE)
        for row in rows:
            drawn.add_row(
                row.strategy, f"{row.budget:,}", f"{row.accuracy:.1%}", f"{row.low:.1%} - {row.high:.1%}",
                f"{row.generated:,.0f}", f"{row.reward:,.0f}", f"{row.seconds:.3f}",
            )  # fmt: skip
        SafeConsole().print(drawn)
        for line in cut_off(rows):
            echo(line)

    def headline(self, summary: Mapping[str, Any], as_json: bool) -> None:
        """The figures that a person ran all this for."""
        if as_json:
            echo_json(dict(summary))
            return
        for line in summary["lines"]:
            echo(line)
        echo(f"report: {summary['report']}")
