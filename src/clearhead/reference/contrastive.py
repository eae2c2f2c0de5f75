"""Embedding models: the contrastive loss that draws a query to its own document and away from others in the batch."""

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
from clearhead.reference.softmax import log_softmax, softmax


def info_nce(q: Float[Array, "B D"], d: Float[Array, "B D"], temperature: float) -> Float[Array, ""]:
    """-mean_i log softmax_j(q_i · d_j / τ)_i: query i's document is d_i, all others of the batch are its negatives.

    At most log B - loss nats of mutual information are shown by it.

    >>> round(float(info_nce(np.eye(2), np.eye(2), 1.0)), 4), round(float(info_nce(np.eye(2), np.eye(2), 0.1)), 4)
    (0.3133, 0.0)

    O(B² D). van den Oord et al. 2018, arXiv 1807.03748, equation 4. ValueError: τ not above 0.
    """
    _check(temperature)
    return -np.diagonal(log_softmax(q @ d.T / temperature)).mean()


def info_nce_vjp(
    q: Float[Array, "B D"], d: Float[Array, "B D"], temperature: float, dy: float | Float[Array, ""]
) -> tuple[Float[Array, "B D"], Float[Array, "B D"]]:
    """dz = (p - I) / (B τ) for the scores, then dz d and dzᵀ q: a hard negative pushes with its probability."""
    _check(temperature)
    dz = dy * (softmax(q @ d.T / temperature) - np.eye(len(q))) / (len(q) * temperature)
    return dz @ d, dz.T @ q


def _check(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature = {temperature} must be above 0")
