"""Contrastive learning: each query is to be nearest to its own key among all keys of the batch."""

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array
from clearhead.reference.linear_algebra import norm
from clearhead.reference.softmax import cross_entropy


def info_nce(q: Float[Array, "B D"], k: Float[Array, "B D"], temperature: float) -> Float[Array, "B"]:
    """-log softmax(cos(q_i, k_j) / τ)_i for each query: the other keys of the batch are its negatives.

    >>> info_nce(np.eye(2), np.eye(2), 1.0).round(4).tolist()
    [0.3133, 0.3133]

    O(B² D). van den Oord et al. 2018, equation 4; Chen et al. 2020 (SimCLR), equation 1, without the pairs within q.
    ValueError: a vector of length 0, or a temperature that is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"temperature = {temperature}; it must be positive")
    if not (norm(q).all() and norm(k).all()):
        raise ValueError("a vector of length 0 has no direction")
    z = (q / norm(q)[:, None]) @ (k / norm(k)[:, None]).T / temperature
    return cross_entropy(z, np.arange(len(q)))
