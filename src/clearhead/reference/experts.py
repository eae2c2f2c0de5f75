"""A mixture of experts: which experts a token goes to, and how even the load is."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array
from clearhead.reference.softmax import softmax


class Routing(NamedTuple):
    """The experts of each token, the likeliest first, and the weights of what they say."""

    expert: Int[Array, "*B K"]
    weight: Float[Array, "*B K"]


def route(z: Float[Array, "*B N"], k: int) -> Routing:
    """The k experts with the largest logits (the first of equals), weighted by a softmax over these k alone.

    >>> [part.round(4).tolist() for part in route(np.log([[1.0, 3.0, 6.0, 0.5]]), 2)]
    [[[2, 1]], [[0.6667, 0.3333]]]

    O(N log N). Shazeer et al. 2017, equations 3 to 5, without noise; Jiang et al. 2024 (Mixtral), section 2.1.
    """
    expert = np.argsort(-z, -1, kind="stable")[..., :k]
    return Routing(expert, softmax(np.take_along_axis(z, expert, -1)))


def load_balance_loss(z: Float[Array, "T N"], k: int) -> float:
    """N Σ_i f_i P_i: f_i is the share of the T k choices that fell on expert i, P_i its mean probability.

    It is 1 where the load is even, and at most N.

    >>> load_balance_loss(np.zeros((4, 2)) + np.array([[1e3, 0]]), 1), load_balance_loss(1e3 * np.eye(2), 1)
    (2.0, 1.0)

    O(T N). Fedus et al. 2022 (Switch), equations 4 to 6, for k = 1; with k choices f is divided by k as well.
    """
    T, N = z.shape
    f = np.bincount(route(z, k).expert.ravel(), minlength=N) / (T * k)
    return float(N * f @ softmax(z).mean(0))
