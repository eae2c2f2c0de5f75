"""Loss and gradients: by hand, in micro-batches, in either type, and the choices that `auto` makes."""

import math
import shutil
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.text.packing import Batch, Document, pack
from clearhead.training.step import (
    Gradients,
    clip,
    compute_dtype,
    keep_freed_memory,
    language_model_loss,
    should_compile,
    to_tensors,
)

CONFIG = DecoderConfig(vocab=11, **PRESETS["tiny"])  # type: ignore[arg-type]
CPU = torch.device("cpu")


def batch(seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    texts = rng.integers(2, 11, (12, 9)).tolist()
    return pack([Document(text[:3], text[3 : 5 + i % 4]) for i, text in enumerate(texts)], 32)


def lively() -> Decoder:
    model = Decoder(CONFIG)
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        nn.init.normal_(p, std=0.2, generator=generator)
    return model


def test_the_loss_is_the_mean_surprise_of_the_solutions() -> None:
    model, packed = lively().double(), batch()
    surprises = []
    for row in range(len(packed.tokens)):
        for segment in range(1, packed.segments[row].max() + 1):
            where = packed.segments[row] == segment
            alone = to_tensors(Batch(*(array[row : row + 1, where] for array in packed)), CPU)
            hidden = model(alone.tokens, alone.positions, lambda layer, q, k, v, **_: seen_by_hand(q, k, v))
            log_p = model.logits(hidden).log_softmax(-1)[0]
            surprises += [-log_p[t, target].item() for t, target in enumerate(alone.targets[0].tolist()) if target >= 0]
    assert len(surprises) == (packed.targets >= 0).sum()
    loss = language_model_loss(model, to_tensors(packed, CPU)).item()
    assert loss == pytest.approx(np.mean(surprises), rel=1e-6)


def seen_by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    k, v = (x.repeat_interleave(q.shape[2] // k.shape[2], 2) for x in (k, v))
    scores = torch.einsum("bthc,bshc->bhts", q, k) / q.shape[-1] ** 0.5
    weights = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf).softmax(-1)
    return torch.einsum("bhts,bshc->bthc", weights, v)


def test_micro_batches_are_averaged() -> None:
    gradients = Gradients(lively(), language_model_loss, torch.float32, compiled=False)
    loss_a, a = gradients([batch(1)])
    loss_b, b = gradients([batch(2)])
    loss, mean = gradients([batch(1), batch(2)])
    assert loss == pytest.approx((loss_a + loss_b) / 2)
    for name in mean:
        torch.testing.assert_close(mean[name], (a[name] + b[name]) / 2)


def test_gradients_are_those_of_the_masters_in_float32() -> None:
    model = lively()
    gradients = Gradients(model, language_model_loss, torch.float32, compiled=False)
    gradients([batch()])
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.01)  # as an optimizer would
    loss, found = gradients([batch()])
    expected = language_model_loss(model, to_tensors(batch(), CPU))
    expected.backward()
    assert loss == expected.item()
    for name, p in model.named_parameters():
        assert torch.equal(found[name], p.grad)


def test_bfloat16_works_on_a_rounded_copy() -> None:
    model = lively()
    masters = [p.clone() for p in model.parameters()]
    gradients = Gradients(model, language_model_loss, torch.bfloat16, compiled=False)
    _, rough = gradients([batch()])
    _, exact = Gradients(model, language_model_loss, torch.float32, compiled=False)([batch()])
    assert all(g.dtype == torch.float32 for g in rough.values())
    assert all(torch.equal(a, b) for a, b in zip(masters, model.parameters(), strict=True))
    for name in exact:
        distance = (rough[name] - exact[name]).norm() / exact[name].norm()
        assert 0 < distance < 0.1, name  # 0.01 to 0.04 over many batches
    work = dict(gradients.work.named_parameters())
    assert work["embed.weight"].dtype == torch.float32
    assert work["head.weight"].dtype == torch.bfloat16
    assert torch.equal(work["head.weight"], model.head.weight.bfloat16())


def test_frozen_and_unused_weights() -> None:
    model = nn.ModuleDict({"used": nn.Linear(2, 1), "unused": nn.Linear(2, 1)})
    model["used"].bias.requires_grad_(False)

    class Points(NamedTuple):
        x: np.ndarray

    points = Points(np.ones((3, 2), np.float32))
    _, found = Gradients(model, lambda m, b: m["used"](b.x).sum(), torch.float32, compiled=False)([points])
    assert found.keys() == {"used.weight", "unused.weight", "unused.bias"}
    assert found["used.weight"].tolist() == [[3.0, 3.0]] and found["unused.weight"].abs().max() == 0


def test_clip_by_the_joint_norm() -> None:
    def gradients() -> dict[str, Tensor]:
        return {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[4.0]])}

    for limit, factor in ((10.0, 1.0), (5.0, 1.0), (1.0, 0.2), (0.0, 1.0)):
        g = gradients()
        assert clip(g, limit) == pytest.approx(5.0)
        torch.testing.assert_close(g["a"], torch.tensor([3.0 * factor, 0.0]))
        torch.testing.assert_close(g["b"], torch.tensor([[4.0 * factor]]))
    broken = gradients() | {"c": torch.tensor([math.nan])}
    assert math.isnan(clip(broken, 1.0))
    assert broken["a"].tolist() == [3.0, 0.0]


def test_auto_dtype_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for fast, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("clearhead.training.step.bfloat16_is_fast", lambda device, fast=fast: fast)
        assert compute_dtype("auto", CPU) == expected
        assert compute_dtype("float32", CPU) == torch.float32
        assert compute_dtype("bfloat16", CPU) == torch.bfloat16


def test_auto_compiles_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/c++" if name == "g++" else None)
    assert should_compile("auto", 1_800_000, 500 * 64 * 128, CPU)
    assert not should_compile("auto", 20_000, 500 * 64 * 128, CPU)
    assert not should_compile("off", 1_800_000, 500 * 64 * 128, CPU)
    assert should_compile("on", 1, 1, CPU)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not should_compile("auto", 1_800_000, 500 * 64 * 128, CPU)
    with pytest.raises(UserError, match="needs a C\\+\\+ compiler"):
        should_compile("on", 1, 1, CPU)


def test_batches_become_tensors_of_the_same_kind() -> None:
    tensors = to_tensors(batch(), CPU)
    assert type(tensors) is Batch and tensors.tokens.dtype == torch.int64
    assert np.array_equal(tensors.targets.numpy(), batch().targets)


def test_memory_switches_do_no_harm() -> None:
    keep_freed_memory()
    assert torch.ones(10_000_000).sum() == 10_000_000


def test_equal_presets_learn_the_same_whatever_the_type_says() -> None:
    """A tied, learned-position model goes through the same step."""
    model = Decoder(replace(CONFIG, tied=True, positions="learned"))
    _, found = Gradients(model, language_model_loss, torch.bfloat16, compiled=False)([batch()])
    assert found.keys() == dict(model.named_parameters()).keys()
    assert found["pos_embed.weight"].abs().max() >= 0 and found["embed.weight"].abs().max() > 0


class Half(nn.Module):
    """A frozen matrix, a trained one, and a frozen table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4).requires_grad_(False)
        self.frozen = nn.Linear(4, 4, bias=False).requires_grad_(False)
        self.trained = nn.Linear(4, 4, bias=False)


def test_frozen_weights_of_the_right_type_are_shared_and_others_rounded() -> None:
    model = Half()
    before = {name: p.clone() for name, p in model.named_parameters()}
    same = Gradients(model, lambda work, x: work.trained(work.frozen(x.x)).sum(), torch.float32, compiled=False)
    assert same.work.frozen.weight is model.frozen.weight and same.work.table.weight is model.table.weight
    assert same.work.trained.weight is not model.trained.weight
    rounded = Gradients(model, lambda work, x: work.trained(work.frozen(x.x)).sum(), torch.bfloat16, compiled=False)
    assert rounded.work.frozen.weight.dtype == rounded.work.trained.weight.dtype == torch.bfloat16
    assert rounded.work.table.weight is model.table.weight
    batch = NamedTuple("Named", [("x", np.ndarray)])(np.ones((2, 4), np.float32))
    _, gradients = same([batch])
    assert set(gradients) == {"trained.weight"}
    assert all(torch.equal(p, before[name]) and p.dtype == torch.float32 for name, p in model.named_parameters())
