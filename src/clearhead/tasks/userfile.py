"""Functions of the user's own Python file, run in a process of their own that is ended when it takes too long.

So nothing that the file does can hang a run, end it or write into its output; the price is a message there and back,
about a tenth of a millisecond.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from clearhead.errors import UserError

START_SECONDS = 60.0  # that the process may take to start, and the file to be loaded

_CHILD = Path(__file__).with_name("child.py")


class UserFile:
    """The functions of a file, or of none: `call` starts the process where none is running."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path.absolute() if path else None
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize | None = None
        self._owner = 0  # a forked process must not share the pipes of the one it came from
        self._lock = threading.Lock()

    def functions(self) -> list[str]:
        """Which of check, problems, augment and reward the file has; UserError where it cannot be loaded."""
        with self._lock:
            return self._start()

    def call(self, op: str, seconds: float, **named: Any) -> Any:
        """What the function gives. UserError: it fails; TimeoutError: it took longer than `seconds`."""
        with self._lock:
            if self._process is None or self._owner != os.getpid():
                self._start()
            return self._ask(op, seconds, named)

    def _start(self) -> list[str]:
        if self.path and not self.path.is_file():
            raise UserError(f"there is no file {self.path}; give the path of a Python file")
        self._stop()
        process = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONHASHSEED": "0"}, start_new_session=True,
        )  # fmt: skip
        self._process, self._owner = process, os.getpid()
        self._finalizer = weakref.finalize(self, end, process, self._owner)
        try:
            names: list[str] = self._ask("load", START_SECONDS, {"path": str(self.path or "")})
        except TimeoutError:
            raise UserError(f"{self.path} takes longer than {START_SECONDS:g} s to load; make it quicker") from None
        except UserError:
            self._stop()
            raise
        return names

    def _ask(self, op: str, seconds: float, named: dict[str, Any]) -> Any:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            process.stdin.write(json.dumps([op, seconds, named]).encode() + b"\n")
            process.stdin.flush()
            reply = self._read(seconds)
        except (TimeoutError, KeyboardInterrupt):
            self._stop()
            raise
        except (EOFError, BrokenPipeError):
            self._stop()
            raise UserError(f"{op} in {self.path} ended its own process; return a value instead") from None
        if "mistake" in reply:
            raise UserError(reply["mistake"])
        return reply["value"]

    def _read(self, seconds: float) -> dict[str, Any]:
        """The next line that the process writes."""
        assert self._process is not None and self._process.stdout is not None
        file, deadline, read = self._process.stdout.fileno(), monotonic() + seconds, b""
        with selectors.DefaultSelector() as waiting:
            waiting.register(file, selectors.EVENT_READ)
            while not read.endswith(b"\n"):
                if not waiting.select(max(0.0, deadline - monotonic())):
                    raise TimeoutError
                part = os.read(file, 1 << 16)
                if not part:
                    raise EOFError
                read += part
        found: dict[str, Any] = json.loads(read)
        return found

    def _stop(self) -> None:
        if self._finalizer:
            self._finalizer()
        self._process = None


def end(process: "subprocess.Popen[bytes]", owner: int) -> None:
    """End the process and all that it started; a fork of its owner lets it be."""
    if os.getpid() != owner:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):
            assert pipe is not None
            pipe.close()
