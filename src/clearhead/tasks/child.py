"""The process that runs the user's own functions, and patterns that may take for ever. `userfile.py` starts it.

One JSON object a line comes in and one goes out. It is run as a file and imports nothing of the package, so it starts
at once. What the user's code prints goes to stderr; what it reads is empty.
"""

import importlib.util
import inspect
import json
import os
import random
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

GRACE = 5.0  # seconds after which a request ends this process by itself, if nobody else did
BATCH_SECONDS = 1.0  # after which a batch of drawn problems is handed over as it is


class Mistake(Exception):
    """A mistake of the user's, in one line."""


class Served:
    """The user's file and what it has been asked for."""

    module: ModuleType
    path: Path
    takes: str
    rows: Iterator[Any]  # of the stream that is being drawn
    stream: tuple[str, int] | None = None
    place: int = 0  # of its next row
    state: Any = None  # of the common generator, which a check may use in between

    def load(self, path: str) -> list[str]:
        """Run the file; which of the functions it has. Without a path there is nothing to run."""
        if not path:
            return []
        self.path = Path(path)
        sys.path.insert(0, str(self.path.parent))
        spec = importlib.util.spec_from_file_location(f"clearhead_user_{self.path.stem}", path)
        assert spec is not None and spec.loader is not None
        self.module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(self.module)
        except (Exception, SystemExit) as error:
            raise Mistake(f"{path} fails when it is loaded: {self._told(error)}") from error
        names = [
            name for name in ("check", "problems", "augment", "reward") if callable(getattr(self.module, name, None))
        ]
        if "check" in names:
            self.takes = _takes(self.module.check)
            if not self.takes:
                raise Mistake(f"check in {path} must take (problem, answer) or (problem, answer, expected)")
        return names

    def check(self, problem: str, answer: str, expected: str) -> bool:
        given = {"expected": expected} if self.takes == "named" else {}
        placed = (problem, answer, expected)[: 3 if self.takes == "three" else 2]
        right = self._call("check", f"on the answer {answer[:60]!r}", self.module.check, *placed, **given)
        if type(right).__name__ not in ("bool", "bool_"):  # NumPy's own truth value is one too
            raise Mistake(
                f"check in {self.path} gave {right!r:.60} for the answer {answer[:60]!r}; return True or False"
            )
        return bool(right)

    def draw(self, split: str, seed: int, start: int, n: int) -> dict[str, Any]:
        """The next n rows from the place `start` on, or those of a second; whether there may be more."""
        if self.stream != (split, seed) or self.place > start:
            self._open(split, seed)
        random.setstate(self.state)
        rows: list[Any] = []
        end = object()
        deadline = time.monotonic() + BATCH_SECONDS
        while len(rows) < n and (not rows or time.monotonic() < deadline):
            row = self._call("problems", "while it draws", next, self.rows, end)
            if row is end:
                break
            if self.place >= start:
                rows.append(self._row(row, "problems"))
            self.place += 1
        self.state = random.getstate()
        return {"rows": rows, "more": len(rows) == n or row is not end}

    def _open(self, split: str, seed: int) -> None:
        """Begin to draw anew; what draws from the common generators is as repeatable as what has its own."""
        random.seed(seed)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(seed % 2**32)
        drawn = self._call("problems", f"for the split {split!r}", self.module.problems, split, seed)
        try:
            self.rows = iter(drawn)
        except TypeError:
            raise Mistake(f"problems in {self.path} gave {drawn!r:.60}; yield one problem after the other") from None
        self.stream, self.place, self.state = (split, seed), 0, random.getstate()

    def augment(self, rows: list[dict[str, Any]], seed: int, start: int) -> list[dict[str, Any]]:
        """Each row as the user's function changes it; what it draws depends on the seed and the row's place alone."""
        changed = []
        for place, row in enumerate(rows, start):
            random.seed(f"{seed}/{place}")
            where, rng = f"on the problem {row['problem'][:60]!r}", random.Random(f"{seed}/{place}")
            changed.append(self._row(self._call("augment", where, self.module.augment, row, rng), "augment"))
        return changed

    def reward(self, prompts: list[str], completions: list[str]) -> list[float]:
        """A number for each completion, finite or not: whoever learns from them looks at that."""
        where = f"on {len(prompts)} answers"
        given = self._call("reward", where, self.module.reward, prompts, completions)
        if isinstance(given, str | bytes) or not hasattr(given, "__len__") or len(given) != len(prompts):
            told = f"{len(given)} of them" if hasattr(given, "__len__") else f"{given!r:.60}"
            raise Mistake(
                f"reward in {self.path} gave {told} for {len(prompts)} answers; give a list, a number for each"
            )
        numbers = []
        for number, completion in zip(given, completions, strict=True):
            try:
                if isinstance(number, str | bytes):
                    raise TypeError
                numbers.append(float(number))
            except (TypeError, ValueError):
                raise Mistake(
                    f"reward in {self.path} gave {number!r:.60} for the answer {completion[:60]!r}; give a number"
                ) from None
        return numbers

    def match(self, pattern: str, text: str) -> bool:
        with warnings.catch_warnings(action="ignore"):
            return re.fullmatch(pattern, text) is not None

    def _row(self, row: Any, function: str) -> dict[str, Any]:
        if isinstance(row, tuple) and len(row) in (2, 3):
            row = dict(zip(("problem", "answer", "steps"), row, strict=False))
        if not isinstance(row, dict):
            raise Mistake(
                f'{function} in {self.path} gave {row!r:.60}; give {{"problem": ..., "answer": ...}} '
                "or (problem, answer, steps)"
            )
        return row

    def _call(self, name: str, where: str, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except (Exception, SystemExit) as error:
            self.stream = None  # a generator that has failed gives nothing more
            raise Mistake(f"{name} in {self.path} fails {where}: {self._told(error)}") from error

    def _told(self, error: BaseException) -> str:
        """The error in one line, with the line of the user's file that it came from."""
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self.path)
        ]
        first = "".join(char if char.isprintable() else "?" for char in str(error).partition("\n")[0][:200])
        return (f"line {lines[-1]}: " if lines else "") + f"{type(error).__name__}: {first}"


def _takes(check: Callable[..., object]) -> str:
    """How it takes the expected answer: as its third argument, by its name, or not ("two"); "" where it takes less."""
    ways: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
        "three": ((0, 1, 2), {}), "named": ((0, 1), {"expected": 2}), "two": ((0, 1), {}),
    }  # fmt: skip
    for way, (args, named) in ways.items():
        try:
            inspect.signature(check).bind(*args, **named)
        except (TypeError, ValueError):
            continue
        return way
    return ""


def main() -> None:
    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    served = Served()
    operations: dict[str, Callable[..., Any]] = {
        "load": served.load, "check": served.check, "draw": served.draw,
        "augment": served.augment, "reward": served.reward, "match": served.match,
    }  # fmt: skip
    for line in requests:
        op, seconds, named = json.loads(line)
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)  # ends even a loop whose parent was killed
        try:
            reply = {"value": operations[op](**named)}
        except Mistake as error:
            reply = {"mistake": str(error)}
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        replies.write(json.dumps(reply, default=str) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
