"""Tokenizers written by the gguf package and read back."""

import random
import struct
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import CORPUS, TEXTS
from tokenizers import Tokenizer, normalizers

from clearhead.errors import Ignored, UserError
from clearhead.formats.gguf import read_metadata
from clearhead.text.gguf_vocab import KNOWN, PREFIX, TEMPLATE, chat_templates, from_metadata, load_gguf
from clearhead.text.training import train_tokenizer

BPE = train_tokenizer("bpe", CORPUS, 500, "smollm")
CONTROL, NORMAL, UNKNOWN = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL, gguf.TokenType.UNKNOWN


def write(path: Path, fields: Mapping[str, object]) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in fields.items():
        getattr(writer, f"add_{name}")(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def bpe_fields() -> dict[str, object]:
    import json

    model = json.loads(BPE.to_json())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return {
        "tokenizer_model": "gpt2",
        "tokenizer_pre": "smollm",
        "token_list": tokens,
        "token_types": [CONTROL, CONTROL] + [NORMAL] * (len(tokens) - 2),
        "token_merges": [" ".join(pair) for pair in model["merges"]],
        "eos_token_id": 1,
        "bos_token_id": 1,
        "add_bos_token": True,
        "pad_token_id": 0,
        "chat_template": "{{ messages }}",
        "context_length": 128,
    }


@pytest.fixture(scope="module")
def bpe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("gguf") / "bpe.gguf", bpe_fields())


def test_the_metadata_is_what_the_package_reads(bpe_file: Path) -> None:
    peer = {name: field.contents() for name, field in gguf.GGUFReader(bpe_file).fields.items()}
    ours = read_metadata(bpe_file)
    assert ours == {name: value for name, value in peer.items() if not name.startswith("GGUF.")}
    assert chat_templates(ours).get("default") == "{{ messages }}"


def test_every_type_of_value(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    for i, kind in enumerate([f"{kind}{bits}" for bits in (8, 16, 32, 64) for kind in ("uint", "int")]):
        getattr(writer, f"add_{kind}")(kind, i - 8 if kind.startswith("int") else i)
    writer.add_float32("f", 0.5)
    writer.add_float64("d", 1e300)
    writer.add_bool("yes", True)
    writer.add_array("numbers", [1, -2, 3])
    writer.add_array("fractions", [0.5, 1.5])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    peer = {name: field.contents() for name, field in gguf.GGUFReader(tmp_path / "x.gguf").fields.items()}
    ours = read_metadata(tmp_path / "x.gguf")
    assert ours == {name: value for name, value in peer.items() if not name.startswith("GGUF.")}
    assert ours["int8"] == -7 and ours["yes"] is True and ours["fractions"] == [0.5, 1.5]


def test_byte_level_ids(bpe_file: Path) -> None:
    loaded = load_gguf(bpe_file)
    assert (loaded.vocab_size, loaded.end_id, loaded.pad_id) == (500, 1, 0)

    @given(TEXTS)
    @settings(deadline=None)
    def agree(text: str) -> None:
        assert loaded.encode(text) == BPE.encode(text)
        assert loaded.encode(text, add_special_tokens=True) == [1, *BPE.encode(text)]
        assert loaded.decode(BPE.encode(text)) == text

    agree()
    assert loaded.encode("a<end>", special=True) == [*BPE.encode("a"), 1]
    assert loaded.encode("a<end>") == BPE.encode("a<end>")


def test_a_users_token_is_found_in_any_text(tmp_path: Path) -> None:
    fields = bpe_fields()
    types = [*fields["token_types"][:-1], gguf.TokenType.USER_DEFINED]  # type: ignore[index]
    tokens = [*fields["token_list"][:-1], "<tool call>"]  # type: ignore[index]
    merges = [pair for pair in fields["token_merges"] if "".join(pair.split()) in tokens]  # type: ignore[attr-defined]
    loaded = load_gguf(
        write(tmp_path / "x.gguf", fields | {"token_types": types, "token_list": tokens, "token_merges": merges})
    )
    assert loaded.encode("a<tool call>") == [*BPE.encode("a"), 499]
    assert loaded.decode([499]) == "<tool call>"


def test_the_manner_of_llama_3(tmp_path: Path) -> None:
    """A piece that is a token is that token even if no merge leads to it, and texts begin without being told to."""
    fields = {name: value for name, value in bpe_fields().items() if name != "add_bos_token"}
    tokens = [*fields["token_list"], "zebra"]  # type: ignore[misc]
    fields |= {"token_list": tokens, "token_types": [*fields["token_types"], NORMAL]}  # type: ignore[misc]
    llama = load_gguf(write(tmp_path / "llama.gguf", fields | {"tokenizer_pre": "llama-bpe"}))
    assert llama.encode("zebra") == [500] and llama.encode("zebra", add_special_tokens=True) == [1, 500]
    other = load_gguf(write(tmp_path / "other.gguf", fields))
    assert other.encode("zebra", add_special_tokens=True) == BPE.encode("zebra") != [500]


def greedy(text: str, scores: Mapping[str, float], unknown: int, ids: Mapping[str, int]) -> list[int]:
    """SentencePiece's BPE by its definition: the pair of neighbors whose whole has the best score, leftmost first."""
    parts = list("▁" + text.replace(" ", "▁")) if text else []
    while True:
        wholes = [(-scores[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in scores]
        if not wholes:
            break
        _, i = min(wholes)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    found = []
    for part in parts:
        found += [ids[part]] if part in ids else [ids[f"<0x{byte:02X}>"] for byte in part.encode()]
    return found


def test_sentencepiece_merges_by_score_and_spells_bytes(tmp_path: Path) -> None:
    learned = ["▁t", "he", "▁the", "at", "▁c", "▁cat", "▁s", "▁sat", "th", "▁▁", "in", "ing"]
    letters = ["▁", *"thecasiong"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *learned, *letters]
    scores = (
        [0.0] * 259
        + [-float(i * 5 % len(learned)) for i in range(len(learned))]
        + [-100.0 - i for i in range(len(letters))]
    )
    types = [UNKNOWN, CONTROL, CONTROL] + [gguf.TokenType.BYTE] * 256 + [NORMAL] * (len(learned) + len(letters))
    fields = {"tokenizer_model": "llama", "token_list": tokens, "token_scores": scores, "token_types": types,
              "bos_token_id": 1, "eos_token_id": 2, "unk_token_id": 0}  # fmt: skip
    loaded = load_gguf(write(tmp_path / "spm.gguf", fields))
    ids = {token: i for i, token in enumerate(tokens)}
    by_token = dict(zip(tokens[259:], scores[259:], strict=True))

    @given(st.one_of(st.text("thecat sing", max_size=30), st.text(max_size=10)))
    @settings(deadline=None)
    def agree(text: str) -> None:
        assert loaded.encode(text) == greedy(text, by_token, 0, ids)
        assert loaded.encode(text, add_special_tokens=True) == [1, *loaded.encode(text)]
        assert loaded.decode(loaded.encode(text)) == text.replace("▁", " ")

    agree()
    bare = {name: value for name, value in fields.items() if not name.endswith("_token_id")}
    numbered = load_gguf(write(tmp_path / "bare.gguf", bare))  # llama.cpp: 1 begins a text, 2 ends it, 0 is unknown
    assert numbered.encode("the cat", add_special_tokens=True) == loaded.encode("the cat", add_special_tokens=True)
    assert (numbered.end_id, numbered.unk_id) == (2, 0)
    untyped = load_gguf(write(tmp_path / "untyped.gguf", {**fields, "token_types": [NORMAL] * len(tokens)}))
    assert untyped.encode("cat</s>", special=True)[-1] == 2, "an end is special, whatever its type says"
    assert loaded.end_id == 2
    assert loaded.specials.keys() == {0, 1, 2}
    assert loaded.decode([*loaded.encode("the cat")[:1], ids["<0xC3>"]]) == "the\ufffd"


def test_wordpiece_ids(tmp_path: Path) -> None:
    trained = train_tokenizer("wordpiece", [text.lower() for text in CORPUS], 300)
    backend = Tokenizer.from_str(trained.to_json())
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    vocabulary = backend.get_vocab()
    named = {"<pad>": "[PAD]", "<end>": "[SEP]", "<unk>": "[UNK]"}
    tokens = [named.get(t, t[2:] if t.startswith("##") else "▁" + t) for t in sorted(vocabulary, key=vocabulary.get)]
    fields = {"tokenizer_model": "bert", "token_list": tokens, "unk_token_id": 2, "bos_token_id": 0,
              "eos_token_id": 1}  # fmt: skip
    loaded = load_gguf(write(tmp_path / "bert.gguf", fields))
    backend.encode_special_tokens = True

    @given(TEXTS)
    @settings(deadline=None)
    def agree(text: str) -> None:
        ids = backend.encode(text, add_special_tokens=False).ids
        assert loaded.encode(text) == ids
        assert loaded.encode(text, add_special_tokens=True) == [0, *ids, 1]

    agree()


def test_a_vocabulary_with_capitals_keeps_them(tmp_path: Path) -> None:
    fields = {"tokenizer_model": "bert", "token_list": ["[UNK]", "▁A", "▁a", "b"], "unk_token_id": 0}
    assert load_gguf(write(tmp_path / "x.gguf", fields)).encode("A a Ab") == [1, 2, 1, 3]
    fields["token_list"] = ["[UNK]", "▁c", "▁a", "b"]
    assert load_gguf(write(tmp_path / "x.gguf", fields)).encode("A a Ab") == [2, 2, 2, 3]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tokenizer_model": "rwkv"}, "kind 'rwkv'"),
        ({"tokenizer_pre": "smolm"}, "'smolm' .*; did you mean 'smollm'"),
        ({"token_types": [CONTROL]}, "500 tokens and 1 types"),
        ({"token_list": ["a", "a"]}, "2 tokens are none or not all different"),
        ({"token_list": [b"\xff"], "token_types": [CONTROL]}, "token 0 is no UTF-8"),
        ({"token_merges": ["a b c"]}, "merge 'a b c'"),
        ({"token_merges": ["ab"]}, "merge 'ab'"),
        ({"eos_token_id": 500}, "eos_token_id is 500; its tokens are 0 to 499"),
        ({"bos_token_id": None, "add_bos_token": True}, "add_bos_token is true, and there is no bos_token_id to add"),
        ({"eos_token_id": None, "add_eos_token": True}, "add_eos_token is true, and there is no eos_token_id to add"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, change: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=f"x.gguf: .*{told}"):
        fields = {name: value for name, value in (bpe_fields() | change).items() if value is not None}
        load_gguf(write(tmp_path / "x.gguf", fields))


def test_a_file_without_a_tokenizer() -> None:
    with pytest.raises(UserError, match="no tokenizer in it"):
        from_metadata({})
    with pytest.raises(UserError, match="tokens is missing or no list"):
        from_metadata({"tokenizer.ggml.model": "gpt2"})
    with pytest.raises(UserError, match="merges is missing or no list"):
        from_metadata({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a"]})


def test_a_file_cut_off_anywhere_is_told(bpe_file: Path, tmp_path: Path) -> None:
    whole = bpe_file.read_bytes()
    for length in sorted({0, 3, 4, 8, 12, 23, 24, 30, *random.Random(0).sample(range(len(whole)), 60)}):
        (tmp_path / "cut.gguf").write_bytes(whole[:length])
        with pytest.raises(UserError, match="cut"):
            read_metadata(tmp_path / "cut.gguf")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"GGML" + bytes(60), "does not begin with GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "ends in the middle"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 63), "ends in the middle"),  # a name of 2^63 bytes
        (b"GGUF" + struct.pack("<IQQQcIIQ", 3, 0, 1, 1, b"a", 9, 8, 1 << 60), "ends in the middle"),  # 2^60 texts
        (b"GGUF" + struct.pack("<IQQQcIIQ", 3, 0, 1, 1, b"a", 9, 10, 1 << 61), "ends in the middle"),  # 2^64 bytes
        (b"GGUF" + struct.pack("<IQQQcIIQ", 3, 0, 1, 1, b"a", 9, 9, 1), "list of lists"),
        (b"GGUF" + struct.pack("<IQQQcI", 3, 0, 1, 1, b"a", 77), "unknown type 77"),
        (b"GGUF" + struct.pack("<IQQQcIBQcIB", 3, 0, 2, 1, b"a", 0, 1, 1, b"a", 0, 1), "'a' is there twice"),
    ],
)
def test_hostile_sizes_are_told(tmp_path: Path, body: bytes, told: str) -> None:
    (tmp_path / "x.gguf").write_bytes(body)
    with pytest.raises(UserError, match=told):
        read_metadata(tmp_path / "x.gguf")


@pytest.mark.filterwarnings("ignore::clearhead.errors.Ignored")
def test_damage_is_told_or_harmless(bpe_file: Path, tmp_path: Path) -> None:
    whole, rng = bpe_file.read_bytes(), random.Random(0)
    path = tmp_path / "damaged.gguf"
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            load_gguf(path)
        except UserError as error:
            assert "damaged.gguf" in str(error)


def test_every_key_of_llama_cpp_is_used_harmless_or_told(tmp_path: Path) -> None:
    """All that the gguf package names of a tokenizer."""
    named = {value for value in vars(gguf.Keys.Tokenizer).values() if str(value).startswith("tokenizer.")}
    metadata = read_metadata(write(tmp_path / "x.gguf", bpe_fields()))
    for key in named - {PREFIX + known for known in KNOWN}:
        if key.startswith(TEMPLATE) or not key.startswith(PREFIX):  # templates, and what llama.cpp leaves to others
            assert key.startswith(TEMPLATE) or key in ("tokenizer.huggingface.json", "tokenizer.rwkv.world")
            continue
        with pytest.warns(Ignored, match=f"{key.removeprefix(PREFIX)}' cannot be read here; ignored"):
            from_metadata({**metadata, key: 3})
