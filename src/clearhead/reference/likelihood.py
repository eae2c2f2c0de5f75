"""The probability of a text: n-gram models, perplexity, bits per byte, and training on one's own words.

A sequence is a list of token ids below V. Logarithms are natural: a loss is in nats.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array
from clearhead.reference.softmax import cross_entropy, cross_entropy_vjp


def sequence_nll(z: Float[Array, "*B T V"], target: Int[Array, "*B T"]) -> Float[Array, "*B"]:
    """-log p(x_1 … x_T) = -Σ_t log p(x_t | x_<t), each conditional from its logits: the chain rule of probability.

    >>> sequence_nll(np.zeros((3, 4)), np.array([0, 1, 3])).round(4).tolist()  # three choices among four
    4.1589

    O(T V). Bengio et al. 2003, section 2. ValueError: a target that is no token.
    """
    return cross_entropy(z, target).sum(-1)


def sequence_nll_vjp(
    z: Float[Array, "*B T V"], target: Int[Array, "*B T"], dy: Float[Array, "*B"]
) -> Float[Array, "*B T V"]:
    """(softmax(z) - onehot(target)) dy at every place."""
    return cross_entropy_vjp(z, target, np.broadcast_to(dy[..., None], target.shape))


def perplexity(nll: float, tokens: int) -> float:
    """exp(nll / tokens): among how many equally likely tokens the model seems to choose.

    >>> round(perplexity(3 * math.log(4), 3), 6)
    4.0

    Jelinek et al. 1977. ValueError: no tokens.
    """
    if tokens < 1:
        raise ValueError(f"tokens = {tokens} must be 1 or more")
    return math.exp(nll / tokens)


def bits_per_byte(nll: float, text: str) -> float:
    """nll / (ln 2 · bytes of the text in UTF-8): perplexity depends on the tokenizer, this does not.

    >>> bits_per_byte(8 * math.log(2), "abcd")
    2.0

    Gao et al. 2020 (The Pile), section 3.1. ValueError: an empty text.
    """
    size = len(text.encode("utf-8"))
    if not size:
        raise ValueError("an empty text has no bytes to spread bits over")
    return nll / (math.log(2) * size)


def ngram_counts(texts: Sequence[Sequence[int]], n: int, vocab: int) -> Int[Array, "..."]:
    """How often each n tokens follow on one another: an array with n axes of length V.

    >>> ngram_counts([[0, 1, 1]], 2, 2).tolist()
    [[0, 1], [0, 1]]

    O(tokens + Vⁿ). Jurafsky and Martin 2025, section 3.1. ValueError: n < 1, or a token that is not below V.
    """
    if n < 1:
        raise ValueError(f"n = {n} must be 1 or more")
    counts = np.zeros((vocab,) * n, np.int64)
    for text in texts:
        if any(not 0 <= token < vocab for token in text):
            raise ValueError(f"tokens must be 0 to {vocab - 1}; found one of {min(text)} to {max(text)}")
        for i in range(len(text) - n + 1):
            counts[tuple(text[i : i + n])] += 1
    return counts


def ngram_probability(counts: Int[Array, "..."], k: float) -> Float[Array, "..."]:
    """p(w | h) = (count(h w) + k) / (count(h) + k V): add-k smoothing, so that what was not seen is not impossible.

    With k = 0 it is maximum likelihood; a history never seen then has no distribution.

    >>> ngram_probability(np.array([[3, 1], [0, 0]]), 1.0).round(3).tolist()
    [[0.667, 0.333], [0.5, 0.5]]

    O(Vⁿ). Lidstone 1920; Jurafsky and Martin 2025, section 3.6. ValueError: k < 0, or k = 0 and an unseen history.
    """
    if k < 0:
        raise ValueError(f"k = {k} must be 0 or more")
    seen = counts.sum(-1, keepdims=True)
    if k == 0 and not seen.all():
        raise ValueError("a history was never seen, so k = 0 leaves it no distribution; take k above 0")
    return (counts + k) / (seen + k * counts.shape[-1])


def ngram_nll(p: Float[Array, "..."], text: Sequence[int]) -> float:
    """-Σ log p(x_t | the n - 1 tokens before), over the places that have as many before them.

    >>> round(ngram_nll(np.array([[0.5, 0.5], [0.25, 0.75]]), [0, 1, 1]), 4)  # -log(1/2 · 3/4)
    0.9808

    O(T). Jurafsky and Martin 2025, section 3.1. ValueError: a text shorter than n.
    """
    n = p.ndim
    if len(text) < n:
        raise ValueError(f"a text of {len(text)} tokens is shorter than the {n} that the model looks at")
    with np.errstate(divide="ignore"):
        return -sum(float(np.log(p[tuple(text[i : i + n])])) for i in range(len(text) - n + 1))


def linear_decay(step: int, slope: float, floor: float = 0.0) -> float:
    """ε_i = max(floor, 1 - slope · i): the probability that scheduled sampling feeds the true token at step i.

    >>> [linear_decay(i, 0.25, 0.1) for i in (0, 2, 9)]
    [1.0, 0.5, 0.1]

    Bengio et al. 2015, section 2.4. ValueError: slope < 0 or the floor outside [0, 1].
    """
    if slope < 0 or not 0 <= floor <= 1:
        raise ValueError(f"slope = {slope} must be 0 or more and floor = {floor} in [0, 1]")
    return max(floor, 1 - slope * step)


def exponential_decay(step: int, k: float) -> float:
    """ε_i = k^i.

    >>> exponential_decay(3, 0.5)
    0.125

    Bengio et al. 2015, section 2.4. ValueError: unless 0 < k < 1.
    """
    if not 0 < k < 1:
        raise ValueError(f"k = {k} must be between 0 and 1")
    return k**step


def inverse_sigmoid_decay(step: int, k: float) -> float:
    """ε_i = k / (k + e^(i/k)): true tokens for about k steps, then ever fewer.

    >>> round(inverse_sigmoid_decay(0, 9.0), 6), inverse_sigmoid_decay(10_000, 1.0)
    (0.9, 0.0)

    Bengio et al. 2015, section 2.4; without overflow. ValueError: k < 1.
    """
    if k < 1:
        raise ValueError(f"k = {k} must be 1 or more")
    fall = math.exp(-step / k)
    return k * fall / (k * fall + 1)


def scheduled_input(
    true: Int[Array, "*B"], own: Int[Array, "*B"], probability: float, rng: np.random.Generator
) -> Int[Array, "*B"]:
    """The next input at each place: the true token with the given probability, else what the model said itself.

    1 is teacher forcing, 0 is free running, as in use.

    >>> scheduled_input(np.array([1, 2]), np.array([7, 8]), 1.0, np.random.default_rng(0)).tolist()
    [1, 2]

    O(1) each. Bengio et al. 2015, section 2.3. ValueError: a probability outside [0, 1].
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"probability = {probability} must be in [0, 1]")
    return np.where(rng.random(true.shape) < probability, true, own)


def error_by_position(p: Float[Array, "V V"], text: Sequence[int], forced: bool) -> Int[Array, "T"]:
    """At which places a bigram model's likeliest token is wrong, the true text before it (forced) or its own.

    A single slip of its own takes it off the text, and what follows was never practiced: exposure bias.

    >>> p = np.eye(4)[[1, 2, 0, 3]]  # it takes 2 to 0, where the text goes on to 3
    >>> text = [0, 1, 2, 3, 3]
    >>> error_by_position(p, text, True).tolist(), error_by_position(p, text, False).tolist()
    ([0, 0, 1, 0], [0, 0, 1, 1])

    O(T V). Ranzato et al. 2016, section 3; Bengio et al. 2015, section 1. ValueError: fewer than two tokens.
    """
    if len(text) < 2:
        raise ValueError(f"a text of {len(text)} tokens has nothing to predict; two are the fewest")
    wrong, last = [], text[0]
    for before, after in pairwise(text):
        last = int(p[before if forced else last].argmax())
        wrong.append(int(last != after))
    return np.array(wrong)
