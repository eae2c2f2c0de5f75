"""`clearhead vectors` as a person types it."""

import json
from pathlib import Path

import numpy as np
import pytest

from clearhead.cli.main import main
from clearhead.formats import word2vec
from clearhead.text.words import read

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Animals stand with animals, and colors with colors."""
    rng, file = np.random.default_rng(0), tmp_path_factory.mktemp("text") / "t.txt"
    groups = (["cat", "dog", "bird", "horse"], ["red", "green", "blue", "white"])
    lines = [" ".join(rng.choice(groups[i % 2], 8).tolist()) for i in range(120)]
    file.write_text("\n\n".join(lines), encoding="utf-8")
    return str(file)


SMALL = ("--dimensions", "8", "--epochs", "8", "--min-count", "2")


def test_train_keep_ask_and_measure(text: str, tmp_path: Path, capsys: Capture) -> None:
    kept, page = str(tmp_path / "v.bin"), tmp_path / "v.html"
    assert main(["vectors", text, *SMALL, "--out", kept, "--report", str(page), "--near", "Cat", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["vocabulary"] == 8 and found["words"] == 960 and found["method"] == "skipgram"
    html = page.read_text(encoding="utf-8")
    assert "What skip-gram factorizes" in html and html.count("<svg") == 3
    (tmp_path / "p.tsv").write_text("# word pairs\ncat\tdog\t9\ncat\tred\t1\nred\tblue\t8\ncat\tstone\t5\n")
    (tmp_path / "a.txt").write_text(": colors\ncat dog red green\nred blue cat stone\n")
    ask = ["vectors", kept, "--near", "Cat", "--analogy", "cat dog red", "--top", "3", "--json"]
    assert main([*ask, "--pairs", str(tmp_path / "p.tsv"), "--analogies", str(tmp_path / "a.txt")]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["near"]["Cat"] == found["near"]["Cat"][:3]
    assert not {n["word"] for n in again["analogy"]} & {"cat", "dog", "red"}
    pairs, analogies = again["scores"]
    assert (pairs["pairs"], pairs["known"]) == (4, 3) and -1 <= pairs["spearman"] <= 1
    assert (analogies["analogies"], analogies["known"]) == (2, 1)
    assert main(["vectors", kept, "--near", "cat", "--top", "2"]) == 0
    assert len(capsys.readouterr().out.split(",")) == 2


@pytest.mark.parametrize("method", ["cbow", "glove", "ppmi"])
def test_other_methods_have_a_page_too(text: str, tmp_path: Path, capsys: Capture, method: str) -> None:
    told = ["vectors", text, *SMALL, "--method", method, "--out", str(tmp_path / "v.vec")]
    assert main([*told, "--report", str(tmp_path / "v.html")]) == 0
    assert capsys.readouterr().out
    assert "factorizes" not in (tmp_path / "v.html").read_text(encoding="utf-8")
    assert word2vec.read(tmp_path / "v.vec")[1].shape == (8, 8)


def test_words_by_count_with_rare_ones_left_out_and_texts_parted() -> None:
    vocabulary, ids = read(["b a b, B!", "c", "a\nb"], 2, 10)
    assert vocabulary.words == ("b", "a") and vocabulary.counts.tolist() == [4, 2]
    assert ids.tolist() == [0, 1, 0, 0, -1, -1, 1, 0, -1]
    assert vocabulary.noise().tolist() == pytest.approx([4**0.75 / (4**0.75 + 2**0.75), 2**0.75 / (4**0.75 + 2**0.75)])
    assert vocabulary.keep(0.0).tolist() == [1, 1]
    assert vocabulary.keep(0.01)[0] == pytest.approx(0.015**0.5 + 0.015)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["none.txt"], "none.txt does not exist"),
        (["few.txt"], "stand 5 times or more"),
        (["v.vec", "--near", "aa"], "'aa' has no vector"),
        (["v.vec", "few.txt", "--near", "a"], "stands alone"),
        (["v.vec", "--method", "glove"], "--method is for text"),
        (["v.vec", "--out", "w.bin"], "--out is for text"),
        (["v.vec", "--analogy", "a b"], "is not three words"),
        (["v.vec", "--pairs", "few.txt"], "has 0 pairs"),
        (["v.vec", "--analogies", "few.txt"], "has 0 analogies"),
        (["few.txt", "--out", "w.npy"], "ends in neither .bin nor .vec"),
        (["few.txt", "--method", "elmo"], "Invalid value for '--method'"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, args: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.txt").write_text("a b c\n")
    (tmp_path / "v.vec").write_text("3 2\na 1 0\nb 0 1\nc 1 1\n")
    before = sorted(tmp_path.iterdir())
    assert main(["vectors", *args]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert len(err) == 1 and err[0].startswith("error: ") and told in err[0]
    assert sorted(tmp_path.iterdir()) == before
