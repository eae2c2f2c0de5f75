"""What a learner has done so far: one small JSON file in the user's data folder, written whole or not at all."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from clearhead.errors import UserError
from clearhead.files import data_folder, write_whole


@dataclass(frozen=True)
class Progress:
    """Of one exercise."""

    attempts: int = 0
    passed: bool = False
    hints: int = 0  # how many were read
    solution_seen: bool = False  # before the first pass


def record() -> Path:
    """The file of the user's own record."""
    return data_folder(os.environ) / "practice.json"


def tried(name: str, passed: bool) -> None:
    """Count an attempt there; a pass stays one, whatever is tried after it."""
    changed(record(), name, attempts=1, **({"passed": True} if passed else {}))


def read(path: Path) -> dict[str, Progress]:
    """Progress by exercise; none where there is no file yet. UserError: a file that is no progress of ours."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): _one(given) for name, given in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} holds no progress that can be read; move it away to begin anew ({error})") from error


def write(path: Path, progress: Mapping[str, Progress]) -> None:
    """Put the file in place whole. UserError: the folder cannot be written to."""
    text = json.dumps({name: asdict(one) for name, one in progress.items()}, indent=1, sort_keys=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; set CLEARHEAD_DATA to a folder of yours") from error


def changed(path: Path, name: str, **changes: Any) -> Progress:
    """Change one exercise's progress and write it down; `attempts=1` and `hints=1` count one more."""
    progress = read(path)
    before = progress.get(name, Progress())
    counted = {key: getattr(before, key) + changes.pop(key) for key in ("attempts", "hints") if key in changes}
    after = replace(before, **counted, **changes)
    write(path, progress | {name: after})
    return after


@dataclass(frozen=True)
class Tally:
    """Of all exercises, or of all problems."""

    passed: int
    tried: int  # passed or not
    all: int


def tally(progress: Mapping[str, Progress], names: Collection[str]) -> Tally:
    """How many of these were passed, how many tried.

    >>> tally({"softmax": Progress(attempts=2, passed=True), "gone": Progress(attempts=1)}, ["softmax", "top-p"])
    Tally(passed=1, tried=1, all=2)
    """
    tried = [progress[name] for name in names if name in progress and progress[name].attempts]
    return Tally(sum(one.passed for one in tried), len(tried), len(names))


def _one(given: Any) -> Progress:
    found = Progress(**given)
    if any(type(getattr(found, part.name)) is not type(part.default) for part in fields(found)):
        raise TypeError("a value of the wrong kind")
    return found
