"""`clearhead practice`: from the stub to a pass, hints, the solution, and what goes wrong on the way."""

import json
from pathlib import Path

import pytest

from clearhead.cli.main import main
from clearhead.sandbox.process import Sandbox
from clearhead.study.practice.exercise import load, names

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARHEAD_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def answer(capsys: Capture, *args: str, code: int = 0) -> dict:
    assert main(["practice", *args, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_from_the_stub_to_a_pass(capsys: Capture, walled: None) -> None:
    assert main(["practice", "start", "softmax"]) == 0
    assert "clearhead practice grade softmax" in capsys.readouterr().out
    assert "1,000" in Path("practice/softmax.py").read_text()
    assert "still to be written" in answer(capsys, "grade", "softmax", code=1)["said"][0]
    Path("practice/softmax.py").write_text("import numpy as np\ndef softmax(z):\n    return np.exp(z)\n")
    assert main(["practice", "grade", "softmax", "--seed", "0"]) == 1
    told = capsys.readouterr().out
    assert "softmax: not yet" in told and "not being divided" not in told and "The smallest case that fails" in told
    Path("practice/softmax.py").write_text(load("softmax").solution)
    assert answer(capsys, "grade", "softmax")["passed"]
    assert main(["practice", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows.keys() == set(names())
    assert rows["softmax"]["passed"] and rows["softmax"]["attempts"] == 3 and not rows["kv-cache"]["passed"]
    assert main(["practice", "solution", "softmax"]) == 0
    assert "keepdims" in capsys.readouterr().out


def test_the_list_fits_a_narrow_terminal(capsys: Capture) -> None:
    assert main(["practice", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 72 and lines[-1] == f"0 of {len(names())} passed"


def test_hints_come_one_after_another(capsys: Capture) -> None:
    given = [answer(capsys, "hint", "softmax") for _ in range(4)]
    assert [one["hint"] for one in given] == [1, 2, 3, 3]
    assert [one["text"] for one in given[:3]] == list(load("softmax").hints)


def test_work_is_never_written_over(capsys: Capture) -> None:
    path = Path("here/softmax.py")
    path.parent.mkdir()
    path.write_text("mine")
    assert main(["practice", "start", "softmax", "--dir", "here"]) == 2
    assert "--force" in capsys.readouterr().err and path.read_text() == "mine"
    assert main(["practice", "start", "softmax", "--dir", "here", "--force"]) == 0
    assert "def softmax" in path.read_text()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["start", "sofmax"], "did you mean 'softmax'?"),
        (["grade", "softmax"], "clearhead practice start softmax"),
        (["grade", "softmax", "--file", "."], "cannot be read"),
        (["grade", "softmax", "--file", "latin"], "UTF-8"),
        (["grade", "softmax", "--file", "huge"], "at most 200,000"),
        (["solution", "softmax"], "--yes"),
        (["start", "softmax", "--dir", "latin"], "cannot write"),
        (["nothing"], "nothing"),
    ],
)
def test_a_mistake_is_one_line(args: list[str], said: str, capsys: Capture) -> None:
    Path("latin").write_bytes(b"\xff\xfe\xfa")
    Path("huge").write_bytes(b"#" * 300_000)
    assert main(["practice", *args]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_progress_that_cannot_be_read(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "data" / "practice.json"
    path.parent.mkdir()
    for text in ("{", "[1]", '{"softmax": {"passed": 1}}', '{"softmax": {"other": true}}'):
        path.write_text(text)
        assert main(["practice", "hint", "softmax"]) == 2
        assert "practice.json" in capsys.readouterr().err and path.read_text() == text


def test_a_solution_seen_before_the_pass_is_remembered(capsys: Capture) -> None:
    assert "z.amax" in answer(capsys, "solution", "softmax", "--yes", "--torch")["source"]
    assert main(["practice", "list", "--json"]) == 0
    assert {row["name"]: row for row in json.loads(capsys.readouterr().out)}["softmax"]["solution_seen"]


def test_a_machine_without_walls_is_asked_once(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --unsafe nothing is run; with it one line says what is missing, and what can be kept is kept."""
    exchange = Sandbox._exchange

    def lacking(self: Sandbox, message: bytes) -> bytes:
        reply = exchange(self, message)
        return b'["Landlock"]' if reply.startswith(b"[") else reply

    monkeypatch.setattr(Sandbox, "_exchange", lacking)
    Path("mine.py").write_text(load("softmax").solution)
    args = ["practice", "grade", "softmax", "--file", "mine.py"]
    assert main(args) == 2
    told = capsys.readouterr()
    assert "read your files (no Landlock)" in told.err and "--unsafe" in told.err and told.err.count("\n") == 1
    assert answer(capsys, "list")[0]["attempts"] == 0
    assert main([*args, "--unsafe"]) == 0
    told = capsys.readouterr()
    assert "passed" in told.out and told.err.count("no Landlock") == 1


def test_an_exercise_in_the_place_of_a_command_is_told_how_it_begins(capsys: Capture) -> None:
    assert main(["practice", "softmax"]) == 2
    assert capsys.readouterr().err == "error: softmax is an exercise; begin it with: clearhead practice start softmax\n"
    assert main(["practice", "sofmax"]) == 2


def test_the_command_to_go_on_with_stands_in_a_line_of_its_own(capsys: Capture) -> None:
    assert main(["practice", "start", "rotary-positions"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "clearhead practice grade rotary-positions"
