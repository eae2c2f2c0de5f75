"""A bad solution does no harm: every one of these comes to a clear verdict within its limit."""

import dataclasses
import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clearhead.sandbox import codec
from clearhead.sandbox.process import Sandbox
from clearhead.study.practice import child, rules
from clearhead.study.practice.exercise import load
from clearhead.study.practice.grade import Verdict, grade
from clearhead.study.practice.runner import Outcome, run_apart

SOFTMAX = load("softmax")
RIGHT = "e = np.exp(z - z.max(-1, keepdims=True)); return e / e.sum(-1, keepdims=True)"


def _frame(head: object) -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch, walled: None) -> Callable[..., Verdict]:
    """Grade a body of softmax apart, past the rules that read the source, so that the process alone holds it."""
    monkeypatch.setattr("clearhead.study.practice.grade.violations", lambda source, forbidden: [])

    def judge(body: str, top: str = "", seconds: float = 10.0) -> Verdict:
        source = f"import numpy as np\n{top}\ndef softmax(z):\n    {body}\n"
        return grade(dataclasses.replace(SOFTMAX, seconds=seconds), source, run_apart, seed=0)

    return judge


def test_a_right_solution_passes_apart(walled: None) -> None:
    assert grade(SOFTMAX, SOFTMAX.solution, run_apart).passed


def test_a_right_pytorch_solution_passes_apart(walled: None) -> None:
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
            if "not allowed here" not in str(error) and not isinstance(error, PermissionError):
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


def test_no_file_is_written_anywhere(judged: Callable[..., Verdict]) -> None:
    verdict = judged(f"open('notes.txt', 'w').write('x'); {RIGHT}")
    assert not verdict.passed and "writing notes.txt is not allowed here" in verdict.said[0]


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


def test_nothing_that_a_solution_can_find_tells_the_answer(judged: Callable[..., Verdict]) -> None:
    """All that its frames reach: no array equals what is wanted, for that never leaves the grader."""
    top = """
import sys
def reach(z):
    want = np.exp(z - z.max(-1, keepdims=True)); want /= want.sum(-1, keepdims=True)
    left, seen = [sys._getframe()], set()
    while left:
        x = left.pop()
        if id(x) in seen or len(seen) > 20000:
            continue
        seen.add(id(x))
        if isinstance(x, np.ndarray) and x is not want and x.shape == want.shape and z.size > 3:
            if np.allclose(x, want): return True
        left += list(x.values()) if isinstance(x, dict) else list(x) if isinstance(x, (list, tuple, set)) else []
        if hasattr(x, "f_back"):
            left += [x.f_back, x.f_locals, x.f_globals]
        if hasattr(x, "__closure__") and x.__closure__:
            left += [cell.cell_contents for cell in x.__closure__]
    return False
"""
    verdict = judged(f"print('found', reach(z)); {RIGHT}", top)
    assert verdict.passed and "found True" not in verdict.printed and "found False" in verdict.printed


FORGED = [
    b"",  # no reply, but one of zero bytes
    b"\xff" * 40,
    struct.pack("<Q", 2**60),
    _frame({"d": [["value", {"a": []}]]}), _frame({"d": [["value", {"a": ["<f8", [-1]]}]]}),
    _frame({"d": [["value", {"a": ["<f8", [2**40, 2**40]]}]]}), _frame({"d": [["value", {"a": ["|O", [1]]}]]}),
    _frame({"d": [["value", {"a": ["<f8", [10**6]]}]]}), _frame({"d": [[{"l": []}, 1]]}), _frame({"q": 1}), _frame([1]),
    _frame({"d": [["case", 0], ["done", True]]}), _frame({"d": [["called", "x"]]}), _frame({"d": [["error", "x"]]}),
    _frame({"d": [["error", {"l": ["a", "b", 3]}]]}), _frame({"d": [["value", 1]]}), _frame({"d": [["broken", None]]}),
    _frame({"d": [["value", 1], ["changed", {"l": []}], ["peak", "small"]]}), _frame({"b": "zz"}), _frame(None),
    _frame({"d": [["value", 1], ["changed", 1]]}), struct.pack("<Q", 10**5) + b"[" * 10**5,
    struct.pack("<Q", 60000) + b'{"l":[' * 10000,
]  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"value": 0.0, "changed": []}, "wrote into the grader's pipe"),  # of the measured case, without its peak
        ({"value": 0.0, "changed": [], "peak": 0}, "shape (), must be (1, 1)"),
        ({"called": np.zeros(3)}, "wrote into the grader's pipe"),
        ({"error": ["E", "x", "line " + "9" * 5000]}, "E for q"),
        ({"error": ["E", "x", "line \u00b2"]}, "E for q"),
        ({"error": ["E" * 10**6, "x\x1b" * 10**5, "line 1"]}, "EEE"),
        ({"error": ["SystemExit", "", ""]}, "wants to end"),
    ],
)
def test_a_reply_of_any_content_gets_a_verdict(
    reply: dict, said: str, monkeypatch: pytest.MonkeyPatch, walled: None
) -> None:
    monkeypatch.setattr(Sandbox, "ask", lambda self, message: codec.pack({} if b"import numpy" in message else reply))
    found = load("tiled-attention")
    verdict = grade(found, found.solution, run_apart, seed=0)
    assert not verdict.passed and said in "".join(verdict.said), verdict
    assert len("".join(verdict.said)) < 10_000


@pytest.mark.parametrize("place", range(len(FORGED)))
def test_a_forged_reply_is_seen_for_what_it_is(judged: Callable[..., Verdict], place: int) -> None:
    data = FORGED[place]
    top = f"""
import os, time
def forge(data={len(data).to_bytes(8, "little") + data!r}):
    for fd in range(3, 64):
        try:
            os.write(fd, data)
        except OSError:
            pass
    time.sleep(5)
"""
    verdict = judged("forge(); return z", top, seconds=4.0)
    assert not verdict.passed and "wrote into the grader's pipe" in verdict.said[0], verdict


def test_a_well_forged_reply_is_graded_like_any_other(judged: Callable[..., Verdict]) -> None:
    reply = codec.pack({"value": 1.0, "changed": []})
    top = f"import os, sys, time\ndata = {len(reply).to_bytes(8, 'little') + reply!r}\n"
    top += "def forge():\n    os.write(int(sys.argv[2]), data); time.sleep(9)"
    verdict = judged("forge()", top, seconds=3.0)
    assert not verdict.passed


HONEST = {
    "{np.int64(1): 1.0}": "returns a dict, must return an array",
    "np.zeros(12_500_000)": "an array of shape (12500000,), 100,000,000 bytes; 16,777,216 are taken in all",
    "[0] * 20_000_000": "a list of 20,000,000 parts; return an array",
    "[[0.0] * 400] * 400": "more than 100,000 parts",
    "functools.reduce(lambda x, _: [x], range(1000), 0)": "lists within lists, more than 40 deep",
    "10**5000": "the solution returned an integer of 16,610 bits",
    "np.array(['a'])": "an array of dtype <U1",
    "np.datetime64(1, 'D')": "dtype datetime64[D]",
    "{(1, 2): z}": "a dict whose key is a tuple",
    "'\\ud800'": "returns a str",
    "{'\\ud800': z}": "returns a dict",
    "z.astype(object)": "dtype object",
    "(x for x in z)": "returned a generator",
}


@pytest.mark.parametrize("expression", HONEST)
def test_an_honest_result_gets_an_honest_message(judged: Callable[..., Verdict], expression: str) -> None:
    verdict = judged(f"return {expression}", "import functools")
    assert not verdict.passed and HONEST[expression] in verdict.said[0], verdict.said
    f"{verdict.said}{verdict.shown}".encode()


def test_nothing_of_a_solution_reaches_the_terminal_raw(judged: Callable[..., Verdict]) -> None:
    top = r"""
class E(Exception): pass
E.__name__ = "\x1b[31mE"
print("\x1b]0;title\x07\u202e")
"""
    for body in (r"raise E('\x1b[2J \ud800')", r"return '\x1b[2J\ud800'", r"return {'\x1b[2J\ud800': 1}", RIGHT):
        verdict = judged(body, top)
        for text in (*verdict.said, verdict.shown, verdict.printed):
            text.encode()
            assert all(c.isprintable() or c in "\n\t" for c in text), text
    assert "\\x1b]0;title" in verdict.printed


@pytest.mark.parametrize(
    "top",
    [
        "class E(Exception):\n    def __str__(self): raise ValueError",
        "class E(Exception):\n    def __str__(self): return 1",
        "class E(Exception):\n    def __str__(self): raise SystemExit",
        "class M(type):\n    @property\n    def __name__(cls): raise ValueError\nclass E(Exception, metaclass=M): pass",
        "class E(BaseException): pass",
        "class E(KeyboardInterrupt): pass",
        "class E(ExceptionGroup): pass\nF = E\nE = lambda: F('x', [F('y', [ValueError(chr(0xd800))])])",
    ],
)
def test_an_error_of_any_make_is_told(judged: Callable[..., Verdict], top: str) -> None:
    verdict = judged("raise E()", top)
    assert not verdict.passed and "for z of shape" in verdict.said[0], verdict


@pytest.mark.parametrize(
    "source", ["x = " + "-" * 10**5 + "1", "x = a" + ".b" * 10**5, "x = " + "(" * 5000, "x=1\0", "\ufeff\0"]
)
def test_a_source_that_no_parser_takes(source: str) -> None:
    verdict = grade(SOFTMAX, source, run_apart)
    assert not verdict.passed and "no Python" in verdict.said[0]


CALLS = [
    "getattr(torch, 'op' + 's').aten.softmax(z, -1)", "getattr(torch, 'op' + 's').aten._softmax(z, -1, False)",
    "getattr(torch, 'op' + 's').aten._softmax.default(z, -1, False)", "torch.nn.Softmax(-1)(z)",
    "getattr(torch, '_C')._VariableFunctions.softmax(z, -1)", "torch.nn.functional.softmax(z, -1)",
    "getattr(torch, '_softmax')(z, -1, False)", "torch.special.softmax(z, -1)", "getattr(z, 'soft' + 'max')(-1)",
    "torch.exp(torch.nn.functional.log_softmax(z, -1))", "torch.nn.functional.softmin(-z, -1)",
    "[getattr(torch, '_C').DisableTorchFunction().__enter__(), getattr(torch, '_C')._VariableFunctions.softmax(z, -1)]",
    "[t := Thread(target=getattr(torch, '_C')._VariableFunctions.softmax, args=(z, -1)), t.start(), t.join()]",
    "-torch.nn.functional.cross_entropy(z, torch.zeros(len(z), dtype=torch.long), reduction='none')",
]  # fmt: skip


@pytest.mark.parametrize("expression", CALLS)
def test_what_may_not_be_called_is_noticed_by_whatever_name(judged: Callable[..., Verdict], expression: str) -> None:
    caught = f"try:\n        return {expression}\n    except RuntimeError:\n        return z"
    verdict = judged(caught, "import torch\nfrom threading import Thread")
    assert not verdict.passed and "may not be called, and was" in verdict.said[0], verdict


def test_a_library_that_the_source_does_not_name_is_not_imported_behind_the_rules(
    judged: Callable[..., Verdict],
) -> None:
    for name in ("scipy.special", "torch"):
        verdict = judged(f"return __import__({name!r}, fromlist=['softmax']).softmax(z, -1)")
        assert not verdict.passed and f"importing {name} is not allowed here" in verdict.said[0], verdict
        verdict = judged(f"return importlib.import_module({name!r}).softmax(z, -1)", "import importlib")
        assert not verdict.passed, verdict  # Python tells of no such import, only of those that it leads to


RIGHT_IN_THEIR_WAY = {
    "as Windows begins a file": f"\ufeffimport numpy as np\r\ndef softmax(z):\r\n    {RIGHT}\r\n",
    "all names at once": "from numpy import *\ndef softmax(z):\n    e = exp(z - z.max(-1, keepdims=True))\n"
    "    return e / e.sum(-1, keepdims=True)\n",
    "run by itself": f"import sys\nimport numpy as np\ndef softmax(z):\n    {RIGHT}\n"
    'if __name__ == "__main__":\n    sys.exit(0)\n',
    "from its own text": "import torch\n@torch.jit.script\ndef softmax(z):\n"
    "    e = torch.exp(z - z.amax(-1, keepdim=True))\n    return e / e.sum(-1, keepdim=True)\n",
    "to be compiled": "import torch\n@torch.compile(mode='max-autotune')\ndef softmax(z):\n"
    "    e = torch.exp(z - z.amax(-1, keepdim=True))\n    return e / e.sum(-1, keepdim=True)\n"
    "softmax = torch.compile(softmax)\n",
    "for both": "import numpy as np\nimport torch\ndef softmax(z):\n"
    f"    if isinstance(z, torch.Tensor):\n        raise TypeError\n    {RIGHT}\n",
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
@pytest.mark.parametrize("way", RIGHT_IN_THEIR_WAY)
def test_a_right_solution_passes_in_any_way_it_is_written(walled: None, way: str) -> None:
    verdict = grade(SOFTMAX, RIGHT_IN_THEIR_WAY[way], run_apart, seed=0)
    assert verdict.passed, verdict


def test_a_source_as_deep_as_it_may_be_is_read_once() -> None:
    """How deep that is depends on who calls: what can be read at one place is too deep a few calls further down."""
    rules.parsed.cache_clear()
    deepest, least, most = 0, 100, 10**5
    while most - least > 1:
        deepest = (least + most) // 2
        try:
            rules.parsed("x = " + "-" * deepest + "1")
            least = deepest
        except (RecursionError, MemoryError):
            most = deepest
    for depth in range(least - 60, least + 1):
        source = f"x = {'-' * depth}1\ndef softmax(z): return z"
        said = grade(SOFTMAX, source, lambda request, seconds: Outcome(ended="was not run")).said[0]
        assert "was not run" in said or "nested too deeply" in said


ATTENTION = """
import numpy as np
{top}
def tiled_attention(q, k, v):
    z = q @ k.T / np.sqrt(q.shape[1])
    p = np.exp(z - z.max(-1, keepdims=True))
    return p @ v / p.sum(-1, keepdims=True)
"""


@pytest.mark.parametrize(
    "top",
    [
        "",
        "import tracemalloc; tracemalloc.get_traced_memory = lambda: (0, 0)",
        "import tracemalloc; tracemalloc.stop()",
        "x = np.ones(2**25)\ndel x\nimport sys\n"
        "sys.modules['clearhead.study.practice.child'].get_traced_memory = lambda: (0, 0)",
        "import sys; sys.modules['clearhead.study.practice.child'].get_traced_memory = lambda: (0, 0)",
        "import sys; sys.modules['clearhead.study.practice.child']._peak_numpy = lambda run, held: (run(), 0)",
    ],
)
def test_memory_is_counted_by_the_kernel_too(judged: Callable[..., Verdict], top: str) -> None:
    found = load("tiled-attention")
    verdict = grade(found, ATTENTION.format(top=top), run_apart, seed=0)
    assert not verdict.passed and ("were alive at once" in verdict.said[0] or "RuntimeError" in verdict.said[0]), (
        verdict
    )


def test_memory_that_was_taken_beforehand_counts(judged: Callable[..., Verdict]) -> None:
    source = """
import numpy as np
ROOM = np.ones((768, 768))
def tiled_attention(q, k, v):
    z = ROOM[: len(q), : len(k)]
    np.matmul(q, k.T, out=z)
    z /= np.sqrt(q.shape[1])
    z -= z.max(-1, keepdims=True)
    np.exp(z, out=z)
    return z @ v / z.sum(-1, keepdims=True)
"""
    verdict = grade(load("tiled-attention"), source, run_apart, seed=0)
    assert not verdict.passed and "were alive at once" in verdict.said[0], verdict


def test_what_torch_opens_past_python_is_refused_too(judged: Callable[..., Verdict], tmp_path: Path) -> None:
    """torch.from_file is seen by no audit hook. Neither the learner's files, nor the exercise, nor our own are read."""
    (tmp_path / "precious.txt").write_text("mine" * 10)
    package = Path(child.__file__).parents[2]
    paths = [tmp_path / "precious.txt", package / "study/exercises/softmax.py", package / "sandbox/worker.py"]
    top = f"""
import torch
for path in {[str(path) for path in paths]!r} + [torch.__file__]:
    for shared in (False, True):
        try:
            print(bytes(torch.from_file(path, shared, 4, dtype=torch.uint8).tolist()) and "read")
        except RuntimeError:
            print("refused")
"""
    verdict = judged("e = torch.exp(z - z.amax(-1, True)); return e / e.sum(-1, keepdim=True)", top)
    assert verdict.passed, verdict
    assert verdict.printed.split() == ["refused"] * 6 + ["read", "refused"]  # its own files it may read, not write


def test_right_solutions_with_threads_of_their_own_pass(judged: Callable[..., Verdict]) -> None:
    body = (
        "torch.set_num_threads(4); a = torch.ones(300, 300) @ torch.ones(300, 300); e = torch.exp(z - z.amax(-1, True))"
    )
    assert judged(f"{body}; return e / e.sum(-1, keepdim=True)", "import torch").passed
    top = "from concurrent.futures import ThreadPoolExecutor\ndef work(z): " + RIGHT
    assert judged("with ThreadPoolExecutor(4) as pool: return list(pool.map(work, [z] * 8))[-1]", top).passed


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os", "imports os"),
        ("import warnings\nwarnings.sys.exit()", "line 2: warnings.sys has no place"),
        ("from warnings import sys", "sys of warnings has no place"),
        ("import numpy as np\nnp.ctypeslib.ctypes", "numpy.ctypeslib has no place"),
        ("import torch\ntorch.ops.aten.softmax(x)", "line 2: torch.ops has no place"),
        ("x.__array_interface__", "__array_interface__ has no place"),
        ("import numpy.linalg, clearhead.reference", "imports clearhead.reference"),
        ("from scipy.optimize import minimize", "imports scipy.optimize"),
        ("from scipy.special import softmax", "scipy.special.softmax may not be called"),
        ("import sys\nsys.modules", "of sys only"),
        ("import sys as s\nx = s", "of sys only"),
        ("from sys import modules", "of sys only"),
        ("import sys\ngetattr(sys, 'modules')", "of sys only"),
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
    source += "from scipy import special\nfrom scipy.special import expit\nimport sys\nprint(1, file=sys.stderr)\n"
    assert rules.violations(source, SOFTMAX.forbidden) == []
