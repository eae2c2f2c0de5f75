"""The files that a recipe names (problems, held-out problems, Python of the user's), and what a run keeps of them.

A run copies them into its folder `data` when it is made, and its config.toml names the copies, so that it can be moved
and outlives its sources; the modules that a Python file imports from beside it go along. A file too large to copy stays
where it is and is known again by its hash. This is the one place that knows which settings are file names and where
they lead. What is deliberately not here: the text of a run on text, which its stages turn into shards and never read
again.
"""

import ast
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clearhead.errors import UserError

FOLDER = "data"
LARGEST_COPY = 64 << 20  # bytes
PREFIXES = ("file:", "python:")  # of a task's source that is a file


@dataclass(frozen=True)
class Input:
    """A file as it was when the run was made. `name` is what config.toml calls it."""

    name: str
    original: str  # where it was, as an absolute path
    sha256: str
    bytes: int
    modified: int  # in nanoseconds
    copied: bool


def renamed(plain: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    """A recipe in plain form in which every file name of a task, and that of a reward, is what `rename` makes of it.

    >>> renamed({"tasks": {"mine": {"source": "file:a.jsonl", "checker": "exact"}}}, str.upper)
    {'tasks': {'mine': {'source': 'file:A.JSONL', 'checker': 'exact'}}}
    """
    tasks = {
        task: {key: _renamed(key, value, rename) for key, value in section.items()}
        for task, section in plain.get("tasks", {}).items()
    }
    found = {**plain, "tasks": tasks} if tasks else dict(plain)
    for key in ("align", "in_context_align"):
        section = plain.get(key, {})
        if str(section.get("reward", "")).endswith(".py"):
            found[key] = {**section, "reward": rename(section["reward"])}
    return found


def _renamed(key: str, value: Any, rename: Callable[[str], str]) -> Any:
    if not isinstance(value, str) or not value:
        return value
    if key == "source":
        prefix = next((prefix for prefix in PREFIXES if value.startswith(prefix)), None)
        return value if prefix is None else prefix + rename(value.removeprefix(prefix))
    return rename(value) if key == "holdout" or value.endswith(".py") else value


def keep(plain: Mapping[str, Any], run: Path) -> tuple[dict[str, Any], list[Input]]:
    """Copy what the recipe names into the run; the recipe with the new names, and what was found."""
    found: dict[str, Input] = {}  # by content and suffix: one copy of a file that is named twice

    def rename(name: str) -> str:
        path = Path(name).expanduser()
        if not path.is_file():
            return name
        with_modules = [path, *(imported_beside(path) if path.suffix == ".py" else ())]
        key = "".join(map(_sha256, with_modules)) + path.suffix
        if key not in found:
            found[key] = _keep(path, run, {entry.name for entry in found.values()})
        return found[key].name

    return renamed(plain, rename), list(found.values())


def _keep(path: Path, run: Path, taken: set[str]) -> Input:
    original, facts = os.path.abspath(path), path.stat()
    if facts.st_size > LARGEST_COPY:
        return Input(original, original, _sha256(path), facts.st_size, facts.st_mtime_ns, copied=False)
    names = (f"{FOLDER}/{path.stem}{'' if i == 1 else f'-{i}'}{path.suffix}" for i in range(1, 10_000))
    name = next(name for name in names if name not in taken)
    (run / FOLDER).mkdir(exist_ok=True)
    shutil.copyfile(path, run / name)
    for module in imported_beside(path) if path.suffix == ".py" else ():
        _keep_module(module, path.parent, run / FOLDER)
    return Input(name, original, _sha256(run / name), facts.st_size, facts.st_mtime_ns, copied=True)


def imported_beside(path: Path) -> list[Path]:
    """The Python files beside a file that it imports by their names, and those that these import; packages whole.

    What cannot be parsed imports nothing: it fails by itself when it is run.
    """
    found: dict[Path, None] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        for name in _imported_names(file):
            module, package = path.parent / f"{name}.py", path.parent / name
            here = sorted(package.rglob("*.py")) if package.is_dir() else [module] if module.is_file() else []
            new = [each for each in here if each not in found and each != path]
            found |= dict.fromkeys(new)
            waiting += new
    return list(found)


def _imported_names(file: Path) -> set[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return set()
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.partition(".")[0] for name in plain} | {
        (node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom) and not node.level
    } - {""}


def _keep_module(module: Path, folder: Path, kept: Path) -> None:
    """A copy under its own name, by which it is imported. UserError where that is another file's already."""
    target = kept / module.relative_to(folder)
    if target.exists() and target.read_bytes() != module.read_bytes():
        raise UserError(f"two files of the recipe are called {module.name}, {module} is one; rename it")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(module, target)


def located(plain: Mapping[str, Any], run: Path, inputs: list[Input]) -> dict[str, Any]:
    """The recipe of a run with names that can be opened from here."""
    copies = {entry.name: str(run / entry.name) for entry in inputs if entry.copied}
    return renamed(plain, lambda name: copies.get(name, name))


def verify(run: Path, inputs: list[Input]) -> None:
    """UserError where a file that the run needs is not there, or is not what it was."""
    for entry in inputs:
        path = run / entry.name  # which is the original itself where that is absolute
        if not path.is_file():
            raise UserError(f"{run} needs {path}, which is not there; put it back")
        facts = path.stat()
        touched = (facts.st_size, facts.st_mtime_ns) != (entry.bytes, entry.modified)
        if not entry.copied and touched and _sha256(path) != entry.sha256:
            raise UserError(f"{path} has changed since {run} was made from it; put the old file back")


def recognized(plain: Mapping[str, Any], run: Path, inputs: list[Input]) -> dict[str, Any]:
    """A recipe given anew, with the run's own name for each file that has the content, or else is gone, of one kept."""
    by_content = {entry.sha256: entry.name for entry in inputs}
    by_place = {entry.original: entry.name for entry in inputs}

    def rename(name: str) -> str:
        path = Path(name).expanduser()
        place = os.path.abspath(path)
        if not path.is_file():
            return by_place.get(place, name)
        known = by_content.get(_sha256(path))
        if known is None and place in by_place:
            raise UserError(
                f"{name} has changed since {run} was made from it, and the run keeps it as it was; "
                f"go on with: clearhead run --resume {run}, or choose another --out"
            )
        return known or name

    return renamed(plain, rename)


def to_plain(inputs: list[Input]) -> list[dict[str, Any]]:
    return [asdict(entry) for entry in inputs]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
