"""A folder that transformers wrote is the same model here; what is wrong with one is told in a line."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from decoding import events
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

import clearhead
from clearhead.checkpoints import export, own
from clearhead.checkpoints.inspect import inspect
from clearhead.checkpoints.load import LoadedModel, load_model, smollm2
from clearhead.errors import UserError
from clearhead.formats import gguf
from clearhead.formats.gguf import GGUF
from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import GREEDY
from clearhead.generation.request import Request
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.huggingface import FAMILIES
from clearhead.models.recurrent import Recurrent
from clearhead.text.load import load_tokenizer
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.training import train_tokenizer
from clearhead.training.checkpoint import save

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


def test_more_tokens_than_the_embedding_has_rows(folder: Path, tmp_path: Path) -> None:
    """Gemma 3's tokenizer has one for images, and many have padding added: transformers runs them, and so do we."""
    import transformers

    path = shutil.copytree(folder, tmp_path / "model")
    padded = Tokenizer.from_file(str(path / "tokenizer.json"))
    padded.add_special_tokens([f"<more {i}>" for i in range(padded.get_vocab_size(), SIZES["vocab_size"] + 5)])
    padded.save(str(path / "tokenizer.json"))
    named = {"eos_token": "<more 303>", "pad_token": "<more 304>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (path / "tokenizer_config.json").write_text(json.dumps(named))
    loaded = load_model(str(path), CPU)
    assert isinstance(loaded.tokenizer, SubwordTokenizer)
    assert (loaded.tokenizer.vocab_size, loaded.tokenizer.end_id, loaded.tokenizer.pad_id) == (300, None, None)
    prompt = loaded.tokenizer.encode("the cat")
    endless = replace(loaded.tokenizer, more_ends=frozenset())
    found = events(Engine(backend_for(loaded.decoder), endless), Request(prompt, replace(GREEDY, max_tokens=9)))[0, 0]
    model = transformers.LlamaForCausalLM.from_pretrained(path)
    theirs = model.generate(torch.tensor([prompt]), max_new_tokens=9, do_sample=False, eos_token_id=None)
    assert [event.token.id for event in found] == theirs[0, len(prompt) :].tolist()
    with pytest.raises(UserError, match="which the tokenizer has and the model does not: its embedding ends at 300"):
        loaded.tokenizer.encode("the <more 304>", special=True)


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


def stored(kind: torch.dtype, value: float) -> Any:
    """Shards whose tensors hold this number, in another type."""

    def change(path: Path) -> None:
        for file in path.glob("*.safetensors"):
            save_file({name: torch.full_like(x, value, dtype=kind) for name, x in load_file(file).items()}, file)

    return change


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (stored(torch.int64, 1), "holds int64 numbers, which are no weights"),
        (stored(torch.bool, 1), "holds bool numbers"),
        (stored(torch.complex64, 1), "holds complex64 numbers"),
        (stored(torch.float64, 1e300), "not finite"),
        (cut, "is broken"),
        (pickled, "is pickle"),
        (without_a_shard, "which is not there"),
        (config_of(model_type="xlnet"), "'xlnet' is not a family"),
        (config_of(model_type="bert"), "'bert' is an encoder, which reads and does not write; use clearhead embed"),
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
    for name, told in (
        ("no/such/path", "does not exist"),
        ("", "the name of the model is empty"),
        ("~nobody-of-that-name/x", "cannot be read: Could not determine home"),
        ("a" * 5000, "a cannot be read: File name too long"),
    ):
        with pytest.raises(UserError, match=told) as raised:
            load_model(name, CPU)
        assert len(str(raised.value)) < 300


def test_the_hub_without_a_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"nobody/nothing is neither a path here nor to be had from the hub"):
        load_model("nobody/nothing", CPU)


PEAK = """
import re, sys
import torch
import gguf.quants
from clearhead.checkpoints.load import load_model

def peak():  # of this process: what getrusage tells begins with the parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

load_model(sys.argv[1], torch.device("cpu"))
before = peak()
decoder = load_model(sys.argv[2], torch.device("cpu")).decoder
print((peak() - before) / sum(weight.nbytes for weight in decoder.parameters()))
"""


def tiny(family: str, folder: Path) -> LoadedModel:
    sizes = {"d_model": 32, "n_layers": 2, "n_heads": 2, "n_kv_heads": 2, "d_ff": 32, "tied": True}
    windows = {"window": 8, "global_every": 6, "rope_local_theta": 1e4} if family == "gemma3_text" else {}
    config = DecoderConfig(vocab=300, **{**sizes, **windows, **FAMILIES[family]})
    tokenizer = load_tokenizer(folder)
    assert isinstance(tokenizer, SubwordTokenizer)
    return LoadedModel("tiny", folder / "none", Decoder(config).requires_grad_(False), tokenizer)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux tells")
@pytest.mark.parametrize("form", ["folder", "file.gguf"])
def test_little_more_memory_than_the_weights(
    folder: Path, tmp_path: Path, form: str, run_python: Callable[..., str]
) -> None:
    """A small model is loaded first, so that only the weights of the large one are new."""
    large = DecoderConfig(vocab=300, d_model=512, n_layers=16, n_heads=8, n_kv_heads=8, d_ff=1024, **FAMILIES["llama"])
    decoder = Decoder(large).requires_grad_(False)
    tokenizer = load_tokenizer(folder)
    assert isinstance(tokenizer, SubwordTokenizer)
    loaded = LoadedModel("large", tmp_path / "none", decoder, tokenizer)
    if form == "folder":
        (tmp_path / form).mkdir()
        export.write_folder(loaded, tmp_path / form)
    else:
        export.write_gguf(loaded, tmp_path / form, "F32")
    peak = float(run_python(PEAK, str(folder), str(tmp_path / form)))
    assert 0.9 < peak < 1.2


def smollm2_is_installed() -> bool:
    try:
        return smollm2().is_file()
    except UserError:
        return False


@pytest.mark.skipif(not smollm2_is_installed(), reason="`make models` installs it")
def test_the_weights_of_smollm2_are_those_of_the_package() -> None:
    """Another reader of the file, another order of its rows."""
    import gguf as package

    decoder = load_model("smollm2", CPU).decoder
    theirs = {tensor.name: tensor for tensor in package.GGUFReader(smollm2()).tensors}

    def weight(name: str) -> torch.Tensor:
        return torch.from_numpy(package.quants.dequantize(theirs[name].data, theirs[name].tensor_type))

    assert torch.equal(decoder.embed.weight, weight("token_embd.weight"))
    q = weight("blk.3.attn_q.weight").reshape(9, 32, 2, 576)  # head, pair, which of the two
    assert torch.equal(
        decoder.get_parameter("blocks.3.attention.qkv.weight")[:576].reshape(9, 2, 32, 576)[:, 0], q[:, :, 0]
    )
    assert torch.equal(decoder.get_parameter("blocks.29.mlp.down.weight"), weight("blk.29.ffn_down.weight"))


@pytest.mark.skipif(not smollm2_is_installed(), reason="`make models` installs it")
def test_smollm2_knows_the_capital() -> None:
    loaded = load_model("smollm2", CPU)
    ids = torch.tensor([loaded.tokenizer.encode("The capital of France is")])
    assert loaded.tokenizer.decode([int(logits(loaded.decoder, ids)[0, -1].argmax())]) == " Paris"


WRONG = [0, -1, 2**31, 2**63, 2**70, 1e30, 1.5, float("nan"), float("inf"), "x", None, [], [1], {}, {"a": 1}, True]


def opened(path: Path) -> None:
    """Read it, or refuse it in a line; anything else is a defect."""
    for use in (lambda: inspect(str(path)), lambda: load_model(str(path), CPU)):
        try:
            use()
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 600


@pytest.mark.filterwarnings("ignore::clearhead.errors.Ignored")
@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2"])
def test_any_value_in_a_configuration(folder: Path, tmp_path: Path, family: str) -> None:
    """Sizes that no computer holds, counts below one, text and lists for numbers."""
    loaded = tiny(family, folder)
    export.write_folder(loaded, tmp_path)
    plain = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    for key in [*plain, "rope_parameters", "rope_scaling", "layer_types", "use_sliding_window", "sliding_window"]:
        for value in WRONG:
            (tmp_path / "config.json").write_text(json.dumps({**plain, key: value}), encoding="utf-8")
            opened(tmp_path)


@pytest.mark.filterwarnings("ignore::clearhead.errors.Ignored")
def test_any_value_in_a_file(folder: Path, tmp_path: Path) -> None:
    export.write_gguf(tiny("llama", folder), tmp_path / "x.gguf", "F32")
    file = GGUF(tmp_path / "x.gguf")
    told = {key: value for key, value in file.metadata.items() if key != "general.file_type"}
    tensors = {name: file.read(name).copy() for name in file.tensors}
    wrong = [0, 1, 2**32 - 1, 1e30, 1.5, float("nan"), float("inf"), "x", [1, 2], ["a"], [0.5], True]
    for key in [*told, "llama.rope.scaling.type", "general.alignment"]:
        for value in wrong if key != "general.architecture" else ["x"]:
            gguf.write(tmp_path / "x.gguf", {**told, key: value}, tensors, "F32")
            opened(tmp_path / "x.gguf")


def test_a_model_of_an_older_version_is_read_by_its_old_names(tmp_path: Path) -> None:
    sizes = {"d_model": 16, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "d_ff": 32, "vocab": 9, "max_positions": 8}
    shape = {"head_channels": 6, "gain": "plain", "positions": "learned"}
    decoder = Decoder(DecoderConfig(**sizes, head_dim=6, norm_weight="plain", positions="learned"), seed=1)
    tensors = {name.replace("pos_embed", "place"): value for name, value in decoder.state_dict().items()}
    assert "place.weight" in tensors
    save(tmp_path / "policy.safetensors", tensors, {"model": {**sizes, **shape}})
    found = own.load_decoder(tmp_path, torch.device("cpu"))
    assert found.config == decoder.config
    assert all(torch.equal(value, decoder.state_dict()[name]) for name, value in found.state_dict().items())


def test_a_recurrent_model_is_loaded_by_its_file_and_goes_on_with_a_text(text_run: Path, tmp_path: Path) -> None:
    loaded = load_model(str(text_run / "rnn.safetensors"), CPU)
    assert isinstance(loaded.model, Recurrent) and loaded.path == text_run
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("rnn.safetensors", "tokenizer.json"):
        shutil.copy(text_run / name, alone / name)
    assert isinstance(load_model(str(alone), CPU).model, Recurrent)
    model = clearhead.load(str(alone))
    written = model.generate("a", max_tokens=6)
    ids = model.ids("a" + written)
    assert model.logits("a" + written).shape == (len(ids), loaded.model.config.vocab)
    assert model.logits("a")[-1].argmax() == ids[len(model.ids("a"))]  # greedy, by hand
    for ask in (lambda: model.attentions("a"), lambda: loaded.decoder):
        with pytest.raises(UserError, match="is a recurrent model, and this needs a transformer"):
            ask()
    with pytest.raises(UserError, match="float32 alone"):
        load_model(str(alone), CPU, torch.bfloat16)


def test_several_recurrent_models_must_be_named(text_run: Path, tmp_path: Path) -> None:
    for name in ("rnn", "lstm"):
        shutil.copy(text_run / "rnn.safetensors", tmp_path / f"{name}.safetensors")
    shutil.copy(text_run / "tokenizer.json", tmp_path / "tokenizer.json")
    with pytest.raises(UserError, match="several recurrent models and no decoder; name one of the files"):
        load_model(str(tmp_path), CPU)
