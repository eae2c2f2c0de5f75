"""Verdicts hang on neither luck nor style: over many seeds right solutions pass and wrong ones fail, everywhere."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import practice_matrix
import pytest

import clearhead
from clearhead.study.practice import exercise as exercises


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[[str], list[str]]]:
    """What `practice_matrix` has to say to an exercise."""
    path = os.pathsep.join(
        str(Path(file).parent) for file in (practice_matrix.__file__, Path(clearhead.__file__).parent)
    )
    process = subprocess.Popen(
        [sys.executable, practice_matrix.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None

    def one(name: str) -> list[str]:
        print(name, file=process.stdin, flush=True)
        found: list[str] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        return found

    with process:
        yield one
        process.stdin.close()


@pytest.mark.parametrize("name", exercises.names())
def test_right_solutions_pass_and_wrong_ones_fail_whatever_the_seed(name: str, ask: Callable[[str], list[str]]) -> None:
    assert ask(name) == []
