"""`clearhead tune` as a person meets it: the figures, a stop and its resumption, and mistakes in one line."""

import json
import signal
import time
from pathlib import Path

import pytest
from chatty import rows, write_model, write_rows
from click.testing import CliRunner
from tiny import clearhead, start

from clearhead.cli.main import main
from clearhead.cli.tune import command, default_folder, one_line
from clearhead.errors import UserError

QUICK = ("--steps", "8", "--lr", "0.02", "--set", "dtype=float32", "--set", "samples=1", "--set", "sample_tokens=6")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    write_model(folder / "model")
    write_rows(folder / "data.jsonl", rows(30))
    return folder


def test_an_adapter_and_its_figures(place: Path) -> None:
    out, err = clearhead("tune", "model", "--data", "data.jsonl", "--rank", "2", *QUICK, "--json", cwd=place)
    result = json.loads(out)
    assert result["held_out_loss"]["after"] < result["held_out_loss"]["before"]
    assert result["settings"]["rank"] == 2 and result["directory"] == "runs/tune-model"
    assert (place / "runs/tune-model/adapter_model.safetensors").is_file()
    assert "trainable: " in err and "held-out loss before" in err
    page = place / "runs/tune-model/report.html"
    page.unlink()
    out, _ = clearhead("report", "runs/tune-model", cwd=place)
    assert f"-> {result['held_out_loss']['after']:.4f} nats a token" in out and "GiB" in out
    assert page.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "args",
    [
        ("tune", "model", "--data", "data.jsonl", *QUICK),
        ("align", "model", "--data", "prompts.jsonl", "--method", "grpo", "--reward", "reward.py", "--max-tokens", "9"),
    ],
)
def test_keys_and_values_keep_to_their_memory(place: Path, args: tuple[str, ...]) -> None:
    write_rows(place / "prompts.jsonl", [{"prompt": f"{i} or {i + 1}?"} for i in range(20)])
    (place / "reward.py").write_text("def reward(prompts, completions):\n    return [0.0] * len(prompts)\n")
    _, err = clearhead(*args, "--out", f"little-{args[0]}", "--kv-memory", "1KiB", cwd=place, expect=2)
    assert "1.0 KiB" in err and "raise --kv-memory" in err and "Traceback" not in err


def test_ctrl_c_leaves_a_run_that_goes_on(place: Path) -> None:
    args = ["tune", "model", "--data", "data.jsonl", "--out", "half", *QUICK, "--set", "steps=4000"]
    args = [arg for i, arg in enumerate(args) if arg not in ("--steps", "8")]
    process = start(*args, cwd=place)
    log = place / "half" / "tune.jsonl"
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and not (log.is_file() and log.read_text().count('"step"') > 3):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130 and "go on with: clearhead tune model" in err and "--resume" in err
    assert not (place / "half" / "adapter_model.safetensors").exists()
    _, err = clearhead("report", "half", cwd=place, expect=2)
    assert "half is not tuned to its end" in err
    _, err = clearhead(*args, "--resume", "--set", "steps=4001", cwd=place, expect=2)
    assert "begun with steps = 4000, not 4001" in err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--full", "--rank", "4"], "--rank is LoRA's and --full trains every weight"),
        (["--epochs", "1", "--steps", "2"], "--epochs and --steps"),
        (["--rank", "0"], "rank = 0 must be at least 1"),
        (["--targets", "q,z"], "'z' is no part of this model"),
        (["--lr", "-1"], "lr = -1.0"),
        (["--set", "ranks=3"], "did you mean 'rank'"),
        (["--set", "model=other"], "--set changes neither the model nor the data"),
        (["--set", "warmup=-1"], "warmup = -1 must be"),
        (["--set", "decay_start=1"], "decay_start = 1.0 must be"),
        (["--seed", str(10**30)], "is too large"),
        (["--data", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
        (["--data", "/dev/null"], "cannot read /dev/null: it is no regular file"),
        (["--held-out", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
        (["--resume"], "to resume"),
        (["--max-length", "4"], "rows cannot be used"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    place: Path, args: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    whole = ["tune", str(place / "model"), "--data", str(place / "data.jsonl"), *args]
    assert main(whole) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("error: ") and told in err[-1]
    assert list(tmp_path.iterdir()) == []


def test_bad_rows_are_told_in_a_line_each(
    place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_rows(tmp_path / "bad.jsonl", [*rows(3), *[{"prompt": "x"}] * 30])
    assert main(["tune", str(place / "model"), "--data", str(data)]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 22 and err[0].startswith(f"{data}, line 4: ") and err[20] == "and 10 more"
    assert err[21].startswith("error: ") and "30 of 33 rows cannot be used" in err[21]


def test_the_newest_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_folder("a/b", resume=False) == Path("runs/tune-b")
    with pytest.raises(UserError, match="no run tune-b"):
        default_folder("a/b", resume=True)
    (tmp_path / "runs/tune-b").mkdir(parents=True)
    (tmp_path / "runs/tune-b/tune.toml").touch()
    assert default_folder("a/b", resume=True) == Path("runs/tune-b")
    assert default_folder("a/b", resume=False) == Path("runs/tune-b-2")


def test_help_fits_and_shows_examples() -> None:
    out = CliRunner().invoke(command, ["--help"], prog_name="clearhead tune").output
    assert "Examples:" in out and max(map(len, out.splitlines())) <= 80


def test_a_line_is_cut() -> None:
    assert one_line("a\n b" + "c" * 200, 10) == "a bccccccc…"
