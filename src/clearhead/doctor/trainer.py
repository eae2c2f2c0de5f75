"""The doctor as a callback of transformers.Trainer."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from clearhead.doctor.log import number_of, our_name
from clearhead.doctor.watching import OVERHEAD, Watch


class DoctorCallback(TrainerCallback):
    """`Trainer(..., callbacks=[callback])`, then `print(callback.watch)`, or `callback.watch.findings()`."""

    watch: Watch | None = None

    def __init__(self, every: int = 0, overhead: float = OVERHEAD) -> None:
        self.every, self.overhead = every, overhead

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        optimizer = kwargs.get("optimizer")
        inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
        self.watch = Watch(
            kwargs["model"], inner, kwargs.get("train_dataloader"), every=self.every, overhead=self.overhead
        )

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        for name, value in (logs or {}).items():
            ours, number = our_name(name), number_of(value)
            if (
                self.watch is not None
                and number is not None
                and ours in ("val_loss", "val_accuracy", "reward", "kl", "entropy")
            ):
                self.watch.log(**{ours: number})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.watch is not None:
            self.watch.close()
