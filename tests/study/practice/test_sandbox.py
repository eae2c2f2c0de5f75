"""A bad solution does no harm: every one of these comes to a clear verdict within its limit."""

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clearhead.study.practice import child, rules
from clearhead.study.practice.exercise import load
from clearhead.study.practice.grade import Verdict, grade
from clearhead.study.practice.runner import run_apart

SOFTMAX = load("softmax")
RIGHT = "e = np.exp(z - z.max(-1, keepdims=True)); return e / e.sum(-1, keepdims=True)"


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Verdict]:
    """Grade a body of softmax apart, past the rules that read the source, so that the process alone holds it."""
    monkeypatch.setattr("clearhead.study.practice.grade.violations", lambda source, forbidden: [])

    def judge(body: str, top: str = "", seconds: float = 10.0) -> Verdict:
        source = f"import numpy as np\n{top}\ndef softmax(z):\n    {body}\n"
        return grade(dataclasses.replace(SOFTMAX, seconds=seconds), source, run_apart, seed=0)

    return judge


def test_a_right_solution_passes_apart() -> None:
    assert grade(SOFTMAX, SOFTMAX.solution, run_apart).passed


def test_a_right_pytorch_solution_passes_apart() -> None:
    found = load("tiled-attention")  # whose memory is measured too
    verdict = grade(found, found.torch, run_apart)
    assert verdict.passed, verdict


def test_an_endless_loop(judged: Callable[..., Verdict]) -> None:
    begin = time.monotonic()
    verdict = judged("while True: pass", seconds=1.0)
    assert not verdict.passed and "not done after 1 seconds" in verdict.said[0]
    assert time.monotonic() - begin < 60


def test_ten_gigabytes(judged: Callable[..., Verdict]) -> None:
    for body in ("x = np.ones(10 * 2**27); return z + x[0]", "x = bytearray(10 * 2**30); return z"):
        verdict = judged(body)
        assert not verdict.passed and "MemoryError" in verdict.said[0], verdict


REFUSED = [
    "os.remove({target!r})", "os.rename({target!r}, {target!r} + 'x')", "os.chmod({target!r}, 0)",
    "os.truncate({target!r}, 0)", "open({target!r}, 'w').write('x')", "open({target!r}, 'a')",
    "os.open({target!r}, os.O_RDWR)", "shutil.rmtree({folder!r})", "os.symlink({folder!r}, 'here')",
    "os.system('echo x > ' + {target!r})", "import subprocess; subprocess.run(['rm', {target!r}])", "os.fork()",
    "os.execv('/bin/rm', ['rm', {target!r}])", "os.kill(os.getppid(), 9)", "os.chdir({folder!r})",
    "socket.create_connection(('127.0.0.1', 80))", "socket.socket()", "ctypes.CDLL(None).unlink(b'x')",
    "__import__('clearhead.reference.softmax')", "open('/proc/self/mem', 'rb')", "open({oracle!r})",
    "import multiprocessing; multiprocessing.Process(target=print).start()",
    "sys._current_frames()", "gc.get_objects()", "sys.settrace(print)", "os.spawnv(os.P_WAIT, '/bin/ls', ['ls'])",
    "os.open('x', os.O_CREAT, dir_fd=os.open({folder!r}, os.O_RDONLY))", "open('../x', 'w')",
    "np.save({target!r}, z)", "np.ones(3).tofile({target!r})", "np.memmap({target!r}, mode='w+', shape=3)",
]  # fmt: skip


def test_what_is_refused(judged: Callable[..., Verdict], tmp_path: Path) -> None:
    target = tmp_path / "precious.txt"
    target.write_text("mine")
    mode = target.stat().st_mode
    oracle = str(Path(child.__file__).parents[2] / "reference" / "softmax.py")
    tried = [line.format(target=str(target), folder=str(tmp_path), oracle=oracle) for line in REFUSED]
    top = f"""
import os, shutil, socket, ctypes, sys, gc
def attempt(z):
    for i, line in enumerate({tried!r}):
        try:
            exec(line, globals() | {{"z": z}})
        except BaseException as error:
            if "not allowed here" in str(error):
                continue
            print(i, repr(error))
        else:
            print(i, "was done")
"""
    verdict = judged(f"attempt(z); {RIGHT}", top)
    assert verdict.passed, verdict
    let_through = {int(line.split()[0]): line for line in verdict.printed.splitlines()}
    assert [(REFUSED[i], line) for i, line in let_through.items()] == []
    assert target.read_text() == "mine" and target.stat().st_mode == mode and os.listdir(tmp_path) == ["precious.txt"]


def test_a_refused_call_is_told_to_the_learner(judged: Callable[..., Verdict]) -> None:
    verdict = judged(f"os.remove('answer.py'); {RIGHT}", "import os")
    assert not verdict.passed and "os.remove is not allowed here" in verdict.said[0] and "line 4" in verdict.said[0]


def test_writing_into_its_own_folder_is_allowed(judged: Callable[..., Verdict]) -> None:
    assert judged(f"open('notes.txt', 'w').write('x'); {RIGHT}").passed


def test_a_fork_bomb_and_a_way_round_the_library(judged: Callable[..., Verdict]) -> None:
    verdict = judged("while True: os.fork()", "import os")
    assert not verdict.passed and "os.fork is not allowed here" in verdict.said[0]
    verdict = judged("import _posixsubprocess; return z")
    assert not verdict.passed and "not allowed here" in verdict.said[0]


@pytest.mark.parametrize("body", ["sys.exit(0)", "os._exit(0)", "os.abort()"])
def test_leaving_early(judged: Callable[..., Verdict], body: str) -> None:
    verdict = judged(body, "import os, sys")
    assert not verdict.passed
    assert any(word in verdict.said[0] for word in ("SystemExit", "ended")), verdict
    assert not judged(RIGHT, f"import os, sys\n{body}").passed  # while it is loaded


def test_megabytes_of_print_are_cut_short(judged: Callable[..., Verdict]) -> None:
    verdict = judged(f"print('x' * 10_000_000); {RIGHT}")
    assert verdict.passed and 4000 < len(verdict.printed) < 5000 and "left out" in verdict.printed
    assert "hello" in judged(f"print('hello'); {RIGHT}").printed


@pytest.mark.parametrize(
    "top",
    [
        "np.allclose = np.isclose = np.array_equal = lambda *a, **k: True",
        "import builtins; builtins.abs = lambda x: 0",
        "import json, sys; json.dumps = lambda *a, **k: '{}'",
        "import sys; sys.modules['__main__'].call = lambda *a: {'value': 0, 'changed': []}",
        "import sys; sys.modules['__main__'].pack = lambda x: b''",
        "import os\nfor fd in range(3, 20):\n    try: os.write(fd, b'passed' * 10)\n    except OSError: pass",
        "import os\nfor fd in range(3, 20):\n    try: os.close(fd)\n    except OSError: pass",
        "class Always:\n    def __eq__(self, other): return True\nnp.float64 = Always",
    ],
)  # fmt: skip
def test_patching_the_grader_changes_nothing(judged: Callable[..., Verdict], top: str) -> None:
    verdict = judged("return z", top)
    assert not verdict.passed and verdict.said


def test_a_result_that_is_no_number(judged: Callable[..., Verdict]) -> None:
    for body in ("return object()", "return np.array([object()])", "return [[1.0], [1.0, 2.0]]", "return None"):
        verdict = judged(body)
        assert not verdict.passed and verdict.said


def test_frames_of_the_solution_hold_no_token(judged: Callable[..., Verdict]) -> None:
    top = """
import sys
def search():
    frame, found = sys._getframe(), []
    while frame is not None:
        found += [v for v in frame.f_locals.values() if isinstance(v, bytes) and len(v) == 16]
        found += [v for v in frame.f_globals.values() if isinstance(v, bytes) and len(v) == 16]
        frame = frame.f_back
    return found
"""
    verdict = judged(f"print('found', search()); {RIGHT}", top)
    assert verdict.passed and "found []" in verdict.printed


def test_a_frame_without_the_token_is_not_believed() -> None:
    data = child.pack({"done": True})
    frame = len(data).to_bytes(8, "little") + data
    assert sandbox._frames(bytearray(b"t" * 16 + frame), b"t" * 16) == [{"done": True}]
    assert sandbox._frames(bytearray((b"t" * 16 + frame)[:-1]), b"t" * 16) == []
    with pytest.raises(ValueError, match="not a frame"):
        sandbox._frames(bytearray(b"u" * 16 + frame), b"t" * 16)
    with pytest.raises(ValueError, match="not a frame"):
        sandbox._frames(bytearray(b"t" * 16 + b"\xff" * 8), b"t" * 16)


def test_bytes_there_and_back() -> None:
    with pytest.raises(ValueError, match="unreadable"):
        child.unpack(b"\xff" * 40)
    with pytest.raises(ValueError, match="unreadable"):
        child.unpack(child.pack([1.0, 2.0])[:-3])
    with pytest.raises(TypeError):
        child.pack(object())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os", "imports os"),
        ("import numpy.linalg, clearhead.reference", "imports clearhead.reference"),
        ("from scipy.special import softmax", "imports scipy.special"),
        ("x = eval('1')", "eval has no place"),
        ("x = (lambda: 0).__globals__", "__globals__ has no place"),
        ("from torch.nn.functional import softmax as s", "torch.nn.functional.softmax may not be called"),
        ("import torch.nn.functional as F\nF.softmax(x)", "line 2: torch.nn.functional.softmax may not be called"),
        ("from torch import nn\nnn.functional.softmax(x)", "line 2: torch.nn.functional.softmax may not be called"),
    ],
)
def test_rules_read_off_the_source(source: str, said: str) -> None:
    assert any(said in line for line in rules.violations(source, SOFTMAX.forbidden))


def test_what_the_rules_let_through() -> None:
    source = "import math, torch, numpy as np\nfrom collections import deque\nfrom torch import nn\ntorch.exp(x)\n"
    assert rules.violations(source, SOFTMAX.forbidden) == []
