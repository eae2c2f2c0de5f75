"""Two models that differ in one place part there; two forms of one model do not part at all."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from clearhead.checkpoints import export
from clearhead.checkpoints.diff import between_models, difference
from clearhead.checkpoints.load import LoadedModel
from clearhead.errors import UserError
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.huggingface import FAMILIES
from clearhead.text.training import train_tokenizer

SIZES = {"vocab": 270, "d_model": 32, "n_layers": 3, "n_heads": 2, "n_kv_heads": 1, "d_ff": 48, "max_positions": 32}
LLAMA = DecoderConfig(**SIZES, **FAMILIES["llama"])
TOKENIZER = train_tokenizer("bpe", ["the cat sat on the mat"] * 3, 270)


def model(config: DecoderConfig = LLAMA) -> LoadedModel:
    decoder = Decoder(config).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for weight in decoder.parameters():
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return LoadedModel("it", Path("none"), decoder, TOKENIZER)


def nudge(name: str) -> Callable[[Decoder], None]:
    def change(decoder: Decoder) -> None:
        decoder.get_parameter(name).view(-1)[0] += 0.01

    return change


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("blocks.1.attention.qkv.weight", "layer 2, attention"),
        ("blocks.1.attention_norm.weight", "layer 2, attention"),
        ("blocks.2.mlp.down.weight", "layer 3, MLP"),
        ("norm.weight", "last norm"),
        ("head.weight", "logits"),
    ],
)
def test_the_first_step_that_parts(name: str, place: str) -> None:
    a, b = model(), model()
    nudge(name)(b.decoder)
    found = between_models(a, b, "the cat sat")
    assert found.parted is not None and found.parted.name == place and not found.settings
    assert found.tensors.keys() == {name} and "by up to 0.01" in found.tensors[name]
    assert found.equal == len(list(a.decoder.parameters())) - 1


def test_by_how_much() -> None:
    a, b = model(), model()
    b.decoder.embed.weight[TOKENIZER.encode("the")[0], 5] += 0.25
    first = between_models(a, b, "the").steps[0]
    most = float(a.decoder.embed.weight[TOKENIZER.encode("the")].abs().max())
    assert first.name == "embedding" and first.largest == pytest.approx(0.25, abs=1e-6)
    assert first.relative == pytest.approx(0.25 / most, rel=1e-5)


def test_a_setting_alone_parts_them_in_attention() -> None:
    found = between_models(model(), model(replace(LLAMA, rope_theta=500.0)), "the cat sat")
    assert found.settings == {"rope_theta": (100.0, 500.0)} and not found.tensors
    assert found.parted is not None and found.parted.name == "layer 1, attention"


def test_zero_and_minus_zero_are_two_things() -> None:
    a, b = model(), model()
    a.decoder.embed.weight[0, 0], b.decoder.embed.weight[0, 0] = 0.0, -0.0
    assert between_models(a, b, "the").tensors == {"embed.weight": "values differ by up to 0"}


def test_other_sizes_are_told_and_not_run() -> None:
    found = between_models(model(), model(replace(LLAMA, d_model=64, n_layers=2)), "the cat")
    assert found.settings["d_model"] == (32, 64) and found.not_run == "the widths differ"
    assert found.tensors["embed.weight"] == "270 x 32 and 270 x 64"
    assert found.tensors["blocks.2.mlp.up.weight"] == "only in the first" and not found.same
    for text, message in (("", "empty prompt"), ("the cat " * 40, "has a context of 32")):
        with pytest.raises(UserError, match=message):
            between_models(model(), model(), text)


@pytest.mark.parametrize("family", ["llama", "gemma", "gpt2"])
def test_a_folder_and_a_file_of_one_model(family: str, tmp_path: Path) -> None:
    sizes = {**SIZES, "n_kv_heads": 2} if family == "gpt2" else SIZES
    loaded = model(DecoderConfig(**{**sizes, **FAMILIES[family], "tied": True, "norm_eps": 1e-5}))
    (tmp_path / "folder").mkdir()
    export.write_folder(loaded, tmp_path / "folder")
    export.write_gguf(loaded, tmp_path / "x.gguf", "F32")
    found = difference(str(tmp_path / "folder"), str(tmp_path / "x.gguf"), "the cat sat")
    assert found.same and found.equal and found.next_tokens is not None
    assert found.next_tokens[0] == found.next_tokens[1]
    export.write_gguf(loaded, tmp_path / "half.gguf", "F16")
    found = difference(str(tmp_path / "folder"), str(tmp_path / "half.gguf"), "the cat sat")
    assert "stored as" in found.settings and found.parted is not None and found.parted.name == "embedding"


def test_files_of_tensors(tmp_path: Path) -> None:
    a = {"x": torch.ones(3), "y": torch.arange(4), "z": torch.tensor(float("nan")), "w": torch.ones(2, 2)}
    b = {**a, "y": torch.tensor([0, 1, 2, 9]), "x": torch.ones(3).half(), "w": torch.ones(4), "new": torch.ones(1)}
    save_file(a, tmp_path / "a.safetensors")
    save_file(b, tmp_path / "b.safetensors")
    same = difference(str(tmp_path / "a.safetensors"), str(tmp_path / "a.safetensors"), "")
    assert same.same and same.equal == 4 and same.not_run
    found = difference(str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors"), "")
    assert found.tensors == {
        "x": "stored as float32 and float16, equal", "y": "1 of 4 numbers differ", "w": "2 x 2 and 4",
        "new": "only in the second",
    }  # fmt: skip


def test_recurrent_runs_and_adapters_are_tensors(text_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(text_run, run)
    (run / "policy.safetensors").unlink()  # the decoder
    found = difference(str(run), str(run), "the")
    assert found.same and found.equal and "recurrent" in str(found.not_run)
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 4}')
    save_file({"x": torch.ones(2)}, folder / "adapter_model.safetensors")
    found = difference(str(folder), str(folder), "")
    assert found.same and found.equal == 1
