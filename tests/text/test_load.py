import base64
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import CORPUS, ranks_of

from clearhead.errors import UserError
from clearhead.text.load import from_json, load_tokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.text.training import train_tokenizer

BPE = train_tokenizer("bpe", CORPUS, 400)
JSON = BPE.to_json()


def changed(**parts: object) -> bytes:
    return json.dumps(json.loads(JSON) | parts).encode()


def test_a_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.tiktoken").write_text(JSON, encoding="utf-8")
    assert load_tokenizer(tmp_path / "a.tiktoken").encode("the cat") == BPE.encode("the cat")
    ranks = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks_of(BPE).items())
    (tmp_path / "b.json").write_bytes(ranks)
    assert [i + 2 for i in load_tokenizer(tmp_path / "b.json", "gpt2").encode("the cat")] == BPE.encode("the cat")


def test_a_folder_says_how_texts_end(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(JSON, encoding="utf-8")
    assert (load_tokenizer(tmp_path).end_id, load_tokenizer(tmp_path).pad_id) == (1, 0)  # by their usual names
    config = {"eos_token": {"content": "a"}, "pad_token": "b"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    loaded = load_tokenizer(tmp_path)
    assert [loaded.end_id, loaded.pad_id] == [BPE.encode("a")[0], BPE.encode("b")[0]]


def test_the_tokenizer_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(CharTokenizer("+12=").to_json(), encoding="utf-8")
    assert load_tokenizer(tmp_path) == CharTokenizer("+12=")


def test_a_file_does_not_decide_how_long_texts_are() -> None:
    """Its own padding to 2^40 tokens would end in no memory, its truncation would lose text."""
    padding = {"strategy": {"Fixed": 1 << 40}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
               "pad_type_id": 0, "pad_token": "<pad>"}  # fmt: skip
    truncation = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    loaded = from_json(changed(padding=padding, truncation=truncation), Path("x"))
    assert loaded.encode("the cat sat") == BPE.encode("the cat sat")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x00\x01\x02\xff" * 20, "no tokenizer that can be read"),
        (b"some words of text\n", "no tokenizer that can be read"),
        (JSON[: len(JSON) // 2].encode(), "cut off or broken"),
        (b'{"a":' * 100_000, "is not JSON"),
        (b"{}", "no tokenizer.json that can be read"),
        (b'{"kind": "char"}', "no alphabet"),
        (changed(model={"type": "Magic"}), "no tokenizer.json that can be read"),
        (changed(model={"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}), "can be read: .*out of vocabulary"),
        (changed(model={"type": "WordLevel", "vocab": {"a": 4_000_000_000}, "unk_token": "a"}), "ids up to 4000000000"),
        (changed(model={"type": "WordLevel", "vocab": {"a": -1}, "unk_token": "a"}), "can be read"),
        (changed(model={"type": "WordLevel", "vocab": {}, "unk_token": "a"}, added_tokens=[]), "ids up to -1"),
        (changed(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated", "invert": False}),
         "can be read"),
    ],
)  # fmt: skip
def test_what_is_no_tokenizer_is_told(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(UserError, match=told) as raised:
        load_tokenizer(tmp_path / "x.json")
    assert len(str(raised.value)) < 400


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*No such file"):
        load_tokenizer(tmp_path / "gone.json")
    with pytest.raises(UserError, match="has no tokenizer in it"):
        load_tokenizer(tmp_path)
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(UserError, match="2 files"):
        load_tokenizer(tmp_path)


def test_a_pattern_is_for_rank_files_only(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(JSON, encoding="utf-8")
    with pytest.raises(UserError, match="'gpt2' is only for a rank file"):
        load_tokenizer(tmp_path, "gpt2")


def test_an_expression_that_never_ends_is_told() -> None:
    """Backtracking without end in a file's expression: the library gives up, and that is one line too."""
    split = {"type": "Split", "pattern": {"Regex": "(a|a)*$"}, "behavior": "Isolated", "invert": False}
    model = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
    loaded = from_json(changed(pre_tokenizer=split, model=model, added_tokens=[]), Path("x"))
    try:
        loaded.encode("a" * 40 + "!")
    except UserError as error:
        assert "cannot read this text" in str(error)


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_damage_is_told_or_harmless(rng: random.Random) -> None:
    damaged = bytearray(JSON, "utf-8")
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(damaged))
        damaged[at : at + rng.randrange(3)] = rng.choice([b"", b'"', b"{", b"9", b"-", b"\xff", b"null", b"[]"])
    try:
        loaded = from_json(bytes(damaged), Path("x"))
        loaded.decode(loaded.encode("the cat 👋"))
    except UserError:
        pass
