"""Under pytest every annotated function of the package checks its shapes and types as it is called.

The check and torch.compile do not go together. A test of compiled code runs it in a process of its own (`run_python`),
where nothing is checked; `CLEARHEAD_CHECK_SHAPES=0 pytest` turns the check off altogether.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

SOURCE = Path(__file__).parents[1] / "src"

if os.environ.get("CLEARHEAD_CHECK_SHAPES") != "0":
    assert "clearhead.errors" not in sys.modules, "the package was imported before its check was installed"
    install_import_hook("clearhead", "runtime_check.check")


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

    def run(code: str, *args: str, timeout: float = 120) -> str:
        path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, "-c", code, *args],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a whole finished run; copy it before changing anything."""
    from tiny import clearhead, write_recipe

    folder = tmp_path_factory.mktemp("tiny")
    clearhead("run", write_recipe(folder), "--out", "run", cwd=folder)
    return folder / "run"


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a whole finished run on text; copy it before changing anything."""
    from tiny import clearhead
    from tiny_text import write_text_recipe

    folder = tmp_path_factory.mktemp("text")
    clearhead("run", write_text_recipe(folder), "--out", "run", cwd=folder)
    return folder / "run"
