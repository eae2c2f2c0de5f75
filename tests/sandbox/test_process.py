"""A sandbox from the outside: whatever the process does, it ends in time, with one sentence, and leaves nothing."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.sandbox import process, walls
from clearhead.sandbox.codec import pack, unpack
from clearhead.sandbox.process import Ended, Sandbox

# The program that these tests run there is the grader's: its first message is a source, whose `f` each other calls.
PROGRAM = "clearhead.study.practice.child"
REQUEST = {"name": "f", "drive": "", "framework": "numpy", "forbidden": [], "measure": False}
CASE = pack({"inputs": {}, "measure": False, "gradient": None})
FIND = """
import errno, json, os, struct, sys, threading, time
def pipes():
    found = []
    for fd in range(3, 64):
        try:
            os.write(fd, b"")
            found.append(fd)
        except OSError:
            pass
    return found
def frame(data, size=None):
    return (len(data) if size is None else size).to_bytes(8, "little") + data
def say(head, rest=b""):
    head = head if isinstance(head, bytes) else json.dumps(head).encode()
    write(frame(struct.pack("<Q", len(head)) + head + rest))
def write(data):
    for fd in pipes():
        os.write(fd, data)
"""


@pytest.fixture
def run(walled: None) -> Callable[..., object]:
    """The value that `f` of a source gives there, or Ended."""

    def one(source: str, seconds: float = 10.0, **options: object) -> object:
        with Sandbox(PROGRAM, {"framework": "numpy", "measure": False}, seconds, **options) as sandbox:  # type: ignore
            loaded = unpack(sandbox.ask(pack({**REQUEST, "source": textwrap.dedent(source)})))
            if loaded:
                return loaded
            return unpack(sandbox.ask(CASE))

    return one


def test_a_value_comes_back(run: Callable[..., dict]) -> None:
    assert run("def f():\n    return {1: (2.5, [None])}")["value"] == {1: (2.5, [None])}
    assert run("import numpy as np\ndef f():\n    return np.arange(3)")["value"].tolist() == [0, 1, 2]


ENDS = {
    "while True: pass": "was not done after 1 seconds",
    "time.sleep(100)": "was not done after 1 seconds",
    "os.closerange(0, 64); time.sleep(100)": "closed the grader's pipes|ended the process itself",
    "[os.close(fd) for fd in pipes()]; time.sleep(100)": "closed the grader's pipes|ended the process itself",
    "os._exit(3)": "ended the process itself, with exit code 3",
    "signal.raise_signal(signal.SIGSTOP)": "was not done after 1 seconds",
    "signal.raise_signal(40)": "was ended by the signal 40",
    "os.abort()": "was ended by the signal SIGABRT",
    "write(b'x' * 100)": "wrote into the grader's pipe",
    "write(frame(b'', 2**62))": "wrote into the grader's pipe",
    "write(frame(b'x' * 3, 2**20)); time.sleep(100)": "was not done after 1 seconds",
    "write(frame(b'{}') * 2); time.sleep(100)": "wrote into the grader's pipe",
    "[threading.Thread(target=time.sleep, args=(100,)).start() for _ in range(200)]; time.sleep(9)": "64 threads",
    "while True: print('x' * 10**5)": "was not done after 1 seconds",
}


@pytest.mark.parametrize("line", ENDS)
def test_it_ends_in_time_and_says_how(run: Callable[..., object], line: str) -> None:
    begun = time.monotonic()
    with pytest.raises(Ended, match=ENDS[line]):
        source = f"{FIND}\nimport signal\nthreading.stack_size(2**16)\ndef f():\n    {line}\n"
        run(source, seconds=1.0 if "not done" in ENDS[line] else 10.0)
    assert time.monotonic() - begun < 15


def test_a_reply_before_the_question_is_refused(walled: None) -> None:
    with Sandbox(PROGRAM, {"framework": "numpy", "measure": False}, 5.0) as sandbox:
        late = "\ndef later():\n    time.sleep(0.2)\n    write(frame(b'{}'))\nthreading.Thread(target=later).start()"
        late += "\ndef f(): pass"
        assert unpack(sandbox.ask(pack({**REQUEST, "source": FIND + late}))) == {}
        time.sleep(0.6)
        with pytest.raises(Ended, match="wrote into the grader's pipe"):
            sandbox.ask(CASE)


def test_a_large_message_to_a_process_that_does_not_read(walled: None) -> None:
    begun = time.monotonic()
    with Sandbox(PROGRAM, {"framework": "numpy", "measure": False}, 2.0) as sandbox:
        source = f"{FIND}\nimport signal\ndef g():\n    time.sleep(0.3)\n    signal.raise_signal(19)\n"
        source += "threading.Thread(target=g).start()\ndef f(): pass\n"
        sandbox.ask(pack({**REQUEST, "source": source}))
        time.sleep(0.6)
        with pytest.raises(Ended, match="not done"):
            sandbox.ask(bytes(2**22))
    assert time.monotonic() - begun < 10


def test_the_clock_waits_for_the_processor_and_for_nothing_else(walled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that others keep busy a right solution is not stopped before it had its seconds of the processor."""
    busy = pack({**REQUEST, "source": "import time\ndef f():\n    while True: pass"})
    with Sandbox(PROGRAM, {"framework": "numpy", "measure": False}, 0.5) as sandbox:
        sandbox.ask(busy)
        monkeypatch.setattr(sandbox, "_used", sandbox._processor()[0] + 1000)  # as if it had had none for long
        begun = time.monotonic()
        with pytest.raises(Ended, match=r"was not done after 0\.5 seconds"):
            sandbox.ask(CASE)
        assert time.monotonic() - begun > 0.5 * (process.PATIENCE - 1)
    asleep = pack({**REQUEST, "source": "import time\ndef f(): time.sleep(100)"})
    with Sandbox(PROGRAM, {"framework": "numpy", "measure": False}, 30.0) as sandbox:
        sandbox.ask(asleep)
        monkeypatch.setattr(sandbox, "_deadline", time.monotonic() + 1.0)
        with pytest.raises(Ended, match="was not done"):
            sandbox.ask(CASE)
        assert time.monotonic() < sandbox._deadline + 5


MEMORY = {
    "np.ones(2**28)": "MemoryError", "bytearray(2**31)": "MemoryError", "mmap.mmap(-1, 2**31)": "OSError",
    "[bytes(2**20) for _ in range(2**13)]": "MemoryError", "np.empty(2**40)": "MemoryError",
    "' ' * 2**40": "MemoryError",
}  # fmt: skip


@pytest.mark.parametrize("expression", MEMORY)
def test_memory_is_bounded(run: Callable[..., dict], expression: str) -> None:
    found = run(f"import mmap\nimport numpy as np\ndef f():\n    x = {expression}\n    return 1\n")
    assert found["error"][0] in (MEMORY[expression], "_ArrayMemoryError"), found


def test_a_machine_without_walls_says_so_and_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sandbox, "_exchange", lambda self, message: b'["Landlock"]')
    with pytest.raises(UserError) as error, Sandbox(PROGRAM, {"framework": "numpy", "measure": False}, 1.0):
        pass
    said = str(error.value)
    assert "read your files (no Landlock)" in said and "--unsafe" in said and "\n" not in said
    with Sandbox(PROGRAM, {"framework": "numpy", "measure": False}, 1.0, unsafe=True) as sandbox:
        assert sandbox.missing == [walls.FILES]


def test_another_system_has_no_walls_and_is_asked_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: no system call by its number, none of Linux's flags, one line, and what --unsafe runs is graded."""
    package = tmp_path / "clearhead"
    shutil.copytree(process.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "guide", "reference"))
    walls_there = package / "sandbox" / "walls.py"
    source = walls_there.read_text(encoding="utf-8").replace("sys.platform", "'darwin'").replace("os.O_PATH", "None.no")
    source += "\n\ndef _call(*args):\n    raise AssertionError('a system call by its number')\n\n\n_prctl = _call\n"
    walls_there.write_text(source, encoding="utf-8")
    monkeypatch.setattr(process, "PACKAGE", package)
    setup = {"framework": "numpy", "measure": False}
    with pytest.raises(UserError) as error, Sandbox(PROGRAM, setup, 1.0):
        pass
    said = str(error.value)
    assert "(no Landlock) and " in said and "(no seccomp); --unsafe" in said and "\n" not in said
    with Sandbox(PROGRAM, setup, 10.0, unsafe=True) as sandbox:
        assert sandbox.missing == [walls.FILES, walls.CALLS]
        assert unpack(sandbox.ask(pack({**REQUEST, "source": "def f():\n    return 3\n"}))) == {}
        assert unpack(sandbox.ask(CASE))["value"] == 3


def test_a_sandbox_that_does_not_start_is_no_fault_of_a_solution() -> None:
    said = "did not start: it ended the process itself, with exit code 1 .*no_such"
    with pytest.raises(UserError, match=said), Sandbox("clearhead.study.practice.no_such", {}, 1.0):
        pass


@pytest.mark.parametrize("line", ["time.sleep(100)", "signal.raise_signal(signal.SIGSTOP)"])
def test_nothing_is_left_when_the_one_who_asked_is_killed(line: str) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("the signal at the parent's death is Linux's")
    setup = {"framework": "numpy", "measure": False}
    request = REQUEST | {"source": f"import signal, time\n{line}"}
    code = f"""
from clearhead.sandbox.process import Sandbox
from clearhead.sandbox.codec import pack
with Sandbox({PROGRAM!r}, {setup!r}, 100.0, unsafe=True) as sandbox:
    print(sandbox._process.pid, flush=True)
    sandbox.ask(pack({request!r}))
"""
    env = os.environ | {"PYTHONPATH": str(Path(process.PACKAGE).parent)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env) as grader:
        assert grader.stdout is not None
        child = int(grader.stdout.readline())
        time.sleep(0.3)
        assert Path(f"/proc/{child}").exists()
        grader.send_signal(signal.SIGKILL)
        grader.wait()
        until = time.monotonic() + 5
        while _alive(child) and time.monotonic() < until:
            time.sleep(0.02)
        assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_start_leaves_no_descriptor_open() -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(3):
        with Sandbox(PROGRAM, {"framework": "numpy", "measure": False}, 1.0, unsafe=True):
            pass
    assert not before or len(os.listdir("/proc/self/fd")) == before


def test_pages_of_files_are_no_memory_of_the_program(walled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under pressure the system drops a library's pages, and brings them back in the middle of a measurement."""
    status = "Name:\tx \x0c kB\nVmHWM:\t  300 kB\nRssAnon:\t 100 kB\nRssFile:\t  150 kB\nRssShmem:\t   20 kB\n"
    with Sandbox("clearhead.study.practice.child", {"framework": "numpy", "measure": False}, 5.0) as sandbox:
        monkeypatch.setattr(Path, "read_text", lambda path, **_: status)
        assert sandbox.memory() == (120 * 1024, 150 * 1024)
