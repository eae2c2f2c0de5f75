"""A process of our own for what strangers' files ask for: it answers lines with lines, within limits, or it is ended.

Time is bounded from here, memory by the process itself (limits).
"""

import os
import select
import subprocess
import sys
import time
import weakref
from pathlib import Path

MAX_REPLY_BYTES = 1 << 28  # bytes of a reply
MAX_THREADS = 8  # each has a stack in the memory that the process may have


class Bounded:
    """The process that runs `script`, started when it is first asked, and again after it was ended."""

    def __init__(self, script: str | None) -> None:
        assert script is not None
        self._script = Path(script)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def ask(self, request: bytes, seconds: float) -> bytes | None:
        """The line that answers a line, None when the process did not live that long: then it is lost."""
        if self._process is None:
            self._process = _start(self._script)
            weakref.finalize(self, _end, self._process)
        reply = None
        try:
            reply = _exchange(self._process, request, time.monotonic() + seconds)
        finally:
            if reply is None:  # whatever it was doing
                self.close()
        return reply

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            _end(self._process)
            self._process = None


def _start(script: Path) -> "subprocess.Popen[bytes]":
    """A process without what this one has open, and in a session that a Ctrl-C here does not reach."""
    return subprocess.Popen(
        [sys.executable, "-P", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "RAYON_NUM_THREADS": str(_threads()), "MALLOC_ARENA_MAX": "2"},  # an arena takes up space
    )


def _threads() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not everywhere
    return min(MAX_THREADS, len(affinity(0)) if affinity else os.cpu_count() or 1)


def _exchange(process: "subprocess.Popen[bytes]", request: bytes, deadline: float) -> bytes | None:
    """One line out, one line in; None when the process ends or the time does."""
    assert process.stdin is not None and process.stdout is not None
    out, into = process.stdout.fileno(), process.stdin.fileno()
    rest, reply = memoryview(request + b"\n"), bytearray()
    os.set_blocking(into, False)  # one that does not read must not keep us either
    while not reply.endswith(b"\n"):
        ready = select.select([out], [into] if rest else [], [], max(0.0, deadline - time.monotonic()))
        try:
            if ready[1]:
                rest = rest[os.write(into, rest[: 1 << 16]) :]
            part = os.read(out, 1 << 20) if ready[0] else b""
        except (BrokenPipeError, BlockingIOError):
            return None
        if not any(ready[:2]) or (ready[0] and not part) or len(reply) > MAX_REPLY_BYTES:
            return None
        reply += part
    return bytes(reply)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
