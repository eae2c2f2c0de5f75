"""`clearhead inspect` as a person types it."""

import json
from pathlib import Path

import numpy as np
import pytest

from clearhead.cli.main import main
from clearhead.formats import gguf

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tensors = {"a.weight": np.ones((4, 32), np.float32), "\x1b[2Jb": np.ones(3, np.float32)}
    gguf.write(tmp_path / "x.gguf", {"general.architecture": "mamba"}, tensors, "Q8_0")
    return tmp_path / "x.gguf"


def test_what_is_shown_fits_and_cannot_steer(file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["inspect", str(file), "--tensors"]) == 0
    out = capsys.readouterr().out
    assert "Q8_0  4 x 32, 136 B" in out and "parameters" in out and "131" in out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines()[1:])) <= 60


def test_json(file: Path, capsys: Capture) -> None:
    assert main(["inspect", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == {"stored": 148, "bfloat16": 262, "float32": 524}
    assert "list" not in told and told["tensors"] == 2


def test_what_is_no_model_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    assert main(["inspect", str(tmp_path)]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert len(err) == 1 and err[0].startswith("error: ")
