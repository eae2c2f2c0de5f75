"""Mixtures of experts: which experts a token goes to, how full they get, and what keeps them equally busy.

Logits are the router's, one for each token and expert. E experts, of which each token takes k. Deliberately not here:
the experts themselves, which are MLPs (`mlp.py`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from clearhead.reference import Array
from clearhead.reference.softmax import softmax


class Routing(NamedTuple):
    """The experts of each token, the best first, and the weights of their outputs, which sum to 1."""

    expert: Int[Array, "N k"]
    weight: Float[Array, "N k"]


def route(z: Float[Array, "N E"], k: int, bias: Float[Array, "E"] | None = None) -> Routing:
    """The k experts of largest logit + bias; weights are the softmax of their logits, in which the bias has no part.

    >>> routing = route(np.array([[2.0, 1.0, 0.0]]), 2)
    >>> routing.expert.tolist(), routing.weight.round(4).tolist()
    ([[0, 1]], [[0.7311, 0.2689]])

    O(N E). Shazeer et al. 2017, arXiv 1701.06538, section 2.1; the bias: Wang et al. 2024, arXiv 2408.15664.
    ValueError: k that is not 1 to E.
    """
    if not 1 <= k <= z.shape[-1]:
        raise ValueError(f"k = {k} must be 1 to {z.shape[-1]}, the number of experts")
    chosen = np.argsort(-(z if bias is None else z + bias), axis=-1, kind="stable")[:, :k]
    return Routing(chosen, softmax(np.take_along_axis(z, chosen, -1)))


def loads(routing: Routing, E: int) -> Int[Array, "{E}"]:
    """How many tokens go to each expert.

    >>> loads(route(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]), 1), 2).tolist()
    [2, 1]
    """
    return np.bincount(routing.expert.ravel(), minlength=E)


def balance_loss(z: Float[Array, "N E"], k: int) -> float:
    """E Σ_e f_e P_e / k, with f_e the share of tokens that take e, and P_e the mean of its softmax: 1 in balance.

    >>> [round(balance_loss(np.array([[9.0, 0.0], other]), 1), 3) for other in ([0.0, 9.0], [9.0, 0.0])]
    [1.0, 2.0]

    O(N E). Fedus et al. 2021, arXiv 2101.03961, equations 4 to 6. ValueError: as route.
    """
    tokens, E = z.shape
    share = loads(route(z, k), E) / tokens
    return float(E * (share * softmax(z).mean(0)).sum() / k)


def balance_loss_vjp(z: Float[Array, "N E"], k: int, dy: float) -> Float[Array, "N E"]:
    """The share is a count and has no gradient; P_e carries it, through each token's softmax."""
    tokens, E = z.shape
    p = softmax(z)
    share = loads(route(z, k), E) / tokens * E / k
    return dy * p * (share - (p * share).sum(-1, keepdims=True)) / tokens


def updated_bias(bias: Float[Array, "E"], load: Int[Array, "E"], step: float) -> Float[Array, "E"]:
    """b_e + step · sign(mean load - load_e): busy experts get harder to choose. No loss, no gradient.

    >>> updated_bias(np.zeros(2), np.array([3, 1]), 0.1).tolist()
    [-0.1, 0.1]

    O(E). Wang et al. 2024, arXiv 2408.15664, algorithm 1.
    """
    return bias + step * np.sign(load.mean() - load)


def capacity(tokens: int, E: int, k: int, factor: float) -> int:
    """⌈factor · k N / E⌉: how many tokens an expert of fixed size can take.

    >>> capacity(1024, 8, 2, 1.25)
    320

    O(1). Fedus et al. 2021, arXiv 2101.03961, equation 3. ValueError: a size below 1, a factor not above 0.
    """
    if min(tokens, E, k) < 1 or not factor > 0:
        raise ValueError(f"tokens {tokens}, E {E}, k {k} must be 1 or more, factor {factor} above 0")
    return int(np.ceil(factor * k * tokens / E))


def dropped(routing: Routing, E: int, room: int) -> Bool[Array, "N k"]:
    """Which choices find their expert full: it takes the first `room` in the order of the tokens.

    >>> dropped(Routing(np.array([[0], [0], [0], [1]]), np.ones((4, 1))), 2, 2).ravel().tolist()
    [False, False, True, False]

    O(N k E). Lepikhin et al. 2020, arXiv 2006.16668, algorithm 1.
    """
    flat = routing.expert.ravel()
    place = np.array([np.count_nonzero(flat[:i] == one) for i, one in enumerate(flat)])
    return (place >= room).reshape(routing.expert.shape)
