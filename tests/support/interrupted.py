"""A stage of a run by itself, stopped at some step as a kill would stop it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from clearhead.pipeline.context import Context
from clearhead.pipeline.rundir import RunDir
from clearhead.training.jsonl_log import Callback, Event, read


def context_of(run: RunDir, said: list[str], watch: Callback = lambda event: None) -> Context:
    def display(label: str) -> AbstractContextManager[Callback]:
        return nullcontext(watch)

    return Context(run, torch.device("cpu"), display, said.append, lambda label, n: nullcontext(lambda count: None))


def at_step(step: int, do: Callable[[], Any]) -> Callback:
    def watch(event: Event) -> None:
        if event["kind"] == "step" and event["step"] == step:
            do()

    return watch


class Killed(Exception):
    """In the place of a signal that cannot be caught: nothing is saved on the way out."""


def kill() -> None:
    raise Killed


def timeless(log: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in event.items() if k != "seconds"} for event in read(log) if event["kind"] != "start"]
