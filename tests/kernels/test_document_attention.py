"""The kernel of packed documents against the plain definition in float64, by hand, and as a compiled step calls it."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clearhead.kernels.attention import causal_bias, plain_attention
from clearhead.kernels.document_attention import document_attention, has_kernel


def rows(*lengths: int) -> Tensor:
    """A row of documents of these lengths, "1 T"."""
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[None]


def inputs(segments: Tensor, H: int, G: int, C: int, dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
    """q, k, v as a decoder has them, q and k views of one tensor; and a gradient of the output."""
    generator = torch.Generator().manual_seed(seed)
    B, T = segments.shape
    qk, v, upstream = (torch.randn(B, T, n, C, generator=generator).to(dtype) for n in (H + G, G, H))
    return [*qk.split((H, G), 2), v, upstream]


def results(op: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, upstream: Tensor) -> list[Tensor]:
    """The output and its gradients with respect to q, k and v."""
    tensors = [x.detach().requires_grad_() for x in (q, k, v)]
    out = op(*tensors)
    return [out.detach(), *torch.autograd.grad(out, tensors, upstream)]


def compare(segments: Tensor, H: int, G: int, C: int, window: int = 0, seed: int = 0) -> None:
    tensors = inputs(segments, H, G, C, torch.float32, seed)
    bias = causal_bias(segments, torch.float64, window)
    exact = results(lambda *x: plain_attention(*x, bias), *(x.double() for x in tensors))
    found = results(lambda *x: document_attention(*x, segments, window), *tensors)
    for f, e in zip(found, exact, strict=True):
        torch.testing.assert_close(f.double(), e, rtol=1e-5, atol=1e-5)


def test_two_documents_by_hand() -> None:
    """Scores 0 and ln 3 in the first document, and a token alone in the second."""
    q = torch.tensor([1.0, 1.0, 1.0]).view(1, 3, 1, 1)
    k = torch.tensor([0.0, math.log(3), 5.0]).view(1, 3, 1, 1)
    v = torch.tensor([4.0, 8.0, 2.0]).view(1, 3, 1, 1)
    out, dq, dk, dv = results(lambda *x: document_attention(*x, rows(2, 1)), q, k, v, torch.ones(1, 3, 1, 1))
    torch.testing.assert_close(out.flatten(), torch.tensor([4.0, 7.0, 2.0]))
    torch.testing.assert_close(dv.flatten(), torch.tensor([1.25, 0.75, 1.0]))  # the weights 1; 1/4, 3/4; 1
    ds = 0.25 * 0.75 * (8 - 4)  # dp/ds of two weights, times what the second value is more than the first
    torch.testing.assert_close(dk.flatten(), torch.tensor([-ds, ds, 0.0]))
    torch.testing.assert_close(dq.flatten(), torch.tensor([0.0, ds * math.log(3), 0.0]))


@pytest.mark.parametrize("lengths", [[1], [32], [33], [64, 1], [31, 33, 64], [1] * 40, [100, 3, 57], [5, 90, 1, 1, 70]])
@pytest.mark.parametrize(("H", "G", "C"), [(1, 1, 64), (4, 2, 16), (3, 1, 40)])
def test_equals_plain_attention(lengths: list[int], H: int, G: int, C: int) -> None:
    compare(rows(*lengths), H, G, C)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 80), min_size=1, max_size=6), min_size=1, max_size=3),
    st.sampled_from([(1, 1), (2, 1), (6, 3)]),
    st.integers(1, 70),
    st.integers(0, 90),
    st.integers(0, 1000),
)
def test_equals_plain_attention_for_any_row(
    lengths: list[list[int]], heads: tuple[int, int], C: int, window: int, seed: int
) -> None:
    longest = max(map(sum, lengths))
    segments = torch.cat([rows(*row, *([longest - sum(row)] if sum(row) < longest else [])) for row in lengths])
    compare(segments, *heads, C, window, seed)


@pytest.mark.parametrize("lengths", [[96], [24, 24, 24, 24], [200, 7, 49]])
@pytest.mark.parametrize("C", [16, 64])
def test_bfloat16_errs_less_than_plain(lengths: list[int], C: int) -> None:
    segments = rows(*lengths)
    tensors = inputs(segments, 4, 2, C, torch.bfloat16)
    exact = results(
        lambda *x: plain_attention(*x, causal_bias(segments, torch.float64)), *(x.double() for x in tensors)
    )
    plain = results(lambda *x: plain_attention(*x, causal_bias(segments, torch.bfloat16)), *tensors)
    found = results(lambda *x: document_attention(*x, segments), *tensors)
    for f, p, e in zip(found, plain, exact, strict=True):
        assert f.dtype == torch.bfloat16
        assert 0 < (f - e).square().mean() < (p - e).square().mean()


@pytest.mark.parametrize("factor", [100.0, 1e4])
def test_large_scores_stay_finite(factor: float) -> None:
    segments = rows(50, 14)
    q, k, v, upstream = inputs(segments, 2, 2, 32, torch.float32)
    found = results(lambda *x: document_attention(*x, segments), factor * q, k, v, upstream)
    assert all(torch.isfinite(x).all() for x in found)


def test_documents_never_see_each_other() -> None:
    segments = rows(40, 13, 60)
    q, k, v, upstream = inputs(segments, 2, 1, 32, torch.float32)
    before = results(lambda *x: document_attention(*x, segments), q, k, v, upstream)
    for x in (q, k, v, upstream):
        x[:, 40:53] = 3.0
    after = results(lambda *x: document_attention(*x, segments), q, k, v, upstream)
    for a, b in zip(after, before, strict=True):
        assert torch.equal(a[:, :40], b[:, :40]) and torch.equal(a[:, 53:], b[:, 53:])
        assert not torch.equal(a[:, 40:53], b[:, 40:53])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_bits_with_any_number_of_threads(dtype: torch.dtype) -> None:
    segments = torch.cat([rows(50, 14, 33), rows(97), rows(1, 96)])
    tensors = inputs(segments, 6, 3, 32, dtype)
    threads = torch.get_num_threads()
    found = []
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            found.append(results(lambda *x: document_attention(*x, segments), *tensors))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_any_layout_is_read() -> None:
    segments = rows(20, 30)
    tensors = inputs(segments, 2, 2, 24, torch.float32)
    turned = [x.transpose(1, 3).contiguous().transpose(1, 3) for x in tensors]
    assert turned[0].stride(-1) != 1
    for a, b in zip(
        results(lambda *x: document_attention(*x, segments), *tensors),
        results(lambda *x: document_attention(*x, segments.mT.contiguous().mT), *turned),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_other_integers_number_documents_as_well() -> None:
    tensors = inputs(rows(20, 30), 2, 2, 24, torch.float32)
    for dtype in (torch.int32, torch.int8):
        found = results(lambda *x, dtype=dtype: document_attention(*x, rows(20, 30).to(dtype)), *tensors)
        expected = results(lambda *x: document_attention(*x, rows(20, 30)), *tensors)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_tensors_that_do_not_belong_together_are_refused() -> None:
    q, k, v, _ = inputs(rows(9), 4, 2, 8, torch.float32)
    op = torch.ops.clearhead.document_attention
    for wrong in ((q, k, v.bfloat16()), (q, k[:, :5], v), (q[:, :, :3], k, v), (q[..., :4], k, v)):
        with pytest.raises(ValueError, match="of one type: q"):
            op(*wrong, rows(9), 0)
    for segments in (rows(8), torch.cat([rows(9), rows(9)])):
        with pytest.raises(ValueError, match="segments B T"):
            op(q, k, v, segments, 0)


def test_operations_keep_what_they_promise_the_compiler() -> None:
    segments = rows(9, 8)
    q, k, v, upstream = inputs(segments, 2, 1, 8, torch.float32)
    ops = torch.ops.clearhead
    torch.library.opcheck(ops.document_attention.default, (q, k, v, segments, 0))
    _, log_sum = ops.document_attention(q, k, v, segments, 0)
    torch.library.opcheck(ops.document_attention_gradient.default, (upstream, q, k, v, log_sum, segments, 3))


def test_only_types_and_devices_with_a_kernel() -> None:
    assert has_kernel(torch.zeros(1)) and has_kernel(torch.zeros(1, dtype=torch.bfloat16))
    assert not has_kernel(torch.zeros(1, dtype=torch.float64))
    assert not has_kernel(torch.zeros(1, device="meta"))


COMPILED = """
import torch
from clearhead.kernels import document_attention
from clearhead.kernels.attention import Pattern, causal_attend

calls = []
call = document_attention._call
document_attention._call = lambda direction, *rest: (calls.append(direction), call(direction, *rest))[1]

segments = torch.repeat_interleave(torch.arange(3), torch.tensor([20, 5, 15]))[None]
q, k, v = (torch.randn(1, 40, n, 16, requires_grad=True) for n in (4, 2, 2))
for given in (segments, None):
    for pattern in (Pattern(), Pattern(window=7), Pattern(window=100), Pattern(softcap=2.0)):
        def step(q, k, v):
            return causal_attend(given)(0, q, k, v, pattern)
        eager = step(q, k, v)
        assert not calls
        compiled = torch.compile(step, dynamic=False)(q, k, v)
        expected = torch.autograd.grad(eager.sin().sum(), (q, k, v))
        found = torch.autograd.grad(compiled.sin().sum(), (q, k, v))
        assert calls == ([] if pattern.softcap else ["forward", "backward"]), (pattern, calls)
        calls.clear()
        for a, b in zip((compiled, *found), (eager, *expected)):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
print("equal")
"""


def test_a_compiled_step_uses_it_and_nobody_else(run_python: Callable[..., str]) -> None:
    assert run_python(COMPILED).strip() == "equal"
