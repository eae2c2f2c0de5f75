"""The second wall, Python's own: what the kernel would refuse is refused before, with a message that says what it was.

An audit hook cannot be taken out again, yet it only sees what goes through Python's own functions; the kernel's walls
hold without it.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

# Events that code may raise; those of os, and of these families, are refused otherwise.
HARMLESS = {"os.listdir", "os.scandir", "os.walk", "os.getxattr", "os.listxattr", "os.putenv", "os.unsetenv"}
REFUSED = (
    "os.", "socket.", "subprocess.", "ctypes.", "shutil.", "pty.", "gc.", "signal.", "sqlite3.", "webbrowser.",
    "sys._current", "sys.set", "sys.monitoring", "sys.addaudithook", "sys.remote", "fcntl.", "resource.", "syslog.",
    "winreg.", "_winapi.", "urllib.", "http.", "smtplib.", "imaplib.", "poplib.", "telnetlib.", "ftplib.", "tempfile.",
)  # fmt: skip
UNIMPORTABLE = ("clearhead", "_posixsubprocess")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def install(hidden: str, closed: Iterable[str] = ()) -> None:
    """From here on refuse the network, other processes, every change of a file, and reading what lies in `hidden`.

    The packages of `closed` can no longer be imported.
    """

    # What the hook reads is bound here: a module's globals can be written to by whoever finds the module
    def hook(
        event: str, args: tuple[Any, ...], /, *, hidden: str = hidden + "/", refused: tuple[str, ...] = REFUSED,
        harmless: frozenset[str] = frozenset(HARMLESS), unimportable: tuple[str, ...] = (*UNIMPORTABLE, *closed),
        writing: int = WRITING, kind: type = type, fsdecode: Any = os.fsdecode,
    ) -> None:  # fmt: skip
        if event == "open":
            path, _, flags = args
            if kind(path) is int:
                return
            if kind(path) is not str and kind(path) is not bytes:
                raise PermissionError("opening a file by anything but its plain name is not allowed here")
            name = fsdecode(path)
            if kind(flags) is int and flags & writing:
                raise PermissionError(f"writing {name} is not allowed here")
            if name.startswith(("/proc/", hidden)):
                raise PermissionError(f"reading {name} is not allowed here")
        elif event == "import":
            if f"{args[0]}".split(".")[0] in unimportable:
                raise ImportError(f"importing {args[0]} is not allowed here")
        elif event.startswith(refused) and event not in harmless:
            raise PermissionError(f"{event} is not allowed here")

    sys.addaudithook(hook)
