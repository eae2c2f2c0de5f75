"""`convert` and `diff` on a tiny Llama that the transformers library wrote."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from clearhead.cli.main import main
from clearhead.text.training import train_tokenizer

SIZES = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import transformers

    path = tmp_path_factory.mktemp("models") / "llama"
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)).save_pretrained(path)
    tokenizer = train_tokenizer("bpe", ["the cat sat on the mat"] * 3, 280)
    (path / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    told = {"chat_template": "{{ messages[0]['content'] }}", "eos_token": tokenizer.backend.id_to_token(1)}
    (path / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    return path


def told(capsys: pytest.CaptureFixture[str], *args: object) -> Any:
    assert main([*map(str, args), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("dtype", ["f32", "f16", "q8_0"])
def test_to_gguf_and_back(folder: Path, tmp_path: Path, dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    """F32 is the same bits; the others are as close as they can be. The tokenizer gives the same ids everywhere."""
    from clearhead.checkpoints.load import load_model

    file, again = tmp_path / "x.gguf", tmp_path / "again"
    assert told(capsys, "convert", folder, file, "--dtype", dtype)["bytes"] == file.stat().st_size
    told(capsys, "convert", file, again)
    code = main(["diff", str(folder), str(again), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (code == 0) == found["same"] == (dtype == "f32")
    assert not found["settings"] and found["equal"] == (15 if dtype == "f32" else 5)  # the gains are F32 always
    if dtype != "f32":
        assert found["parted"]["name"] == "embedding" and 0 < found["parted"]["relative"] < 0.01
    text = "the cat's  mat, naïve 🙂\n12345"
    models = [load_model(str(path), torch.device("cpu")) for path in (folder, file, again)]
    first, *others = [model.tokenizer.encode(text) for model in models]
    assert all(ids == first for ids in others)
    assert [m.tokenizer.end_id for m in models] == [1, 1, 1]
    assert {m.template.source for m in models if m.template} == {"{{ messages[0]['content'] }}"}
    assert told(capsys, "inspect", file)["parameters"] == told(capsys, "inspect", folder)["parameters"]


def test_the_library_reads_what_was_converted(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import transformers

    told(capsys, "convert", folder, tmp_path / "copy")
    tokens = torch.tensor([[1, 5, 9]])
    with torch.no_grad():
        a, b = (transformers.LlamaForCausalLM.from_pretrained(p)(tokens).logits for p in (folder, tmp_path / "copy"))
    assert torch.equal(a, b)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "copy")
    assert theirs.eos_token_id == 1


def test_diff_names_the_first_layer_that_parts(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    told(capsys, "convert", folder, tmp_path / "b")
    file = tmp_path / "b" / "model.safetensors"
    tensors = load_file(file)
    tensors["model.layers.1.mlp.down_proj.weight"][0, 0] += 0.5
    save_file(tensors, file, {"format": "pt"})
    assert main(["diff", str(folder), str(tmp_path / "b")]) == 1
    out = capsys.readouterr().out
    assert "blocks.1.mlp.down.weight: values differ by up to 0.5" in out
    assert "they part at: layer 2, MLP, by " in out and "14 of 15 tensors are equal" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["convert", "nowhere", "x"], "nowhere does not exist"),
        (["convert", "weights.bin", "x"], "is pickle"),
        (["convert", "FOLDER", "x", "--dtype", "q8_0"], "--dtype q8_0 is for GGUF"),
        (["convert", "FOLDER", "full"], "full already exists"),
        (["convert", "FOLDER", "x.safetensors"], "is no name for what is written"),
        (["convert", "FOLDER", "no/x"], "no is no folder"),
        (["convert", "FOLDER", "junk.gguf", "--force"], "is a folder already"),
        (["diff", "FOLDER", "junk.safetensors"], "junk.safetensors"),
        (["diff", "FOLDER", "nowhere"], "nowhere does not exist"),
        (["diff", "FOLDER", "FOLDER", "--prompt", ""], "empty prompt"),
        (["diff", "FOLDER", "FOLDER", "--prompt", "cat " * 90], "has a context of 64"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, args: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("weights.bin").write_bytes(b"\x80\x04.")
    Path("junk.safetensors").write_bytes(b"\xff" * 40)
    Path("full").mkdir()
    Path("junk.gguf").mkdir()
    Path("full/x").touch()
    before = sorted(tmp_path.rglob("*"))
    assert main([str(folder) if arg == "FOLDER" else arg for arg in args]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
