"""`clearhead embed` as a person types it."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from encoders import write_encoder

from clearhead.cli.main import main
from clearhead.pipeline.embed import cut

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_encoder(tmp_path_factory.mktemp("model") / "bert"))


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("the cat sat.\nand slept\n\n\nno more cats\n", encoding="utf-8")
    (tmp_path / "notes" / "b.md").write_bytes("\ufeffking\r\n".encode())
    (tmp_path / "notes" / "c.bin").write_bytes(b"\0\1\2")
    return tmp_path / "notes"


def test_a_vector_for_each_line(model: str, notes: Path, capsys: Capture) -> None:
    assert main(["embed", model, str(notes / "a.txt")]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["line"], row["text"]) for row in found] == [(1, "the cat sat."), (2, "and slept"), (5, "no more cats")]
    assert np.allclose([np.linalg.norm(row["vector"]) for row in found], 1, atol=1e-6)


def test_kept_and_searched_again(model: str, notes: Path, tmp_path: Path, capsys: Capture) -> None:
    for name in ("v.npy", "v.jsonl", "v.safetensors"):
        assert main(["embed", model, str(notes), "--out", str(tmp_path / name), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"texts": 3, "dimension": 32, "out": str(tmp_path / name)}
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["file"], row["line"]) for row in rows] == [("a.txt", 1), ("a.txt", 5), ("b.md", 1)]
    array = np.load(tmp_path / "v.npy")
    assert np.array_equal(array, np.array([row["vector"] for row in rows], np.float32))
    answers = []
    for source in (notes, tmp_path / "v.safetensors"):
        assert main(["embed", model, str(source), "--query", "no more cats", "--top", "2", "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]
    first, second = answers[0]["hits"]
    assert first["text"] == "no more cats" and first["cosine"] > second["cosine"]
    assert first["cosine"] == pytest.approx(1, abs=1e-6)
    assert main(["embed", model, str(notes), "--query", "king", "--top", "1"]) == 0
    assert capsys.readouterr().out == "1.000  b.md:1  king\n"


def test_rows_and_a_pipe(model: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r.csv").write_text("id,words\n1,a cat\n2,a king\n", encoding="utf-8")
    assert main(["embed", model, str(tmp_path / "r.csv"), "--field", "words"]) == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == ["a cat", "a king"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a cat\n\n \nking")))
    assert main(["embed", model, "-", "--per", "line"]) == 0
    assert [json.loads(line)["line"] for line in capsys.readouterr().out.splitlines()] == [1, 4]


def test_units() -> None:
    text = "\n one\ntwo\n \t\nthree"
    assert [p.line for p in cut("a", text, "line")] == [2, 3, 5]
    assert [(p.line, p.text) for p in cut("a", text, "paragraph")] == [(2, "one\ntwo"), (5, "three")]
    assert [(p.line, p.text) for p in cut("a", text, "file")] == [(2, "one\ntwo\n \t\nthree")]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["no-such-file"], "no-such-file does not exist"),
        (["empty.txt"], "holds no text"),
        (["latin.txt"], "latin.txt, line 2: this is not UTF-8"),
        (["r.csv", "--per", "line"], "leave --per out"),
        (["r.csv"], "text"),
        (["ok.txt", "--out", "v.pickle"], "ends in none of .jsonl, .npy, .safetensors"),
        (["ok.txt", "--query", " "], "--query is empty"),
        (["other.safetensors", "--query", "a"], "holds no passages with their vectors"),
        (["broken.safetensors", "--query", "a"], "broken.safetensors"),
    ],
)
def test_bad_input_is_one_line(
    model: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, args: list[str], told: str
) -> None:
    from clearhead.training import checkpoint

    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "ok.txt").write_text("fine\n")
    (tmp_path / "latin.txt").write_bytes(b"ok\ncaf\xe9\n")
    (tmp_path / "r.csv").write_text("id,words\n1,a cat\n")
    checkpoint.save(tmp_path / "other.safetensors", {}, {})
    (tmp_path / "broken.safetensors").write_bytes(b"12")
    before = sorted(tmp_path.iterdir())
    assert main(["embed", model, *args]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert len(err) == 1 and err[0].startswith("error: ") and told in err[0]
    assert sorted(tmp_path.iterdir()) == before


def test_vectors_of_another_model_are_not_searched(model: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "t.txt").write_text("a cat\n")
    kept = tmp_path / "v.safetensors"
    assert main(["embed", model, str(tmp_path / "t.txt"), "--out", str(kept)]) == 0
    other = str(write_encoder(tmp_path / "other", d_model=16))
    assert main(["embed", other, str(kept), "--query", "cat"]) == 2
    assert "holds vectors of" in capsys.readouterr().err
