"""Scaled dot-product attention, its masks, and why its scores are divided by √C.

A mask is True where a query may see a key. A query that may see none gets zeros: it has nothing to average. Where there
are more keys than queries the queries are the last ones (bottom-right alignment), as they are when a cache holds the
keys of the past. Deliberately not here: projections and heads (multi_head.py), and positions (positions.py).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from clearhead.reference import Array
from clearhead.reference.softmax import entropy, softmax, softmax_vjp


def causal_mask(T: int, S: int) -> Bool[Array, "{T} {S}"]:
    """Query t is position S - T + t and sees the keys s ≤ S - T + t.

    >>> causal_mask(2, 4).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 1]]
    >>> causal_mask(3, 2).astype(int).tolist()
    [[0, 0], [1, 0], [1, 1]]

    O(T S). Vaswani et al. 2017, section 3.2.3; the alignment is that of torch's `causal_lower_right`.
    """
    return np.arange(S) <= (S - T + np.arange(T))[:, None]


def sliding_window_mask(T: int, S: int, window: int) -> Bool[Array, "{T} {S}"]:
    """A query at position i sees the last `window` keys, its own among them: i - window < s ≤ i.

    >>> sliding_window_mask(3, 4, 2).astype(int).tolist()
    [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]

    O(T S). Beltagy et al. 2020, section 3.1; Jiang et al. 2023 (Mistral), section 2. ValueError: a window below 1.
    """
    if window < 1:
        raise ValueError(f"window = {window} must be 1 or more, for a query sees at least itself")
    oldest = (S - T + np.arange(T))[:, None] - window
    return causal_mask(T, S) & (np.arange(S) > oldest)


def padding_mask(lengths: Int[Array, "*B"], S: int) -> Bool[Array, "*B 1 {S}"]:
    """The first `lengths` keys of each row are real; what follows fills the row up and is seen by nobody.

    >>> padding_mask(np.array([1, 3]), 3).astype(int).tolist()
    [[[1, 0, 0]], [[1, 1, 1]]]

    O(B S). ValueError: a length below 0 or above S.
    """
    if not ((lengths >= 0) & (lengths <= S)).all():
        raise ValueError(f"lengths run from {lengths.min()} to {lengths.max()}; a row holds 0 to {S} keys")
    return np.arange(S) < lengths[..., None, None]


def attention_weights(
    q: Float[Array, "*B T C"],
    k: Float[Array, "*B S C"],
    mask: Bool[Array, "*#B #T S"] | None = None,
) -> Float[Array, "*B T S"]:
    """P = softmax(q kᵀ / √C) over the keys that the mask allows.

    >>> q = k = np.eye(2)
    >>> attention_weights(q, k).round(4).tolist()
    [[0.6698, 0.3302], [0.3302, 0.6698]]

    O(T S C). Vaswani et al. 2017, equation 1. ValueError: no channels, NaN or infinite scores.
    """
    return _softmax(_scores(q, k, mask))


def attention(
    q: Float[Array, "*B T C"],
    k: Float[Array, "*B S C"],
    v: Float[Array, "*B S C"],
    mask: Bool[Array, "*#B #T S"] | None = None,
) -> Float[Array, "*B T C"]:
    """softmax(q kᵀ / √C) v: each query's mean of the values, weighted by how well their keys match it.

    >>> q = k = np.eye(2)
    >>> attention(q, k, np.array([[1.0, 2.0], [3.0, 4.0]])).round(4).tolist()
    [[1.6605, 2.6605], [2.3395, 3.3395]]

    O(T S C). Vaswani et al. 2017, equation 1. ValueError: no channels, NaN or infinite scores.
    """
    return attention_weights(q, k, mask) @ v


def attention_vjp(
    q: Float[Array, "*B T C"],
    k: Float[Array, "*B S C"],
    v: Float[Array, "*B S C"],
    mask: Bool[Array, "*#B #T S"] | None,
    do: Float[Array, "*B T C"],
) -> tuple[Float[Array, "*B T C"], Float[Array, "*B S C"], Float[Array, "*B S C"]]:
    """dv = Pᵀ do, dP = do vᵀ, dS = P (dP - Σ P dP), dq = dS k / √C, dk = dSᵀ q / √C."""
    return _vjp(q, k, v, _scores(q, k, mask), do)[:3]


def biased_attention(
    q: Float[Array, "*B T C"],
    k: Float[Array, "*B S C"],
    v: Float[Array, "*B S C"],
    bias: Float[Array, "*#B T S"],
    mask: Bool[Array, "*#B #T S"] | None = None,
) -> Float[Array, "*B T C"]:
    """softmax(q kᵀ / √C + bias) v: the bias says how near two positions are, as ALiBi's does.

    >>> bias = np.array([[0.0, np.log(3)]])
    >>> biased_attention(np.zeros((1, 1)), np.zeros((2, 1)), np.array([[0.0], [4.0]]), bias).round(4).tolist()
    [[3.0]]

    O(T S C). Raffel et al. 2020 (T5), section 2.1; Press et al. 2022 (ALiBi), section 3. ValueError: as attention.
    """
    return _softmax(_scores(q, k, mask, bias)) @ v


def biased_attention_vjp(
    q: Float[Array, "*B T C"],
    k: Float[Array, "*B S C"],
    v: Float[Array, "*B S C"],
    bias: Float[Array, "*#B T S"],
    mask: Bool[Array, "*#B #T S"] | None,
    do: Float[Array, "*B T C"],
) -> tuple[Float[Array, "*B T C"], Float[Array, "*B S C"], Float[Array, "*B S C"], Float[Array, "*#B T S"]]:
    """As attention's; dbias = dS, summed over the axes along which the bias was repeated."""
    dq, dk, dv, ds = _vjp(q, k, v, _scores(q, k, mask, bias), do)
    added = tuple(range(ds.ndim - bias.ndim))
    repeated = tuple(i for i in range(-bias.ndim, 0) if bias.shape[i] == 1)
    return dq, dk, dv, ds.sum(added).sum(repeated, keepdims=True)


class Scaling(NamedTuple):
    """What random queries and keys do to the softmax, without the division by √C and with it."""

    variance: float  # of q·k
    variance_scaled: float  # of q·k / √C
    entropy: float  # of softmax(q·k), in nats; log S where all keys weigh the same
    entropy_scaled: float
    slope: float  # Σ_i ∂p_i/∂z_i, what the softmax lets through to its logits; 0 where one key takes all
    slope_scaled: float


def measure_scaling(C: int, S: int, N: int, rng: np.random.Generator) -> Scaling:
    """Draw N queries and N · S keys with independent channels of mean 0 and variance 1, and look at their scores.

    Var(q·k) = Σ_c Var(q_c k_c) = C, since E[q_c k_c] = 0 and E[q_c² k_c²] = 1: so q·k / √C has variance 1 at any
    width. Unscaled, one key takes nearly all, and the Jacobian diag(p) - p pᵀ nearly nothing of a gradient through.

    >>> found = measure_scaling(256, 16, 2000, np.random.default_rng(0))
    >>> round(found.variance, -1), round(found.variance_scaled, 1)
    (250.0, 1.0)
    >>> round(found.slope, 1), round(found.slope_scaled, 1)
    (0.1, 0.9)

    O(N S C). Vaswani et al. 2017, section 3.2.1 with its footnote 4. ValueError: a size below 1.
    """
    if min(C, S, N) < 1:
        raise ValueError(f"C = {C}, S = {S} and N = {N} must all be 1 or more")
    q, k = rng.normal(size=(N, 1, C)), rng.normal(size=(N, S, C))
    z = (q * k).sum(-1)
    plain, scaled = softmax(z), softmax(z / np.sqrt(C))
    return Scaling(
        variance=float(z.var()),
        variance_scaled=float((z / np.sqrt(C)).var()),
        entropy=float(entropy(plain).mean()),
        entropy_scaled=float(entropy(scaled).mean()),
        slope=float((plain * (1 - plain)).sum(-1).mean()),
        slope_scaled=float((scaled * (1 - scaled)).sum(-1).mean()),
    )


def sharpest_cosine_weight(S: int, scale: float = 1.0) -> float:
    """The most that one key among S can weigh where scores are scale · cos(q, k): 1 / (1 + (S - 1) exp(-2 scale)).

    A cosine lies in [-1, 1], so without a large learned scale no key of a long sequence can stand out; where scores are
    dot products, the lengths of q and k are that scale.

    >>> round(sharpest_cosine_weight(1000), 4), round(sharpest_cosine_weight(1000, 10.0), 4)
    (0.0073, 1.0)

    O(1). Henry et al. 2020, section 3, where the scale is learned. ValueError: no keys.
    """
    if S < 1:
        raise ValueError(f"S = {S} must be 1 or more; without keys there is no weight")
    return float(1 / (1 + (S - 1) * np.exp(-2 * scale)))


def _scores(
    q: np.ndarray, k: np.ndarray, mask: np.ndarray | None, bias: np.ndarray | float = 0.0
) -> Float[Array, "*B T S"]:
    if q.shape[-1] == 0:
        raise ValueError("queries and keys have no channels; the last axis must hold at least one")
    z = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + bias
    return z if mask is None else np.where(mask, z, -np.inf)


def _softmax(z: np.ndarray) -> np.ndarray:
    return softmax(z) if z.shape[-1] else z  # no keys at all: nothing to weigh, as where all are masked


def _vjp(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, z: np.ndarray, do: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    p, dp = _softmax(z), do @ v.swapaxes(-1, -2)
    ds = softmax_vjp(z, dp) if z.shape[-1] else z
    scale = np.sqrt(q.shape[-1])
    return ds @ k / scale, ds.swapaxes(-1, -2) @ q / scale, p.swapaxes(-1, -2) @ do, ds
