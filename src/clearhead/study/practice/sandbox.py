"""Run a learner's file in a process of its own, and come back with its outcomes within the limit, whatever it does.

The process has no network, an empty folder, bounded memory and time, and no input; what it prints is cut short. Its
results are plain numbers and text, and are believed only behind a token that the learner's code does not see. This
holds off mistakes and pranks. It is no wall against somebody who writes machine code, so grade only what you would run.
"""

import contextlib
import importlib
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clearhead.study.practice import child
from clearhead.study.practice.child import pack, unpack

START_SECONDS = 60.0  # for NumPy and torch to load
FRAME_BYTES = 2**26
PRINTED_BYTES = 4000


@dataclass
class Outcome:
    """What came back: a frame a case, and how the process ended."""

    cases: dict[int, dict[str, Any]] = field(default_factory=dict)
    broken: list[str] | None = None  # the file could not be loaded: [kind, message, line]
    called: list[str] = field(default_factory=list)  # of what is forbidden
    printed: str = ""
    ended: str = ""  # why the process ended before it was done
    begun: int | None = None  # the case it was in


def run_apart(request: dict[str, Any], seconds: float) -> Outcome:
    """Run the request in a child process."""
    token = secrets.token_bytes(16)
    outcome, printed, finished = Outcome(), bytearray(), False
    with tempfile.TemporaryDirectory(prefix="clearhead-practice-") as folder, contextlib.ExitStack() as stack:
        ask, to_child = os.pipe()
        from_child, tell = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-u", str(Path(child.__file__).resolve()), str(ask), str(tell)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={key: os.environ[key] for key in ("PATH", "LANG", "LD_LIBRARY_PATH") if key in os.environ}
            | {"HOME": folder, "TMPDIR": folder},
            pass_fds=(ask, tell),
            start_new_session=True,
        )
        stack.callback(_end, process)
        os.close(ask)
        os.close(tell)
        results = stack.enter_context(open(from_child, "rb", buffering=0))
        with contextlib.suppress(BrokenPipeError), open(to_child, "wb") as pipe:
            pipe.write(token + pack({**request, "seconds": seconds}))
        assert process.stdout is not None
        received = bytearray()
        watch = stack.enter_context(selectors.DefaultSelector())
        watch.register(results, selectors.EVENT_READ)
        watch.register(process.stdout, selectors.EVENT_READ)
        deadline, ready = time.monotonic() + START_SECONDS, False
        while not outcome.ended and not finished and watch.get_map():
            events = watch.select(max(0.0, deadline - time.monotonic()))
            if time.monotonic() > deadline:
                outcome.ended = f"was not done after {seconds:g} seconds and was stopped" if ready else "did not start"
            for key, _ in events:
                data = os.read(key.fd, 2**16)
                if not data:
                    watch.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    printed += data[: max(0, PRINTED_BYTES + 1 - len(printed))]
                else:
                    received += data
            try:
                for frame in _frames(received, token):
                    if "ready" in frame:
                        deadline, ready = time.monotonic() + seconds, True
                    finished |= _take(outcome, frame)
            except ValueError:
                outcome.ended = "wrote into the grader's pipe, which only the grader may"
        os.set_blocking(process.stdout.fileno(), False)
        with contextlib.suppress(BlockingIOError):  # what was printed last
            while len(printed) <= PRINTED_BYTES and (data := os.read(process.stdout.fileno(), 2**16)):
                printed += data
        if not finished and not outcome.ended:
            process.wait()
            outcome.ended = _death(process.returncode)
    outcome.printed = printed[:PRINTED_BYTES].decode(errors="replace")
    if len(printed) > PRINTED_BYTES:
        outcome.printed += "\n[the rest is left out]"
    return outcome


def run_here(request: dict[str, Any], seconds: float) -> Outcome:
    """The same without a process: for solutions of our own, which need no guard."""
    outcome = Outcome()
    if request["framework"] == "torch":
        importlib.import_module("torch")  # before what may not be called is replaced
    with child.forbidding(request["forbidden"], outcome.called):
        try:
            module = child.compiled(request["source"], "answer.py")
            getattr(module, request["name"])
        except Exception as error:
            outcome.broken = [type(error).__name__, str(error), ""]
            return outcome
        for place, case in request["cases"]:
            found = child.call(module, request["name"], request["drive"], request["framework"], case)
            outcome.cases[place] = unpack(pack(found))
    return outcome


def _take(outcome: Outcome, frame: dict[str, Any]) -> bool:
    """Note one frame; True when it is the last."""
    outcome.called = [str(name) for name in frame.get("called", outcome.called)]
    if "begun" in frame:
        outcome.begun = int(frame["begun"])
    elif "case" in frame:
        outcome.cases[int(frame["case"])] = frame
    elif "broken" in frame:
        outcome.broken = [str(part) for part in frame["broken"]]
        return True
    return "done" in frame


def _frames(received: bytearray, token: bytes) -> list[dict[str, Any]]:
    """The whole frames received so far, taken out of the buffer. ValueError: bytes that the grader did not write."""
    found = []
    while len(received) >= 24:
        size = int.from_bytes(received[16:24], "little")
        if bytes(received[:16]) != token or size > FRAME_BYTES:
            raise ValueError("not a frame of ours")
        if len(received) < 24 + size:
            break
        frame = unpack(bytes(received[24 : 24 + size]))
        if not isinstance(frame, dict):
            raise ValueError("not a frame of ours")
        found.append(frame)
        del received[: 24 + size]
    return found


def _death(code: int) -> str:
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:
        return "used up its processor time and was stopped"
    if code < 0:
        return f"was ended by the signal {signal.Signals(-code).name}"
    return f"ended the process itself, with exit code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
