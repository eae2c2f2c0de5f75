"""What a person sees while a model trains: a bar on a terminal, a plain line now and then elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from clearhead.console import SafeConsole
from clearhead.training.jsonl_log import Event

LINE_EVERY = 10.0  # seconds between plain lines
SMOOTHING = 0.1  # of the loss and the speed that are shown


class TrainingProgress:
    """A callback that shows step, tokens/s, loss and time left. Use it as a context, so that the bar is closed."""

    def __init__(self, label: str = "training", console: Console | None = None) -> None:
        self.label = label
        self.console = console or SafeConsole(stderr=True)
        columns = ("{task.description}", "{task.completed}/{task.total}", "{task.fields[numbers]}")
        text = [TextColumn(column) for column in columns]
        self.bar = Progress(text[0], BarColumn(), *text[1:], TimeRemainingColumn(), console=self.console)
        self.task = self.bar.add_task(label, total=None, numbers="")
        self.steps = 0
        self.loss: float | None = None
        self.seconds_per_step: float | None = None
        self.last_line = time.monotonic()

    def __enter__(self) -> "TrainingProgress":
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.bar.stop()

    def __call__(self, event: Event) -> None:
        match event["kind"]:
            case "start":
                self.steps = event["steps"]
                self.bar.update(self.task, total=self.steps, completed=event["step"])
                if event["compiled"]:
                    self._say(f"{self.label}: compiling at the first step, which takes up to a minute")
            case "step":
                self._step(event)
            case "eval" if "held_out_loss" in event:
                self._say(f"{self.label}: step {event['step']}, held-out loss {event['held_out_loss']:.4f}")
            case "cut_short":
                self.steps = event["steps"]
                self.bar.update(self.task, total=self.steps)
                self._say(f"{self.label}: step {event['step']}: {cut_short_line(event)}")
            case "kept":
                best = f"the weights of step {event['best_step']} are kept, {event['measure']} {event['value']:.4g}"
                self._say(f"{self.label}: ended at step {event['step']}; {best}")

    def _step(self, event: Event) -> None:
        self.loss = _smooth(self.loss, event["loss"])
        self.seconds_per_step = _smooth(self.seconds_per_step, event["seconds"])
        numbers = f"{event['tokens'] / self.seconds_per_step:,.0f} tokens/s, loss {self.loss:.4f}"
        self.bar.update(self.task, completed=event["step"], numbers=numbers)
        now, done = time.monotonic(), event["step"] == self.steps
        if not self.console.is_terminal and (done or now - self.last_line >= LINE_EVERY):
            self.last_line = now
            left = (self.steps - event["step"]) * self.seconds_per_step
            self._say(f"{self.label}: step {event['step']}/{self.steps}, {numbers}, {left:.0f} s left")

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)


def cut_short_line(event: Event) -> str:
    """Why training is cut short, and how long it goes on.

    >>> event = {"step": 100, "steps": 250, "why": "goal", "measure": "first_try", "value": 0.99}
    >>> cut_short_line(event)
    'first_try is 0.99, which is enough: the learning rate falls from here to 0 at step 250'
    """
    value = f"{event['measure']} is {event['value']:.4g}, "
    why = "which is enough" if event["why"] == "goal" else "and rises no more"
    return f"{value}{why}: the learning rate falls from here to 0 at step {event['steps']}"


def _smooth(mean: float | None, value: float) -> float:
    return value if mean is None else mean + SMOOTHING * (value - mean)
