"""Problems that a task draws: noted once, in a folder if one is given, so that every process knows the same ones.

A generator knows the answers of the problems that it has made and of no others. What was drawn is a stream, which can
go on from its last problem: it is drawn once, in the first process that asks, and read from its file by all the others,
at the same time or after a restart. A stream ends where nothing new comes any more, or where drawing takes too long.
What is deliberately not here: how a problem is drawn, and which split it belongs to.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from clearhead.errors import UserError
from clearhead.files import write_whole
from clearhead.tasks.task import Task

SECONDS = 60.0  # of this process that a stream may be drawn for
LATEST = 300.0  # seconds on the clock, where drawing waits for others
FEWEST = 50  # problems that it has however long they take
PATIENCE = 2000  # draws in a row without a new problem that end it


@dataclass(frozen=True)
class DrawnProblem:
    """A problem with its answer, the steps to it if the task knows any, and where the task finds it again."""

    problem: str
    answer: str
    steps: tuple[str, ...] = ()
    place: int = 0


@dataclass
class _Stream:
    problems: dict[str, DrawnProblem]
    ended: bool = False

    def to_text(self) -> str:
        lines = [asdict(drawn) for drawn in self.problems.values()] + [{"ended": True}] * self.ended
        return "".join(json.dumps(line) + "\n" for line in lines)


class DrawnProblems:
    """All streams of one task. Of two processes that draw the same one at once, the longer one is kept."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._streams: dict[str, _Stream] = {}
        self._sizes: dict[Path, int] = {}  # of the files as they were when they were read

    def find(self, problem: str) -> DrawnProblem | None:
        """What was noted of the problem, by this process or by another one."""
        found = self._noted(problem)
        if found is None and self._read_changed():
            found = self._noted(problem)
        return found

    def take(
        self,
        name: str,
        n: int,
        wanted: Callable[[str], bool],
        fresh: Callable[[DrawnProblem | None], Iterator[DrawnProblem | None]],
    ) -> list[DrawnProblem]:
        """The first n problems of a stream that are wanted, each once; fewer where the stream ends before.

        `fresh(last)` draws what comes behind the last one noted; None is a draw that is of no use.
        """
        self._read_changed()
        stream = self._streams.setdefault(name, _Stream({}))
        found = [drawn for drawn in stream.problems.values() if wanted(drawn.problem)]
        if len(found) >= n or stream.ended:
            return found[:n]
        before, misses = len(stream.problems), 0
        until, latest = time.process_time() + SECONDS, time.monotonic() + LATEST
        draws = fresh(next(reversed(stream.problems.values()), None))
        while len(found) < n and not stream.ended:
            drawn = next(draws, None)
            if drawn is None or drawn.problem in stream.problems:
                misses += 1
            else:
                misses, stream.problems[drawn.problem] = 0, drawn
                found += [drawn] * wanted(drawn.problem)
            late = time.process_time() > until or time.monotonic() > latest
            stream.ended = misses >= PATIENCE or (late and len(stream.problems) >= FEWEST)
        if stream.ended or len(stream.problems) > before:
            self._write(name, stream)
        return found

    def _noted(self, problem: str) -> DrawnProblem | None:
        streams = self._streams.values()
        return next((stream.problems[problem] for stream in streams if problem in stream.problems), None)

    def _read_changed(self) -> bool:
        """Read the files that are new or have grown; were there any?"""
        changed = False
        for path in sorted(self._folder.glob("*.jsonl")) if self._folder else ():
            if (size := path.stat().st_size) != self._sizes.get(path):
                changed, self._sizes[path] = True, size
                stream, known = _read(path), self._streams.get(path.stem)
                if known is None or len(stream.problems) >= len(known.problems):
                    self._streams[path.stem] = stream
        return changed

    def _write(self, name: str, stream: _Stream) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.jsonl"
        write_whole(path, stream.to_text())
        self._sizes[path] = path.stat().st_size


def _read(path: Path) -> _Stream:
    stream = _Stream({})
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            if "ended" in fields:
                stream.ended = True
            else:
                drawn = DrawnProblem(**fields | {"steps": tuple(fields["steps"])})
                stream.problems[drawn.problem] = drawn
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it, and its problems are drawn again") from None
    return stream


@runtime_checkable
class KeepsDrawn(Protocol):
    """A task that knows only the problems that it has drawn, and can keep them in a folder of one run and task."""

    def kept_in(self, folder: Path) -> Task: ...
