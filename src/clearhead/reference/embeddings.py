"""Word vectors from who stands beside whom: skip-gram, GloVe, and the table of co-occurrences that both factorize.

Words are ids below V; vectors stand in rows, one table for centers and one for contexts.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array
from clearhead.reference.activations import sigmoid
from clearhead.reference.softmax import cross_entropy, cross_entropy_vjp


def cooccurrences(
    texts: Sequence[Sequence[int]], vocab: int, window: int, weighted: bool = False
) -> Float[Array, "V V"]:
    """X_ij: how often j stands at most `window` places from i, each time 1 or, weighted as in GloVe, 1 / distance.

    >>> cooccurrences([[0, 1, 2]], 3, 1).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]

    O(tokens · window + V²). Pennington, Socher and Manning 2014, section 3. ValueError: window < 1, or no such word.
    """
    if window < 1:
        raise ValueError(f"window = {window} must be 1 or more")
    counts = np.zeros((vocab, vocab))
    for text in texts:
        if any(not 0 <= word < vocab for word in text):
            raise ValueError(f"words must be 0 to {vocab - 1}; found one of {min(text)} to {max(text)}")
        for i, word in enumerate(text):
            for distance in range(1, min(window, i) + 1):
                other = text[i - distance]
                share = 1 / distance if weighted else 1.0
                counts[word, other] += share
                counts[other, word] += share
    return counts


def noise_distribution(counts: Float[Array, "V"], power: float = 0.75) -> Float[Array, "V"]:
    """p(w) ∝ count(w)^¾: rare words are drawn as negatives more often than they occur.

    >>> noise_distribution(np.array([16.0, 1.0])).round(4).tolist()
    [0.8889, 0.1111]

    O(V). Mikolov et al. 2013b, section 2.2. ValueError: no counts.
    """
    if not (counts >= 0).all() or not counts.sum() > 0:
        raise ValueError("counts must be 0 or more, at least one of them above 0")
    weights = np.where(counts > 0, counts, 0.0) ** power * (counts > 0)
    return weights / weights.sum()


def skip_gram_softmax(
    center: Float[Array, "*B D"], contexts: Float[Array, "V D"], target: Int[Array, "*B"]
) -> Float[Array, "*B"]:
    """-log softmax(U v)_o: the context word o among all words, given the center's vector v.

    >>> skip_gram_softmax(np.zeros(2), np.ones((4, 2)), np.array(3)).round(4).tolist()  # log 4
    1.3863

    O(V D) a pair, which is why the others exist. Mikolov et al. 2013a, section 3.2. ValueError: no such word.
    """
    return cross_entropy(center @ contexts.T, target)


def skip_gram_softmax_vjp(
    center: Float[Array, "*B D"], contexts: Float[Array, "V D"], target: Int[Array, "*B"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B D"], Float[Array, "V D"]]:
    """With r = (p - onehot) dy: dv = r U, dU = Σ r vᵀ."""
    r = cross_entropy_vjp(center @ contexts.T, target, dy)
    return r @ contexts, r.reshape(-1, len(contexts)).T @ center.reshape(-1, center.shape[-1])


def negative_sampling(
    center: Float[Array, "*B D"], context: Float[Array, "*B D"], negatives: Float[Array, "*B K D"]
) -> Float[Array, "*B"]:
    """-log σ(u_o · v) - Σ_k log σ(-u_k · v): tell the true neighbor from K drawn by chance.

    >>> negative_sampling(np.zeros(2), np.ones(2), np.ones((3, 2))).round(4).tolist()  # 4 log 2
    2.7726

    O(K D) a pair. Mikolov et al. 2013b, equation 4.
    """
    return np.logaddexp(0, -(center * context).sum(-1)) + np.logaddexp(
        0, (negatives * center[..., None, :]).sum(-1)
    ).sum(-1)


def negative_sampling_vjp(
    center: Float[Array, "*B D"],
    context: Float[Array, "*B D"],
    negatives: Float[Array, "*B K D"],
    dy: Float[Array, "*B"],
) -> tuple[Float[Array, "*B D"], Float[Array, "*B D"], Float[Array, "*B K D"]]:
    """With a = (σ(u_o·v) - 1) dy and b_k = σ(u_k·v) dy: dv = a u_o + Σ b_k u_k, du_o = a v, du_k = b_k v."""
    a = (sigmoid((center * context).sum(-1)) - 1) * dy
    b = sigmoid((negatives * center[..., None, :]).sum(-1)) * dy[..., None]
    dv = a[..., None] * context + (b[..., None] * negatives).sum(-2)
    return dv, a[..., None] * center, b[..., None] * center[..., None, :]


def glove_weight(x: Float[Array, "*B"], x_max: float = 100.0, power: float = 0.75) -> Float[Array, "*B"]:
    """f(x) = min(1, (x / x_max)^¾): rare pairs are noisy, frequent ones must not rule; none weigh nothing.

    >>> glove_weight(np.array([0.0, 100.0, 1e6])).tolist()
    [0.0, 1.0, 1.0]

    O(1) each. Pennington, Socher and Manning 2014, equation 9. ValueError: x_max <= 0 or a count below 0.
    """
    if not x_max > 0 or not (x >= 0).all():
        raise ValueError(f"x_max = {x_max} must be above 0 and counts at least 0")
    return np.minimum(x / x_max, 1.0) ** power


def glove_loss(
    w: Float[Array, "V D"],
    u: Float[Array, "V D"],
    b: Float[Array, "V"],
    c: Float[Array, "V"],
    counts: Int[Array, "V V"],
    x_max: float = 100.0,
) -> Float[Array, ""]:
    """Σ_ij f(X_ij) (w_i · u_j + b_i + c_j - log X_ij)²: weighted least squares on the logarithms of the counts.

    >>> zero = np.zeros((2, 3))
    >>> glove_loss(zero, zero, np.zeros(2), np.zeros(2), np.array([[0, 100], [100, 0]])).round(3).tolist()  # 2 ln² 100
    42.415

    O(V² D), or pairs that occur times D. Pennington, Socher and Manning 2014, equation 8. ValueError: as the weight.
    """
    weight, residual = _glove(w, u, b, c, counts, x_max)
    return (weight * residual**2).sum()


def glove_loss_vjp(
    w: Float[Array, "V D"],
    u: Float[Array, "V D"],
    b: Float[Array, "V"],
    c: Float[Array, "V"],
    counts: Int[Array, "V V"],
    x_max: float,
    dl: Float[Array, ""],
) -> tuple[Float[Array, "V D"], Float[Array, "V D"], Float[Array, "V"], Float[Array, "V"]]:
    """With R = 2 f (residual) dl: dW = R U, dU = Rᵀ W, db = Σ_j R, dc = Σ_i R."""
    weight, residual = _glove(w, u, b, c, counts, x_max)
    r = 2 * dl * weight * residual
    return r @ u, r.T @ w, r.sum(1), r.sum(0)


def pmi(counts: Float[Array, "V V"]) -> Float[Array, "V V"]:
    """log P(i, j) / (P(i) P(j)): how much oftener two words meet than by chance; -∞ if never.

    >>> pmi(np.array([[0.0, 2.0], [2.0, 4.0]])).round(3).tolist()
    [[-inf, 0.288], [0.288, -0.118]]

    O(V²). Church and Hanks 1990, section 3. ValueError: no counts.
    """
    total = counts.sum()
    if not total > 0:
        raise ValueError("a table without a single meeting has no PMI")
    rows, columns = counts.sum(1, keepdims=True), counts.sum(0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(counts) + np.log(total) - np.log(rows) - np.log(columns)
    return np.where(counts > 0, found, -np.inf)


def shifted_pmi(counts: Float[Array, "V V"], negatives: int) -> Float[Array, "V V"]:
    """PMI - log k: what the dot products of skip-gram with k negatives are at the optimum, given dimensions enough.

    >>> shifted_pmi(np.array([[0.0, 2.0], [2.0, 4.0]]), 2).round(3).tolist()
    [[-inf, -0.405], [-0.405, -0.811]]

    O(V²). Levy and Goldberg 2014, equation 11. ValueError: fewer than one negative, or no counts.
    """
    if negatives < 1:
        raise ValueError(f"negatives = {negatives} must be 1 or more")
    return pmi(counts) - np.log(negatives)


def sppmi_vectors(counts: Float[Array, "V V"], negatives: int, dimensions: int) -> Float[Array, "V D"]:
    """U_d √Σ_d of the SVD of max(PMI - log k, 0): word vectors without a single step of training.

    >>> sppmi_vectors(np.array([[0.0, 2.0], [2.0, 4.0]]), 1, 1).shape
    (2, 1)

    O(V³). Levy and Goldberg 2014, section 4.2. ValueError: as shifted_pmi.
    """
    positive = np.maximum(shifted_pmi(counts, negatives), 0.0)
    left, s, _ = np.linalg.svd(positive)
    return left[:, :dimensions] * np.sqrt(s[:dimensions])


def _glove(w: Array, u: Array, b: Array, c: Array, counts: Array, x_max: float) -> tuple[Array, Array]:
    weight = glove_weight(counts.astype(float), x_max)
    logs = np.log(np.where(counts > 0, counts, 1))
    return weight, w @ u.T + b[:, None] + c - logs
