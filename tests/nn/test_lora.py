"""LoRA against the float64 reference, and what it leaves alone."""

import numpy as np
import pytest
import torch
from torch import nn

from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.nn.lora import TARGETS, LoraConfig, LoraLinear, add_lora, low_rank, merge, merged, target_modules
from clearhead.reference import low_rank as reference

CONFIG = DecoderConfig(vocab=17, **{**PRESETS["tiny"], "mlp": "swiglu", "bias": "all"})  # type: ignore[arg-type]
TOKENS = torch.arange(12).view(1, 12)


def noisy(model: nn.Module, seed: int = 3) -> None:
    """Every parameter matters, B too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))


def logits(decoder: Decoder) -> torch.Tensor:
    return decoder.logits(decoder(TOKENS, TOKENS, causal_attend()))


def tuned(config: LoraConfig) -> Decoder:
    decoder = Decoder(CONFIG, seed=1)
    noisy(decoder)
    add_lora(decoder, config, seed=2)
    noisy(decoder)
    return decoder


def test_value_and_gradients_are_those_of_the_reference() -> None:
    rng = np.random.default_rng(0)
    x, w, a, b, dy = (rng.normal(size=s) for s in ((5, 6), (6, 4), (6, 2), (2, 4), (5, 4)))  # theirs are transposed
    tensors = [torch.tensor(v.T if i else v, requires_grad=True) for i, v in enumerate((x, w, a, b))]
    tx, tw, ta, tb = tensors
    y = nn.functional.linear(tx, tw) + low_rank(tx, ta, tb, 8.0 / 2)
    y.backward(torch.tensor(dy))
    np.testing.assert_allclose(y.detach(), reference.lora(x, w, a, b, 8.0), rtol=1e-12)
    for tensor, expected in zip(tensors, reference.lora_vjp(x, w, a, b, 8.0, dy), strict=True):
        found = tensor.grad.numpy()
        np.testing.assert_allclose(found if tensor is tx else found.T, expected, rtol=1e-12)
    np.testing.assert_allclose(merged(tw, ta, tb, 4.0).detach().T, reference.merge(w, a, b, 8.0), rtol=1e-6)


def test_training_starts_at_the_frozen_model_and_only_the_updates_are_trained() -> None:
    decoder = Decoder(CONFIG, seed=1)
    noisy(decoder)
    before = logits(decoder)
    names = set(dict(decoder.named_parameters()))
    add_lora(decoder, LoraConfig(rank=3))
    assert torch.equal(logits(decoder), before)
    trained = {name for name, p in decoder.named_parameters() if p.requires_grad}
    assert trained.isdisjoint(names) and names < set(dict(decoder.named_parameters()))
    assert len(trained) == CONFIG.n_layers * len(TARGETS) * 2
    logits(decoder).square().sum().backward()
    gradients = {name: p.grad for name, p in decoder.named_parameters()}
    assert all((gradients[name] is not None) == (name in trained) for name in gradients)


@pytest.mark.parametrize("targets", [("q",), ("k", "v"), ("up",), ("gate", "o", "down"), TARGETS])
def test_each_part_changes_its_own_rows_alone(targets: tuple[str, ...]) -> None:
    decoder = tuned(LoraConfig(rank=2, alpha=6.0, targets=targets))
    before = {t.name: getattr(t.module, t.attribute).weight.clone() for t in target_modules(decoder)}
    by_module = logits(decoder)
    merge(decoder)
    for target in target_modules(decoder):
        weight = getattr(target.module, target.attribute).weight
        for name, rows in target.rows.items():
            assert torch.equal(weight[rows], before[target.name][rows]) == (name not in targets), (target.name, name)
    assert not any(isinstance(module, LoraLinear) for module in decoder.modules())
    torch.testing.assert_close(logits(decoder), by_module, rtol=1e-4, atol=1e-4)


def test_dropout_is_of_the_input_and_of_training_alone() -> None:
    layer = LoraLinear(
        nn.Linear(50, 4, bias=False), {"o": slice(0, 4)}, LoraConfig(rank=50, dropout=0.5), torch.Generator()
    )
    with torch.no_grad():
        layer.weight.zero_()
        layer.a["o"].copy_(torch.eye(50))
        layer.b["o"].copy_(torch.eye(50)[:4])
    x = torch.ones(2000, 50)
    scale = layer.config.scale
    values = layer(x) / scale
    assert set(values.unique().tolist()) == {0.0, 2.0} and 0.9 < values.mean().item() < 1.1
    assert torch.equal(layer.eval()(x), scale * torch.ones(2000, 4))


def test_the_scale_is_alpha_over_rank() -> None:
    assert LoraConfig(rank=4, alpha=10.0).scale == 2.5


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rank": 0}, "rank = 0"), ({"alpha": 0.0}, "alpha"), ({"dropout": 1.0}, "dropout"),
        ({"targets": ()}, "no target"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told(wrong: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        LoraConfig(**wrong)


@pytest.mark.parametrize("lacks", ["gate", "x"])
def test_a_part_that_the_model_lacks_is_told(lacks: str) -> None:
    decoder = Decoder(DecoderConfig(vocab=9, **{**PRESETS["tiny"], "mlp": "relu2"}))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"'{lacks}' is no part of this model"):
        add_lora(decoder, LoraConfig(targets=("q", lacks)))
    assert all(parameter.requires_grad for parameter in decoder.parameters()), "nothing was done"
