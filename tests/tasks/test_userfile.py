import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import clearhead
from clearhead.errors import UserError
from clearhead.tasks.checkers import checker
from clearhead.tasks.userfile import UserFile

SLOW = "def check(problem, answer, expected):\n    while answer == 'loop': pass\n    return answer == expected\n"


@pytest.fixture
def user(tmp_path):
    def make(text):
        (tmp_path / "mine.py").write_text(text)
        return UserFile(tmp_path / "mine.py")

    return make


def ask(file, answer, seconds=30.0):
    return file.call("check", seconds, problem="p", answer=answer, expected="x")


def test_a_loop_is_ended_and_the_next_answer_checked(user):
    file = user(SLOW)
    assert ask(file, "x")
    for _ in range(2):
        with pytest.raises(TimeoutError):
            ask(file, "loop", 0.3)
        assert ask(file, "x")
        assert not ask(file, "y")


def test_it_is_loaded_once_and_keeps_to_itself(user, tmp_path, capfd):
    (tmp_path / "beside.py").write_text("WORD = 'x'\n")
    file = user(
        "import beside\nprint('loaded')\n"
        "def check(problem, answer):\n    print('seen')\n"
        "    try: input()\n    except EOFError: return answer == beside.WORD\n"
    )
    assert ask(file, "x")
    assert not ask(file, "y")
    out, err = capfd.readouterr()
    assert (out, err.splitlines()) == ("", ["loaded", "seen", "seen"])


def test_from_several_threads(user):
    file = user(SLOW)
    found = []
    threads = [threading.Thread(target=lambda i=i: found.append((i, ask(file, "xy"[i % 2])))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [(i, i % 2 == 0) for i in range(8)]


def in_worker(path):
    check = checker(str(path), seconds=2)
    return [check("p", answer, "x") for answer in ("x", "loop", "x")]


def test_in_a_worker_process(user):
    path = user(SLOW).path
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(in_worker, (path,)) == [True, False, True]


@pytest.mark.skipif(sys.platform == "win32", reason="needs processes of POSIX")
def test_it_ends_with_its_parent(user, tmp_path):
    pid = tmp_path / "pid"
    file = user(f"import os\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\n" + SLOW)
    code = (
        "import os, signal, threading, time\nfrom pathlib import Path\nfrom clearhead.tasks.userfile import UserFile\n"
        f"file = UserFile(Path({str(file.path)!r}))\nfile.functions()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    source = Path(clearhead.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(source)}, check=False)
    child = int(pid.read_text())
    for _ in range(200):
        if not alive(child):
            break
        time.sleep(0.1)
    assert not alive(child)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_ended_can_begin_again(user):
    file = user("import os\ndef check(problem, answer):\n    if answer == 'end': os._exit(3)\n    return True\n")
    with pytest.raises(UserError, match=r"check in .*mine.py ended its own process"):
        ask(file, "end")
    assert ask(file, "x")


def test_a_long_answer_goes_through(user):
    file = user("def check(problem, answer):\n    return len(answer) == 3_000_000\n")
    assert ask(file, "é" * 3_000_000)
    assert not ask(file, "\ud800")
