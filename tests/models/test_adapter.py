"""Adapters against the peft library: what either writes, the other reads with the same logits."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.models.adapter import CONFIG, TENSORS, apply_adapter, config_of, tensors_of
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.models.huggingface import config_from, fill
from clearhead.nn.lora import TARGETS, LoraConfig, add_lora, merge

SIZES = {
    "vocab_size": 31, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", SIZES),
    "qwen2": ("Qwen2", SIZES),
    "gpt2": ("GPT2", {"vocab_size": 31, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
}
TOKENS = torch.arange(20).view(1, 20)


def peer(name: str) -> Any:
    import transformers

    kind, sizes = MODELS[name]
    torch.manual_seed(0)
    model = getattr(transformers, "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM")(
        getattr(transformers, f"{kind}Config")(**sizes)
    ).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    return model


def ours(model: Any) -> Decoder:
    plain = model.config.to_dict()
    decoder = Decoder(config_from(plain))
    state = model.state_dict()
    fill(decoder, plain["model_type"], {n: tuple(t.shape) for n, t in state.items()}, state.__getitem__, "peer")
    return decoder


def logits(decoder: Decoder) -> Tensor:
    with torch.no_grad():
        return decoder.logits(decoder(TOKENS, TOKENS, causal_attend()))


def noisy_updates(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad or "lora_" in name:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))


def write(folder: Path, decoder: Decoder, lora: LoraConfig) -> None:
    folder.mkdir(exist_ok=True)
    save_file(tensors_of(decoder), folder / TENSORS)
    (folder / CONFIG).write_text(json.dumps(config_of(decoder, lora, "somewhere")))


@pytest.mark.parametrize("targets", [("q", "v"), TARGETS], ids=["some", "all"])
@pytest.mark.parametrize("name", MODELS)
def test_peft_reads_ours_with_the_same_logits(name: str, targets: tuple[str, ...], tmp_path: Path) -> None:
    import peft

    model = peer(name)
    decoder, lora = ours(model), LoraConfig(rank=3, alpha=7.0, targets=targets)
    plain = logits(decoder)
    add_lora(decoder, lora)
    noisy_updates(decoder)
    write(tmp_path, decoder, lora)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peft.PeftModel.from_pretrained(model, str(tmp_path)).eval()
    with torch.no_grad():
        expected = theirs(TOKENS).logits
    assert (expected - plain).abs().max() > 0.1  # the updates are not nothing
    torch.testing.assert_close(logits(decoder), expected, rtol=1e-4, atol=1e-4)
    merge(decoder)
    torch.testing.assert_close(logits(decoder), expected, rtol=1e-4, atol=1e-4)
    again = ours(peer(name))
    apply_adapter(again, tmp_path)
    torch.testing.assert_close(logits(again), logits(decoder), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"alpha_pattern": {"{down}": 5}}], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_we_read_what_peft_wrote(name: str, options: dict, tmp_path: Path) -> None:
    import peft

    model = peer(name)
    names = ["c_attn", "c_proj"] if name == "gpt2" else ["q_proj", "up_proj", "down_proj"]
    if "alpha_pattern" in options:
        options = {"alpha_pattern": {"mlp.c_proj" if name == "gpt2" else "down_proj": 5}}
    decoder = ours(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peft.get_peft_model(
            model, peft.LoraConfig(r=4, lora_alpha=9, target_modules=names, task_type="CAUSAL_LM", **options)
        ).eval()
        noisy_updates(theirs)
        theirs.save_pretrained(str(tmp_path))
    with torch.no_grad():
        expected = theirs(TOKENS).logits
    apply_adapter(decoder, tmp_path)
    torch.testing.assert_close(logits(decoder), expected, rtol=1e-4, atol=1e-4)


def test_a_decoder_of_no_family_reads_its_own(tmp_path: Path) -> None:
    config = DecoderConfig(vocab=31, **PRESETS["tiny"])  # type: ignore[arg-type]
    decoder, lora = Decoder(config, seed=1), LoraConfig(rank=2)
    add_lora(decoder, lora)
    noisy_updates(decoder)
    write(tmp_path, decoder, lora)
    again = Decoder(config, seed=1)
    apply_adapter(again, tmp_path)
    merge(decoder)
    assert all(torch.equal(p, dict(decoder.named_parameters())[n]) for n, p in again.named_parameters())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"peft_type": "IA3"}, "peft_type = .IA3. cannot be honored; only LORA can"),
        ({"use_dora": True}, "use_dora = True cannot be honored"),
        ({"bias": "all"}, "bias = 'all'"),
        ({"alora_invocation_tokens": [7, 8]}, "alora_invocation_tokens = .* it is more than LoRA"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights = 'pissa_niter_4' .* it changed the weights"),
        ({"r": 5}, "r = 5, but the update of .* has rank 2"),
        ({"a_switch_of_the_future": True}, "a_switch_of_the_future = True cannot be honored"),
        ({"target_modules": ["v_proj"]}, "an update of .*q_proj, which its adapter_config.json does not ask for"),
        ({"target_modules": r".*\.v_proj"}, "an update of .*q_proj, which its adapter_config.json does not ask for"),
        ({"exclude_modules": ["q_proj"]}, "an update of .*q_proj, which its adapter_config.json does not ask for"),
        ({"layers_to_transform": [1]}, r"an update of .*layers\.0.* does not ask for"),
        ({"rank_pattern": {"(": 2}}, "rank_pattern has '.', which is no simple expression"),
        ({"alpha_pattern": {r"(\w+)+x": 2}}, "alpha_pattern has .*, which is no simple expression"),
        ({"lora_alpha": "9"}, "lora_alpha = '9' is no number"),
        ({"lora_alpha": float("inf")}, "lora_alpha = inf is no number"),
    ],
)
def test_a_config_that_cannot_be_honored_is_told(change: dict, told: str, tmp_path: Path) -> None:
    config = DecoderConfig(vocab=31, **PRESETS["tiny"])  # type: ignore[arg-type]
    decoder, lora = Decoder(config, seed=1), LoraConfig(rank=2)
    add_lora(decoder, lora)
    write(tmp_path, decoder, lora)
    (tmp_path / CONFIG).write_text(json.dumps(json.loads((tmp_path / CONFIG).read_text()) | change))
    with pytest.raises(UserError, match=told):
        apply_adapter(Decoder(config), tmp_path)


def test_a_file_that_does_not_fit_is_told_and_nothing_changes(tmp_path: Path) -> None:
    config = DecoderConfig(vocab=31, **PRESETS["tiny"])  # type: ignore[arg-type]
    decoder, lora = Decoder(config, seed=1), LoraConfig(rank=2)
    add_lora(decoder, lora)
    noisy_updates(decoder)
    write(tmp_path, decoder, lora)
    good = load_file(tmp_path / TENSORS)
    first, last = min(good), max(good)

    def told(tensors: dict[str, Tensor]) -> str:
        save_file(tensors, tmp_path / TENSORS)
        fresh = Decoder(config, seed=1)
        with pytest.raises(UserError) as raised:
            apply_adapter(fresh, tmp_path)
        same = Decoder(config, seed=1).state_dict()
        assert all(torch.equal(value, same[name]) for name, value in fresh.state_dict().items())
        return str(raised.value)

    assert "only half" in told({name: t for name, t in good.items() if name != first})
    assert "made for another model" in told({**good, last: torch.zeros(5, 2)})
    assert "no matrix" in told({**good, **{n.replace("layers.0", "layers.9"): t.clone() for n, t in good.items()}})
    assert "not finite" in told({**good, last: good[last] * float("nan")})
    assert "holds int64 numbers" in told({**good, last: good[last].long()})
    assert "belongs to no LoRA" in told({**good, "base_model.model.lm_head.weight": torch.zeros(1)})
    (tmp_path / TENSORS).write_bytes(b"x" * 9)
    with pytest.raises(UserError, match="cannot be read"):
        apply_adapter(Decoder(config), tmp_path)


def test_every_key_of_the_library_s_class_is_used_or_told(tmp_path: Path) -> None:
    """Switched on one by one: what is not told leaves peft's own logits as they were."""
    import dataclasses

    import peft

    usual = {field.name: field.default for field in dataclasses.fields(peft.LoraConfig)}
    values = {
        "init_lora_weights": ["gaussian", "orthogonal", "pissa", "olora", "corda", "loftq", "lora_ga", "mica", "eva"],
        "bias": ["all", "lora_only"], "target_modules": [["q_proj", "v_proj"]], "lora_dropout": [0.3],
        "layers_to_transform": [[0, 1]], "rank_pattern": [{"q_proj": 4}], "alpha_pattern": [{"q_proj": 3.0}],
        "lora_alpha": [5], "r": [4], "revision": ["main"], "base_model_name_or_path": ["here"], "peft_type": ["LORA"],
        "task_type": ["CAUSAL_LM"], "auto_mapping": [{"a": "b"}], "peft_version": ["9.9"],
    }  # fmt: skip
    decoder, lora = ours(peer("llama")), LoraConfig(rank=4, alpha=8.0, targets=("q", "v"))
    add_lora(decoder, lora)
    noisy_updates(decoder)
    write(tmp_path, decoder, lora)
    plain = json.loads((tmp_path / CONFIG).read_text())
    told = set()
    for key, default in usual.items():
        for value in values.get(key, [True if default in (False, None) or default is dataclasses.MISSING else [1]]):
            (tmp_path / CONFIG).write_text(json.dumps({**plain, key: value}))
            fresh = ours(peer("llama"))
            try:
                apply_adapter(fresh, tmp_path)
            except UserError as error:
                assert key in str(error)
                told.add(f"{key}={value}" if key in ("init_lora_weights",) else key)
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                config = {**json.loads((tmp_path / CONFIG).read_text()), "base_model_name_or_path": None}
                if key in (
                    "r",
                    "lora_alpha",
                    "alpha_pattern",
                    "bias",
                    "use_rslora",
                    "rank_pattern",
                    "init_lora_weights",
                ):
                    (tmp_path / CONFIG).write_text(json.dumps(config))
                    theirs = peft.PeftModel.from_pretrained(peer("llama"), str(tmp_path)).eval()
                    with torch.no_grad():
                        torch.testing.assert_close(logits(fresh), theirs(TOKENS).logits, rtol=1e-4, atol=1e-4)
    changing = {
        "bias", "use_dora", "modules_to_save", "layer_replication", "megatron_config", "trainable_token_indices",
        "alora_invocation_tokens", "lora_bias", "target_parameters", "use_qalora", "arrow_config", "use_bdlora",
        "kasa_config", "velora_config", "monteclora_config", "init_lora_weights=pissa", "init_lora_weights=olora",
        "init_lora_weights=corda", "init_lora_weights=loftq", "init_lora_weights=lora_ga",
    }  # fmt: skip
    assert changing <= told
