"""T5, BART and Marian against the transformers library: logits, gradients of them, greedy text, files in and out."""

import dataclasses
import json
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from clearhead.checkpoints.convert import convert
from clearhead.checkpoints.inspect import inspect
from clearhead.checkpoints.load import load_model
from clearhead.errors import Ignored, UserError
from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.text_stream import generate
from clearhead.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from clearhead.models.families import ARCHITECTURES, DEFAULTS, ENCODER_DECODERS
from clearhead.models.pair_families import config_from, config_to, family_of, fill, fitted, tensors_to
from clearhead.nn.functional import relative_bucket

CPU = torch.device("cpu")
T5 = {
    "model_type": "t5", "vocab_size": 61, "d_model": 32, "d_kv": 12, "d_ff": 48, "num_layers": 3, "num_heads": 4,
    "decoder_start_token_id": 0, "relative_attention_num_buckets": 16, "relative_attention_max_distance": 20,
}  # fmt: skip
BART = {
    "vocab_size": 61, "d_model": 32, "encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 40,
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": None,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "t5": T5,
    "t5, 1.1": {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_decoder_layers": 2},
    "t5, gated by silu": {**T5, "feed_forward_proj": "gated-silu"},
    "bart": {**BART, "model_type": "bart"},
    "bart, scaled": {**BART, "model_type": "bart", "scale_embedding": True, "activation_function": "gelu_new"},
    "marian": {**BART, "model_type": "marian", "scale_embedding": True, "activation_function": "swish"},
}  # fmt: skip
SOURCE = torch.randint(3, 61, (3, 23), generator=torch.Generator().manual_seed(1))
LENGTHS = torch.tensor([23, 9, 1])
MASK = torch.arange(23) < LENGTHS[:, None]
TARGET = torch.randint(3, 61, (3, 17), generator=torch.Generator().manual_seed(2))


def theirs_of(plain: dict[str, Any]) -> Any:
    """The library's model of such a config.json, all of whose tensors matter."""
    import transformers

    family = plain["model_type"]
    name = {"t5": "T5Config", "bart": "BartConfig", "marian": "MarianConfig"}[family]
    config = getattr(transformers, name).from_dict(dict(plain))
    config._attn_implementation = "eager"
    model = getattr(transformers, ARCHITECTURES[family])(config).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "embed_positions" not in key or family == "bart":
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.2)
        if family != "t5":
            model.final_logits_bias.normal_(generator=generator)
    return model


@cache
def peer(name: str) -> Any:
    return theirs_of(MODELS[name])


def ours_of(plain: dict[str, Any], model: Any) -> EncoderDecoder:
    state = dict(model.state_dict())
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    ours = EncoderDecoder(fitted(config_from(plain), shapes, state.__getitem__)).eval()
    fill(ours, plain["model_type"], shapes, state.__getitem__, "it")
    return ours


def logits_of(model: EncoderDecoder) -> Tensor:
    memory, state = model.encode(SOURCE, MASK)
    return model.logits(model.read(TARGET, state, memory, MASK).hidden)


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_the_libraries(name: str) -> None:
    theirs = peer(name)
    with torch.no_grad():
        want = theirs(input_ids=SOURCE, attention_mask=MASK.long(), decoder_input_ids=TARGET).logits
        got = logits_of(ours_of(MODELS[name], theirs))
    assert want.std() > 0.1
    assert (got - want).abs().max() <= 2e-5 * want.abs().max()


@pytest.mark.parametrize("name", ["t5, 1.1", "bart", "marian"])
def test_in_float64_values_and_gradients_are_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.t5.modeling_t5 import T5LayerNorm

    def forward(self: Any, x: Tensor) -> Tensor:  # which the library computes in float32 whatever it is given
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    monkeypatch.setattr(T5LayerNorm, "forward", forward)
    theirs = theirs_of(MODELS[name]).double()
    ours = ours_of(MODELS[name], theirs).double()
    with torch.no_grad():  # filling goes through float32
        for name_, tensor in tensors_to(ours, MODELS[name]["model_type"]).items():
            target = dict(theirs.state_dict()).get(name_)
            if target is not None:
                target.copy_(tensor)
    wanted = torch.randint(0, 61, TARGET.shape, generator=torch.Generator().manual_seed(3)).flatten()
    want = theirs(input_ids=SOURCE, attention_mask=MASK.long(), decoder_input_ids=TARGET).logits
    got = logits_of(ours)
    if MODELS[name]["model_type"] != "marian":  # whose sines are made in float32 there and here
        assert (got - want).abs().max() <= 1e-10 * want.abs().max()
    torch.nn.functional.cross_entropy(want.flatten(0, 1), wanted).backward()
    torch.nn.functional.cross_entropy(got.flatten(0, 1), wanted).backward()
    gradient = EncoderDecoder(ours.config).double()
    with torch.no_grad():
        for mine, weight in zip(gradient.parameters(), ours.parameters(), strict=True):
            mine.copy_(weight.grad)
    known = {key: weight.grad for key, weight in theirs.named_parameters() if weight.grad is not None}
    compared = 0
    for key, tensor in tensors_to(gradient, MODELS[name]["model_type"]).items():
        if key in known:
            scale = known[key].abs().max()
            tolerance = 1e-6 if MODELS[name]["model_type"] == "marian" else 1e-10
            assert (tensor - known[key]).abs().max() <= tolerance * scale + 1e-14, key
            compared += 1
    assert compared > 30


@pytest.mark.parametrize("name", MODELS)
def test_greedy_text_is_the_libraries(name: str) -> None:
    theirs = peer(name)
    ours = ours_of(MODELS[name], theirs)
    with torch.no_grad():
        for source in (SOURCE[0], SOURCE[1, :9]):
            written = theirs.generate(
                source[None], max_new_tokens=12, do_sample=False, num_beams=1, eos_token_id=60, pad_token_id=1,
                bad_words_ids=None, forced_eos_token_id=None,
            )[0].tolist()[1:]  # fmt: skip
            engine = Engine(backend_for(ours), numbers(end=60))
            (text,) = generate(engine, Request(source.tolist(), SamplingParams(temperature=0, max_tokens=12)))
            assert [token.id for token in text.tokens] == written


def numbers(end: int) -> Any:
    """A tokenizer whose words are their own ids."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    from clearhead.text.subword import SubwordTokenizer

    backend = Tokenizer(WordLevel({f"w{i}": i for i in range(61)}, unk_token="w3"))
    backend.pre_tokenizer = Whitespace()
    return SubwordTokenizer(backend, end)


@pytest.mark.parametrize("name", MODELS)
def test_tensors_go_back_as_they_came(name: str) -> None:
    theirs, family = peer(name), MODELS[name]["model_type"]
    state = theirs.state_dict()
    ours = ours_of(MODELS[name], theirs)
    for key, tensor in tensors_to(ours, family).items():
        there = state[key]
        if key.endswith("embed_positions.weight"):  # its first two rows belong to no position
            tensor, there = tensor[2:], there[2:]
        assert torch.equal(tensor, there), key
    assert config_from(config_to(ours.config)) == ours.config


def test_buckets_are_t5s() -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = torch.arange(-300, 301)
    for buckets, longest in ((32, 128), (16, 20), (8, 64)):
        for both in (True, False):
            want = T5Attention._relative_position_bucket(distance, both, buckets, longest)
            assert torch.equal(relative_bucket(distance, buckets, longest, both), want)


def changes(family: str) -> Iterator[dict[str, Any]]:
    """One key at a time, with another value than the usual one."""
    import transformers

    kind = getattr(transformers, {"t5": "T5Config", "bart": "BartConfig", "marian": "MarianConfig"}[family])
    values: dict[str, list[Any]] = {
        "feed_forward_proj": ["relu", "gelu", "gelu_new", "silu", "gated-gelu", "gated-relu", "gated-silu", "tanh"],
        "activation_function": ["relu", "gelu", "gelu_new", "silu", "swish", "gelu_pytorch_tanh", "tanh"],
        "num_decoder_layers": [1], "decoder_vocab_size": [50], "decoder_start_token_id": [5], "pad_token_id": [4],
    }  # fmt: skip
    plain = {**MODELS[family]}
    for field in dataclasses.fields(kind):
        usual = plain.get(field.name, DEFAULTS[family].get(field.name))
        if field.name in values:
            others = values[field.name]
        elif isinstance(usual, bool):
            others = [not usual]
        else:
            others = [usual * 2] if isinstance(usual, int | float) and usual else []
        yield from ({field.name: other} for other in others)


def wrong(plain: dict[str, Any]) -> str | None:
    """What is wrong with how this config.json is read."""
    try:
        model = theirs_of(plain)
        with torch.no_grad():
            want = model(input_ids=SOURCE, attention_mask=MASK.long(), decoder_input_ids=TARGET).logits
    except Exception:  # whatever it raises for what it cannot build or run
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            ours = ours_of(plain, model)
        except UserError:
            return None
    with torch.no_grad():
        got = logits_of(ours)
    told = [str(w.message) for w in caught if w.category is Ignored]
    start = model.config.decoder_start_token_id
    if ours.config.start != (model.config.pad_token_id if start is None else start):
        return f"another start, and no error but {told}"
    if got.shape != want.shape or (got - want).abs().max() > 1e-4 * want.abs().max():
        return f"other numbers, and no error but {told}"
    return None


@pytest.mark.parametrize("family", ENCODER_DECODERS)
def test_every_key_is_used_as_the_library_uses_it_or_told(family: str) -> None:
    plain = MODELS[family]
    found = {str(change): wrong({**plain, **change}) for change in [{}, *changes(family)]}
    assert len(found) > 10
    assert not {change: told for change, told in found.items() if told}


@pytest.mark.parametrize("family", ENCODER_DECODERS)
def test_a_key_that_is_left_out_has_the_family_s_value(family: str) -> None:
    import transformers

    config = getattr(transformers, {"t5": "T5Config", "bart": "BartConfig", "marian": "MarianConfig"}[family])()
    for key, value in DEFAULTS[family].items():
        assert getattr(config, key, value) == value or value is None, key


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    """A model as the library saves it, with a tokenizer beside it."""

    def save(name: str) -> Path:
        path = tmp_path / name
        peer(name).save_pretrained(path)
        (path / "tokenizer.json").write_text(numbers(2).to_json(), encoding="utf-8")
        (path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "w2", "pad_token": "w1"}))
        return path

    return save


@pytest.mark.parametrize("name", MODELS)
def test_a_folder_is_loaded_converted_and_read_by_the_library(
    folder: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    from contextlib import nullcontext

    import transformers

    path = folder(name)
    loaded = load_model(str(path), CPU)
    with torch.no_grad():
        want = peer(name)(input_ids=SOURCE, attention_mask=MASK.long(), decoder_input_ids=TARGET).logits
        assert (logits_of(loaded.model) - want).abs().max() <= 2e-5 * want.abs().max()
    found = inspect(str(path))
    assert found.refused is None and "encoder of 3 layers" in found.architecture
    target = tmp_path / "out"
    convert(str(path), target, None, False, lambda label, n: nullcontext(lambda count: None))
    again = getattr(transformers, ARCHITECTURES[MODELS[name]["model_type"]]).from_pretrained(
        target, attn_implementation="eager"
    )
    with torch.no_grad():
        got = again(input_ids=SOURCE, attention_mask=MASK.long(), decoder_input_ids=TARGET).logits
    assert torch.equal(got, want)


def test_verbs_write_with_it_or_refuse_it(
    folder: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import clearhead
    from clearhead.cli.main import main

    path = folder("marian")
    assert main(["generate", str(path), "w5 w9", "--temperature", "0", "--tokens", "6"]) == 0
    written = capsys.readouterr().out.strip()
    assert clearhead.load(path).generate("w5 w9", temperature=0, max_tokens=6) == written != ""
    with torch.no_grad():
        theirs = (
            peer("marian")
            .generate(torch.tensor([[5, 9, 2]]), max_new_tokens=6, do_sample=False, num_beams=1, bad_words_ids=[[1]])[0]
            .tolist()[1:]
        )
    assert written.split() == [f"w{i}" for i in theirs if i != 2]
    for args in (["generate", str(path), ""], ["convert", str(path), str(tmp_path / "m.gguf")], ["chat", str(path)]):
        assert main([*args]) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1
    with pytest.raises(UserError, match="is an encoder-decoder"):
        clearhead.load(path).logits("w5")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"decoder_attention_heads": 2}, "decoder_attention_heads = 2 cannot be honored; only 4"),
        ({"normalize_before": True}, "normalize_before = True cannot be honored"),
        ({"activation_function": "tanh"}, "activation_function = 'tanh' cannot be honored"),
        ({"forced_bos_token_id": 0}, "forced_bos_token_id = 0 cannot be honored"),
        ({"vocab_size": "many"}, "a value of another kind"),
    ],
)
def test_what_cannot_be_honored_is_told(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        config_from({**MODELS["bart"], **change})


def test_a_model_of_no_family_says_what_it_has() -> None:
    with pytest.raises(
        UserError, match=r"no Hugging Face family has an encoder-decoder with .*positions = 'sinusoidal'"
    ):
        family_of(EncoderDecoderConfig(61))
