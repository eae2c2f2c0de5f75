"""What is said of a model is true of it: counted against transformers, and of files that nobody here can load."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clearhead.checkpoints.inspect import as_json, cache_bytes, inspect, lines
from clearhead.errors import UserError
from clearhead.formats import gguf
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.gguf import metadata_of, tensors_to
from clearhead.models.huggingface import FAMILIES

SIZES = {"vocab": 61, "d_model": 32, "n_layers": 4, "n_heads": 4, "n_kv_heads": 2, "d_ff": 48, "max_positions": 64}


def test_a_folder_is_counted_as_transformers_does(tmp_path: Path) -> None:
    import transformers

    config = transformers.Qwen2Config(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True,
    )  # fmt: skip
    model = transformers.Qwen2ForCausalLM(config).bfloat16()
    model.save_pretrained(tmp_path)
    found = inspect(str(tmp_path))
    assert found.architecture == "qwen2" and found.form == "Hugging Face folder" and found.refused is None
    assert found.parameters == model.num_parameters()
    assert set(found.dtypes) == {"BF16"} and found.stored_bytes == 2 * found.parameters
    cache = transformers.DynamicCache(config=config)
    model(torch.zeros(1, 7, dtype=torch.long), past_key_values=cache)
    theirs = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert found.config is not None and cache_bytes(found.config, 7, 2) == theirs
    assert found.tokenizer is not None and found.tokenizer.startswith("none that can be read")


def test_a_window_bounds_the_cache() -> None:
    config = DecoderConfig(**SIZES, window=10, global_every=4)  # the last of four layers sees everything
    layer = 2 * 2 * 8 * 4
    assert cache_bytes(config, 1, 4) == 4 * layer
    assert cache_bytes(config, 50, 4) == (3 * 10 + 50) * layer


def test_a_gguf_file(tmp_path: Path) -> None:
    decoder = Decoder(DecoderConfig(**{**SIZES, **FAMILIES["llama"], "rope_scaling": "llama3", "rope_factor": 8.0}))
    tensors = {name: tensor.detach().numpy() for name, tensor in tensors_to(decoder, "llama").items()}
    gguf.write(tmp_path / "x.gguf", metadata_of(decoder.config), tensors, "F16")
    found = inspect(str(tmp_path / "x.gguf"))
    assert inspect(str(tmp_path)) == found  # the only one in its folder
    assert found.parameters == sum(weight.numel() for weight in decoder.parameters())  # and no rope_freqs
    assert set(found.dtypes) == {"F16", "F32"}
    assert found.config is not None and found.config.rope_scaling == "llama3"


def test_another_architecture_is_described_as_far_as_it_goes(tmp_path: Path) -> None:
    gguf.write(tmp_path / "x.gguf", {"general.architecture": "mamba"}, {"a": np.ones((2, 3), np.float32)}, "F32")
    found = inspect(str(tmp_path / "x.gguf"))
    assert found.architecture == "mamba" and found.parameters == 6
    assert "'mamba' is not read here" in str(found.refused)
    (tmp_path / "x.gguf").unlink()
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "xlnet"}))
    save_file({"w": torch.ones(5)}, tmp_path / "model.safetensors")
    found = inspect(str(tmp_path))
    assert found.architecture == "xlnet" and found.parameters == 5 and "'xlnet' is not a family" in str(found.refused)
    assert as_json(found, tensors=True)["list"] == [{"name": "w", "shape": [5], "dtype": "F32", "bytes": 20}]
    assert inspect(str(tmp_path / "model.safetensors")).parameters == 5


def test_a_run_and_one_with_recurrent_models(tiny_run: Path, text_run: Path) -> None:
    found = inspect(str(tiny_run))
    assert found.form == "run" and found.tokenizer == "characters" and found.config is not None
    assert found.parameters == sum(tensor.numbers for tensor in found.tensors)
    assert dict(lines(found))["on disk"]
    assert inspect(str(text_run)).form == "run"


@pytest.mark.parametrize("name", ["x.bin", "x.txt", "."])
def test_what_is_no_model(tmp_path: Path, name: str) -> None:
    for file in ("x.bin", "x.txt"):
        (tmp_path / file).write_bytes(b"no model")
    with pytest.raises(UserError, match=r"pickle|neither a GGUF|is no model"):
        inspect(str(tmp_path / name))
