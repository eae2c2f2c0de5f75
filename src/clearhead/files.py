"""Files that are there whole or not at all: a reader, or a crash at any instant, finds the old one or the new one.

Beside them a folder that one process has for itself, and the folder of a user's own data.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clearhead.errors import UserError


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to. It takes the name when the block ends; after an error nothing of it remains.

    Only a killed process leaves its `.NAME.PID.part` behind, which nobody reads.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        _reach_disk(part)
        os.replace(part, path)
        _reach_disk(path.parent)  # the new name, too
    finally:
        with contextlib.suppress(OSError):  # what went wrong before is what matters
            part.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Text is written as UTF-8, with line ends as they are."""
    with whole(path) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """All of it or nothing, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)


def write_json(path: Path, data: Any) -> None:
    write_text(path, json.dumps(data, ensure_ascii=False))


def _reach_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder for this process alone while the block lasts. UserError where another process has it.

    The system lets go of it when a process ends, however that ends; the empty file that is left says nothing.
    """
    with (folder / ".lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is at work in {folder}; wait until it has ended, or end it") from None
        except OSError:  # a file system without locks: nothing can be known there
            pass
        yield


def data_folder(environment: Mapping[str, str]) -> Path:
    """Where a user's own data lies: $CLEARHEAD_DATA, else $XDG_DATA_HOME/clearhead, else ~/.local/share/clearhead.

    >>> data_folder({"CLEARHEAD_DATA": "/a"}), data_folder({"XDG_DATA_HOME": "/b", "HOME": "/c"})
    (PosixPath('/a'), PosixPath('/b/clearhead'))
    """
    if environment.get("CLEARHEAD_DATA"):
        return Path(environment["CLEARHEAD_DATA"])
    shared = environment.get("XDG_DATA_HOME")
    return (Path(shared) if shared else Path.home() / ".local" / "share") / "clearhead"
