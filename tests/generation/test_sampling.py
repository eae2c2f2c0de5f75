"""Filters against slow definitions that follow the words, draws against the definition of the inverse, by hand and at
random; uniforms against SplitMix64 in whole numbers."""

import math
import random

import numpy as np
import pytest
import torch

from clearhead.generation.language_model import SamplingParams
from clearhead.generation.sampling import (
    apply_filters,
    apply_repetition_penalty,
    apply_temperature,
    cumulative,
    draw,
    keep_largest,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    mixed,
    uniforms,
)

LN = math.log


def softmax(logits: list[float]) -> list[float]:
    top = max(logits)
    weights = [math.exp(x - top) for x in logits]
    return [w / sum(weights) for w in weights]


def slow_top_k(logits: list[float], k: int) -> set[int]:
    ranked = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    return set(ranked[:k] if k else ranked)


def slow_top_p(logits: list[float], p: float) -> set[int]:
    probability = softmax(logits)
    kept, mass = set(), 0.0
    for i in sorted(range(len(logits)), key=lambda i: (-logits[i], i)):
        kept.add(i)
        mass += probability[i]
        if mass >= p and p < 1:
            break
    return kept


def slow_min_p(logits: list[float], p: float) -> set[int]:
    probability = softmax(logits)
    return {i for i, q in enumerate(probability) if q >= p * max(probability) * (1 - 1e-6)}


def kept(filtered: torch.Tensor) -> list[set[int]]:
    return [set(row.isfinite().nonzero().flatten().tolist()) for row in filtered]


def random_logits(rows: int, vocab: int, seed: int) -> torch.Tensor:
    """Every second row has few distinct values, so that ties abound."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, vocab, generator=generator)
    logits[::2] = logits[::2].round()
    return logits


@pytest.mark.parametrize("seed", range(20))
def test_filters_keep_what_their_definitions_keep(seed: int) -> None:
    logits = random_logits(rows=6, vocab=9, seed=seed)
    rng = random.Random(seed)
    k, top_p, min_p = rng.randrange(0, 12), rng.uniform(0.01, 1), rng.uniform(0, 1)
    rows = [[float(x) for x in row] for row in logits]
    assert kept(keep_top_k(logits, k)) == [slow_top_k(row, k) for row in rows]
    assert kept(keep_top_p(logits, top_p)) == [slow_top_p(row, top_p) for row in rows]
    assert kept(keep_min_p(logits, min_p)) == [slow_min_p(row, min_p) for row in rows]


def test_filters_leave_the_logits_they_keep_alone() -> None:
    logits = random_logits(rows=6, vocab=9, seed=1)
    for filtered in (keep_top_k(logits, 3), keep_top_p(logits, 0.7), keep_min_p(logits, 0.2)):
        assert torch.equal(filtered.where(filtered.isfinite(), logits), logits)


def test_top_k_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 2.0, 3.0]])
    assert kept(keep_top_k(logits, 2)) == [{1, 2}]  # three are equal: the smaller ids win
    assert kept(keep_top_k(logits, 4)) == [{1, 2, 3, 4}]
    for k in (0, 5, 99):
        assert torch.equal(keep_top_k(logits, k), logits)


def test_top_p_by_hand() -> None:
    logits = torch.tensor([[LN(1), LN(4), LN(2), LN(1)]])  # probabilities 1/8 1/2 1/4 1/8
    assert kept(keep_top_p(logits, 0.01)) == [{1}]  # never empty
    assert kept(keep_top_p(logits, 0.49)) == [{1}]
    assert kept(keep_top_p(logits, 0.51)) == [{1, 2}]
    assert kept(keep_top_p(logits, 0.80)) == [{0, 1, 2}]  # 0 and 3 are equal: the smaller id wins
    assert kept(keep_top_p(logits, 0.90)) == [{0, 1, 2, 3}]
    assert torch.equal(keep_top_p(logits, 1.0), logits)
    assert kept(keep_top_p(torch.zeros(1, 4), 0.5)) == [{0, 1}]  # "at least p" is met exactly


def test_top_p_of_one_keeps_tokens_too_rare_for_the_sum_to_notice() -> None:
    assert kept(keep_top_p(torch.tensor([[0.0, -80.0]]), 1.0)) == [{0, 1}]


def test_min_p_by_hand() -> None:
    logits = torch.tensor([[LN(1), LN(4), LN(2), LN(4)]])
    assert kept(keep_min_p(logits, 0.24)) == [{0, 1, 2, 3}]
    assert kept(keep_min_p(logits, 0.26)) == [{1, 2, 3}]
    assert kept(keep_min_p(logits, 1.0)) == [{1, 3}]  # the likeliest and its equals
    assert torch.equal(keep_min_p(logits, 0.0), logits)


def test_temperature_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, -2.0]])
    assert torch.equal(apply_temperature(logits, 2.0), torch.tensor([[0.5, 1.5, 1.5, -1.0]]))
    assert kept(apply_temperature(logits, 0.0)) == [{1}]  # the first of equals


def test_filters_work_on_what_the_last_one_left() -> None:
    logits = torch.tensor([[LN(4), LN(3), LN(2), LN(1)]])
    assert kept(apply_filters(logits, SamplingParams(top_p=0.5))) == [{0, 1}]
    assert kept(apply_filters(logits, SamplingParams(top_k=2, top_p=0.5))) == [{0}]  # 4/7 of the two that are left
    cold = apply_filters(logits, SamplingParams(temperature=0.5, top_p=0.5))  # 16/30: temperature comes first
    assert kept(cold) == [{0}]
    assert kept(apply_filters(logits, SamplingParams(temperature=0, top_k=3, top_p=0.9, min_p=0.1))) == [{0}]


def slow_draw(probability: list[float], u: float) -> int:
    """The inverse of the distribution function at u."""
    total = 0.0
    for i, p in enumerate(probability):
        total += p
        if total > u:
            return i
    raise AssertionError("u is not below the sum")


def test_draw_by_hand() -> None:
    cdf = cumulative(torch.tensor([[LN(1), -math.inf, LN(2), LN(1), -math.inf]]))
    last = 1 - 2.0**-53
    for u, token in ((0.0, 0), (0.2499, 0), (0.2501, 2), (0.7499, 2), (0.7501, 3), (last, 3)):
        assert draw(cdf, torch.tensor([u], dtype=torch.float64)).tolist() == [token]


def test_draw_never_takes_an_impossible_token() -> None:
    logits = torch.tensor([[-math.inf, 0.0, -math.inf]]).repeat(3, 1)
    uniform = torch.tensor([0.0, 0.5, 1 - 2.0**-53], dtype=torch.float64)
    assert draw(cumulative(logits), uniform).tolist() == [1, 1, 1]


def test_draw_equals_the_inverse_of_the_distribution() -> None:
    logits = random_logits(rows=500, vocab=7, seed=3)
    rng = random.Random(0)
    u = [rng.random() for _ in range(500)]
    want = [slow_draw(softmax([float(x) for x in row]), ui) for row, ui in zip(logits, u, strict=True)]
    assert draw(cumulative(logits), torch.tensor(u, dtype=torch.float64)).tolist() == want


def test_draws_follow_the_probabilities() -> None:
    logits, n = torch.tensor([[0.0, 1.0, -1.0, 0.5, -math.inf]]), 20_000
    u = uniforms(np.full(n, 5), np.arange(n), np.full(n, 9))
    counts = draw(cumulative(logits).expand(n, -1), torch.from_numpy(u)).bincount(minlength=5)
    expected = n * logits[0].softmax(-1)
    chi_square = ((counts - expected) ** 2 / expected.clamp(min=1)).sum().item()
    assert chi_square < 16.27  # 3 degrees of freedom, p = 0.001


def slow_uniform(seed: int, sample: int, position: int) -> float:
    """SplitMix64 in whole numbers, chained over the three keys."""
    bits = (1 << 64) - 1

    def mix(x: int) -> int:
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & bits
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & bits
        return x ^ (x >> 31)

    state = 0
    for key in (seed, sample, position):
        state = mix(state ^ mix((key + 0x9E3779B97F4A7C15) & bits))
    return (state >> 11) / 2**53


def test_the_mixer_is_the_published_one() -> None:
    """SplitMix64 seeded with 1234567 begins with this number (Vigna's reference code, as Rosetta Code prints it)."""
    assert mixed(np.array([1234567 + 0x9E3779B97F4A7C15], np.uint64)).tolist() == [6457827717110365317]


def test_uniforms_are_the_hash_of_their_keys() -> None:
    rng = random.Random(1)
    keys = [(rng.getrandbits(64), rng.randrange(1000), rng.randrange(1000)) for _ in range(50)]
    seeds, samples, positions = zip(*keys, strict=True)
    got = uniforms(np.array(seeds, np.uint64), np.array(samples), np.array(positions))
    assert got.tolist() == [slow_uniform(*key) for key in keys]


@pytest.mark.parametrize("axis", ["seed", "sample", "position"])
def test_uniforms_of_neighbors_are_independent(axis: str) -> None:
    """Pairs (u of key i, u of key i + 1) fill an 8 x 8 grid evenly."""
    n = 20_000
    keys = {"seed": np.full(n + 1, 3), "sample": np.full(n + 1, 4), "position": np.full(n + 1, 5)}
    keys[axis] = np.arange(n + 1)
    u = uniforms(keys["seed"], keys["sample"], keys["position"])
    assert u.min() >= 0
    assert u.max() < 1
    grid = np.histogram2d(u[:-1], u[1:], bins=8, range=[[0, 1], [0, 1]])[0]
    assert ((grid - n / 64) ** 2 / (n / 64)).sum() < 103.4  # 63 degrees of freedom, p = 0.001


def test_a_repetition_penalty_is_transformers() -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    logits = random_logits(6, 50, seed=3)
    texts = torch.randint(0, 50, (6, 20), generator=torch.Generator().manual_seed(4))
    seen = torch.zeros(6, 50, dtype=torch.bool).scatter(1, texts, value=True)
    for penalty in (0.5, 1.0, 1.3):
        want = RepetitionPenaltyLogitsProcessor(penalty)(texts, logits.clone())
        assert torch.equal(apply_repetition_penalty(logits, seen, penalty), want)
    config = SamplingParams(temperature=0.0, repetition_penalty=1.3)
    want = RepetitionPenaltyLogitsProcessor(1.3)(texts, logits.clone()).argmax(-1)
    assert torch.equal(apply_filters(logits, config, seen).argmax(-1), want)


def test_so_many_are_kept_in_each_row_and_the_smaller_ids_among_equals() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 3.0, -math.inf], [0.0, 0.0, 0.0, 0.0, 0.0]])
    assert kept(keep_largest(logits, torch.tensor([2, 4]), torch.tensor([[3.0], [0.0]]))) == [{1, 2}, {0, 1, 2, 3}]
    assert kept(keep_largest(logits, torch.tensor([4, 1]), torch.tensor([[1.0], [0.0]]))) == [{0, 1, 2, 3}, {0}]


def test_a_nucleus_larger_than_what_is_sorted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearhead.generation.sampling.LIKELIEST", 4)
    logits = random_logits(8, 30, seed=5)
    for p in (0.1, 0.7, 0.95, 0.9999):
        assert kept(keep_top_p(logits, p)) == [slow_top_p(row, p) for row in logits.tolist()]


@pytest.mark.parametrize("temperature", [5e-324, 1e-45, 1e-38, 1e-30, 1e-7, 1.0, 1e30, 1e38, 1.7e308])
@pytest.mark.parametrize("penalty", [5e-324, 1e-40, 1e-3, 1.0, 1e3, 1e39, 1.7e308])
def test_at_the_limits_something_possible_is_drawn(temperature: float, penalty: float) -> None:
    """Every logit may be large, negative or equal; what is never drawn stays so."""
    logits = torch.tensor([[30.0, -5.0, -3e38, -math.inf], [-1.0, -2.0, -1.0, -math.inf], [0.0, 0.0, 3e38, -math.inf]])
    seen = torch.tensor([[True, True, False, True]])
    for rest in ({}, {"top_p": 5e-324}, {"top_p": 0.9, "min_p": 1.0}, {"top_k": 1}, {"top_k": 10**9, "min_p": 5e-324}):
        config = SamplingParams(temperature=temperature, repetition_penalty=penalty, **rest)  # type: ignore[arg-type]
        cdf = cumulative(apply_filters(logits, config, seen))
        assert bool(cdf.isfinite().all())
        for u in (0.0, 0.5, 1 - 2**-53):
            drawn = draw(cdf, torch.full((3,), u, dtype=torch.float64))
            assert bool((drawn < 3).all())


@pytest.mark.parametrize("temperature", [1e-6, 1e-3, 0.5, 1.0])
@pytest.mark.parametrize("penalty", [5e-324, 1e-40, 1e-30, 1e30, 1e39])
def test_a_penalty_at_its_limits_stays_finite_at_any_temperature(temperature: float, penalty: float) -> None:
    logits = torch.tensor([[5.0, 3.0, -2.0, -math.inf]])
    config = SamplingParams(temperature=temperature, repetition_penalty=penalty)
    cdf = cumulative(apply_filters(logits, config, torch.tensor([[True, True, False, True]])))
    assert bool(cdf.isfinite().all()) and draw(cdf, torch.tensor([0.5], dtype=torch.float64)).item() < 3


def test_a_tiny_temperature_is_greedy() -> None:
    logits = torch.randn(20, 50, generator=torch.Generator().manual_seed(0))
    cdf = cumulative(apply_filters(logits, SamplingParams(temperature=1e-38)))
    assert torch.equal(draw(cdf, torch.full((20,), 0.7, dtype=torch.float64)), logits.argmax(-1))
