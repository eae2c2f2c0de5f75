"""Under pytest every annotated function of the package checks its shapes and types as it is called.

The check and torch.compile do not go together. A test of compiled code runs it in a process of its own (`run_python`),
where nothing is checked; `CLEARHEAD_CHECK_SHAPES=0 pytest` turns the check off altogether.

`make test` runs files of tests in several workers at once (pytest-xdist, `-n auto --dist loadfile`). A worker keeps to
its share of the cores, and what takes long to make is made by one of them for all.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from runtime_check import install

SOURCE = Path(__file__).parents[1] / "src"
MOST_WORKERS = 8  # each takes a gigabyte and a half

if os.environ.get("CLEARHEAD_CHECK_SHAPES") != "0":
    assert "clearhead.errors" not in sys.modules, "the package was imported before its check was installed"
    install()


def allowed_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One for each core; on a single one none, so that the tests run in the first process as they do without xdist."""
    cores = len(allowed_cores())
    return min(cores, MOST_WORKERS) if cores > 1 else 0


def pytest_configure(config: pytest.Config) -> None:
    """torch's threads, and the processes that the package starts, are as many as the cores that a worker may use."""
    worker: dict[str, str] = getattr(config, "workerinput", {})
    if worker and hasattr(os, "sched_setaffinity"):
        cores, number = allowed_cores(), int(worker["workerid"].removeprefix("gw"))
        share = max(1, len(cores) // int(worker["workercount"]))  # of equal size, since what is made depends on it
        first = number * share % len(cores)
        os.sched_setaffinity(0, cores[first : first + share])
    elif config.getoption("numprocesses", None):
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # in a worker NumPy is loaded before this


@pytest.fixture(scope="session", autouse=True)
def own_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests keep of decks, progress and trusted code is no person's."""
    os.environ["CLEARHEAD_DATA"] = str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def walled() -> None:
    """What needs the walls of the kernel is skipped on a machine that lacks one, and the reason names it."""
    from clearhead.errors import UserError
    from clearhead.sandbox.process import Sandbox

    try:
        with Sandbox("clearhead.study.practice.child", {"framework": "numpy", "measure": False}, 1.0):
            pass
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def run_python() -> Callable[..., str]:
    """Run a piece of Python in a process of its own, unchecked, and return what it prints."""

    def run(code: str, *args: str) -> str:
        path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, "-c", code, *args],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=900,  # it hangs
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder of this name, filled by whichever worker comes first; the others wait for it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_suffix(".done")
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # a worker has failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a whole finished run; copy it before changing anything."""
    from tiny import clearhead, write_recipe

    def make(folder: Path) -> None:
        clearhead("run", write_recipe(folder), "--out", "run", cwd=folder)

    return made_once(tmp_path_factory, "tiny", make) / "run"


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a whole finished run on text; copy it before changing anything."""
    from tiny import clearhead
    from tiny_text import write_text_recipe

    def make(folder: Path) -> None:
        clearhead("run", write_text_recipe(folder), "--out", "run", cwd=folder)

    return made_once(tmp_path_factory, "text", make) / "run"


@pytest.fixture(scope="session")
def translate_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a whole finished run that translates; copy it before changing anything."""
    from tiny import clearhead
    from tiny_translate import write_translate_recipe

    def make(folder: Path) -> None:
        clearhead("run", write_translate_recipe(folder), "--out", "run", cwd=folder)

    return made_once(tmp_path_factory, "translate", make) / "run"
