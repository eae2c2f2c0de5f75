"""Tokenizer files that hang, eat memory or panic are one line, and known ones take the direct way."""

import base64
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from texts import CORPUS

from clearhead.errors import UserError
from clearhead.text import guard
from clearhead.text.guard import Guarded, is_known
from clearhead.text.load import from_json
from clearhead.text.patterns import COMMON
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.training import train_tokenizer

BPE = json.loads(train_tokenizer("bpe", CORPUS, 400).to_json())
ISOLATED = {"behavior": "Isolated", "invert": False}
TEXT = "Hello, 'twas world's 12345  days\n\n  ago — naïve 中文 🙂 " + "a" * 40 + "!"


def cut_by(expression: str) -> dict[str, Any]:
    cut = {"type": "Split", "pattern": {"Regex": expression}, **ISOLATED}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut, bytes_]}}


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def several(kind: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "Sequence", kind: parts}


def loaded(**parts: Any) -> SubwordTokenizer:
    found = from_json(json.dumps({**BPE, **parts}).encode(), Path("x"))
    assert isinstance(found, SubwordTokenizer)
    return found


LAUGHS = [replace({"String": "a"}, "aaaaaaaaaa")] * 12
FRAME = {"id": "[X]", "ids": [1] * 1000, "tokens": ["a"] * 1000}
BAD: dict[str, dict[str, Any]] = {
    "backtracks": cut_by(r"(a+)+$"),
    "backtracks below the library's own limit": cut_by(r"[^\x00]*[^\x00]*(?<=\x01)"),
    "doubles the text": {"normalizer": several("normalizers", LAUGHS)},
    "doubles what is decoded": {"decoder": several("decoders", [{"type": "Fuse"}, *LAUGHS])},
    "no expression": cut_by(r"(((["),
    "a table that is none": {
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\xff" * 40).decode()}
    },
}


@pytest.mark.parametrize("parts", BAD.values(), ids=BAD)
def test_what_a_file_does_wrong_is_one_line(
    parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guard, "SECONDS", 3.0)
    begun = time.monotonic()
    with pytest.raises(UserError) as told:
        tokenizer = loaded(**parts)
        tokenizer.decode(tokenizer.encode(TEXT * 40))
    assert "\n" not in str(told.value)
    assert time.monotonic() - begun < 60  # alone, each would take all memory or hours
    assert capfd.readouterr().err == ""  # and the library says nothing by itself


def test_a_guarded_tokenizer_does_what_the_library_does() -> None:
    parts = cut_by(r"\w+|[^\w\s]+|\s+")
    ours, theirs = loaded(**parts), tokenizers.Tokenizer.from_str(json.dumps({**BPE, **parts}))
    assert ours.guarded and ours.encode(TEXT) == theirs.encode(TEXT).ids
    assert ours.encode_many([TEXT] * 3) == [theirs.encode(TEXT).ids] * 3
    assert [tuple(piece)[2:] for piece in ours.pieces(TEXT)] == theirs.encode(TEXT).offsets
    assert ours.decode(ours.encode(TEXT)) == TEXT
    assert ours.cut(TEXT) == theirs.pre_tokenizer.pre_tokenize_str(TEXT)
    again = pickle.loads(pickle.dumps(ours))
    assert again.guarded and again.encode(TEXT) == ours.encode(TEXT)
    parts |= {"normalizer": replace({"Regex": "[xyz]+"}, "zz"), "decoder": replace({"String": "z"}, "zzz")}
    ours, theirs = loaded(**parts), tokenizers.Tokenizer.from_str(json.dumps({**BPE, **parts}))
    assert ours.decode(ours.encode("lazy")) == theirs.decode(theirs.encode("lazy").ids) != "lazy"


def test_many_texts_go_there_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BATCH", 10)
    guarded = Guarded(json.dumps({**BPE, **cut_by("q")}))
    texts = ["abc", "the cat sat on the mat", "", "dog", "x" * 30, "end"]
    theirs = tokenizers.Tokenizer.from_str(guarded.source)
    assert [list(found.ids) for found in guarded.encode(texts, False, False, False)] == [
        theirs.encode(t).ids for t in texts
    ]


def test_known_parts_take_no_process() -> None:
    assert is_known(BPE) and not loaded().guarded
    for expression in COMMON:
        assert is_known({**BPE, **cut_by(expression)})
    sequence = several("normalizers", [{"type": "Prepend", "prepend": "▁"}, replace({"String": " "}, "▁")])
    assert is_known({**BPE, "normalizer": sequence})


@pytest.mark.parametrize(
    "parts",
    [
        cut_by("x+"),
        {"normalizer": replace({"String": ""}, "x")},
        {"normalizer": replace({"String": "x"}, "xx")},
        {"normalizer": replace({"Regex": "."}, "")},
        {"normalizer": {"type": "Prepend", "prepend": "x" * 1000}},
        {"normalizer": several("normalizers", [{"type": "NFKD"}] * 1000)},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}},
        {"normalizer": "NFC"},
        {"post_processor": {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {"[X]": FRAME}}},
        {"post_processor": {"type": "TemplateProcessing", "single": [FRAME] * 99, "pair": [], "special_tokens": {}}},
        {"decoder": {"type": "a new one"}},
        {"model": {"type": "WordPiece", "vocab": {}, "unk_token": "a", "max_input_chars_per_word": 1 << 30}},
        {"model": None},
    ],
)
def test_other_parts_are_not_known(parts: dict[str, Any]) -> None:
    assert not is_known({**BPE, **parts})


@pytest.mark.parametrize("char", ["a", " ", "\n", "1", "!", "é", "中", "\u0301", " a", "A", "a1"])
def test_the_known_expressions_take_linear_time(char: str) -> None:
    def seconds(length: int) -> float:
        text, taken = char * (length // len(char)) + "\x00", []
        for _ in range(3):
            begun = time.perf_counter()
            for cut in cuts:
                cut.pre_tokenize_str(text)
            taken.append(time.perf_counter() - begun)
        return min(taken)

    cuts = [tokenizers.pre_tokenizers.Split(tokenizers.Regex(expression), "isolated") for expression in COMMON]
    assert seconds(32_000) < 32 * seconds(4_000)  # a square would take 64 times as long
