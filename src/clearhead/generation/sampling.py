"""From logits to a token: filters (logits -> logits), the cumulative distribution, and the draw from given uniforms.

Deliberately not here: a random generator with a state. Every draw has a uniform number of its own, computed from
(seed, sample, position), so what a row draws never depends on the rows that happen to be drawn beside it.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer, UInt64
from torch import Tensor

from clearhead.generation.language_model import SamplingParams

FLOAT = torch.finfo(torch.float32)
SMALL = 1e-6  # a temperature below which logits may become too large for a float
LARGEST = FLOAT.max / 2 * SMALL  # of a logit that the penalty was applied to: no other temperature makes it infinite
LIKELIEST = 1024  # tokens sorted before anybody sorts a whole vocabulary


class Token(NamedTuple):
    """A token in its place: its log p at temperature 1 without filters, and the likeliest tokens there with theirs."""

    id: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...]


def with_logprob(log_p: Float[Tensor, "V"], token: int, show: int) -> Token:
    """A token with its log p and those of the `show` likeliest."""
    best = log_p.topk(min(show, len(log_p)))
    return Token(token, float(log_p[token]), tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)))


def with_logprobs(
    log_p: Float[Tensor, "U V"], lines: Int[np.ndarray, "N"], ids: Int[Tensor, "N"], show: Sequence[int]
) -> list[Token]:
    """The same for many: token i is one of line `lines[i]`."""
    chosen = log_p[torch.from_numpy(lines).to(log_p.device), ids].tolist()
    return [
        with_logprob(log_p[line], token, k) if k else Token(token, value, ())
        for line, token, value, k in zip(lines.tolist(), ids.tolist(), chosen, show, strict=True)
    ]


def apply_temperature(logits: Float[Tensor, "N V"], temperature: float) -> Float[Tensor, "N V"]:
    """(logits - their largest) / temperature; at 0 the largest alone is kept, the first of equals.

    Without their largest they stay finite, or become -∞, however small the temperature.
    """
    if temperature == 0:
        best = logits.argmax(-1, keepdim=True)
        return torch.full_like(logits, -math.inf).scatter(-1, best, logits.gather(-1, best))
    temperature = min(max(temperature, FLOAT.tiny), FLOAT.max)
    if temperature < SMALL:
        logits = logits - logits.amax(-1, keepdim=True)
    return logits / temperature


def apply_repetition_penalty(
    logits: Float[Tensor, "N V"], seen: Bool[Tensor, "#N V"], penalty: float
) -> Float[Tensor, "N V"]:
    """Make the tokens that a text already has less likely: x / θ for x > 0, x · θ for the others.

    Keskar et al. 2019, section 4.1, divides every logit, which would reward those below 0; all software does this.
    """
    penalty = min(max(penalty, FLOAT.tiny), FLOAT.max)
    less = torch.where(logits > 0, logits / penalty, logits * penalty).clamp(-LARGEST, LARGEST)
    return torch.where(seen & ~logits.isneginf(), less, logits)


def apply_bias(
    logits: Float[Tensor, "N V"],
    added: Sequence[tuple[int, float]],
    presence: float,
    frequency: float,
    drawn: Sequence[Sequence[int]],
) -> None:
    """Change the logits of each text by what is `added` to its tokens' and by penalties for those it has drawn."""
    if added:
        ids, values = zip(*added, strict=True)
        logits[:, list(ids)] += torch.tensor(values, dtype=logits.dtype, device=logits.device)
    if presence or frequency:
        for row, text in zip(logits, drawn, strict=True):
            known, counts = np.unique(np.array(text, np.int64), return_counts=True)
            penalty = torch.from_numpy(presence + frequency * counts).to(logits.device, logits.dtype)
            row[torch.from_numpy(known).to(logits.device)] -= penalty


def keep_largest(
    logits: Float[Tensor, "N V"], counts: Int[Tensor, "N"], least: Float[Tensor, "N 1"]
) -> Float[Tensor, "N V"]:
    """The `counts` largest of each row, exactly so many: among equals the smaller token id wins. O(V), no sort.

    `least` is the smallest that stays.
    """
    smaller = logits < least
    if not torch.equal(logits.shape[-1] - smaller.sum(-1), counts):  # more than one has the least, and not all may stay
        equal = logits == least
        room = counts[:, None] - (logits > least).sum(-1, keepdim=True)
        smaller |= equal & (equal.cumsum(-1) > room)
    return logits.masked_fill(smaller, -math.inf)


def keep_top_k(logits: Float[Tensor, "N V"], k: int) -> Float[Tensor, "N V"]:
    """The k largest, exactly k: among equals the smaller token id wins. k = 0 keeps all."""
    if not 0 < k < logits.shape[-1]:
        return logits
    least = logits.topk(k).values[:, -1:]
    return keep_largest(logits, torch.full(logits.shape[:1], k, device=logits.device), least)


def keep_top_p(logits: Float[Tensor, "N V"], p: float) -> Float[Tensor, "N V"]:
    """The smallest set of most likely tokens with a probability of at least p; among equals the smaller id comes first.

    A token stays if those before it hold less than p, so the first always stays. Holtzman et al. 2020, section 3.1.
    """
    if p == 1 or not len(logits):
        return logits
    total = logits.double().logsumexp(-1, keepdim=True)
    V = logits.shape[-1]
    for likeliest in (min(LIKELIEST, V), V):
        largest = logits.sort(-1, descending=True).values if likeliest == V else logits.topk(likeliest).values
        probability = (largest.double() - total).exp()
        stays = probability.cumsum(-1) - probability < p
        if not stays[:, -1].any():
            break
    counts = stays.sum(-1)
    return keep_largest(logits, counts, largest.gather(-1, counts[:, None] - 1))


def keep_min_p(logits: Float[Tensor, "N V"], p: float) -> Float[Tensor, "N V"]:
    """The tokens at least p times as likely as the likeliest: logit >= max + ln p. Nguyen et al. 2024, section 3."""
    if p == 0:
        return logits
    return logits.masked_fill(logits < logits.amax(-1, keepdim=True) + math.log(p), -math.inf)


def apply_filters(
    logits: Float[Tensor, "N V"], config: SamplingParams, seen: Bool[Tensor, "#N V"] | None = None
) -> Float[Tensor, "N V"]:
    """Repetition penalty, temperature, top-k, top-p and min-p, each on what the last one left.

    `seen`: the tokens that each text has, prompt and all; needed for the penalty only.
    """
    if config.repetition_penalty != 1:
        assert seen is not None
        logits = apply_repetition_penalty(logits, seen, config.repetition_penalty)
    logits = apply_temperature(logits, config.temperature)
    if config.greedy:
        return logits  # the largest survives every filter
    return keep_min_p(keep_top_p(keep_top_k(logits, config.top_k), config.top_p), config.min_p)


def cumulative(logits: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
    """Running sums of softmax(logits), in float64."""
    return logits.double().softmax(-1).cumsum(-1)


def draw(cdf: Float[Tensor, "N V"], uniforms: Float[Tensor, "N"]) -> Int[Tensor, "N"]:
    """The first token whose running sum exceeds u · total, for u in [0, 1).

    It exists, since u · total < total even when rounded, and has a positive probability, since the sum rose at it.
    """
    return torch.searchsorted(cdf.contiguous(), uniforms[:, None] * cdf[:, -1:], right=True)[:, 0]


def mixed(x: UInt64[np.ndarray, "*N"]) -> UInt64[np.ndarray, "*N"]:
    """A bijection of 64-bit numbers that looks random: the finalizer of SplitMix64. Steele et al. 2014, figure 17."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def chained(x: UInt64[np.ndarray, "*N"], y: Integer[np.ndarray, "*N"]) -> UInt64[np.ndarray, "*N"]:
    """A hash of the pair (x, y), where x may be such a hash itself."""
    return mixed(x ^ mixed(y.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)))


def uniforms(
    seeds: Integer[np.ndarray, "N"], samples: Int[np.ndarray, "N"], positions: Int[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """One number in [0, 1) for each (seed, sample, position): the first 53 bits of their hash."""
    start = np.zeros(seeds.shape, np.uint64)
    bits = chained(chained(chained(start, seeds), samples), positions)
    return (bits >> np.uint64(11)) * 2.0**-53
