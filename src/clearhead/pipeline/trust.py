"""Other people's code: a run directory may hold Python that checks or draws problems, and it is not run unasked.

Who runs a recipe of their own wants its Python run, and what a run then keeps of it is trusted. Everybody else's is run
only after the person said so, once for each content: names and places count for nothing.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Any

from clearhead.errors import UserError
from clearhead.files import data_folder, write_whole
from clearhead.pipeline import inputs

IMPORTABLE = (*all_suffixes(), ".pyc", ".zip", ".pth")
RECORD = "trusted-code.json"


def python_files(run: Path, settings: Mapping[str, Any]) -> list[Path]:
    """What of a run could run: the files that its settings name, and whatever these could import beside them."""
    named: list[str] = []

    def note(name: str) -> str:
        if name.endswith(".py"):
            named.append(name)
        return name

    inputs.renamed(settings, note)
    if not named:
        return []
    beside = (path for path in (run / inputs.FOLDER).rglob("*") if path.name.endswith(IMPORTABLE))
    return sorted({*map(Path, named), *beside})


def fingerprint(paths: list[Path]) -> str:
    """One hash of the names and contents; what cannot be read will fail by itself."""
    found = hashlib.sha256()
    for path in paths:
        content = path.read_bytes() if path.is_file() else b""
        found.update(f"{path.name}\0{hashlib.sha256(content).hexdigest()}\0".encode())
    return found.hexdigest()


def trusted(paths: list[Path]) -> bool:
    return not paths or fingerprint(paths) in _record()


def remember(paths: list[Path]) -> None:
    """Trust these files as they are now."""
    if trusted(paths):
        return
    try:
        _path().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_path(), json.dumps(sorted({*_record(), fingerprint(paths)})))
    except OSError as error:
        raise UserError(
            f"{_path()} cannot be written ({error.strerror}); set CLEARHEAD_DATA to a folder that can"
        ) from None


def require(run: Path, paths: list[Path]) -> None:
    """UserError where Python that nobody has allowed would be run."""
    if not trusted(paths):
        raise UserError(
            f"{run} would run Python of its maker's: {', '.join(map(str, paths))}; read it, then allow it with --trust"
        )


def _path() -> Path:
    return data_folder(os.environ) / RECORD


def _record() -> set[str]:
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {entry for entry in found if isinstance(entry, str)} if isinstance(found, list) else set()
