"""The noise of gradients taken on part of the data: its size, and what it does in a valley and on a saddle.

That a mini-batch's gradient is right on average holds for noise of any size, and is a matter of how samples are drawn.
What falls with the batch is its variance; what keeps noise from adding up is a small rate, and one that falls.
"""

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


def variance_with_replacement(g: Float[Array, "N D"], batch: int) -> Float[Array, " D"]:
    """Var = σ² / B with σ² = Σ (g - mean g)² / N, for each entry of the mean of B samples' gradients out of N.

    So four times the batch halves the noise, and costs four times as much.

    >>> g = np.array([[0.0], [2.0], [4.0], [6.0]])
    >>> [variance_with_replacement(g, B).tolist() for B in (1, 2, 4)]
    [[5.0], [2.5], [1.25]]

    O(N D). Bottou, Curtis and Nocedal 2018, section 4.2. ValueError: no samples, or B below 1.
    """
    if len(g) == 0 or batch < 1:
        raise ValueError(f"batch = {batch} and the number of samples, {len(g)}, must both be 1 or more")
    return g.var(0) / batch


def variance_without_replacement(g: Float[Array, "N D"], batch: int) -> Float[Array, " D"]:
    """σ² / B · (N - B) / (N - 1): less noise, for no sample comes twice, and none where the batch is all of them.

    >>> g = np.array([[0.0], [2.0], [4.0], [6.0]])
    >>> [variance_without_replacement(g, B).round(4).tolist() for B in (1, 2, 4)]
    [[5.0], [1.6667], [0.0]]

    O(N D). Cochran 1977, theorem 2.2. ValueError: no samples, B below 1 or above N.
    """
    N = len(g)
    if batch > N:
        raise ValueError(f"batch = {batch} exceeds the {N} samples there are; none can come twice")
    return variance_with_replacement(g, batch) * (N - batch) / max(N - 1, 1)


def noise_scale(g: Float[Array, "N D"]) -> float:
    """tr Σ / ‖ḡ‖²: the batch at which noise and gradient are of one length; far below it, doubling the batch pays.

    >>> noise_scale(np.array([[1.0, 1.0], [3.0, -1.0]]))
    0.5

    O(N D). McCandlish et al. 2018, equation 2.9. ValueError: no samples, or gradients whose mean is 0.
    """
    mean = g.mean(0) if len(g) else np.zeros(g.shape[1])
    if not mean.any():
        raise ValueError("the mean gradient is 0 or there is none, so no batch brings the noise down to it")
    return float(g.var(0).sum() / (mean**2).sum())


def expected_square(curvature: float, lr: float, variance: float, start: float, t: int) -> float:
    """E[w_t²] = a^2t w_0² + α² σ² (1 - a^2t) / (1 - a²), a = 1 - α h: SGD on h w² / 2 under noise of variance σ².

    In a valley (h > 0) it falls to α σ² / (h (2 - α h)) and no further: a steady rate leaves a steady noise. On a
    saddle (h < 0) noise alone sets off what then grows by (1 + α |h|)² at each step, where w_0 = 0 would stay for ever.

    >>> [round(expected_square(1.0, 0.1, 1.0, 4.0, t), 4) for t in (0, 10, 1000)]
    [16.0, 1.9915, 0.0526]
    >>> [round(expected_square(-1.0, 0.1, s, 0.0, 50), 4) for s in (0.0, 1e-4)]
    [0.0, 0.0656]

    O(1). Bottou, Curtis and Nocedal 2018, section 4.2; saddles: Ge et al. 2015. ValueError: α, σ² or t below 0.
    """
    if lr < 0 or variance < 0 or t < 0:
        raise ValueError(f"lr = {lr}, variance = {variance} and t = {t} must all be 0 or more")
    kept = (1 - lr * curvature) ** 2
    noises = t if kept == 1 else (1 - kept**t) / (1 - kept)  # Σ_{i<t} a^2i
    return kept**t * start**2 + lr**2 * variance * noises


def averaged_variance(beta: float, t: int) -> float:
    """Var m̂_t / σ² = (1 - β) (1 + βᵗ) / ((1 + β) (1 - βᵗ)), m̂ being Adam's average of t gradients of pure noise.

    At t = 1 nothing is averaged yet, and √v̂ is |g| itself: a first step on noise is of full length α. Later it is
    √((1 - β) / (1 + β)) of that, 0.23 at β = 0.9. A warm-up keeps the first ones short.

    >>> [round(averaged_variance(0.9, t) ** 0.5, 3) for t in (1, 2, 10, 100)]
    [1.0, 0.708, 0.33, 0.229]

    O(1). From Kingma and Ba 2015, section 3, with independent gradients. ValueError: β not in [0, 1), t below 1.
    """
    if not 0 <= beta < 1 or t < 1:
        raise ValueError(f"beta = {beta} must be in [0, 1) and t = {t} must be 1 or more")
    return (1 - beta) * (1 + beta**t) / ((1 + beta) * (1 - beta**t))
