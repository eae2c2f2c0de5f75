"""Folder to file and back is the same bits, transformers reads what is written, and nothing is ever half there."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file
from tokenizers import normalizers

from clearhead.checkpoints import convert as module
from clearhead.checkpoints.convert import convert
from clearhead.checkpoints.diff import difference
from clearhead.checkpoints.inspect import inspect
from clearhead.checkpoints.load import load_model
from clearhead.config import load_toml, save_toml
from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import Decoder
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_tokenizer
from clearhead.text.training import train_tokenizer
from clearhead.training import checkpoint

CPU = torch.device("cpu")
SIZES = {
    "vocab_size": 310, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "head_dim": 16,
}  # fmt: skip
GPT2 = {"vocab_size": 310, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_inner": 96}
CONFIGS: dict[str, dict[str, Any]] = {
    "Llama": {**SIZES, "tie_word_embeddings": True}, "Qwen2": SIZES, "Qwen3": SIZES, "Gemma": SIZES, "GPT2": GPT2,
    "Gemma2": {**SIZES, "sliding_window": 8, "query_pre_attn_scalar": 16},
}  # fmt: skip
TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"


@contextmanager
def quiet(label: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


def run(source: Path, target: Path, dtype: str | None = None, force: bool = False) -> module.Converted:
    return convert(str(source), target, dtype, force, quiet)


def write(path: Path, family: str, dtype: torch.dtype = torch.float32) -> Path:
    """A tiny model as transformers saves it, norm weights and biases drawn as well."""
    import transformers

    torch.manual_seed(0)
    head = "LMHeadModel" if family == "GPT2" else "ForCausalLM"
    model = getattr(transformers, family + head)(getattr(transformers, f"{family}Config")(**CONFIGS[family]))
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.3)
    model.to(dtype).save_pretrained(path)
    cut = "qwen2" if family == "Qwen2" else "gpt2"  # as transformers cuts, whatever a folder says
    tokenizer = train_tokenizer("bpe", ["the cat sat on the mat"] * 3, 280, cut)
    tokenizer.backend.normalizer = normalizers.NFC() if family == "Qwen2" else None
    (path / "tokenizer.json").write_text(tokenizer.backend.to_str(), encoding="utf-8")
    told = {"chat_template": TEMPLATE, "bos_token": "<end>", "eos_token": "<end>", "pad_token": "<pad>",
            "tokenizer_class": "PreTrainedTokenizerFast"}  # fmt: skip
    (path / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("llama"), "Llama")


def logits(decoder: Decoder) -> torch.Tensor:
    tokens = torch.arange(20)[None]
    return decoder.logits(decoder(tokens, tokens, causal_attend()))


@pytest.mark.parametrize("family", CONFIGS)
def test_folder_file_folder_is_the_same_bits(family: str, tmp_path: Path) -> None:
    import transformers

    source = write(tmp_path / "source", family)
    before = load_file(source / "model.safetensors")
    assert run(source, tmp_path / "copy").dtype == "f32"
    copy = load_file(tmp_path / "copy" / "model.safetensors")
    assert copy.keys() == before.keys() and all(torch.equal(copy[k], before[k]) for k in before)
    assert run(source, tmp_path / "x.gguf").form == "GGUF file"
    run(tmp_path / "x.gguf", tmp_path / "back")
    back = load_file(tmp_path / "back" / "model.safetensors")
    assert back.keys() == before.keys()
    gains = family.startswith("Gemma")  # the file holds 1 + weight, which rounds
    for key, tensor in before.items():
        same = (1 + tensor) - 1 if gains and "norm" in key else tensor
        assert torch.equal(back[key], same), key
    assert torch.equal(
        logits(load_model(str(tmp_path / "x.gguf"), CPU).decoder), logits(load_model(str(source), CPU).decoder)
    )
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "back")
    peer = transformers.AutoModelForCausalLM.from_pretrained(source)
    with torch.no_grad():
        tokens = torch.arange(20)[None]
        torch.testing.assert_close(theirs(tokens).logits, peer(tokens).logits, rtol=1e-4, atol=1e-4)


# What the library does not take from a file it has a default for, and these models have that.
READABLE: dict[str, dict[str, Any]] = {
    "Llama": CONFIGS["Llama"], "Qwen2": SIZES, "Qwen3": {**SIZES, "head_dim": 128},
    "Gemma2": {**SIZES, "head_dim": 256}, "GPT2": {**GPT2, "n_positions": 1024, "n_inner": 256},
}  # fmt: skip


@pytest.mark.parametrize("family", READABLE)
def test_the_library_reads_our_gguf_files(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own names for tensors, its own order of rotary rows, its own offset of Gemma's gains."""
    import transformers

    monkeypatch.setitem(CONFIGS, family, READABLE[family])
    source = write(tmp_path / "source", family)
    run(source, tmp_path / "x.gguf")
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="x.gguf", dtype=torch.float32)
        expected = transformers.AutoModelForCausalLM.from_pretrained(source)(tokens).logits
        torch.testing.assert_close(theirs(tokens).logits, expected, rtol=1e-5, atol=1e-5)
    words = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file="x.gguf")
    text = "the cat's 123 Ünder"
    assert words.encode(text) == load_model(str(source), CPU).tokenizer.encode(text)


def test_text_travels_along(llama: Path, tmp_path: Path) -> None:
    import transformers

    run(llama, tmp_path / "x.gguf")
    run(tmp_path / "x.gguf", tmp_path / "back")
    before, there, back = (load_model(str(path), CPU) for path in (llama, tmp_path / "x.gguf", tmp_path / "back"))
    chat = [{"role": "user", "content": "the mat"}]
    for model in (there, back):
        assert model.tokenizer.encode("the cat Ünder <end>") == before.tokenizer.encode("the cat Ünder <end>")
        assert (model.tokenizer.end_id, model.tokenizer.pad_id) == (1, 0)
        assert model.template is not None and model.template.render(chat).text == "<end>the mat"
        model.template.close()
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "back")
    assert theirs.encode("the cat") == before.tokenizer.encode("the cat")
    assert theirs.apply_chat_template(chat, tokenize=False) == "<end>the mat"
    assert theirs.eos_token == "<end>"


def test_types_are_kept_or_chosen(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "Llama", torch.bfloat16)
    before = load_file(source / "model.safetensors")
    assert run(source, tmp_path / "copy").dtype == "bf16"
    assert all(torch.equal(t, before[k]) for k, t in load_file(tmp_path / "copy" / "model.safetensors").items())
    assert run(source, tmp_path / "x.gguf").dtype == "bf16"
    assert set(inspect(str(tmp_path / "x.gguf")).dtypes) == {"BF16", "F32"}  # vectors are always F32 there
    run(tmp_path / "x.gguf", tmp_path / "back", "bf16")
    assert all(torch.equal(t, before[k]) for k, t in load_file(tmp_path / "back" / "model.safetensors").items())
    small = run(source, tmp_path / "q.gguf", "q8_0")
    assert set(inspect(str(tmp_path / "q.gguf")).dtypes) == {"Q8_0", "F32"} and small.nbytes < 100_000
    assert run(tmp_path / "q.gguf", tmp_path / "whole").dtype == "f32"
    run(source, tmp_path / "half", "f16")
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "float16"


@pytest.mark.parametrize("family", ["Mistral", "Qwen3"])
def test_a_window_as_long_as_the_context_hides_nothing(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Mistral 7B's later versions, whose contexts people cut: GGUF files have no word for such a window."""
    windowed = {**SIZES, "sliding_window": 64}
    windowed |= {"use_sliding_window": True, "max_window_layers": 0} if family == "Qwen3" else {}
    monkeypatch.setitem(CONFIGS, family, windowed)
    source = write(tmp_path / "source", family)
    run(source, tmp_path / "x.gguf")
    ours, again = (load_model(str(path), CPU).decoder for path in (source, tmp_path / "x.gguf"))
    assert ours.config.window == 64 and not again.config.window
    tokens = torch.arange(64)[None]
    with torch.no_grad():
        one, other = (decoder.logits(decoder(tokens, tokens, causal_attend())) for decoder in (ours, again))
    assert torch.allclose(one, other, atol=1e-5)
    monkeypatch.setitem(CONFIGS, family, {**windowed, "sliding_window": 63})
    with pytest.raises(UserError, match=r"window = 63 has no word|no architecture for a mistral model"):
        run(write(tmp_path / "shorter", family), tmp_path / "y.gguf")


def test_what_cannot_be_said_is_refused(llama: Path, tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="q8_0 is for GGUF files"):
        run(llama, tmp_path / "x", "q8_0")
    plain = another(tiny_run, tmp_path / "plain", mlp="relu2")
    with pytest.raises(UserError, match="mlp = 'relu2' has no form in GGUF; write a Hugging Face folder"):
        run(plain, tmp_path / "x.gguf")
    shutil.rmtree(plain)
    large = write(tmp_path / "large", "Llama")
    tensors = load_file(large / "model.safetensors")
    tensors["model.norm.weight"][3] = 7e4
    save_file(tensors, large / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="f16 cannot hold"):
        run(large, tmp_path / "x.gguf", "f16")
    with pytest.raises(UserError, match="f16 cannot hold"):
        run(large, tmp_path / "x", "f16")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["large"]


def test_nothing_is_overwritten_unasked(llama: Path, tmp_path: Path) -> None:
    run(llama, tmp_path / "x")
    with pytest.raises(UserError, match="already exists; add --force"):
        run(llama, tmp_path / "x")
    (tmp_path / "x" / "config.json").write_text("old")
    run(llama, tmp_path / "x", force=True)
    assert json.loads((tmp_path / "x" / "config.json").read_text())["model_type"] == "llama"
    (tmp_path / "link").symlink_to("x")
    run(llama, tmp_path / "link", force=True)
    assert (tmp_path / "link").is_symlink() and load_model(str(tmp_path / "x"), CPU)
    (tmp_path / "link").unlink()
    (tmp_path / "x" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"'thesis.txt', which is no part of a model"):
        run(llama, tmp_path / "x", force=True)
    assert (tmp_path / "x" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(UserError, match="is what is read"):
        run(tmp_path / "x", tmp_path / "x", force=True)
    with pytest.raises(UserError, match="no folder"):
        run(llama, tmp_path / "no" / "x.gguf")
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_the_folder_where_one_stands_is_replaced(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(llama, tmp_path / "x")
    monkeypatch.chdir(tmp_path / "x")
    assert run(llama, Path(), force=True).nbytes == first.nbytes > 0
    assert load_model(str(tmp_path / "x"), torch.device("cpu")).decoder.config.vocab


def test_a_failure_half_way_leaves_the_old(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(llama, tmp_path / "x")
    before = {file.name: file.read_bytes() for file in (tmp_path / "x").iterdir()}

    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.export, "write_folder", fail)
    with pytest.raises(UserError, match="No space left on device"):
        run(llama, tmp_path / "x", force=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "x").iterdir()} == before
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def another(run: Path, folder: Path, **model: Any) -> Path:
    """The run with these settings of the model, and with weights that all matter."""
    shutil.copytree(run, folder)
    run_dir = RunDir(folder)
    plain = load_toml(run_dir.config)
    save_toml({**plain, "model": {**plain["model"], **model}}, run_dir.config)
    decoder = Decoder(run_dir.decoder(load_tokenizer(run_dir).vocab_size))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.normal_(std=0.2, generator=generator)
    checkpoint.save(run_dir.policy, decoder.state_dict(), {"model": asdict(decoder.config)})
    return folder


@pytest.mark.parametrize(
    ("kind", "model", "text"),
    [
        ("tasks", {}, "17 × 24\n"),
        ("tasks", {"mlp": "relu2"}, "17 × 24\n"),
        ("text", {}, "the füchse sees 猫"),
        ("text", {"qk_norm": False}, "the füchse sees 猫"),
    ],
)
def test_a_run_for_other_programs(
    kind: str, model: dict[str, Any], text: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What a decoder of ours lacks is written as what changes nothing: norm weights of 1, a gate that is `up`."""
    import transformers

    made = another(request.getfixturevalue("tiny_run" if kind == "tasks" else "text_run"), tmp_path / "run", **model)
    loaded = load_model(str(made), CPU)
    ids, expected = loaded.tokenizer.encode(text), logits(loaded.decoder)
    written = [tmp_path / "folder"] + [tmp_path / "x.gguf"] * (model.get("mlp") != "relu2")
    for path in written:
        run(made, path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "folder")
    with torch.no_grad():
        torch.testing.assert_close(theirs(torch.arange(20)[None]).logits, expected, rtol=1e-4, atol=1e-4)
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "folder")
    assert tokenizers.Tokenizer.from_file(str(tmp_path / "folder" / "tokenizer.json")).encode(text).ids == ids
    assert words.encode(text) == ids and words.decode(ids) == text
    assert words.eos_token_id == theirs.config.eos_token_id == loaded.tokenizer.end_id
    tensors = load_file(tmp_path / "folder" / "model.safetensors")
    for path in written:
        again = load_model(str(path), CPU)
        torch.testing.assert_close(logits(again.decoder), expected, rtol=1e-5, atol=1e-5)
        assert again.tokenizer.encode(text) == ids and again.tokenizer.decode(ids) == text
        assert again.tokenizer.end_id == loaded.tokenizer.end_id
        run(path, tmp_path / "again", force=True)
        back = load_file(tmp_path / "again" / "model.safetensors")
        assert back.keys() == tensors.keys() and all(torch.equal(back[name], tensors[name]) for name in back)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of one library about another
def test_an_adapter_is_merged(llama: Path, tmp_path: Path) -> None:
    import peft
    import transformers

    torch.manual_seed(1)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    tuned = peft.get_peft_model(transformers.LlamaForCausalLM.from_pretrained(llama), settings)
    tuned.save_pretrained(tmp_path / "adapter")
    assert "rank 4" in inspect(str(tmp_path / "adapter")).architecture
    run(tmp_path / "adapter", tmp_path / "whole")
    run(tmp_path / "adapter", tmp_path / "whole.gguf")
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        expected = tuned(tokens).logits
        merged = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "whole")(tokens).logits
    torch.testing.assert_close(merged, expected, rtol=1e-4, atol=1e-4)
    ours = logits(load_model(str(tmp_path / "whole.gguf"), CPU).decoder)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    found = difference(str(llama), str(tmp_path / "adapter"), "the cat")
    changed = ("attention.qkv", "mlp.down")
    assert found.tensors.keys() == {f"blocks.{i}.{part}.weight" for i in range(2) for part in changed}
    assert difference(str(tmp_path / "whole"), str(tmp_path / "adapter"), "the cat").parted is None
