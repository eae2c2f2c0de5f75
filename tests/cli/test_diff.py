"""`clearhead diff` as a person types it; tests/cli/test_convert.py has it on whole models."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from clearhead.cli.main import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    a = {f"a.long.name.of.a.matrix.{i}.weight": torch.ones(2, 3) * i for i in range(20)}
    save_file(a, tmp_path / "a.safetensors")
    save_file({name: tensor + 1e-3 for name, tensor in a.items()}, tmp_path / "b.safetensors")
    return [str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")]


def test_two_files(files: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["diff", *files]) == 1
    out = capsys.readouterr().out
    assert "and 8 more tensors" in out and "0 of 20 tensors are equal" in out and "no text was run" in out
    assert max(map(len, out.splitlines())) <= 60
    assert main(["diff", files[0], files[0]]) == 0
    assert "20 of 20 tensors are equal, bit by bit" in capsys.readouterr().out


def test_every_step(tiny_run: Path, capsys: Capture) -> None:
    assert main(["diff", str(tiny_run), str(tiny_run), "--prompt", "abc\n", "--layers"]) == 0
    out = capsys.readouterr().out
    assert "layer 1, attention" in out and "hidden states and logits are equal" in out


def test_json(files: list[str], capsys: Capture) -> None:
    assert main(["diff", *files, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["same"] is False and len(told["tensors"]) == 20 and told["parted"] is None
