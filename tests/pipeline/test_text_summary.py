"""What a run on text says of itself."""

import json
import shutil
from pathlib import Path

import pytest

from clearhead.cli.main import main
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.text_summary import headline, held_out_curve, report_data


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
    assert data["model"]["training_tokens"] == 80 * 8 * 48
    assert [point["tokens"] for point in data["training"]["evals"]] == [7680, 15360, 23040, 30720]
    corpus = data["text"]["corpus"]
    assert corpus["documents"] == 150 and corpus["vocabulary"] <= 300
    assert 1 < corpus["bytes_per_token"] < 5


def test_seconds_are_those_of_the_steps(text_run: Path) -> None:
    events = [
        {"kind": "step", "step": 1, "tokens": 10, "seconds": 60.0},  # compiled
        {"kind": "step", "step": 2, "tokens": 10, "seconds": 2.0},
        {"kind": "eval", "step": 2, "held_out_loss": 3.0},
        {"kind": "step", "step": 3, "tokens": 10, "seconds": 2.0},
        {"kind": "eval", "step": 3, "held_out_loss": 2.0},
    ]
    assert held_out_curve(events) == [
        {"tokens": 20, "seconds": 4.0, "loss": 3.0}, {"tokens": 30, "seconds": 6.0, "loss": 2.0},
    ]  # fmt: skip
    for model in report_data(RunDir(text_run))["text"]["models"]:
        assert [point["tokens"] for point in model["curve"]] == [7680, 15360, 23040, 30720]


def test_a_run_that_has_just_begun_has_a_report(text_run: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes((text_run / "config.toml").read_bytes())
    run = RunDir(tmp_path)
    data = report_data(run)
    assert data["text"]["models"] == [] and "model" not in data
    assert headline(run, data)["lines"] == []
    assert main(["report", str(tmp_path)]) == 0


@pytest.mark.parametrize("name", ["state.json", "corpus.json", "evaluation/decoder.json"])
@pytest.mark.parametrize("content", ["[]", '{"x": 1}', "", "[" * 100_000])
def test_a_file_of_another_shape_is_told(
    text_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(text_run, run)
    (run / name).write_text(content, encoding="utf-8")
    assert main(["report", str(run)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {run / name} cannot be read") and err.count("\n") == 1
