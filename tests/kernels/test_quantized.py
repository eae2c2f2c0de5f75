"""Products of quantized weights: each kernel that runs here against float64, the reference, and each other's bits."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from rounding import rms

from clearhead.kernels import compiled, quantized
from clearhead.kernels.quantized import (
    GROUP,
    QUANTIZED,
    QuantizedLinear,
    QuantizedWeight,
    best_kernel,
    by_groups,
    dequantize,
    int4,
    int8,
    multiplied,
    plain_product,
    quantize_rows,
)
from clearhead.reference import quantization as reference

KERNELS = [*dict.fromkeys((*compiled.possible(), "any"))]
SHAPES = [(64, 96), (50, 70), (16, 31), (3, 320)]  # whole panels and groups, and none of both
KINDS = ["int8", "int4", "blocks of 8", "blocks of 4"]


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def weight_of(kind: str, E: int, D: int) -> QuantizedWeight:
    if kind in QUANTIZED:
        return QUANTIZED[kind](drawn(E, D))
    bits = int(kind[-1])
    generator = torch.Generator().manual_seed(bits)
    q = torch.randint(0, 2**bits, (E, D), dtype=torch.uint8, generator=generator)
    return QuantizedWeight(bits, q, torch.rand(E, -(-D // GROUP), generator=generator).half())


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("E", "D"), SHAPES)
def test_a_kernel_is_the_plain_product(name: str, kind: str, E: int, D: int, threads: int) -> None:
    weight, bias, kernel = weight_of(kind, E, D), drawn(E), compiled.compiled(name)
    x = drawn(37, D)  # with the most rows that a kernel takes at once, and what is left of them
    exact = plain_product(x, weight, torch.float64) + bias
    plain = plain_product(x, weight) + bias
    found = multiplied(kernel, QuantizedLinear(weight, bias), x)
    assert rms(found - exact) <= 2 * rms(plain - exact)
    assert rms(multiplied(kernel, QuantizedLinear(weight), x) - exact) > 0.1  # which has no bias


@pytest.mark.parametrize("kind", KINDS)
def test_bits_depend_on_neither_kernel_nor_company_nor_threads(kind: str) -> None:
    layer, x = QuantizedLinear(weight_of(kind, 50, 70), drawn(50)), drawn(29, 70)
    whole = multiplied(compiled.compiled("any"), layer, x)
    for name in KERNELS:
        kernel = compiled.compiled(name)
        assert torch.equal(multiplied(kernel, layer, x), whole)
        for first, end in ((0, 1), (3, 5), (7, 20)):
            assert torch.equal(multiplied(kernel, layer, x[first:end]), whole[first:end])


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("bits", [8, 4])
def test_whole_numbers_are_summed_exactly(name: str, bits: int) -> None:
    """The largest there are, so that what does not fit into a word would be seen."""
    E, D = 32, 96
    q = torch.randint(0, 2**bits, (E, D), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    q[0], q[1] = 2**bits - 1, 0
    x = torch.randint(-127, 128, (9, D), generator=torch.Generator().manual_seed(1))
    x[0], x[1], x[:, ::GROUP] = 127, -127, 127
    layer = QuantizedLinear(QuantizedWeight(bits, q, torch.ones(E, D // GROUP).half()))
    want = x @ (q.long() - quantized.ZERO[bits]).T
    assert torch.equal(multiplied(compiled.compiled(name), layer, x.float()), want.float())


def test_rows_and_weights_are_the_references() -> None:
    x, w = drawn(5, 128).double().numpy(), drawn(24, 128).double().numpy()
    q_x, a = (part.numpy() for part in quantize_rows(torch.from_numpy(x)))
    want, scale = reference.quantize(x, 8, GROUP)
    assert np.array_equal(q_x.reshape(5, -1), want) and np.allclose(a, scale, 1e-6)

    rows = int8(torch.from_numpy(w))
    want, scale = reference.quantize(w, 8, 128)
    assert np.array_equal(rows.q.numpy().astype(int) - 128, want) and np.allclose(rows.scale, scale[:, 0], 1e-6)

    groups = int4(torch.from_numpy(w))
    assert groups.least is not None
    want, scale, least = reference.quantize_affine(w, 4, GROUP)
    assert (groups.q.numpy() != want).mean() < 0.01  # where a scale in float16 decides it
    assert np.allclose(groups.scale, scale, 1e-3) and np.allclose(groups.least, least, 1e-3)
    got = plain_product(torch.from_numpy(x), groups, torch.float64)
    q, s, m = groups.q.long().numpy(), groups.scale.double().numpy(), groups.least.double().numpy()
    product = reference.quantized_product(q_x.reshape(5, -1), a.astype(float), q, s, m)
    np.testing.assert_allclose(got, product, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", QUANTIZED)
def test_a_weight_is_within_half_a_step(kind: str) -> None:
    w = drawn(7, 70)
    weight = QUANTIZED[kind](w)
    step = weight.scale.float()[:, None] if kind == "int8" else weight.scale.float().repeat_interleave(GROUP, 1)[:, :70]
    assert bool(((dequantize(weight) - w).abs() <= 0.51 * step + 1e-3 * w.abs()).all())
    assert not dequantize(QUANTIZED[kind](torch.zeros(3, 70))).any()


def test_a_group_that_is_not_full_has_zeros() -> None:
    assert by_groups(torch.ones(2, 40)).sum(-1).tolist() == [[32, 8], [32, 8]]


def test_the_fastest_kernel_is_one_that_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert best_kernel().name in compiled.possible()
    times = iter([1.0, 2.0, 2.0, 2.5])
    monkeypatch.setattr(compiled.time, "perf_counter", lambda: next(times))
    assert (
        compiled.fastest(["any", compiled.possible()[0]], lambda kernel: None, times=1).name == compiled.possible()[0]
    )


def test_instructions_that_torch_may_not_use_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    able = {flag: True for flags, _ in compiled.INSTRUCTIONS.values() for flag in flags}
    monkeypatch.setattr(compiled.torch.cpu, "get_capabilities", lambda: able)
    for level, names in (("AVX512", ["vnni", "avx2"]), ("AVX2", ["avx2"]), ("DEFAULT", ["any"])):
        monkeypatch.setattr(compiled.torch.backends.cpu, "get_cpu_capability", lambda level=level: level)
        assert compiled.possible() == names


def test_what_would_be_read_beside_the_matrix_or_lose_a_gradient_is_refused() -> None:
    layer = QuantizedLinear(int8(drawn(8, 32)))
    for x in (drawn(2, 31), drawn(2, 33), drawn(2, 32).requires_grad_()):
        with pytest.raises(ValueError, match="x must be"):
            layer(x)
    assert layer(drawn(2, 3, 32)).shape == (2, 3, 8) and layer(drawn(0, 32)).shape == (0, 8)
