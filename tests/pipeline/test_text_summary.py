"""What a run on text says of itself."""

import json
import shutil
from pathlib import Path

import pytest

from clearhead.cli.main import main
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.text_summary import headline, report_data


def test_the_headline_is_what_was_measured(text_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(text_run, run)
    (run / "report.html").unlink()
    assert main(["report", str(run), "--json"]) == 0
    out = capsys.readouterr().out
    found = json.loads((run / "evaluation" / "decoder.json").read_text())
    assert json.loads(out)["models"]["decoder"]["bits_per_byte"] == found["bits_per_byte"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert f"{found['bits_per_byte']:.3f}" in page
    assert "Loss by position" in page and "grammar.jsonl" in page


def test_tokens_are_counted_as_they_were_read(text_run: Path) -> None:
    data = report_data(RunDir(text_run))
    assert data["model"]["training_tokens"] == 100 * 8 * 48
    assert [point["tokens"] for point in data["training"]["evals"]] == [9600, 19200, 28800, 38400]
    corpus = data["text"]["corpus"]
    assert corpus["documents"] == 150 and corpus["vocabulary"] <= 300
    assert 1 < corpus["bytes_per_token"] < 5


def test_a_run_that_has_just_begun_has_a_report(text_run: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes((text_run / "config.toml").read_bytes())
    run = RunDir(tmp_path)
    data = report_data(run)
    assert data["text"]["models"] == [] and "model" not in data
    assert headline(run, data)["lines"] == []
    assert main(["report", str(tmp_path)]) == 0
