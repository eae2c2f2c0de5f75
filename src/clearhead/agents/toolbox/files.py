"""The files below one folder: listed, read and written, and none outside.

A path is walked name by name from the folder's own descriptor, and no link is followed, so that neither `..` nor a
link, not even one that is put there meanwhile, leads out.
"""

import contextlib
import errno
import math
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

from clearhead.agents.tools import Tool, ToolError, tool

MOST_BYTES = 2**22  # of a file that is read or written
MOST_NAMES = 500  # of a folder that is listed
MOST_DEPTH = 32
SHOWN = 3800  # characters of a file that are shown at once
WHERE = "a path below the folder, such as notes/a.txt"


def files(folder: Path) -> list[Tool]:
    """Tools for the files below `folder`, which exists: list_files, read_file, write_file."""

    def list_files(path: Annotated[str, "a folder below the folder; . is the folder itself"] = ".") -> list[str]:
        """List a folder: its folders, with / behind the name, and its files, with their sizes."""
        return listed(folder, path)

    def read_file(path: Annotated[str, WHERE], line: Annotated[int, "the first line to show"] = 1) -> str:
        """Read a text file, from a line on."""
        return read(folder, path, line)

    def write_file(path: Annotated[str, WHERE], text: str) -> str:
        """Write a text file, whole; what was in it before is lost."""
        return write(folder, path, text)

    always = partial(tool, seconds=math.inf)
    return [always(list_files), always(read_file), always(write_file, writes=True)]


def listed(folder: Path, path: str) -> list[str]:
    with _told(path), _folder(folder, _parts(path)) as at, os.scandir(at) as entries:
        found = sorted(_entry(entry) for entry in entries)
    left = len(found) - MOST_NAMES
    return found[:MOST_NAMES] + ([f"and {left:,} more"] if left > 0 else [])


def read(folder: Path, path: str, line: int = 1) -> str:
    """The text from `line` on, as far as it is shown at once, and which lines these are where they are not all."""
    parts = _parts(path)
    with _told(path), _folder(folder, parts[:-1]) as at:
        fd = os.open(parts[-1] if parts else ".", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # a folder, or what would be waited for
            os.close(fd)
            raise ToolError(f"{path:.200} is no file; list_files lists a folder")
        with open(fd, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ToolError(f"{path:.200} holds more than {MOST_BYTES:,} bytes; such a file is not read")
    try:
        lines = data.decode("utf-8").splitlines(keepends=True)
    except UnicodeDecodeError:
        raise ToolError(f"{path:.200} holds no text") from None
    if not 1 <= line <= max(1, len(lines)):
        raise ToolError(f"{path:.200} has {len(lines):,} lines, so none of number {line}")
    last = line - 1
    size = 0
    while last < len(lines) and (size := size + len(lines[last])) <= SHOWN:
        last += 1
    last = max(last, min(line, len(lines)))  # a line that is too long is shown, and cut
    text = "".join(lines[line - 1 : last])
    return text if last - line + 1 == len(lines) else f"[lines {line} to {last} of {len(lines)}]\n{text}"


def write(folder: Path, path: str, text: str) -> str:
    """Write it whole or not at all; folders that are missing are made."""
    data, parts = text.encode("utf-8", "replace"), _parts(path)
    if len(data) > MOST_BYTES:
        raise ToolError(f"a text of {len(data):,} bytes; at most {MOST_BYTES:,} are written")
    if not parts:
        raise ToolError(f"{path:.200} is the folder itself; name a file in it")
    part = f".{parts[-1][:200]}.{os.getpid()}.part"
    with _told(path), _folder(folder, parts[:-1], make=True) as at:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(parts[-1], dir_fd=at, follow_symlinks=False).st_mode):
                raise ToolError(f"{path:.200} is no file, but a folder, a link or a device; take another name")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666, dir_fd=at)
        try:
            with open(fd, "wb") as file:
                file.write(data)
            os.replace(part, parts[-1], src_dir_fd=at, dst_dir_fd=at)
        except BaseException:
            os.unlink(part, dir_fd=at)
            raise
    return f"written: {path:.200}, {len(data):,} bytes"


def _parts(path: str) -> list[str]:
    """The names of a path. ToolError: it leads out of the folder, or is none.

    >>> _parts("./a//b.txt")
    ['a', 'b.txt']
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts:
        raise ToolError(f"{path:.200} leads out of the folder; name {WHERE}")
    if "\0" in path or len(parts) > MOST_DEPTH:
        raise ToolError(f"{path!r:.200} is no path; name {WHERE}")
    return parts


@contextlib.contextmanager
def _folder(top: Path, parts: list[str], make: bool = False) -> Iterator[int]:
    """The descriptor of the folder at the end of `parts`."""
    at = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=at)
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = deeper
        yield at
    finally:
        os.close(at)


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """What the system says against a path, in words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise ToolError(f"{path:.200} leads through a link; links are not followed") from None
        raise ToolError(f"{path:.200}: {os.strerror(error.errno or 0)}") from None
    except UnicodeEncodeError:
        raise ToolError(f"{path!r:.200} is no path; name {WHERE}") from None


def _entry(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return f"{entry.name} (a link, which is not followed)"
    if entry.is_dir(follow_symlinks=False):
        return f"{entry.name}/"
    return f"{entry.name} ({entry.stat(follow_symlinks=False).st_size:,} bytes)"
