"""Attention against a float64 loop over documents and heads, the fused kernel against the plain one, masks by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from clearhead.kernels import attention
from clearhead.kernels.attention import (
    Pattern,
    causal_attend,
    causal_bias,
    fused_attention,
    plain_attention,
)

SEGMENTS = torch.tensor([[1, 1, 1, 2, 2, 3, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]])


def by_hand(q: Tensor, k: Tensor, v: Tensor, segments: Tensor) -> np.ndarray:
    """One query at a time, in float64, over the list of keys that it may see."""
    B, T, H, C = q.shape
    group = H // k.shape[2]
    q, k, v = (x.double().numpy() for x in (q, k, v))
    out = np.zeros((B, T, H, C))
    for b, t, h in np.ndindex(B, T, H):
        seen = [s for s in range(t + 1) if segments[b, s] == segments[b, t]]
        scores = np.array([q[b, t, h] @ k[b, s, h // group] / math.sqrt(C) for s in seen])
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        out[b, t, h] = sum(w * v[b, s, h // group] for w, s in zip(weights, seen, strict=True))
    return out


def qkv(heads: int, groups: int, dtype: torch.dtype, T: int = 8, C: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(heads * 10 + groups)
    shapes = [(2, T, heads, C), (2, T, groups, C), (2, T, groups, C)]
    return tuple(torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in shapes)  # type: ignore


def test_two_tokens_by_hand() -> None:
    q = torch.tensor([[[[1.0]], [[1.0]]]])
    k = torch.tensor([[[[0.0]], [[math.log(3)]]]])
    v = torch.tensor([[[[4.0]], [[8.0]]]])
    out = plain_attention(q, k, v, causal_bias(torch.tensor([[1, 1]]), torch.float32))
    torch.testing.assert_close(out.flatten(), torch.tensor([4.0, 4 / 4 + 8 * 3 / 4]))


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("kernel", [plain_attention, fused_attention])
def test_float64_equals_the_loop(heads: int, groups: int, kernel) -> None:
    q, k, v = qkv(heads, groups, torch.float64)
    out = kernel(q, k, v, causal_bias(SEGMENTS, torch.float64))
    np.testing.assert_allclose(out.numpy(), by_hand(q, k, v, SEGMENTS), atol=1e-14)


def error(kernel, dtype: torch.dtype, T: int) -> list[float]:
    """Root mean square deviation from float64 of the output and of the gradients with respect to q, k and v."""
    segments = torch.arange(T)[None].expand(2, T) // 24
    exact = qkv(4, 2, dtype, T)
    results = []
    for compute, op in ((torch.float64, plain_attention), (dtype, kernel)):
        q, k, v = (x.to(compute).requires_grad_() for x in exact)
        out = op(q, k, v, causal_bias(segments, compute))
        out.backward(torch.sin(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape).to(dtype).to(compute))
        results.append([x.detach().double() for x in (out, q.grad, k.grad, v.grad)])
    return [float((a - b).square().mean().sqrt()) for a, b in zip(*results, strict=True)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_kernel_errs_at_most_twice_as_much_as_plain(dtype: torch.dtype) -> None:
    plain, fast = error(plain_attention, dtype, T=96), error(fused_attention, dtype, T=96)
    assert all(p > 0 for p in plain)
    assert all(f <= 2 * p for f, p in zip(fast, plain, strict=True)), (fast, plain)


def test_windows_and_caps_by_hand() -> None:
    """Scores 0, ln 3 and 0 for the last of three queries, whose window holds two; a cap of 1 makes ln 3 its tanh."""
    q = torch.ones(1, 3, 1, 1, dtype=torch.float64)
    k = torch.tensor([0.0, math.log(3), 0.0], dtype=torch.float64).view(1, 3, 1, 1)
    v = torch.tensor([4.0, 8.0, 16.0], dtype=torch.float64).view(1, 3, 1, 1)
    out = causal_attend()(0, q, k, v, Pattern(window=2)).flatten()
    torch.testing.assert_close(out, torch.tensor([4.0, 7.0, 8 * 0.75 + 16 * 0.25], dtype=torch.float64))
    weight = math.exp(math.tanh(math.log(3)))
    out = causal_attend()(0, q, k, v, Pattern(softcap=1.0)).flatten()
    expected = (4 + 8 * weight + 16) / (2 + weight)
    torch.testing.assert_close(out[2], torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("plain_up_to", [0, 2048])
@pytest.mark.parametrize("pattern", [Pattern(window=3), Pattern(softcap=2.0), Pattern(window=3, softcap=2.0)])
def test_every_way_honors_the_pattern(pattern: Pattern, plain_up_to: int, monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = qkv(4, 2, torch.float64)
    seen = causal_bias(SEGMENTS, torch.float64, pattern.window)
    expected = plain_attention(q, k, v, seen, pattern.softcap)
    monkeypatch.setattr(attention, "PLAIN_UP_TO", plain_up_to)
    out = causal_attend(SEGMENTS)(0, q, k, v, pattern)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-14)


def test_bias_is_the_picture() -> None:
    seen = causal_bias(torch.tensor([[1, 1, 2, 2]]), torch.bfloat16)[0] == 0
    assert seen.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]
    assert causal_bias(torch.tensor([[1, 2]]), torch.float32)[0, 1, 0] == -math.inf


@pytest.mark.parametrize("plain_up_to", [0, 2048])
def test_documents_never_see_each_other(plain_up_to: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "PLAIN_UP_TO", plain_up_to)
    q, k, v = qkv(4, 2, torch.float32)
    before = causal_attend(SEGMENTS)(0, q, k, v)
    k2, v2 = k.clone(), v.clone()
    k2[0, 3:5], v2[0, 3:5] = 100.0, -100.0  # the second document of the first row
    after = causal_attend(SEGMENTS)(0, q, k2, v2)
    changed = (before != after).any(-1).any(-1)
    assert changed.int().tolist() == [[0, 0, 0, 1, 1, 0, 0, 0], [0] * 8]
    assert torch.isfinite(after).all()  # padding, too


@pytest.mark.parametrize("plain_up_to", [0, 2048])
def test_no_segments_means_one_document(plain_up_to: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "PLAIN_UP_TO", plain_up_to)
    q, k, v = qkv(4, 2, torch.float64)
    one = torch.ones(2, 8, dtype=torch.long)
    np.testing.assert_allclose(causal_attend()(0, q, k, v).numpy(), by_hand(q, k, v, one), atol=1e-14)


def test_length_and_device_choose_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    for name in ("plain_attention", "fused_attention"):
        monkeypatch.setattr(attention, name, lambda q, k, v, bias, cap=0.0, name=name: (used.append(name), q)[1])
    monkeypatch.setattr(attention, "PLAIN_UP_TO", 8)
    for T in (8, 9):
        q = torch.zeros(1, T, 1, 2)
        causal_attend()(0, q, q, q)
        causal_attend(torch.ones(1, T, dtype=torch.long))(0, q, q, q)
    assert used == ["plain_attention"] * 2 + ["fused_attention"] * 2
    assert not attention.prefers_plain(8, torch.device("cuda"))
