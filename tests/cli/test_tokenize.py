import base64
import json
import os
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from clearhead.cli import tokenize
from clearhead.cli.main import main
from clearhead.text.training import KINDS, train_tokenizer

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("the cat sat on the mat. " * 50, encoding="utf-8")
    return path


def out(capsys: Capture, *args: object) -> str:
    assert main(["tokenize", *map(str, args)]) == 0
    return capsys.readouterr().out


def told(capfd: Capture, *args: object) -> str:
    assert main(["tokenize", *map(str, args)]) == 2
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1, printed
    return printed.err


def test_pieces_can_be_read(capsys: Capture, corpus: Path) -> None:
    printed = out(capsys, "the cat\n👋", "--train", corpus, "--vocab", 300)
    bpe = train_tokenizer("bpe", [corpus.read_text(encoding="utf-8")], 300)
    for piece in bpe.pieces("the cat\n👋"):
        assert f" {piece.id} " in f"{printed} "
    assert "␣cat" in printed and r"\n" in printed and r"\xf0" in printed
    assert f"{len(bpe.encode(chr(10).join(['the cat', '👋'])))} tokens for 12 bytes" in printed


def test_json_has_every_piece(capsys: Capture, corpus: Path) -> None:
    data = json.loads(out(capsys, "the cat zoo", "--train", corpus, "--kind", "word", "--json"))
    assert [piece["token"] for piece in data["pieces"]] == ["the", "cat", "<unk>"]
    assert (data["tokens"], data["bytes"]) == (3, 11)
    assert [(piece["start"], piece["end"]) for piece in data["pieces"]] == [(0, 3), (4, 7), (8, 11)]


def test_special_tokens_only_when_asked(capsys: Capture, corpus: Path) -> None:
    ids = [
        [piece["id"] for piece in json.loads(out(capsys, "<end>", "--train", corpus, "--json", *more))["pieces"]]
        for more in ([], ["--special"])
    ]
    assert 1 not in ids[0] and ids[1] == [1]


def test_one_text_under_every_kind(capsys: Capture, corpus: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on a hat", encoding="utf-8")
    data = json.loads(out(capsys, "--file", text, "--train", corpus, "--vocab", 300, "--compare", "--json"))
    assert set(data["vocabulary"]) == set(KINDS)
    row = data["texts"][str(text)]
    assert row["word"]["tokens"] == 6 and row["word"]["unknown_words"] == 2
    assert row["char"]["tokens"] == 20 and row["char"]["unknown_words"] == 0  # h and a are there, one by one
    assert row["bpe"]["unknown_words"] == 0 and row["bpe"]["bytes_per_token"] == round(20 / row["bpe"]["tokens"], 4)
    printed = out(capsys, "--file", text, "--train", corpus, "--vocab", 300, "--compare")
    assert max(map(len, printed.splitlines())) <= 80
    assert "2 (33%)" in printed


def test_languages(capsys: Capture, corpus: Path) -> None:
    data = json.loads(out(capsys, "--languages", "--train", corpus, "--vocab", 300, "--json"))
    assert {"English", "Greek", "Chinese"} <= set(data["texts"])
    assert data["texts"]["Greek"]["bpe"]["bytes_per_token"] < data["texts"]["English"]["bpe"]["bytes_per_token"]
    printed = out(capsys, "--languages", "--train", corpus, "--vocab", 300)
    assert max(map(len, printed.splitlines())) <= 80


def test_a_tokenizer_is_kept_and_used(capsys: Capture, corpus: Path, tmp_path: Path) -> None:
    data = json.loads(out(capsys, "--train", corpus, "--vocab", 300, "--save", tmp_path / "my.json", "--json"))
    assert data["saved"].endswith("my.json")
    assert Tokenizer.from_file(str(tmp_path / "my.json")).get_vocab_size() == data["vocabulary"]
    ids = json.loads(out(capsys, "the cat", "--tokenizer", tmp_path / "my.json", "--json"))["pieces"]
    assert ids == json.loads(out(capsys, "the cat", "--train", corpus, "--vocab", 300, "--json"))["pieces"]
    compared = json.loads(out(capsys, "the cat", "--tokenizer", tmp_path / "my.json", "--compare", "--json"))
    assert set(compared["vocabulary"]) == {*KINDS, "my"}


def test_smollm2_is_its_packages_file(
    capsys: Capture, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["tokenize", "--train", str(corpus), "--save", str(tmp_path / "x.json")]) == 0
    monkeypatch.setattr("clearhead.checkpoints.load.smollm2", lambda: tmp_path / "x.json")
    assert main(["tokenize", "the", "--tokenizer", "smollm2"]) == 0
    assert "the" in capsys.readouterr().out


def test_a_rank_file_wants_its_pattern(capfd: Capture, tmp_path: Path) -> None:
    lines = [base64.b64encode(bytes([byte])).decode() + f" {byte}" for byte in range(256)]
    (tmp_path / "x.tiktoken").write_text("\n".join(lines), encoding="utf-8")
    assert "256 ranks" in told(capfd, "hi", "--tokenizer", tmp_path / "x.tiktoken")
    data = json.loads(out(capfd, "hi", "--tokenizer", tmp_path / "x.tiktoken", "--pattern", "gpt2", "--json"))
    assert [piece["id"] for piece in data["pieces"]] == [*b"hi"]


def test_kinds_are_those_that_can_be_trained() -> None:
    assert set(tokenize.KINDS) == set(KINDS)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "there is no text"),
        ([""], "the text is empty"),
        (["a", "--languages"], "TEXT and --languages exclude each other"),
        (["a", "--pattern", "gpt2"], "--pattern is for a rank file"),
        (["a", "--tokenizer", "gone.json"], "cannot read gone.json"),
        (["a", "--tokenizer", "gone.json", "--save", "b"], "--save is for a tokenizer that is trained here"),
        (["a", "--tokenizer", "gone.json", "--train", "b"], "--train is for a tokenizer that is trained here"),
        (["a", "--tokenizer", "gone.json", "--vocab", "4096"], "--vocab is for a tokenizer that is trained here"),
        (["a", "--tokenizer", "gone.json", "--kind", "bpe"], "--kind is for the one tokenizer that is trained"),
        (["a", "--compare", "--kind", "bpe"], "--kind is for the one tokenizer that is trained"),
        (["a", "--compare", "--special"], "--special is for the pieces"),
        (["--languages", "--save", "b"], "--save keeps one tokenizer"),
        (["--file", "a", "--file", "b", "--save", "b"], "--save keeps one tokenizer"),
        (["--file", "gone.txt"], "gone.txt does not exist"),
        (["a", "--vocab", "100"], "258 to"),
        (["a", "--vocab", "0"], "0"),
        (["a", "--kind", "bp"], "bp"),
        (["a", "--save", "no/such/folder.json"], "cannot write no/such/folder.json"),
    ],
)
def test_wrong_inputs(capfd: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], message: str
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert message in told(capfd, *args)
    assert os.listdir(tmp_path) == []


def test_a_pipe_and_a_device_are_no_tokenizer(capfd: Capture, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "tokenizer.json").symlink_to("/dev/zero")  # without an end
    for path in (tmp_path / "pipe", tmp_path):
        assert "is no regular file" in told(capfd, "a", "--tokenizer", path)


def test_a_text_is_not_lost_to_its_tokenizer(capfd: Capture, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("a text that somebody wrote", encoding="utf-8")
    assert "is no tokenizer; choose another name" in told(capfd, "--train", text, "--save", text)
    assert text.read_text(encoding="utf-8") == "a text that somebody wrote"
    for _ in range(2):  # a tokenizer may be made again
        assert main(["tokenize", "--train", str(text), "--save", str(tmp_path / "x.json")]) == 0


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x00\x01", b'{"version": "1.0", "model"', b"GGUF\x03\x00", b"IQ== 0\n"])
def test_a_broken_tokenizer_is_one_line(capfd: Capture, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    assert "x.json" in told(capfd, "a", "--tokenizer", tmp_path / "x.json")


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x00\x01", b"caf\xe9"])
def test_a_file_that_is_no_text_is_one_line(capfd: Capture, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    assert "x.txt" in told(capfd, "--file", tmp_path / "x.txt")
    assert "x.txt" in told(capfd, "a", "--train", tmp_path / "x.txt")


def test_an_expression_without_end_is_one_line(capfd: Capture, tmp_path: Path) -> None:
    fields = json.loads(train_tokenizer("word", ["a"], 10).to_json())
    split = {"type": "Split", "pattern": {"Regex": "(a|a)*$"}, "behavior": "Isolated", "invert": False}
    (tmp_path / "x.json").write_text(json.dumps(fields | {"pre_tokenizer": split}), encoding="utf-8")
    assert "cannot read this text" in told(capfd, "a" * 40 + "!", "--tokenizer", tmp_path / "x.json")
