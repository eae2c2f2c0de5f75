"""What lies in a folder is what is loaded and written again: heads, ends, templates and tokenizers of its own."""

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from decoding import logits_after
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken

from clearhead.checkpoints.convert import convert
from clearhead.checkpoints.load import load_model
from clearhead.errors import Ignored, UserError
from clearhead.formats.gguf import GGUF, write
from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import GREEDY
from clearhead.generation.request import Request
from clearhead.generation.text_stream import TextStream, generate
from clearhead.text.begin import prompt_tokens
from clearhead.text.chat import CHATML
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.training import train_tokenizer

CPU = torch.device("cpu")
TEMPLATE = CHATML.replace("{% generation %}", "").replace("{% endgeneration %}", "")
TOKENS = [5, 60, 7, 90, 100, 33, 20, 41]


@contextmanager
def quiet(label: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


def edit(file: Path, **changes: Any) -> None:
    told = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in told.items() if value != "LEFT OUT"}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny Llama whose turns end by a token that nothing but its template names."""
    import transformers

    backend = train_tokenizer("bpe", ["the cat sat on the mat"] * 3, 270).backend
    backend.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    made = tmp_path / "model"
    config = transformers.LlamaConfig(
        vocab_size=backend.get_vocab_size(), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(made)
    (made / "generation_config.json").unlink(missing_ok=True)
    backend.save(str(made / "tokenizer.json"))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "chat_template": TEMPLATE}
    (made / "tokenizer_config.json").write_text(json.dumps(told))
    return made


def ours(path: Path) -> torch.Tensor:
    return logits_after(backend_for(load_model(str(path), CPU, torch.float32).decoder), TOKENS).log_softmax(-1)


def theirs(path: Path) -> torch.Tensor:
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(str(path), dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits[0, -1].log_softmax(-1)


@pytest.mark.parametrize("equal", [False, True])
def test_a_head_in_the_file_is_kept_whatever_the_config_says(folder: Path, equal: bool, tmp_path: Path) -> None:
    edit(folder / "config.json", tie_word_embeddings=True)
    if equal:
        tensors = load_file(folder / "model.safetensors")
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    loaded = load_model(str(folder), CPU, torch.float32)
    assert loaded.decoder.config.tied == equal
    torch.testing.assert_close(ours(folder), theirs(folder), rtol=0, atol=1e-5)
    for target in (tmp_path / "again", tmp_path / "x.gguf"):
        convert(str(folder), target, None, False, quiet)
        torch.testing.assert_close(ours(target), ours(folder), rtol=0, atol=1e-5)
    assert json.loads((tmp_path / "again" / "config.json").read_text())["tie_word_embeddings"] == equal
    assert ("output.weight" in GGUF(tmp_path / "x.gguf").tensors) != equal


def test_a_single_file_comes_before_a_stale_index(folder: Path) -> None:
    index = {"metadata": {}, "weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.warns(Ignored, match="the single file is read, and the shards are ignored"):
        torch.testing.assert_close(ours(folder), theirs(folder), rtol=0, atol=1e-5)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "language_model.", "base_model.model."])
def test_foreign_names_of_tensors_are_told(folder: Path, prefix: str) -> None:
    tensors = {prefix + name: tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=f"take '{prefix}' off the names"):
        load_model(str(folder), CPU)


def test_the_end_of_a_turn_survives_every_conversion(folder: Path, tmp_path: Path) -> None:
    first = load_model(str(folder), CPU)
    backend = first.tokenizer.backend  # type: ignore[attr-defined]
    assert first.tokenizer.end_ids == {backend.token_to_id(t) for t in ("<|endoftext|>", "<|im_end|>")}
    convert(str(folder), tmp_path / "x.gguf", None, False, quiet)
    convert(str(tmp_path / "x.gguf"), tmp_path / "back", None, False, quiet)
    convert(str(tmp_path / "back"), tmp_path / "y.gguf", None, False, quiet)
    for path in (tmp_path / "x.gguf", tmp_path / "back", tmp_path / "y.gguf"):
        assert load_model(str(path), CPU).tokenizer.end_ids == first.tokenizer.end_ids
    stated = json.loads((tmp_path / "back" / "generation_config.json").read_text())["eos_token_id"]
    assert set(stated) == first.tokenizer.end_ids


def test_tokenizer_and_template_beside_an_adapter_are_used(folder: Path, tmp_path: Path) -> None:
    import peft
    import transformers

    edit(folder / "tokenizer_config.json", chat_template="LEFT OUT")
    out = tmp_path / "adapter"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(
            transformers.AutoModelForCausalLM.from_pretrained(str(folder)),
            peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"]),
        )
        model.save_pretrained(str(out))
    assert load_model(str(out), CPU).template is None
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    tokenizer.chat_template, tokenizer.eos_token = TEMPLATE, "<|im_end|>"
    tokenizer.save_pretrained(str(out))
    loaded = load_model(str(out), CPU)
    assert loaded.template is not None
    chat = [{"role": "user", "content": "hi"}]
    theirs = transformers.AutoTokenizer.from_pretrained(str(out)).apply_chat_template(chat, tokenize=False)
    assert loaded.template.render(chat).text == theirs
    assert loaded.tokenizer.end_id == tokenizer.eos_token_id
    convert(str(out), tmp_path / "merged", None, False, quiet)
    again = load_model(str(tmp_path / "merged"), CPU)
    assert again.template is not None and again.template.source == TEMPLATE
    assert again.tokenizer.end_ids == loaded.tokenizer.end_ids


def test_a_token_beyond_the_embedding_does_not_stop_a_model(folder: Path) -> None:
    loaded = load_model(str(folder), CPU)
    backend = loaded.tokenizer.backend  # type: ignore[attr-defined]
    backend.add_special_tokens([AddedToken("<image_soft_token>", special=True, normalized=False)])
    backend.save(str(folder / "tokenizer.json"))
    again = load_model(str(folder), CPU)
    assert isinstance(again.tokenizer, SubwordTokenizer)
    assert again.tokenizer.encode("the cat") == loaded.tokenizer.encode("the cat")
    with pytest.raises(UserError, match="<image_soft_token>"):
        again.tokenizer.encode("<image_soft_token>", special=True)


def test_a_file_without_the_name_of_its_cutting_is_cut_as_llama_cpp_cuts(folder: Path, tmp_path: Path) -> None:
    convert(str(folder), tmp_path / "x.gguf", None, False, quiet)
    file = GGUF(tmp_path / "x.gguf")
    tensors = {name: file.read(name).copy() for name in file.tensors}
    metadata = {key: value for key, value in file.metadata.items() if key != "tokenizer.ggml.pre"}
    write(tmp_path / "y.gguf", metadata, tensors, "F32")
    with pytest.warns(Ignored, match=r"tokenizer.ggml.pre is missing"):
        loaded = load_model(str(tmp_path / "y.gguf"), CPU)
    text = "12345 it's 1+1=2, <b>...\n\n  the  cat"
    pieces = loaded.tokenizer.pieces(text)  # type: ignore[attr-defined]
    assert "".join(text[p.start : p.end] for p in pieces).replace(" ", "") == text.replace(" ", "")


def test_a_continuation_keeps_the_space_before_its_first_word() -> None:
    """Of a tokenizer whose decoder drops the space that begins a text: streamed, several at once, and by beams."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig

    words = ["<unk>", "</s>", "▁", "o", "n", "t", "h", "e", "▁on", "▁the", "on", "th", "▁t", "▁th", "▁o"]
    merges = [("▁", "o"), ("▁o", "n"), ("▁", "t"), ("▁t", "h"), ("▁th", "e"), ("o", "n"), ("t", "h")]
    backend = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    backend.add_special_tokens(["</s>"])
    tokenizer = SubwordTokenizer(backend, 1)
    decoder = Decoder(DecoderConfig(vocab=len(words), **PRESETS["tiny"]))  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in decoder.blocks.parameters():
            weight.zero_()
        decoder.embed.weight.copy_(torch.eye(32)[: len(words)])
        decoder.head.weight[9, 8] = decoder.head.weight[1, 9] = 9.0  # type: ignore[union-attr]
    decoder.requires_grad_(False)
    prompt = prompt_tokens(tokenizer, "on")
    assert prompt == [8]
    sampling = replace(GREEDY, max_tokens=4)
    one, many = (Engine(backend_for(decoder, texts), tokenizer) for texts in (1, 2))
    request = Request(prompt, sampling)
    assert "".join(TextStream(one, request)) == " the"
    assert "".join(TextStream(one, request, after=False)) == "the"
    assert "".join(TextStream(one, replace(request, stop=(" the",)))) == ""
    assert [text.text for text in generate(many, replace(request, n=2))] == [" the", " the"]
    assert generate(many, replace(request, beams=2))[0].text == " the"
    assert tokenizer.encode_after(" the") == [9] and tokenizer.encode_after("the") == [11, 7]
