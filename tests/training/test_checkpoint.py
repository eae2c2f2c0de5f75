"""Checkpoints: whole or refused, and never half written."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from clearhead.errors import UserError
from clearhead.training import checkpoint

TENSORS = {
    "model/b": torch.arange(6.0).view(2, 3).T,
    "model/a": torch.ones(2, dtype=torch.bfloat16),
    "x": torch.ones(1),
}
META = {"step": 3, "name": "×", "nested": {"a": [1, None]}}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "c.safetensors"
    checkpoint.save(path, TENSORS, META)
    tensors, meta = checkpoint.load(path)
    assert meta == META
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[k], TENSORS[k]) and tensors[k].dtype == TENSORS[k].dtype for k in TENSORS)
    assert checkpoint.weights(tensors).keys() == {"a", "b"}
    assert os.listdir(path.parent) == [path.name]


def test_a_full_disk_leaves_the_old_one_and_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, TENSORS, META)
    old = path.read_bytes()

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, {}, META)
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == old


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "1", TENSORS, META)
    checkpoint.save(tmp_path / "2", dict(reversed(TENSORS.items())), META)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_torn_and_foreign_files_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(path, TENSORS, META)
    data = path.read_bytes()
    save_file({"a": torch.ones(3)}, tmp_path / "foreign")
    wrong = {f"first {n} bytes": data[:n] for n in (0, 5, 8, 100, len(data) - 1)}
    wrong |= {"text": b"hello", "longer": data + b"x", "foreign": (tmp_path / "foreign").read_bytes()}
    for content in wrong.values():
        path.write_bytes(content)
        with pytest.raises(UserError) as told:
            checkpoint.load(path)
        assert str(path) in str(told.value) and "\n" not in str(told.value)
    for absent in (tmp_path / "absent", tmp_path):
        with pytest.raises(UserError, match="no checkpoint at"):
            checkpoint.load(absent)


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    checkpoint.save(path, TENSORS, META)

    def fail(*args: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(os, broken, fail)
        checkpoint.save(path, {"x": torch.zeros(9)}, {})
    assert checkpoint.load(path)[1] == META
