"""Python as a tool: what it gives back, and code that means harm, each piece of which is refused or told."""

import json
import math
import os
import platform
import socket
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clearhead.agents.calls import carry_out, deny
from clearhead.agents.steps import Action
from clearhead.agents.toolbox import python as module
from clearhead.agents.toolbox.python import modules, python_tool, run
from clearhead.agents.tools import ToolError
from clearhead.errors import UserError
from clearhead.sandbox.process import Sandbox

pytestmark = pytest.mark.usefixtures("walled")


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("1 + 1", "2"),
        ("print('hi')\nx = 3\nx * 2", "hi\n6"),
        ("import math, fractions, statistics, re, json, datetime, random\nmath.floor(math.pi)", "3"),
        ("x = 1", "it ran, printed nothing, and ended with no expression"),
        ("", "it ran, printed nothing, and ended with no expression"),
        ("None", "it ran, printed nothing, and ended with no expression"),
        ("print('a', end='')\nprint('b')", "ab"),
        ("'é\\n'", "'é\\n'"),
        ("def f(n): return n and n + f(n - 1)\nf(100)", "5050"),
        ("class A: pass\nA.__module__", "'__main__'"),
        ("from __future__ import annotations\n[x for x in range(3)]", "[0, 1, 2]"),
        ("import sys\nprint('oops', file=sys.stderr)", "oops"),
        ("import numpy.linalg as la\nimport numpy as np\nround(float(la.norm(np.array([3.0, 4.0]))))", "5"),
    ],
)
def test_what_comes_back(code: str, result: str) -> None:
    assert run(code) == result


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", r"line 1, in <module>(?s:.*)ZeroDivisionError: division by zero"),
        ("print('before')\n[][1]", r"\Abefore\n(?s:.*)line 2(?s:.*)IndexError"),
        ("x =", "SyntaxError: invalid syntax"),
        ("input()", "EOFError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os\nos._exit(3)", "the code ended the process itself, with exit code 3"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E"),
        ("class A:\n    def __repr__(self): raise ValueError('no')\nA()", "ValueError: no"),
        ("x = '\0'", "null bytes"),
        ("x = '\ud800'", "UnicodeEncodeError|surrogates"),
        ("raise ValueError('x' * 10**6)", "xxx"),
        ("def f(): f()\nf()", "RecursionError"),
        ("x = []\nfor _ in range(100000): x = [x]\nx", "RecursionError"),
        ("(" * 5000, "SyntaxError|MemoryError|RecursionError"),
        ("x" + ".b" * 40_000, "RecursionError|MemoryError|ended|used up"),
        ("10**5000", "ValueError"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("x" * 200_000, "at most 100,000"),
    ],
)
def test_what_fails_is_told_in_few_words(code: str, said: str) -> None:
    with pytest.raises(ToolError, match=said) as error:
        print(run(code))
    assert len(str(error.value)) < 3000 and "clearhead" not in str(error.value)


def test_long_output_is_cut() -> None:
    assert len(run("print('x' * 10**7)")) < 5000
    assert len(run("'x' * 10**7")) <= 20_000
    [found] = carry_out([Action("python", {"code": "'x' * 10**7"})], {"python": python_tool()}, deny)
    assert "[cut: 4,000 of 20,000 characters]" in found.text


def test_nothing_is_kept_from_one_call_to_the_next() -> None:
    run("kept = 5")
    with pytest.raises(ToolError, match="NameError"):
        run("kept")


def test_as_a_tool() -> None:
    tool = python_tool()
    assert not tool.writes and tool.seconds == math.inf
    actions = [Action("python", {"code": f"print('\\x1b[2J'); {i}"}, i) for i in range(3)]
    found = carry_out(actions, {"python": tool}, deny)
    assert [(seen.text, seen.ok) for seen in found] == [(f"\\x1b[2J\n{i}", True) for i in range(3)]


def test_a_machine_without_walls_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sandbox, "_exchange", lambda self, message: b'["seccomp"]')
    with pytest.raises(UserError, match="--unsafe"):
        python_tool()


def test_what_is_imported_before_the_walls_stand() -> None:
    assert modules("import os, numpy\nfrom scipy.linalg import norm\nimport numpy_evil") == ["numpy", "scipy.linalg"]
    assert modules("x = (") == modules("from . import numpy") == modules("\0") == []


# ---- Code that means harm. `victim`: a file with a secret beside it; `port`: a socket that listens; `parent`: us. ----

REFUSED: dict[str, list[str]] = {
    "reads files": [
        "open(victim).read()",
        "import io; io.FileIO(victim).readall()",
        "import os; os.read(os.open(victim, os.O_RDONLY), 9)",
        "import pathlib; pathlib.Path(victim).read_text()",
        "import os; os.listdir(folder)",
        "import os; list(os.scandir('/'))",
        "import linecache, tokenize; tokenize.open(victim).read()",
        "open(f'/proc/{parent}/environ', 'rb').read()",
        "open('/proc/self/maps').read()",
        "import runpy; runpy.run_path(victim)",
        "import importlib.util as u; s = u.spec_from_file_location('v', victim + '.py'); s.loader.get_data(victim)",
        "import sqlite3; sqlite3.connect(f'file:{victim}?mode=ro', uri=True).execute('select 1')",
        "class P:\n    def __fspath__(self): return victim\nopen(P())",
        "import zipfile; zipfile.ZipFile(victim)",
    ],
    "changes files": [
        "open(victim, 'w').write('PWNED')",
        "open(victim, 'r+b')",
        "import os; os.open(victim, os.O_WRONLY | os.O_APPEND)",
        "import os; os.unlink(victim)",
        "import os; os.rename(victim, victim + '2')",
        "import os; os.truncate(victim, 0)",
        "import os; os.chmod(victim, 0o777)",
        "import os; os.symlink(victim, folder + '/link')",
        "import os; os.mkdir(folder + '/new')",
        "import os; os.mkfifo(folder + '/fifo')",
        "import shutil; shutil.rmtree(folder)",
        "import tempfile; tempfile.NamedTemporaryFile(dir=folder)",
        "import os; os.utime(victim)",
        "import os; os.chdir(folder)",
    ],
    "fills the disk": [
        "for i in range(100): open(f'{folder}/fill{i}', 'wb').write(bytes(10**6))",
        "import mmap, os; os.ftruncate(os.memfd_create('big'), 2**40)",
        "open('/dev/shm/fill', 'wb').write(bytes(10**6))",
    ],
    "reaches the network": [
        "import socket; socket.create_connection(('127.0.0.1', port), 2)",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', port))",
        "import socket; socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
        "import socket; socket.socketpair()",
        "import _socket; _socket.socket(2, 1, 0)",
        "import socket; socket.getaddrinfo('localhost', port)",
        "import urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{port}/')",
        "import http.client; http.client.HTTPConnection('127.0.0.1', port).request('GET', '/')",
    ],
    "starts processes": [
        "import os; os.system('id')",
        "import os; os.popen('id').read()",
        "import os; os.execv('/bin/sh', ['sh', '-c', 'echo GOT THROUGH'])",
        "import os; os.posix_spawn('/bin/sh', ['sh', '-c', 'id'], {})",
        "import subprocess; subprocess.run(['id'])",
        "import os\nfor _ in range(1000): os.fork()",  # the fork bomb
        "import pty; pty.spawn('/bin/sh')",
        "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
        "import _posixsubprocess",
        "import sys; sys.modules['_imp'].create_dynamic(spec('_posixsubprocess'))",
        "import sys; sys.modules['_posixsubprocess'] = sys.modules['_imp'].create_dynamic(spec('x._posixsubprocess'))\n"
        "import subprocess; subprocess.Popen(['/bin/sh'])",
    ],
    "sends signals": [
        "import os; os.kill(parent, 15)",
        "import os; os.kill(-1, 15)",
        "import os; os.killpg(os.getpgid(parent), 9)",
        "import os, signal; signal.pidfd_send_signal(os.pidfd_open(parent), 9)",
        "import os; os.kill(1, 0)",
    ],
    "takes memory": [
        "bytearray(2**33)",
        "[0] * 2**30",
        "' ' * 2**40",
        "held = [bytes(2**20) for _ in range(4096)]",
        "import mmap; mmap.mmap(-1, 2**33)",
        "list(range(10**9))",
    ],
    "imports what it may not": [
        "import clearhead.agents.calls",
        "import importlib; importlib.import_module('clearhead.sandbox.process')",
        "import sys; open(sys.modules['clearhead.sandbox.worker'].__file__ if 'clearhead.sandbox.worker' in sys.modules"
        " else sys.modules['__main__'].__file__).read()",
        "import sys; sys.path.insert(0, folder); import evil_module",
        "import zipimport; zipimport.zipimporter(victim)",
    ],
    "undoes the audit hook": [
        "import sys\nsys.addaudithook(lambda *a: seen.append(a))\ncompile('1', '', 'eval')\n"
        "if not seen: raise PermissionError('another hook is not taken')",
        "import gc; [o for o in gc.get_objects() if callable(o)]",
        "import gc; gc.get_referrers(print)",
        "import sys; guard = sys.modules['clearhead.sandbox.guard']; guard.REFUSED = (); guard.WRITING = 0\n"
        "open(victim, 'a')",
        "import os; os.fsdecode = lambda path: 'x'\nopen(victim, 'a')",
        "import sys; sys.settrace(lambda *a: None)",
        "import sys; sys._current_frames()",
        "import builtins, io; io.open_code(victim)",
    ],
    "calls C": [
        "import ctypes; ctypes.CDLL(None).system(b'id')",
        "import ctypes; ctypes.string_at(id(print), 8)",
        "import ctypes; ctypes.cdll.LoadLibrary('libc.so.6')",
        "import ctypes; ctypes.pythonapi.PyRun_SimpleString(b'1')",
        "import ctypes; ctypes.addressof(ctypes.c_int())",
        "import _ctypes; _ctypes.dlopen('libc.so.6', 0)",
    ],
    "uses descriptors": [
        "import fcntl; fcntl.fcntl(1, fcntl.F_SETOWN, parent)",
        "import os; os.sendfile(1, 0, 0, 9)",
        "import os; os.fchmod(1, 0o777)",
        "import os; os.ftruncate(1, 0)",
        "import termios; termios.tcflush(1, 0)",
        "import os; os.pipe()",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "import os; os.open('.', os.O_RDONLY, dir_fd=os.open(folder, os.O_PATH))",
    ],
}
# By machine code, so that nothing of Python's is asked: what is left then are the kernel's walls.
RAW = [
    "call(2, path(victim), 0)",  # open
    "call(2, path(victim), 1)",
    "call(257, -100, path(victim), 0)",
    "call(41, 2, 1, 0)",  # socket
    "call(57)",  # fork
    "call(56, 17)",  # clone
    "call(59, path('/bin/sh'), 0, 0)",  # execve
    "call(62, parent, 15)",  # kill
    "call(101, 16, parent, 0, 0)",  # ptrace
    "call(310, parent, 0, 0, 0, 0)",  # process_vm_readv
    "call(87, path(victim))",  # unlink
    "call(85, path(folder + '/new'), 0o600)",  # creat
    "call(319, path('x'), 0)",  # memfd_create
    "call(425, 1, path('x' * 200))",  # io_uring_setup
    "call(157, 4, 1)",  # prctl
    "call(272, 0x10000000)",  # unshare
    "call(165, path('x'), path('/'), path('tmpfs'), 0)",  # mount
    "call(317, 0, 0, 0)",  # seccomp
]
TRAMPOLINE = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("4889f8 4889f7 4889d6 4889ca 4d89c2 4d89c8 0f05 c3"))  # rax = rdi and so on; syscall; ret
at = (ctypes.c_char * 8)()
ctypes.memmove(at, id(page) + 16, 8)  # where the page lies, as its object says
raw, held = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * 6)(int.from_bytes(at.raw, "little")), []
def path(name):
    held.append((ctypes.c_char * 256)(*name.encode()))
    return ctypes.cast(held[-1], ctypes.c_void_p).value
def call(*numbers):
    found = raw(*numbers, *[0] * (6 - len(numbers)))
    if found < 0:
        raise OSError(-found, "refused")
    return found
"""
# Errors of a refusal. A NameError, say, is none: then the attack is broken, and proves nothing.
HONEST = (
    "PermissionError", "OSError", "MemoryError", "ImportError", "BlockingIOError", "error",
    "ModuleNotFoundError: No module named 'evil_module'", "ZipImportError: can't open Zip file",
)  # fmt: skip
PROBE = """
import glob, importlib.machinery, json, sysconfig
def spec(name):
    [place] = glob.glob(sysconfig.get_path("stdlib") + "/lib-dynload/_posixsubprocess*")
    return importlib.machinery.ModuleSpec(name, None, origin=place)
given = dict(victim={victim!r}, folder={folder!r}, port={port}, parent={parent}, spec=spec, seen=[])
{more}
found = []
for attack in json.loads({attacks!r}):
    try:
        exec(attack, dict(given))
        found.append("through")
    except BaseException as error:
        found.append(f"{{type(error).__name__}}: {{error}}"[:120])
print(json.dumps(found))
"""


@pytest.fixture
def prey(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What attacks are aimed at, looked at afterwards: not a byte of it may have changed, and nobody have called."""
    folder = tmp_path / "prey"
    folder.mkdir()
    (folder / "victim").write_text("the secret")
    (folder / "evil_module.py").write_text("print('GOT THROUGH')")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        aims = {"victim": str(folder / "victim"), "folder": str(folder), "parent": os.getpid()}
        yield aims | {"port": server.getsockname()[1]}
        with pytest.raises(TimeoutError):
            server.accept()
    assert sorted(path.name for path in folder.iterdir()) == ["evil_module.py", "victim"]
    assert (folder / "victim").read_text() == "the secret" and (folder / "victim").stat().st_mode & 0o777 != 0o777
    assert not Path("/dev/shm/fill").exists()


@pytest.mark.parametrize("kind", REFUSED)
def test_an_attack_is_refused_and_told(kind: str, prey: dict[str, Any]) -> None:
    assert not not_refused(REFUSED[kind], "", prey)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the machine code is that of x86-64")
def test_behind_python_s_own_wall_the_kernel_s_stand(prey: dict[str, Any]) -> None:
    assert not not_refused(RAW, f"{TRAMPOLINE}\ngiven |= dict(call=call, path=path)", prey)
    assert run(f"{TRAMPOLINE}\nimport os\ncall(39) == os.getpid()") == "True"  # so the way is open


def not_refused(attacks: list[str], more: str, prey: dict[str, Any]) -> list[str]:
    """The attacks that came through, or that are none; run one after the other in one process."""
    printed = run(PROBE.format(attacks=json.dumps(attacks), more=more, **prey), seconds=20.0)
    found = json.loads(printed.splitlines()[-1])
    return [f"{attack}: {said}" for attack, said in zip(attacks, found, strict=True) if not said.startswith(HONEST)]


FRAMES = """
import os, json, struct
def pipes():
    found = []
    for fd in range(3, 256):
        try:
            os.write(fd, b"")
            found.append(fd)
        except OSError:
            pass
    return found
def write(data):
    for fd in pipes(): os.write(fd, data)
def frame(data): return len(data).to_bytes(8, "little") + data
"""
ENDS = {  # the code, and how it is told
    "never ends": ("while True: pass", "was not done after 1 seconds and was stopped"),
    "sleeps": ("import time\ntime.sleep(1000)", "was not done after 1 seconds"),
    "a long search": ("import re\nre.match('(a|a)*$', 'a' * 60 + 'b')", "was not done after 1 seconds"),
    "stops itself": ("import signal\nsignal.raise_signal(19)", "was not done after 1 seconds"),
    "aborts": ("import os\nos.abort()", "was ended by the signal SIGABRT"),
    "prints for ever": ("while True: print('x' * 100000)", "was not done after 1 seconds"),
    "many threads": (
        "import threading, time\nthreading.stack_size(2**16)\n"
        "for _ in range(500): threading.Thread(target=time.sleep, args=(99,)).start()\ntime.sleep(99)",
        "more than 64 threads|can't start new thread",
    ),
    "closes the pipes": ("import os, time\nos.closerange(0, 64)\ntime.sleep(1000)", "closed|ended the process itself"),
    "noise in the pipe": (f"{FRAMES}\nwrite(b'x' * 100)", "wrote into the"),
    "a frame of endless length": (f"{FRAMES}\nwrite((2**62).to_bytes(8, 'little'))", "wrote into the"),
    "two frames": (f"{FRAMES}\nwrite(frame(b'1') * 2)\nimport time\ntime.sleep(1000)", "wrote into the"),
    "a frame that is no JSON": (f"{FRAMES}\nwrite(frame(b'[' * 100000))\nimport time; time.sleep(9)", "wrote into the"),
    "a frame that is no object": (f"{FRAMES}\nwrite(frame(b'[5]'))\nimport time; time.sleep(9)", "wrote into the"),
    "an address that is no array": (
        "import numpy as np\n"
        "class A: __array_interface__ = dict(data=(8, False), shape=(64,), typestr='|u1', version=3)\n"
        "bytes(np.asarray(A()))",
        "was ended by the signal SIGSEGV",
    ),
    "recursion without end": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        "MemoryError|RecursionError|was ended|used up|not done",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_what_would_not_end_well_is_ended_and_told(name: str) -> None:
    code, said = ENDS[name]
    begun = time.monotonic()
    with pytest.raises(ToolError, match=said) as error:
        print(run(textwrap.dedent(code), seconds=1.0 if "not done" in said else 8.0))
    assert time.monotonic() - begun < 60 and len(str(error.value)) < 6000
    assert not _children()


def test_a_frame_that_is_forged_says_no_more_than_the_code_could_say(prey: dict[str, Any]) -> None:
    """Whoever runs the code may claim any value; it is a text, cut and spelled out like any other."""
    forged = {"value": "\x1b]0;owned\x07" + "x" * 10**6, "error": 5, "ok": True, "writes": False}
    code = f"{FRAMES}\nwrite(frame({json.dumps(forged).encode()!r}))\nimport time; time.sleep(1000)"
    [found] = carry_out([Action("python", {"code": code})], {"python": python_tool()}, deny)
    assert "\x1b" not in found.text and len(found.text) < 5000


def test_only_its_own_descriptors_are_open(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    count = "import os\nn = 0\nfor fd in range(256):\n    try: os.fstat(fd); n += 1\n    except OSError: pass\nn"
    with secret.open() as held, socket.create_server(("127.0.0.1", 0)) as server:
        os.set_inheritable(held.fileno(), True)
        os.set_inheritable(server.fileno(), True)
        assert int(run(count)) <= 6


def test_the_environment_holds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "secret" not in run("import os\ndict(os.environ)")


def test_attacks_are_many_and_of_every_kind() -> None:
    assert sum(map(len, REFUSED.values())) + len(RAW) + len(ENDS) >= 100 and len(REFUSED) >= 11


def test_forged_replies_are_read_as_texts_or_nothing() -> None:
    for reply in (b"", b"5", b"null", b"[1]", b'{"value": 5}', b'{"error": []}', b"\xff", b"[" * 10**6):
        assert all(isinstance(part, str) for part in module._read(reply))


def _children() -> list[int]:
    """Processes of ours that still run a worker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] not in "ZX" and "sandbox/worker.py" in command:
            found.append(int(path.parent.name))
    return found
