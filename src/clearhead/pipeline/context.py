"""What every stage of a run, of whatever kind, is handed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from clearhead.checkpoints.own import load_tokenizer
from clearhead.pipeline.data import run_tasks
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.rundir import RunDir
from clearhead.tasks.task import Task
from clearhead.text.protocol import Tokenizer
from clearhead.training.jsonl_log import Callback

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Context:
    """`watch(label)` opens a display that observes one training, `progress(label, n)` a bar; `say` prints a line."""

    run: RunDir
    device: torch.device
    watch: Callable[[str], AbstractContextManager[Callback]]
    say: Callable[[str], None]
    progress: Progress

    @property
    def recipe(self) -> Recipe:
        """Of a run on tasks, with the sizes that follow from the data, once the tokenizer's stage has measured them."""
        return self.run.recipe()

    def tasks(self) -> dict[str, Task]:
        return run_tasks(self.run)

    def tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.run.path)
