"""Cosines and sines against the formula, and a position's against itself in other company."""

import torch

from clearhead.kernels.rotation import rotation


def test_against_the_formula() -> None:
    positions, frequency = torch.tensor([[0, 3], [131071, 7]]), torch.tensor([1.0, 0.01, 1e-4])
    cos, sin = rotation(positions, frequency)
    theta = positions.double()[..., None, None] * frequency.double()
    torch.testing.assert_close(cos.double(), theta.float().double().cos(), rtol=0, atol=1e-6)
    torch.testing.assert_close(sin.double(), theta.float().double().sin(), rtol=0, atol=1e-6)
    torch.library.opcheck(torch.ops.clearhead.rotation.default, (positions, frequency))  # what the compiler is told


def test_a_position_has_the_same_bits_in_any_company() -> None:
    frequency = torch.rand(33, generator=torch.Generator().manual_seed(0))
    whole = rotation(torch.arange(3000), frequency)
    for start, end in [(0, 1), (7, 8), (1000, 1003), (2999, 3000), (17, 400)]:
        part = rotation(torch.arange(start, end), frequency)
        assert all(torch.equal(a[start:end], b) for a, b in zip(whole, part, strict=True))
