"""Tokenizers as GGUF metadata and back give the same ids; what a file has no words for is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from texts import AWKWARD, CORPUS
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from clearhead.errors import UserError
from clearhead.formats import gguf
from clearhead.text.chat import ChatTemplate
from clearhead.text.gguf_export import CUTS, to_metadata
from clearhead.text.gguf_vocab import chat_templates, from_metadata, load_gguf, special_tokens
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.training import train_tokenizer


def framed(tokenizer: SubwordTokenizer) -> SubwordTokenizer:
    tokenizer.backend.post_processor = processors.TemplateProcessing(
        single="<end>:0 $A:0", special_tokens=[("<end>", 1)]
    )
    return tokenizer


@pytest.mark.parametrize("name", CUTS)
def test_there_and_back(name: str, tmp_path: Path) -> None:
    tokenizer = framed(train_tokenizer("bpe", CORPUS, 500, CUTS[name]))
    if name == "llama-bpe":
        plain = json.loads(tokenizer.to_json())
        plain["model"]["ignore_merges"] = True
        tokenizer = SubwordTokenizer(Tokenizer.from_str(json.dumps(plain)), tokenizer.end_id, tokenizer.pad_id)
    tokenizer.backend.add_special_tokens([AddedToken("<|im_start|>", special=True, normalized=False)])
    template = ChatTemplate("{{ messages }}", {"bos_token": "<end>", "eos_token": "<end>"})
    told = to_metadata(tokenizer, template, vocab=512)
    assert told["tokenizer.ggml.pre"] == name
    assert len(told["tokenizer.ggml.tokens"]) == 512 and told["tokenizer.ggml.token_type"][-1] == 5
    gguf.write(tmp_path / "x.gguf", {"general.architecture": "llama", **told}, {}, "F32")
    again = load_gguf(tmp_path / "x.gguf")
    assert (again.end_id, again.pad_id) == (tokenizer.end_id, tokenizer.pad_id)
    assert set(tokenizer.specials.values()) <= set(again.specials.values())
    for text in AWKWARD:
        for add_special_tokens in (False, True):
            assert again.encode(text, add_special_tokens=add_special_tokens) == tokenizer.encode(
                text, add_special_tokens=add_special_tokens
            )
        ids = tokenizer.encode(text + "<|im_start|>user", special=True)
        assert again.encode(text + "<|im_start|>user", special=True) == ids
        assert again.decode(ids) == tokenizer.decode(ids)
    read = gguf.read_metadata(tmp_path / "x.gguf")
    assert chat_templates(read).get("default") == "{{ messages }}" and special_tokens(read) == template.tokens


def sentencepiece(spaced: bool) -> SubwordTokenizer:
    """BPE with bytes to fall back on, as the converters of Llama 2 and Gemma make it."""
    words = ["▁the", "▁cat", "the", "cat", "▁t", "he", "th", "at", "▁c", "ca"]
    chars = sorted(set("".join(words)))
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *words, *chars]
    ranked = ["th", "he", "at", "▁t", "▁c", "ca", "the", "cat", "▁the", "▁cat"]
    known = set(tokens)
    merges = [(w[:i], w[i:]) for w in ranked for i in range(1, len(w)) if {w[:i], w[i:]} <= known]
    backend = Tokenizer(
        models.BPE({t: i for i, t in enumerate(tokens)}, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    replace = normalizers.Replace(" ", "▁")
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace]) if spaced else replace
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if spaced else steps)
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    backend.post_processor = processors.TemplateProcessing(single="<s>:0 $A:0", special_tokens=[("<s>", 1)])
    return SubwordTokenizer(backend, end_id=2)


def test_several_ends_stay_several() -> None:
    tokenizer = replace(sentencepiece(True), more_ends=frozenset((7, 5)))
    told = to_metadata(tokenizer, None, vocab=tokenizer.vocab_size)
    assert (told["tokenizer.ggml.eos_token_id"], told["tokenizer.ggml.eot_token_id"]) == (2, 5)
    assert from_metadata(told).end_ids == {2, 5, 7}


@pytest.mark.parametrize("spaced", [True, False])
def test_sentencepiece(spaced: bool) -> None:
    tokenizer = sentencepiece(spaced)
    told = to_metadata(tokenizer, None, vocab=tokenizer.vocab_size)
    assert told["tokenizer.ggml.model"] == "llama" and told["tokenizer.ggml.bos_token_id"] == 1
    assert told["tokenizer.ggml.token_type"][:5] == [2, 3, 3, 6, 6]
    again = from_metadata(told)
    for text in [*AWKWARD, "the cat", "thecat the  cat"]:
        assert again.encode(text, add_special_tokens=True) == tokenizer.encode(text, add_special_tokens=True)
        assert again.decode(again.encode(text)) == tokenizer.decode(tokenizer.encode(text))


def test_tokens_that_the_model_does_not_read_are_left_out() -> None:
    """As llama.cpp's converter does: a file has as many tokens as the embedding has rows."""
    tokenizer = sentencepiece(True)
    vocab = tokenizer.vocab_size
    tokenizer.backend.add_special_tokens(["<image>"])
    told = to_metadata(replace(tokenizer, embedded=vocab), None, vocab)
    assert len(told["tokenizer.ggml.tokens"]) == vocab and "<image>" not in told["tokenizer.ggml.tokens"]
    assert from_metadata(told).encode("the cat") == tokenizer.encode("the cat")


def test_composed_characters_are_the_one_step_left_out() -> None:
    tokenizer = train_tokenizer("bpe", CORPUS, 400, "qwen2")
    tokenizer.backend.normalizer = normalizers.NFC()
    assert from_metadata(to_metadata(tokenizer, None, 400)).encode("café") == tokenizer.encode("café")


def test_what_has_no_words_is_refused() -> None:
    with pytest.raises(UserError, match="a WordPiece tokenizer has no form"):
        to_metadata(train_tokenizer("wordpiece", CORPUS, 300), None, 300)
    lowered = train_tokenizer("bpe", CORPUS, 400)
    lowered.backend.normalizer = normalizers.Lowercase()
    with pytest.raises(UserError, match=r"no words for this tokenizer: .*would have other tokens"):
        to_metadata(lowered, None, 400)
    cut = train_tokenizer("bpe", CORPUS, 400)
    cut.backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    with pytest.raises(UserError, match="no name for"):
        to_metadata(cut, None, 400)
    twice = train_tokenizer("bpe", CORPUS, 400)
    twice.backend.post_processor = processors.TemplateProcessing(
        single="<end>:0 <end>:0 $A:0", special_tokens=[("<end>", 1)]
    )
    with pytest.raises(UserError, match="several tokens around"):
        to_metadata(twice, None, 400)
