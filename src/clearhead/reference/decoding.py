"""From next-token distributions to a text: greedy choice, filters, a draw, beam search and exhaustive search.

A filter takes logits and gives logits, -inf where a token is ruled out, so that filters chain and softmax shares the
probability out anew; temperature stands in softmax.py. Among equals the smaller token id comes first, everywhere.
What chooses is piecewise constant, so nothing here has a gradient.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array
from clearhead.reference.softmax import log_softmax, softmax

Next = Callable[[tuple[int, ...]], Any]
"""The tokens so far -> log p of each next token ("V"); -inf rules one out."""


def greedy(z: Float[Array, "*B V"]) -> Int[Array, "*B"]:
    """argmax_v z_v: the likeliest token, which no temperature changes; the smallest id among equals.

    >>> int(greedy(np.array([0.5, 2.0, 2.0])))
    1

    O(V). Best at each step, not over a sequence: see beam_search. ValueError: a row that rules every token out.
    """
    if np.isneginf(log_softmax(z)).all(-1).any():
        raise ValueError("a row of logits is -inf throughout; at least one token must be possible")
    return z.argmax(-1)


def keep_top_k(z: Float[Array, "*B V"], k: int) -> Float[Array, "*B V"]:
    """The k largest logits, exactly k even among equals; all of them where k ≥ V.

    >>> keep_top_k(np.array([1.0, 3.0, 2.0, 2.0]), 2).tolist()
    [-inf, 3.0, 2.0, -inf]

    O(V log V). Fan, Lewis and Dauphin 2018, section 5.4. ValueError: k < 1, or as softmax.
    """
    if k < 1:
        raise ValueError(f"k = {k} must be 1 or more")
    return np.where(_rank(z) < k, z, -np.inf)


def keep_top_p(z: Float[Array, "*B V"], p: float) -> Float[Array, "*B V"]:
    """The nucleus: the fewest of the likeliest tokens that hold probability ≥ p together, and at least one.

    In order of probability, v stays if what comes before it holds less than p; p = 1 keeps all.

    >>> keep_top_p(np.log([0.5, 0.25, 0.125, 0.125]), 0.75).round(2).tolist()
    [-0.69, -1.39, -inf, -inf]

    O(V log V). Holtzman et al. 2020, section 3.1. ValueError: p outside [0, 1], or as softmax.
    """
    _check_share(p)
    if p == 1:  # rounded sums reach 1 before the last token
        return z
    order = np.argsort(-z, -1, kind="stable")
    sums = np.take_along_axis(softmax(z), order, -1).cumsum(-1)
    before = np.concatenate([np.zeros_like(sums[..., :1]), sums[..., :-1]], -1)
    return np.where((np.take_along_axis(before, _rank(z), -1) < p) | (_rank(z) == 0), z, -np.inf)


def keep_min_p(z: Float[Array, "*B V"], p: float) -> Float[Array, "*B V"]:
    """The tokens at least p times as likely as the likeliest: z_v ≥ max z + log p, all equals of an edge included.

    >>> keep_min_p(np.log([0.5, 0.25, 0.125, 0.125]), 0.5).round(2).tolist()
    [-0.69, -1.39, -inf, -inf]

    O(V). Nguyen et al. 2024, section 3. ValueError: p outside [0, 1], or as softmax.
    """
    _check_share(p)
    log_softmax(z)  # for its checks
    if p == 0:
        return z
    return np.where(z >= z.max(-1, keepdims=True) + np.log(p), z, -np.inf)


def draw(p: Float[Array, "*B V"], rng: np.random.Generator) -> Int[Array, "*B"]:
    """The first token whose running sum exceeds u Σ p, for u uniform in [0, 1): token v with probability p_v / Σ p.

    >>> draw(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), np.random.default_rng(0)).tolist()
    [1, 2]

    O(V). Devroye 1986, section III.2. ValueError: a negative entry, or a row that sums to 0.
    """
    sums = p.cumsum(-1)
    if not ((p >= 0).all() and (sums[..., -1] > 0).all()):
        raise ValueError("weights must be 0 or more, and above 0 for at least one token of each row")
    u = rng.random(p.shape[:-1])
    return np.asarray((sums <= np.expand_dims(u, -1) * sums[..., -1:]).sum(-1))


class Hypothesis(NamedTuple):
    """A text that ended, or reached the limit: its log p and its score, which is log p / length_penalty."""

    tokens: tuple[int, ...]
    log_p: float
    score: float


def length_penalty(length: int, alpha: float) -> float:
    """lp(Y) = ((5 + |Y|) / 6)^α, by which log p is divided: a sum of more logarithms is lower for its length alone.

    >>> length_penalty(1, 0.6), length_penalty(7, 1.0)
    (1.0, 2.0)

    O(1). Wu et al. 2016, equation 14; α = 0 changes nothing. ValueError: a negative length or α.
    """
    if length < 0 or not alpha >= 0:
        raise ValueError(f"length = {length} and alpha = {alpha} must be 0 or more")
    return float(((5 + length) / 6) ** alpha)


def beam_search(next_log_p: Next, end: int, beam: int, limit: int, alpha: float = 0.0) -> list[Hypothesis]:
    """Keep the `beam` likeliest prefixes of each length; those that end leave it, and it narrows. Best score first.

    beam = 1 is greedy decoding, beam ≥ V^limit is exhaustive search; between them a prefix that falls out never comes
    back, however likely what would have followed. No text is longer than `limit`; an `end` outside of V never comes.

    >>> p = {(): [0.6, 0.4], (0,): [0.5, 0.5], (1,): [0.1, 0.9]}
    >>> [[h.tokens for h in beam_search(lambda y: np.log(p[y]), end=2, beam=b, limit=2)] for b in (1, 2)]
    [[(0, 0)], [(1, 1), (0, 0)]]

    O(limit · beam · V log). Sutskever, Vinyals and Le 2014, section 3.2. ValueError: beam, limit < 1 or α < 0.
    """
    if beam < 1 or limit < 1:
        raise ValueError(f"beam = {beam} and limit = {limit} must be 1 or more")
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    finished = []
    for length in range(1, limit + 1):
        grown = [extended for prefix in live for extended in _extended(next_log_p, *prefix)]
        grown = sorted(grown, key=lambda y: (-y[1], y[0]))[:beam]
        finished += [_finish(*y, alpha) for y in grown if y[0][-1] == end or length == limit]
        live = [y for y in grown if y[0][-1] != end]
    return sorted(finished, key=lambda h: (-h.score, h.tokens))[:beam]


def exhaustive_search(next_log_p: Next, end: int, limit: int, alpha: float = 0.0) -> list[Hypothesis]:
    """Every text that is possible, best score first: what beam search approximates.

    >>> p = {(): [0.6, 0.4], (0,): [0.5, 0.5]}
    >>> [(h.tokens, round(float(np.exp(h.log_p)), 2)) for h in exhaustive_search(lambda y: np.log(p[y]), 1, 2)]
    [((1,), 0.4), ((0, 0), 0.3), ((0, 1), 0.3)]

    O(V^limit). ValueError: limit < 1 or α < 0.
    """
    if limit < 1:
        raise ValueError(f"limit = {limit} must be 1 or more")
    finished = []
    stack: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    while stack:
        tokens, log_p = stack.pop()
        if len(tokens) == limit or (tokens and tokens[-1] == end):
            finished.append(_finish(tokens, log_p, alpha))
        else:
            stack += _extended(next_log_p, tokens, log_p)
    return sorted(finished, key=lambda h: (-h.score, h.tokens))


def _extended(next_log_p: Next, tokens: tuple[int, ...], log_p: float) -> list[tuple[tuple[int, ...], float]]:
    steps = enumerate(np.asarray(next_log_p(tokens)).tolist())
    return [((*tokens, v), log_p + step) for v, step in steps if step > -np.inf]


def _finish(tokens: tuple[int, ...], log_p: float, alpha: float) -> Hypothesis:
    return Hypothesis(tokens, log_p, log_p / length_penalty(len(tokens), alpha))


def _rank(z: Array) -> Array:
    """How many tokens come before each one, largest logit first."""
    log_softmax(z)  # for its checks
    return np.argsort(np.argsort(-z, -1, kind="stable"), -1)


def _check_share(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"p = {p} must be between 0 and 1")
