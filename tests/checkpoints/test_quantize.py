"""Blocks of GGUF files as they are multiplied, against the gguf package; the verb `quantize`; `weights` of a model."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from rounding import rms

import clearhead
from clearhead.checkpoints.load import load_model
from clearhead.cli.main import main
from clearhead.errors import UserError
from clearhead.formats.gguf import BLOCKS, UNPACKED
from clearhead.kernels.compiled import INSTRUCTIONS
from clearhead.kernels.quantized import QuantizedLinear, QuantizedWeight, dequantize
from clearhead.models.gguf import as_tensor
from clearhead.text.training import train_tokenizer

SIZES = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip
CPU = torch.device("cpu")
TEXT = "the cat sat on the mat and the mat sat on the cat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import transformers

    path = tmp_path_factory.mktemp("models") / "llama"
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(path)
    tokenizer = train_tokenizer("bpe", ["the cat sat on the mat"] * 3, 280)
    (path / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    """The model as a file of each type."""
    found = {kind: folder.parent / f"{kind}.gguf" for kind in ("f32", "q8_0", "q4_0", "q4_1")}
    for kind, path in found.items():
        assert main(["convert", str(folder), str(path), "--dtype", kind]) == 0
    return found


@pytest.mark.parametrize("name", UNPACKED)
def test_whole_numbers_stand_for_what_the_package_says(name: str) -> None:
    kind = next(kind for kind, block in BLOCKS.items() if block[0] == name)
    _, weights, size = BLOCKS[kind]
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (12, size), np.uint8)
    halves = 4 if name in ("Q4_1", "Q4_K") else 2
    data[:, :halves] = rng.normal(size=(12, halves // 2)).astype("<f2").view(np.uint8)  # scales that are numbers
    want = gguf.quants.dequantize(data.reshape(3, -1), gguf.GGMLQuantizationType[name])
    found = UNPACKED[name](data)
    tensors = (None if part is None else as_tensor(part.reshape(3, -1)) for part in found[1:])
    got = dequantize(QuantizedWeight(found.bits, *tensors)).numpy()  # type: ignore[arg-type]
    if name == "Q4_K":  # whose scales are products of two numbers, rounded
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-3 * np.abs(want).max())
    else:
        assert np.array_equal(got, want)
    assert weights * 12 == got.size


@pytest.mark.parametrize(("kind", "bits"), [("q8_0", 8), ("q4_0", 4), ("q4_1", 4)])
def test_a_files_blocks_are_multiplied_as_they_are(files: dict[str, Path], kind: str, bits: int) -> None:
    """The weights are those of the same file in floats, so only rounding x parts the two."""
    floats, blocks = (load_model(str(files[kind]), CPU, weights=weights) for weights in ("float", "auto"))
    layers = [module for module in blocks.decoder.modules() if isinstance(module, QuantizedLinear)]
    assert {layer.sizes[2] for layer in layers[:-1]} == {bits} and layers[-1].sizes[2] == 8  # the head
    ids = torch.tensor([floats.tokenizer.encode(TEXT)])
    with torch.inference_mode():
        want, got = (model.decoder.logits(model.decoder(ids)) for model in (floats, blocks))
    assert rms(got - want) < 0.04 * rms(want)
    again = load_model(str(files[kind]), CPU, weights="int8" if bits == 8 else "int4")
    with torch.inference_mode():
        assert torch.equal(again.decoder.logits(again.decoder(ids)), got)


@pytest.mark.parametrize("kind", ["q8_0", "q4_0", "q4_1"])
def test_transformers_reads_the_file(files: dict[str, Path], kind: str) -> None:
    import transformers

    path = files[kind]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    ours = load_model(str(path), CPU)
    ids = torch.tensor([ours.tokenizer.encode(TEXT)])
    with torch.inference_mode():
        want, got = theirs(ids).logits, ours.decoder.logits(ours.decoder(ids))
    assert rms(got - want) < 1e-5 * rms(want)


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_any_model_can_be_quantized_at_load(folder: Path, files: dict[str, Path], weights: str) -> None:
    floats, found = load_model(str(folder), CPU), load_model(str(folder), CPU, weights=weights)
    ids = torch.tensor([floats.tokenizer.encode(TEXT)])
    with torch.inference_mode():
        want, got = (model.decoder.logits(model.decoder(ids)) for model in (floats, found))
    assert 0 < rms(got - want) < (0.05 if weights == "int8" else 0.4) * rms(want)
    plain = load_model(str(files["f32"]), CPU, weights="auto")  # which has nothing but floats
    assert not any(isinstance(module, QuantizedLinear) for module in plain.decoder.modules())


@pytest.mark.parametrize("bits", [8, 4])
def test_quantize_says_what_it_cost(
    folder: Path, tmp_path: Path, bits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    out, text = tmp_path / "x.gguf", tmp_path / "text.txt"
    text.write_text(TEXT * 20, encoding="utf-8")
    args = ["quantize", str(folder), str(out), "--bits", str(bits), "--text", str(text)]
    assert main([*args, "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    reader = gguf.GGUFReader(out)
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert types["blk.0.ffn_up.weight"] == ("Q8_0" if bits == 8 else "Q4_1") and types["token_embd.weight"] == "Q8_0"
    assert told["bytes"]["after"] == out.stat().st_size < told["bytes"]["before"] / 2
    model = clearhead.load(folder, "cpu")
    ids = model.ids(TEXT * 20)
    nats = [-float(model.logprobs(ids[i : i + 64]).double().sum()) for i in range(0, len(ids), 64)]
    assert told["tokens"] == len(ids) - len(nats)
    assert told["perplexity"]["before"] == pytest.approx(np.exp(sum(nats) / told["tokens"]), 1e-5)
    ratio = told["perplexity"]["after"] / told["perplexity"]["before"]
    assert 0.8 < ratio < 1.3 and ratio != 1
    assert main(args) == 2 and "already exists" in capsys.readouterr().err
    assert main([*args, "--force"]) == 0
    assert f"{ratio:.4f} times, over {told['tokens']:,} tokens" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["quantize", "FOLDER", "x"], "let its name end in .gguf"),
        (["quantize", "FOLDER", "x.gguf", "--text", "bytes"], "cannot be read as text"),
        (["generate", "FOLDER", "the", "--weights", "int8", "--dtype", "bfloat16"], "leave device and dtype out"),
        (["generate", "http://localhost:1/v1", "the", "--weights", "int8"], "--weights is for models here"),
        (["generate", "FOLDER", "the", "--draft", "lookup"], "needs quantized weights"),
        (["generate", "FOLDER", "the", "--weights", "int8", "--draft", "lookup", "--n", "2"], "one text"),
        (["generate", "FOLDER", "the", "--weights", "int8", "--draft", "nowhere"], "nowhere does not exist"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, args: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("bytes").write_bytes(b"\xff\xfe\xff")
    assert main([str(folder) if arg == "FOLDER" else arg for arg in args]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not Path("x.gguf").exists()


def test_generate_tells_what_came_of_guessing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the same text, whether guessed or not and by whom."""
    texts = []
    for draft in ("none", "lookup", str(folder)):
        args = ["generate", str(folder), TEXT, "--weights", "int8", "--tokens", "20", "--draft", draft, "--json"]
        assert main(args) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["kernel"] in INSTRUCTIONS and ("speculation" in told) == (draft != "none")
        texts.append(told["texts"])
    assert texts[0] == texts[1] == texts[2]


def test_what_is_in_whole_numbers_can_be_neither_saved_nor_trained(folder: Path, tmp_path: Path) -> None:
    model = clearhead.load(folder, "cpu", weights="int8")
    with pytest.raises(UserError, match="without weights"):
        model.save(tmp_path / "copy")
    with pytest.raises(UserError, match="weights = 'int9' are unknown"):
        clearhead.load(folder, weights="int9")
    with pytest.raises(UserError, match="cannot be trained"):
        clearhead.train(model.decoder, np.arange(200) % 50, steps=1, seq_len=16, batch_size=1, callbacks=[])
