"""Progress is counted, kept, and written whole or not at all."""

import os
from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.study.practice.progress import Progress, changed, read


def test_counts_and_marks(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "practice.json"
    assert read(path) == {}
    changed(path, "a", attempts=1)
    changed(path, "a", attempts=1, passed=True)
    changed(path, "b", hints=1)
    assert read(path) == {"a": Progress(attempts=2, passed=True), "b": Progress(hints=1)}
    assert os.listdir(path.parent) == ["practice.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "practice.json"
    changed(path, "a", attempts=1)
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(UserError, match="disk full; set CLEARHEAD_DATA"):
        changed(path, "a", attempts=1)
    assert read(path)["a"].attempts == 1 and os.listdir(tmp_path) == ["practice.json"]
