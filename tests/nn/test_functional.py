"""The formulas on hand-worked numbers and by the properties that define them."""

import math

import pytest
import torch

from clearhead.nn import functional as fn


def test_norms_by_hand() -> None:
    x = torch.tensor([[3.0, 4.0, 0.0, 5.0]], dtype=torch.float64)
    torch.testing.assert_close(fn.rms_norm(x, None, 0.0), x / math.sqrt(12.5))
    torch.testing.assert_close(fn.layer_norm(x, None, None, 0.0), (x - 3) / math.sqrt(3.5))
    assert fn.rms_norm(torch.zeros(1, 4), None, 1e-6).tolist() == [[0.0] * 4]  # eps keeps zero from dividing by zero


def test_activations_by_hand() -> None:
    h = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)
    assert fn.relu2(h).tolist() == [0.0, 0.0, 9.0]
    exact = h * 0.5 * (1 + torch.erf(h / math.sqrt(2)))
    assert (fn.gelu(h) - exact).abs().max() < 5e-4  # the published error of the tanh form
    gate_and_up = torch.tensor([[0.0, 2.0, 5.0, 7.0]], dtype=torch.float64)
    silu2 = 2 / (1 + math.exp(-2))
    torch.testing.assert_close(fn.swiglu(gate_and_up), torch.tensor([[0.0, silu2 * 7]], dtype=torch.float64))
    assert fn.reglu(torch.tensor([[-1.0, 2.0, 5.0, 7.0]])).tolist() == [[0.0, 14.0]]
    assert torch.equal(fn.reglu(torch.cat((h, h))), fn.relu2(h))


def turned(x: torch.Tensor, position: int, base: float = 100.0) -> torch.Tensor:
    cos, sin = fn.rotary_table(torch.tensor([position]), fn.frequencies(x.shape[-1], base))
    return fn.rotary(x[None, None].double(), cos.double(), sin.double())[0, 0]


def test_rotary_by_hand() -> None:
    one, other = turned(torch.tensor([1.0, 0.0]), 1), turned(torch.tensor([0.0, 1.0]), 1)
    torch.testing.assert_close(one, torch.tensor([math.cos(1), math.sin(1)], dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(other, torch.tensor([-math.sin(1), math.cos(1)], dtype=torch.float64), rtol=1e-6, atol=0)
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert torch.equal(turned(x, 0), x.double())
    # channels 1 and 3 are a pair, and slower by √base
    c, s = math.cos(5 / 10), math.sin(5 / 10)
    expected = torch.tensor([2 * c - 4 * s, 4 * c + 2 * s], dtype=torch.float64)
    torch.testing.assert_close(turned(x, 5)[1::2], expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shift", [1, 17])
def test_rotary_scores_depend_on_the_distance_alone(shift: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 8, generator=generator)
    near = turned(q, 9) @ turned(k, 4)
    torch.testing.assert_close(turned(q, 9 + shift) @ turned(k, 4 + shift), near, rtol=1e-5, atol=0)
    assert (turned(q, 9) @ turned(k, 4 + shift) - near).abs() > 1e-3


def test_sinusoidal_by_hand() -> None:
    row = fn.sinusoidal(torch.tensor([0, 3]), 4)
    assert row[0].tolist() == [0.0, 1.0, 0.0, 1.0]
    expected = [math.sin(3), math.cos(3), math.sin(3 / 100), math.cos(3 / 100)]
    torch.testing.assert_close(row[1], torch.tensor(expected), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", ["default", "linear", "llama3"])
def test_frequencies_are_the_library_s_bits(kind: str) -> None:
    """Half an ulp of a frequency is an angle far from the beginning."""
    import transformers
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    told = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    extra = {"default": {}, "linear": {"factor": 3.0}, "llama3": told}[kind]
    for head_dim, base in [(64, 10_000.0), (128, 500_000.0), (96, 1e6), (256, 10_000.0)]:
        rope = {"rope_type": kind, "rope_theta": base, **extra}
        config = transformers.LlamaConfig(hidden_size=head_dim, num_attention_heads=1, rope_parameters=rope)
        mine = fn.frequencies(head_dim, base)
        mine = {"default": mine, "linear": mine / 3.0, "llama3": fn.llama3_rope(mine, 8.0, 1.0, 4.0, 8192)}[kind]
        assert torch.equal(mine, LlamaRotaryEmbedding(config).inv_freq)


def test_a_rotary_table_against_the_formula() -> None:
    positions, frequency = torch.tensor([[0, 3], [131071, 7]]), torch.tensor([1.0, 0.01, 1e-4])
    cos, sin = fn.rotary_table(positions, frequency)
    theta = positions.double()[..., None, None] * frequency.double()
    torch.testing.assert_close(cos.double(), theta.float().double().cos(), rtol=0, atol=1e-6)
    torch.testing.assert_close(sin.double(), theta.float().double().sin(), rtol=0, atol=1e-6)
    torch.library.opcheck(torch.ops.clearhead.rotary_table.default, (positions, frequency))  # what the compiler is told


def test_a_position_has_the_same_bits_in_any_company() -> None:
    frequency = torch.rand(33, generator=torch.Generator().manual_seed(0))
    whole = fn.rotary_table(torch.arange(3000), frequency)
    for start, end in [(0, 1), (7, 8), (1000, 1003), (2999, 3000), (17, 400)]:
        part = fn.rotary_table(torch.arange(start, end), frequency)
        assert all(torch.equal(a[start:end], b) for a, b in zip(whole, part, strict=True))
