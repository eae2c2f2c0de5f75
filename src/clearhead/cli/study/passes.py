"""What was tried and passed, in practice and in an interview alike: one record, under the same names."""

import os
from pathlib import Path

from clearhead.study.practice import progress


def record() -> Path:
    """The file of the record."""
    from clearhead.files import data_folder

    return data_folder(os.environ) / "practice.json"


def of_problem(name: str) -> str:
    """What a pen-and-paper problem is called in the record, where exercises have their own names."""
    return f"problem:{name}"


def tried(name: str, passed: bool) -> None:
    """Count an attempt; a pass stays one, whatever is tried after it."""
    progress.changed(record(), name, attempts=1, **({"passed": True} if passed else {}))
