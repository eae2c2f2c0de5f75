"""Against the transformers library: its tiny random encoders of every family give the same from ours."""

import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from clearhead.errors import Ignored, UserError
from clearhead.kernels.attention import bidirectional_attend, texts_attend
from clearhead.models import bert, huggingface
from clearhead.models.encoder import Encoder, EncoderConfig
from clearhead.models.families import DEFAULTS, ENCODERS

SIZES = {
    "vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 50,
}  # fmt: skip
DISTIL = {
    "vocab_size": 61, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 50,
}  # fmt: skip
CLASSES = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "distilbert": "DistilBert"}
MODELS = {
    "bert": ("bert", "ForMaskedLM", SIZES),
    "bert, pooler": ("bert", "Model", SIZES),
    "bert, other parts": ("bert", "ForMaskedLM", {**SIZES, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5}),
    "bert, a head of its own": ("bert", "ForMaskedLM", {**SIZES, "tie_word_embeddings": False}),
    "roberta": ("roberta", "ForMaskedLM", {**SIZES, "hidden_act": "relu", "type_vocab_size": 1}),
    "xlm-roberta": ("xlm-roberta", "Model", {**SIZES, "pad_token_id": 3}),
    "distilbert": ("distilbert", "ForMaskedLM", DISTIL),
    "distilbert, sinusoidal": ("distilbert", "ForMaskedLM", {**DISTIL, "sinusoidal_pos_embds": True}),
}
TOLERANCE = 1e-10  # of the largest number, in float64


@cache
def peer(name: str) -> Any:
    family, kind, sizes = MODELS[name]
    return theirs({**sizes, "model_type": family}, kind)


def theirs(plain: Mapping[str, Any], kind: str) -> Any:
    """The library's model, every tensor of which matters."""
    import transformers

    name = CLASSES[plain["model_type"]]
    config = getattr(transformers, f"{name}Config").from_dict(dict(plain))
    model = getattr(transformers, name + kind)(config).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    return model


def ours(model: Any, plain: Mapping[str, Any] | None = None) -> Encoder:
    plain, state = plain or model.config.to_dict(), model.state_dict()
    encoder = Encoder(bert.config_from(plain, state))
    bert.fill(encoder, plain["model_type"], {k: tuple(v.shape) for k, v in state.items()}, state.__getitem__, "it")
    return encoder.requires_grad_(False)


def tokens(rows: int = 2, length: int = 40) -> Tensor:
    return torch.randint(4, 61, (rows, length), generator=torch.Generator().manual_seed(1))


def outputs(encoder: Encoder, ids: Tensor) -> dict[str, Tensor]:
    hidden = encoder(ids)
    found = {"hidden": hidden}
    if encoder.head is not None:
        found["logits"] = encoder.logits(hidden)
    if encoder.pooler is not None:
        found["pooled"] = encoder.pooled(hidden[:, 0])
    return found


def their_outputs(model: Any, ids: Tensor, **more: Any) -> dict[str, Tensor]:
    with torch.no_grad():
        told = model(ids, output_hidden_states=True, **more)
    found = {"hidden": told.hidden_states[-1]}
    return found | {
        name: told[key]
        for name, key in (("logits", "logits"), ("pooled", "pooler_output"))
        if told.get(key) is not None
    }


def apart(a: Tensor, b: Tensor) -> float:
    return float(((a - b).abs().max() / b.abs().max()).detach())


@pytest.mark.parametrize("name", MODELS)
def test_every_output_is_the_library_s(name: str) -> None:
    model = peer(name).double()
    encoder = ours(model).double()
    expected, found = their_outputs(model, tokens()), outputs(encoder, tokens())
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert value.std() > 0.1, "the weights hardly matter"
        assert apart(found[key], value) < TOLERANCE, key
    assert sum(p.numel() for p in encoder.parameters()) == encoder.config.parameters


def test_a_pair_of_texts_and_padding() -> None:
    model = peer("bert").double()
    encoder, ids = ours(model).double(), tokens()
    types = (torch.arange(40) > 17).long().expand(2, 40)
    seen = torch.tensor([[1] * 40, [1] * 25 + [0] * 15])
    expected = their_outputs(model, ids, token_type_ids=types, attention_mask=seen)["hidden"]
    found = encoder(ids, attend=bidirectional_attend(seen), types=types)
    assert apart(found[0], expected[0]) < TOLERANCE and apart(found[1, :25], expected[1, :25]) < TOLERANCE


def test_texts_that_lie_one_behind_the_other_are_each_as_if_alone() -> None:
    encoder, lengths = ours(peer("roberta").double()).double(), [7, 7, 3, 12]
    ids = tokens(1, sum(lengths))[0]
    positions = torch.cat([torch.arange(n) for n in lengths])
    found = encoder(ids, positions, texts_attend(lengths)).split(lengths)
    for text, hidden in zip(ids.split(lengths), found, strict=True):
        assert apart(hidden, encoder(text[None])[0]) < TOLERANCE


@pytest.mark.parametrize("name", ["bert", "bert, pooler", "bert, a head of its own", "distilbert"])
def test_there_and_back_is_the_same_bits(name: str) -> None:
    model = peer(name)
    state = {key: value.float() for key, value in model.state_dict().items()}
    encoder = ours(model).float()
    found = bert.tensors_to(encoder, MODELS[name][0])
    prefix = "bert." if name == "bert, pooler" else ""
    if not encoder.config.tied:
        del found["cls.predictions.bias"]  # which is there twice, and only the other one is used
    for key, tensor in found.items():
        assert torch.equal(tensor, state[key.removeprefix(prefix)]), key
    if MODELS[name][0] == "bert":
        again = bert.config_from(bert.config_to(encoder.config), bert.tensors_to(encoder))
        assert again == encoder.config


def test_one_without_token_types_is_a_bert_whose_types_add_nothing() -> None:
    encoder = Encoder(EncoderConfig(61, d_model=32, n_heads=4, d_ff=48, n_layers=2), seed=3)
    import transformers

    plain, state = bert.config_to(encoder.config), bert.tensors_to(encoder)
    model = transformers.BertForMaskedLM(transformers.BertConfig.from_dict(plain)).eval()
    left = model.load_state_dict(state, strict=False)
    assert set(left.missing_keys) <= {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    assert not left.unexpected_keys
    assert apart(encoder.double()(tokens()), their_outputs(model.double(), tokens())["hidden"]) < TOLERANCE


LEGACY = {
    "is_encoder_decoder",
    "is_decoder",
    "add_cross_attention",
    "position_embedding_type",
    "is_causal",
    "use_cache",
}
OTHER = {
    "hidden_act": ["relu", "silu", "gelu_new", "gelu_fast"], "activation": ["relu", "silu", "gelu_new"],
    "position_embedding_type": ["relative_key"], "dtype": ["float32"], "architectures": [["BertModel"]],
    "num_attention_heads": [2], "n_heads": [2], "num_hidden_layers": [2], "n_layers": [2], "type_vocab_size": [1, 3],
    "pad_token_id": [0, 2], "layer_norm_eps": [1e-3], "per_layer_config": [{0: {"intermediate_size": 24}}],
}  # fmt: skip


def changes(family: str) -> Iterator[dict[str, Any]]:
    import transformers

    known = {
        field.name: field.default for field in dataclasses.fields(getattr(transformers, f"{CLASSES[family]}Config"))
    }
    for key in sorted(known.keys() | LEGACY):
        usual = DEFAULTS[family].get(key, known.get(key))
        flipped = [not usual] if usual is None or isinstance(usual, bool) else []
        for value in OTHER.get(key, flipped):
            yield {key: value}


@pytest.mark.parametrize("family", ENCODERS)
def test_every_key_is_used_as_the_library_uses_it_or_told(family: str) -> None:
    plain = {**(DISTIL if family == "distilbert" else SIZES), "model_type": family}
    for change in [{}, *changes(family)]:
        told = {**plain, **change}
        try:
            model = theirs(told, "ForMaskedLM")
            expected = their_outputs(model, tokens())["logits"]
        except Exception:  # whatever the library raises for what it cannot build or run
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = outputs(ours(model, told), tokens())["logits"]
            except UserError:
                continue
        said = [str(w.message) for w in caught if w.category is Ignored]
        assert apart(found, expected) < 1e-4, f"{change}: other numbers, and no error but {said}"


@pytest.mark.parametrize("family", ENCODERS)
def test_a_key_that_is_left_out_has_the_family_s_value(family: str) -> None:
    import transformers

    config = getattr(transformers, f"{CLASSES[family]}Config")()
    for key, value in ENCODERS[family].items():
        if key != "per_layer_config":  # a view of all layers there, of which none differs
            assert getattr(config, key, value) == value, key


def state_of(name: str) -> dict[str, Tensor]:
    return dict(peer(name).state_dict())


def filled(state: Mapping[str, Tensor]) -> Encoder:
    plain = peer("bert").config.to_dict()
    encoder = Encoder(bert.config_from(plain, state))
    bert.fill(encoder, "bert", {k: tuple(v.shape) for k, v in state.items()}, state.__getitem__, "it")
    return encoder


def test_old_names_are_read_and_the_next_sentence_is_told() -> None:
    old = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
           for k, v in state_of("bert").items()}  # fmt: skip
    assert any("gamma" in name for name in old)
    old["bert.embeddings.position_ids"] = torch.arange(50)[None]
    assert torch.equal(filled(old).embed_norm.weight, filled(state_of("bert")).embed_norm.weight)
    with pytest.warns(Ignored, match="predicts whether sentences follow each other"):
        filled({**state_of("bert"), "cls.seq_relationship.weight": torch.ones(2, 32)})


@pytest.mark.parametrize(
    ("plain", "told"),
    [
        ({"model_type": "albert"}, "model_type = 'albert' is not a family read here"),
        ({"model_type": "llama"}, "'llama' is no encoder; those of bert, roberta, xlm-roberta, distilbert embed"),
        ({"model_type": "bert", "is_decoder": True}, "is_decoder = True cannot be honored; only false can"),
        ({"model_type": "bert", "position_embedding_type": "relative_key"}, "'relative_key' cannot be honored"),
        ({"model_type": "bert", "hidden_act": "silu"}, "hidden_act = 'silu' cannot be honored"),
        ({"model_type": "bert", "hidden_size": 100}, "d_model = 100 is not a multiple of n_heads = 12"),
        ({"model_type": "roberta", "pad_token_id": 600}, "leaves no row of 512"),
        ({"model_type": "bert", "vocab_size": "many"}, "a value of the wrong kind"),
    ],
)
def test_what_cannot_be_honored_is_one_line(plain: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match="config") as error:
        bert.config_from(plain, [])
    assert told in str(error.value) and "\n" not in str(error.value)


def test_heads_of_other_tasks_are_refused_and_a_decoder_s_reader_sends_an_encoder_on() -> None:
    with pytest.raises(UserError, match=r"holds 1 tensors that its configuration does not ask for, classifier\.weight"):
        filled({**state_of("bert"), "classifier.weight": torch.ones(2, 32)})
    with pytest.raises(UserError, match="is an encoder, which reads and does not write; use clearhead embed"):
        huggingface.config_from({"model_type": "bert"})
