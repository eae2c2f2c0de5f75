"""A model written is the model read: a folder from a folder, and from a file that has everything in one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from chatty import write_model

from clearhead.checkpoints.export import check, missing_form
from clearhead.checkpoints.export import write_model as export
from clearhead.checkpoints.load import LoadedModel, load_model
from clearhead.errors import UserError
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig

CPU = torch.device("cpu")
TEXT = "You answer: <|im_start|>say é 👋 red<|im_end|>\n"


def same(a: LoadedModel, b: LoadedModel) -> None:
    state = b.decoder.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in a.decoder.state_dict().items())
    assert a.decoder.config == b.decoder.config
    assert a.tokenizer.encode(TEXT, special=True) == b.tokenizer.encode(TEXT, special=True)  # type: ignore[call-arg]
    assert a.tokenizer.end_id == b.tokenizer.end_id is not None
    assert a.template is not None and b.template is not None and a.template.source == b.template.source


@pytest.mark.parametrize("alone", [False, True], ids=["a folder's", "a file's"])
def test_a_model_comes_back(alone: bool, tmp_path: Path) -> None:
    loaded = load_model(str(write_model(tmp_path / "model")), CPU)
    with torch.no_grad():
        loaded.decoder.embed.weight.mul_(1.5)
    if alone:  # as if it came from one file: nothing lies beside it that could be copied
        (tmp_path / "one.gguf").touch()
        loaded = replace(loaded, path=tmp_path / "one.gguf")
    check(loaded)
    export(loaded, tmp_path / "out")
    same(loaded, load_model(str(tmp_path / "out"), CPU))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float32"
    assert not list((tmp_path / "out").glob("*.tmp"))


def test_transformers_reads_it_with_the_same_ids_and_chat(tmp_path: Path) -> None:
    import transformers

    loaded = load_model(str(write_model(tmp_path / "model")), CPU)
    (tmp_path / "one.gguf").touch()
    export(replace(loaded, path=tmp_path / "one.gguf"), tmp_path / "out")
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert peer.encode(TEXT) == loaded.tokenizer.encode(TEXT, special=True)  # type: ignore[call-arg]
    chat = [{"role": "user", "content": "Hi"}]
    assert loaded.template is not None
    assert peer.apply_chat_template(chat, tokenize=False) == loaded.template.render(chat).text


def test_a_decoder_of_no_family_is_told_before_any_work(tmp_path: Path) -> None:
    loaded = load_model(str(write_model(tmp_path / "model")), CPU)
    config = DecoderConfig(vocab=9, **PRESETS["tiny"])  # type: ignore[arg-type]
    assert missing_form(config) is None
    assert missing_form(replace(config, mlp="relu2")) == (
        "mlp = 'relu2' has no form in GGUF; write a Hugging Face folder, or train with mlp = 'swiglu'"
    )
    sinusoidal = replace(config, positions="sinusoidal")
    assert str(missing_form(sinusoidal)).startswith("no Hugging Face family has a decoder with positions = 'sinusoid")
    with pytest.raises(UserError, match="no Hugging Face family"):
        check(replace(loaded, model=Decoder(sinusoidal)))
