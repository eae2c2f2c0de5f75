"""A walled-in process from the outside: started, asked, heard, watched, and ended in time whatever it does.

It is one question and one answer at a time, within one deadline that is fixed before other people's code is sent: so
many seconds by the clock, and some times as long where others keep the processors busy. An answer out of turn, too long
or too late ends the process. What an answer says is nobody's word but the process's own.
"""

import contextlib
import importlib.util
import json
import os
import selectors
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from clearhead.errors import UserError
from clearhead.sandbox import walls
from clearhead.sandbox.codec import ARRAY_BYTES, HEAD_BYTES

START_SECONDS = 60.0  # for the imports
MEMORY = 2**30  # bytes beyond what the imports took
REPLY_BYTES = ARRAY_BYTES + HEAD_BYTES + 8
PRINTED_BYTES = 4000
THREADS = 64
TICK = 0.1  # seconds between looks at the clock and the threads
PATIENCE = 5  # times its seconds by the clock, where it waits for a processor
GRACE = 1.0  # seconds that a process has to end after it closed its pipes

FORGED = "wrote into the grader's pipe, which only the grader may"

PACKAGE = Path(__file__).resolve().parents[1]
SYSTEM = (  # what loading a library and starting Python reads, besides Python's own folders
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/gnu/store", "/etc/ld.so.cache", "/etc/localtime",
    "/usr/share/zoneinfo", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system", "/dev/null", "/dev/urandom",
)  # fmt: skip

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2", "HOME": "/",
    "LOGNAME": "nobody", "TORCHINDUCTOR_CACHE_DIR": "/",
}  # fmt: skip


class Ended(Exception):
    """The process is no more; the sentence says what it did: "was not done after 10 seconds and was stopped"."""


class Sandbox:
    """A program of ours, ready for other people's code within a `with`. No network, no files but Python's, no way out.

    `program` is a module with `prepare(setup)` and `begin(message, send)`, as `worker.py` says; of ours it can import
    only what lies beside it, and the sandbox. UserError, on entering: this machine cannot keep other people's code in,
    and `unsafe` was not asked for.
    """

    def __init__(self, program: str, setup: Any, seconds: float, *, memory: int = MEMORY, unsafe: bool = False) -> None:
        self._printed, self.missing = b"", list[str]()
        source, self._ask = os.pipe()
        self._tell, sink = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-u", str(PACKAGE / "sandbox" / "worker.py"), str(source), str(sink)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={key: os.environ[key] for key in ("PATH", "LANG", "LD_LIBRARY_PATH") if key in os.environ}
            | ENVIRONMENT,
            pass_fds=(source, sink),
            start_new_session=True,
        )
        os.close(source)
        os.close(sink)
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        for fd in (self._ask, self._tell, self._output):
            os.set_blocking(fd, False)
        parts = program.split(".")
        packages = ["clearhead.sandbox", *(".".join(parts[:i]) for i in range(2, len(parts)))]
        ours = [str(PACKAGE.joinpath(*package.split(".")[1:])) for package in (packages[0], packages[-1])]
        files, folders = readable()
        settings = {
            "program": program, "packages": packages, "setup": setup, "memory": memory, "seconds": seconds,
            "parent": os.getpid(), "ours": ours, "readable": files, "listed": folders,
        }  # fmt: skip
        self._settings, self._unsafe = json.dumps(settings).encode(), unsafe
        self._given = seconds
        self._allow(START_SECONDS, "did not start in time")

    def __enter__(self) -> "Sandbox":
        """Wait until the walls stand."""
        try:
            self.missing = json.loads(self._exchange(self._settings))
            if self.missing and not self._unsafe:
                raise UserError(f"{told(self.missing)}; --unsafe runs it all the same")
        except Ended as error:  # ours, for nobody else's code has come in yet
            last = self.printed.strip().rpartition("\n")[2]
            raise UserError(f"the sandbox did not start: it {error}" + (f" ({last})" if last else "")) from None
        except BaseException:
            self.close()
            raise
        self._allow(self._given, f"was not done after {self._given:g} seconds and was stopped")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def ask(self, message: bytes) -> bytes:
        """The reply. Ended: there is none."""
        with contextlib.suppress(BlockingIOError):
            if os.read(self._tell, 1):
                raise self._ended(FORGED)
        return self._exchange(message)

    def memory(self, anew: bool = False) -> tuple[int, int]:
        """(bytes now in memory, the most there were), as the kernel counts them; (0, 0) where it does not say.

        Pages of files, a library's code, do not count: the system takes them away and brings them back as it likes.
        `anew`: from now on the most is counted anew.
        """
        try:
            if anew:
                Path(f"/proc/{self._process.pid}/clear_refs").write_text("5", encoding="utf-8")
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return 0, 0
        found = {
            line.split(":")[0]: line.split()[1]
            for line in status.split("\n")
            if line.endswith(" kB") and len(line.split()) == 3
        }
        anonymous, shared, files, most = (
            int(found.get(key, 0)) * 1024 for key in ("RssAnon", "RssShmem", "RssFile", "VmHWM")
        )
        return anonymous + shared, max(anonymous + shared, most - files)

    @property
    def printed(self) -> str:
        """What it wrote to stdout and stderr, cut short."""
        text = self._printed[:PRINTED_BYTES].decode(errors="replace")
        return text + ("\n[the rest is left out]" if len(self._printed) > PRINTED_BYTES else "")

    def close(self) -> None:
        """End it now, with everything it started."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None and not self._process.stdout.closed:
            with contextlib.suppress(BlockingIOError):  # what was printed last
                while len(self._printed) <= PRINTED_BYTES and self._hear():
                    pass
            self._process.stdout.close()
            os.close(self._ask)
            os.close(self._tell)

    def _exchange(self, message: bytes) -> bytes:
        """Write a message and read its reply, at once, for the process may do neither."""
        out = memoryview(len(message).to_bytes(8, "little") + message)
        received = bytearray()
        with selectors.DefaultSelector() as watch:
            watch.register(self._tell, selectors.EVENT_READ)
            watch.register(self._output, selectors.EVENT_READ)
            watch.register(self._ask, selectors.EVENT_WRITE)
            while len(received) < 8 or len(received) < 8 + int.from_bytes(received[:8], "little"):
                self._watch()
                for key, _ in watch.select(TICK):
                    try:
                        if key.fd == self._ask:
                            out = out[os.write(self._ask, out[: 2**16]) :]
                            if not out:
                                watch.unregister(self._ask)
                        elif key.fd == self._output:
                            if not self._hear():
                                watch.unregister(self._output)
                        else:
                            part = os.read(self._tell, 2**20)
                            if not part:
                                raise self._ended("")
                            received += part
                    except BlockingIOError:
                        continue
                    except BrokenPipeError:
                        raise self._ended("") from None
                size = int.from_bytes(received[:8], "little") if len(received) >= 8 else 0
                if size > REPLY_BYTES or len(received) > max(8 + size, 8) or (out and received):
                    raise self._ended(FORGED)
        return bytes(received[8:])

    def _hear(self) -> int:
        """Take what was printed; beyond what will be shown it is let go."""
        part = os.read(self._output, 2**16)
        self._printed += part[: max(0, PRINTED_BYTES + 1 - len(self._printed))]
        return len(part)

    def _allow(self, seconds: float, late: str) -> None:
        """From now on so many seconds; `late` says how it ended when they are over."""
        self._seconds, self._late = seconds, late
        self._deadline, self._used = time.monotonic() + seconds, self._processor()[0]

    def _waits(self) -> bool:
        """Whether it wants a processor and had less of one than its seconds, for others keep them busy."""
        used, wants = self._processor()
        return wants and used - self._used < self._seconds

    def _processor(self) -> tuple[float, bool]:
        """(seconds of processor time, whether it wants more now); (0, False) where the kernel does not say."""
        own = Path(f"/proc/{self._process.pid}")
        try:
            fields = [_fields(task / "stat") for task in (own / "task").iterdir()]
            used = sum(int(x) for x in _fields(own / "stat")[11:13]) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError):
            return 0.0, False
        return used, any(state in "RD" for state, *_ in fields)

    def _watch(self) -> None:
        """Look whether it is still within its bounds."""
        over = time.monotonic() - self._deadline
        if over > (PATIENCE - 1) * self._seconds or (over > 0 and not self._waits()):
            raise self._ended(self._late)
        with contextlib.suppress(OSError):
            if len(os.listdir(f"/proc/{self._process.pid}/task")) > THREADS:
                raise self._ended(f"started more than {THREADS} threads and was stopped")

    def _ended(self, said: str) -> Ended:
        """End the process; without a sentence, the one that says how it ended by itself."""
        if not said:
            try:
                said = _death(self._process.wait(GRACE))
            except subprocess.TimeoutExpired:
                said = "closed the grader's pipes and was stopped"
        self.close()
        return Ended(said)


def _fields(stat: Path) -> list[str]:
    """What the kernel says of a process or a thread, behind its name: the state, then numbers."""
    return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def told(missing: list[str]) -> str:
    """What a machine lacks and what follows, in one sentence."""
    could = " and ".join(f"{walls.OPENS[name]} (no {name})" for name in missing)
    return f"this machine cannot keep other people's code in: it could {could}"


def readable() -> tuple[list[str], list[str]]:
    """What code may read, and what it may list besides: Python, its packages, the system's libraries, not this package.

    A folder that holds this package is listed, for Python looks for modules there, and all else in it is readable.
    """
    found = {*SYSTEM, sys.prefix, sys.base_prefix}
    found |= {path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if os.path.isabs(path)}
    found |= {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for name in ("numpy", "torch"):
        spec = importlib.util.find_spec(name)
        found |= {os.path.dirname(path) for path in spec.submodule_search_locations or ()} if spec else set()
    return _around(found, PACKAGE)


def _around(tops: Iterable[str], hidden: Path) -> tuple[list[str], list[str]]:
    """The folders and files of `tops` that may be read, so that nothing of `hidden` is; and those that hold it."""
    files, folders = set(), set()
    left = [Path(os.path.realpath(top)) for top in tops]
    while left:
        path = left.pop()
        if not hidden.is_relative_to(path):
            if not path.is_relative_to(hidden):
                files.add(str(path))
        elif path != hidden and str(path) not in folders:
            folders.add(str(path))
            with contextlib.suppress(OSError):
                left += [Path(os.path.realpath(entry)) for entry in path.iterdir()]  # one may be a way round
    return sorted(files), sorted(folders)


def _death(code: int) -> str:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "used up its processor time or the machine's memory and was stopped"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"was ended by the signal {name}"
    return f"ended the process itself, with exit code {code}"
