"""A folder that transformers wrote is the same model here; what is wrong with one is told in a line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.pipeline.model import load_model
from clearhead.text.training import train_tokenizer

CPU = torch.device("cpu")
SIZES = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip
TEMPLATE = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama in three shards, with a tokenizer and a chat template."""
    import transformers

    path = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))
    model.save_pretrained(path, max_shard_size="40KB")
    tokenizer = train_tokenizer("bpe", ["the cat sat on the mat"] * 3, 280)
    (path / "tokenizer.json").write_text(tokenizer.backend.to_str(), encoding="utf-8")
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}), encoding="utf-8")
    return path


def logits(decoder: Any, tokens: torch.Tensor) -> torch.Tensor:
    return decoder.logits(decoder(tokens, torch.arange(tokens.shape[1])[None], causal_attend()))


def test_a_folder_of_shards(folder: Path) -> None:
    import transformers

    loaded = load_model(str(folder), CPU)
    assert len(list(folder.glob("*.safetensors"))) > 1
    tokens = torch.tensor([loaded.tokenizer.encode("the cat sat")])
    with torch.no_grad():
        theirs = transformers.LlamaForCausalLM.from_pretrained(folder)(tokens).logits
    torch.testing.assert_close(logits(loaded.decoder, tokens), theirs, rtol=1e-4, atol=1e-5)
    assert loaded.template is not None
    assert loaded.template.render([{"role": "user", "content": "hi"}]).text == "user: hi\n"
    loaded.template.close()
    assert not any(weight.requires_grad for weight in loaded.decoder.parameters())


def test_the_type_can_be_chosen(folder: Path) -> None:
    decoder = load_model(str(folder), CPU, torch.bfloat16).decoder
    assert {weight.dtype for weight in decoder.parameters()} == {torch.bfloat16}


def cut(path: Path) -> None:
    file = sorted(path.glob("*.safetensors"))[0]
    file.write_bytes(file.read_bytes()[:-100])


def pickled(path: Path) -> None:
    for file in path.glob("model*"):
        file.unlink()
    (path / "pytorch_model.bin").write_bytes(b"anything")


def without_a_shard(path: Path) -> None:
    sorted(path.glob("*.safetensors"))[0].unlink()


def config_of(**changes: Any) -> Any:
    def change(path: Path) -> None:
        plain = json.loads((path / "config.json").read_text(encoding="utf-8"))
        (path / "config.json").write_text(json.dumps({**plain, **changes}), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (cut, "is broken"),
        (pickled, "is pickle"),
        (without_a_shard, "which is not there"),
        (config_of(model_type="bert"), "'bert' is not a family"),
        (config_of(intermediate_size=64), "is 48 x 32, but its configuration asks for 64 x 32"),
        (config_of(num_hidden_layers=3), "lacks the tensor model.layers.2"),
        (config_of(num_hidden_layers=1), "tensors that its configuration does not ask for"),
        (lambda path: (path / "config.json").write_text("{"), "config.json"),
        (lambda path: (path / "config.json").unlink(), "is no model"),
        (lambda path: (path / "tokenizer.json").unlink(), "has no tokenizer"),
    ],
)  # fmt: skip
def test_what_is_broken_is_told(folder: Path, tmp_path: Path, spoil: Any, told: str) -> None:
    broken = tmp_path / "model"
    shutil.copytree(folder, broken)
    spoil(broken)
    with pytest.raises(UserError, match=told):
        load_model(str(broken), CPU)


def test_what_does_not_exist_is_told() -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_model("no/such/path", CPU)


def test_the_hub_without_a_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"nobody/nothing is neither a path here nor to be had from the hub"):
        load_model("nobody/nothing", CPU)
