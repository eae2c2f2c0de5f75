"""What classes of transformers make of a tokenizer.json, against those classes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from clearhead.errors import Ignored, UserError
from clearhead.text.classes import BY_FAMILY, CLASSES, UNREAD, as_class
from clearhead.text.load import load_tokenizer
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.training import train_tokenizer

LEARNED = ["the cat sat on the mat and the dog", "Hello world, it's 12345 or 678", "user assistant"] * 3
TEXTS = ("hello world", " hello", "  two", "a\nb", "it's  12345 x\n\n y", "Été", "e\u0301te", "user: hi</s>you",
         "<s>cat", "the cat</s> sat", "漢字", "", " ", "▁x", "\u00a0x", "x <mask>")  # fmt: skip
NAMED = ["<unk>", "<s>", "</s>"]


def byte_level(**cut: Any) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, **cut)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(LEARNED, trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet))
    made.add_special_tokens(NAMED)
    return made


def spaced() -> Tokenizer:
    """As Llama 2 came: the sign for a space before every piece, bytes where a sign is not known."""
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokens = NAMED + [f"<0x{byte:02X}>" for byte in range(256)]
    made.train_from_iterator(LEARNED, trainers.BpeTrainer(vocab_size=330, special_tokens=tokens))
    told = json.loads(made.to_str())
    told["added_tokens"] = [token for token in told["added_tokens"] if token["content"] in NAMED]
    made = Tokenizer.from_str(json.dumps(told))
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return made


def pieces() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(LEARNED, trainers.WordPieceTrainer(vocab_size=80, special_tokens=special))
    return made


def with_parts(made: Tokenizer, **parts: Any) -> Tokenizer:
    for name, part in parts.items():
        setattr(made, name, part)
    return made


FILES = {
    "bytes": byte_level,
    "bytes, cut nowhere": lambda: byte_level(use_regex=False),
    "bytes, digits": lambda: with_parts(byte_level(), pre_tokenizer=pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])),
    "bytes, composed": lambda: with_parts(byte_level(), normalizer=normalizers.NFKC()),
    "spaces": spaced,
    "spaces, composed": lambda: with_parts(
        spaced(), normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", "▁")])),
    "spaces by a cut": lambda: with_parts(
        spaced(), normalizer=None, pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="always", split=False)),
    "word pieces": pieces,
}  # fmt: skip
SAYS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "of old": {"legacy": True, "add_prefix_space": True, "do_lower_case": False, "strip_accents": True},
    "no space": {"add_prefix_space": False, "legacy": False, "tokenize_chinese_chars": False},
    "tokens": {"added_tokens_decoder": {}},
}


def folder_of(made: Tokenizer, name: str | None, family: str, told: dict[str, Any], folder: Path) -> Path:
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    told = dict(told)
    if "added_tokens_decoder" in told:  # with the number that it has here
        token = "<unk>" if made.token_to_id("<unk>") is not None else "[CLS]"
        number = str(made.token_to_id(token))
        told |= {"added_tokens_decoder": {number: {"content": token, "special": True}}, "bos_token": token}
    named = {} if name is None else {"tokenizer_class": name}
    (folder / "tokenizer_config.json").write_text(json.dumps(told | named))
    (folder / "config.json").write_text(json.dumps({"model_type": family}))
    return folder


@pytest.mark.filterwarnings("ignore::clearhead.errors.Ignored")
@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("name", CLASSES)
def test_the_ids_are_those_of_the_class(name: str, says: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    for i, (kind, make) in enumerate(FILES.items()):
        if (name == "BertTokenizer") != (kind == "word pieces"):
            continue
        folder = folder_of(make(), name + "Fast" * (i % 2), "llama", SAYS[says], tmp_path / str(i))
        theirs, ours = AutoTokenizer.from_pretrained(str(folder)), load_tokenizer(folder)
        assert isinstance(ours, SubwordTokenizer)
        for text in TEXTS:
            for framed in (False, True):
                try:
                    want = theirs.encode(text, add_special_tokens=framed)
                except Exception:  # the library's own: its unknown token is not there
                    with pytest.raises(UserError, match="not found in the vocabulary"):
                        ours.encode(text, special=True, add_special_tokens=framed)
                    continue
                assert ours.encode(text, special=True, add_special_tokens=framed) == want, (kind, text, framed)


NAMES = (None, "PreTrainedTokenizerFast", "LlamaTokenizerFast", "GemmaTokenizer", "Qwen2Tokenizer", "GPT2Tokenizer")
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text", "gpt2", "openai-gpt")


@pytest.mark.filterwarnings("ignore::clearhead.errors.Ignored")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_class_is_chosen_as_there(family: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    several = (
        None,
        "PreTrainedTokenizerFast",
        "LlamaTokenizerFast",
        "GemmaTokenizer",
        "Qwen2Tokenizer",
        "GPT2Tokenizer",
    )
    for i, name in enumerate(several):
        for j, kind in enumerate(("bytes, cut nowhere", "spaces")):
            folder = folder_of(FILES[kind](), name, family, {}, tmp_path / f"{i}-{j}")
            theirs, ours = AutoTokenizer.from_pretrained(str(folder)), load_tokenizer(folder)
            for text in TEXTS[:7]:
                try:
                    want = theirs.encode(text)
                except Exception:
                    continue
                assert ours.encode(text, special=True, add_special_tokens=True) == want, (name, kind, text)


def test_a_class_with_other_parts_than_the_file_is_told(tmp_path: Path) -> None:
    told = (
        "normalizer, pre_tokenizer.* by its class LlamaTokenizer, as in transformers 5; 'PreTrainedTokenizerFast' keeps"
    )
    with pytest.warns(Ignored, match=told):
        load_tokenizer(folder_of(spaced(), "LlamaTokenizerFast", "llama", {}, tmp_path / "a"))
    with pytest.warns(Ignored, match="is read as it is; the class named beside it, T5Tokenizer, has parts of its own"):
        load_tokenizer(folder_of(spaced(), "T5TokenizerFast", "llama", {}, tmp_path / "b"))
    with pytest.raises(UserError, match="is a WordPiece and its class LlamaTokenizer a BPE; set tokenizer_class"):
        load_tokenizer(folder_of(pieces(), "LlamaTokenizer", "llama", {}, tmp_path / "c"))


def test_a_class_with_the_same_parts_needs_no_word(tmp_path: Path) -> None:
    load_tokenizer(folder_of(byte_level(), "GPT2TokenizerFast", "gpt2", {}, tmp_path / "a"))
    load_tokenizer(folder_of(train_tokenizer("bpe", LEARNED, 290).backend, None, "gpt2", {}, tmp_path / "b"))
    for name in CLASSES:  # what it makes, saved and read again
        made = spaced() if name != "BertTokenizer" else pieces()
        fields = json.loads(made.to_str())
        with pytest.warns(Ignored):
            read = as_class(name, fields, {}, None, "tokenizer.json")
        assert as_class(name, read, {}, None, "tokenizer.json") == read  # a warning would be an error


def test_every_class_that_has_parts_of_its_own_is_known() -> None:
    import transformers

    found = set()
    for file in (Path(transformers.__file__).parent / "models").glob("*/tokenization_*.py"):
        source = file.read_text(encoding="utf-8")
        for body in re.split(r"^(?=class )", source, flags=re.MULTILINE):
            if "self._tokenizer = Tokenizer(" in body:
                found.add(body.split("class ", 1)[1].split("(", 1)[0].split(":", 1)[0])
    assert found == CLASSES.keys() | UNREAD
    assert set(BY_FAMILY.values()) <= CLASSES.keys()
