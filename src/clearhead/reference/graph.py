"""Graph convolution and message passing, and how deep layers make all nodes alike.

A graph is a symmetric matrix A of 0 and 1, N nodes to a side.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array


def normalised_adjacency(a: Float[Array, "N N"]) -> Float[Array, "N N"]:
    """Â = D^-½ (A + I) D^-½ with D the degrees of A + I: each node averages its neighbours and itself.

    Its eigenvalues lie in (-1, 1], so that no number of layers makes a signal grow.

    >>> normalised_adjacency(np.array([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [[0.5, 0.5], [0.5, 0.5]]

    O(N²). Kipf and Welling 2017, section 2, "renormalization trick". ValueError: not symmetric, or a weight below 0.
    """
    if a.shape[0] != a.shape[1] or not (a >= 0).all() or not (a == a.T).all():
        raise ValueError("an adjacency matrix is square, symmetric and at least 0 everywhere")
    looped = a + np.eye(len(a))
    d = looped.sum(1)
    return looped / np.sqrt(np.outer(d, d))


def graph_convolution(
    adjacency: Float[Array, "N N"], x: Float[Array, "N D"], w: Float[Array, "D F"]
) -> Float[Array, "N F"]:
    """H = Â X W: a dense layer on the mean of the neighbourhood. The nonlinearity is the caller's.

    >>> hat = normalised_adjacency(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> graph_convolution(hat, np.array([[2.0], [4.0]]), np.array([[10.0]])).tolist()
    [[30.0], [30.0]]

    O(N² D + N D F); with a sparse Â, O(E D). Kipf and Welling 2017, equation 2.
    """
    return adjacency @ (x @ w)


def graph_convolution_vjp(
    adjacency: Float[Array, "N N"], x: Float[Array, "N D"], w: Float[Array, "D F"], dh: Float[Array, "N F"]
) -> tuple[Float[Array, "N N"], Float[Array, "N D"], Float[Array, "D F"]]:
    """(dH (X W)ᵀ, Âᵀ dH Wᵀ, (Â X)ᵀ dH)."""
    back = adjacency.T @ dh
    return dh @ (x @ w).T, back @ w.T, x.T @ back


Message = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (receivers "E D", senders "E D") -> "E F"
Update = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (nodes "N D", sums "N F") -> "N K"


Gather = Callable[[np.ndarray, np.ndarray, int], np.ndarray]  # (messages "E F", receivers "E", N) -> "N F"


def summed(sent: Float[Array, "E F"], receivers: Int[Array, "E"], n: int) -> Float[Array, "{n} F"]:
    """Σ of what each node is sent, 0 where nothing is: it knows how many neighbours there are.

    >>> summed(np.array([[1.0], [3.0]]), np.array([0, 0]), 2).tolist()
    [[4.0], [0.0]]

    O(E F). Xu et al. 2019, section 4.
    """
    total = np.zeros((n, sent.shape[1]))
    np.add.at(total, receivers, sent)
    return total


def averaged(sent: Float[Array, "E F"], receivers: Int[Array, "E"], n: int) -> Float[Array, "{n} F"]:
    """The mean of what each node is sent, 0 where nothing is: it knows the shares, not the number.

    >>> averaged(np.array([[1.0], [3.0]]), np.array([0, 0]), 2).tolist()
    [[2.0], [0.0]]

    O(E F). Hamilton, Ying and Leskovec 2017, section 3.3.
    """
    return summed(sent, receivers, n) / np.maximum(np.bincount(receivers, minlength=n), 1)[:, None]


def largest(sent: Float[Array, "E F"], receivers: Int[Array, "E"], n: int) -> Float[Array, "{n} F"]:
    """The largest of what each node is sent, unit by unit, 0 where nothing is: it knows what there is, not how often.

    >>> largest(np.array([[1.0], [3.0]]), np.array([0, 0]), 2).tolist()
    [[3.0], [0.0]]

    O(E F). Hamilton, Ying and Leskovec 2017, section 3.3.
    """
    most = np.full((n, sent.shape[1]), -np.inf)
    np.maximum.at(most, receivers, sent)
    return np.where(np.isneginf(most), 0.0, most)


def message_passing(
    a: Float[Array, "N N"], x: Float[Array, "N D"], message: Message, update: Update, gather: Gather = summed
) -> Float[Array, "N K"]:
    """x_i ← update(x_i, gather_{j: A_ij ≠ 0} A_ij message(x_i, x_j)): what graph networks have in common.

    Sum, mean and maximum do not depend on the order of the neighbours, so neither does the result.

    >>> path = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    >>> message_passing(path, np.array([[1.0], [2.0], [4.0]]), lambda x, y: y, lambda x, m: m)[:, 0].tolist()
    [2.0, 5.0, 2.0]

    O(E) messages. Gilmer et al. 2017, section 2, equations 1 and 2.
    """
    receivers, senders = np.nonzero(a)
    sent = a[receivers, senders, None] * message(x[receivers], x[senders])
    return update(x, gather(sent, receivers, len(x)))


def spread(a: Float[Array, "N N"], x: Float[Array, "N D"]) -> float:
    """½ Σ_ij A_ij ‖x_i/√d_i - x_j/√d_j‖² / Σ_i ‖x_i‖² with d the degrees, the loop counted: 0 where neighbours agree.

    The Dirichlet energy of X as a share of its size.

    >>> spread(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[1.0], [1.0]]))
    0.0

    O(N² D). Cai and Wang 2020, definition 3.1. ValueError: as normalised_adjacency, or X = 0.
    """
    size = float((x * x).sum())
    if size == 0:
        raise ValueError("features of 0 have no spread as a share of their size")
    return max(0.0, float((x * (x - normalised_adjacency(a) @ x)).sum() / size))


def smoothing(a: Float[Array, "N N"], x: Float[Array, "N D"], depth: int, skip: float = 0.0) -> Float[Array, "layers"]:
    """`spread` before and after each of `depth` layers X ← (1 - skip) Â X + skip X₀.

    Without a skip it falls as λ₂^2l, λ₂ the second largest size of an eigenvalue of Â, until all nodes of a component
    are alike but for their degree: over-smoothing. With a part of the input kept it settles.

    >>> triangle = np.ones((3, 3)) - np.eye(3)
    >>> np.abs(smoothing(triangle, np.array([[1.0], [2.0], [6.0]]), 1)).round(3).tolist()
    [0.341, 0.0]

    O(depth N² D). Oono and Suzuki 2020, theorem 1; Gasteiger et al. 2019, equation 5. ValueError: as spread.
    """
    hat, now, found = normalised_adjacency(a), x, [spread(a, x)]
    for _ in range(depth):
        now = (1 - skip) * hat @ now + skip * x
        found.append(spread(a, now))
    return np.array(found)
