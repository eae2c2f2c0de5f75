"""Graph convolution, GraphSAGE, graph attention, message passing, and how deep layers make all nodes alike.

A graph is a symmetric matrix A of 0 and 1, N nodes to a side.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array


def normalized_adjacency(a: Float[Array, "N N"]) -> Float[Array, "N N"]:
    """Â = D^-½ (A + I) D^-½ with D the degrees of A + I: each node averages its neighbors and itself.

    Its eigenvalues lie in (-1, 1], so that no number of layers makes a signal grow.

    >>> normalized_adjacency(np.array([[0.0, 1.0], [1.0, 0.0]])).tolist()
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
    """H = Â X W: a dense layer on the mean of the neighborhood. The nonlinearity is the caller's.

    >>> hat = normalized_adjacency(np.array([[0.0, 1.0], [1.0, 0.0]]))
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


Message = Callable[..., np.ndarray]  # (receivers "E D", senders "E D", with edge features also edges "E P") -> "E F"
Update = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (nodes "N D", sums "N F") -> "N K"
Gather = Callable[[np.ndarray, np.ndarray, int], np.ndarray]  # (messages "E F", receivers "E", N) -> "N F"
Gradients = Callable[..., tuple[np.ndarray, ...]]  # the arguments and the gradient of the result -> one for each


def summed(sent: Float[Array, "E F"], receivers: Int[Array, "E"], n: int) -> Float[Array, "{n} F"]:
    """Σ of what each node is sent, 0 where nothing is: it knows how many neighbors there are.

    >>> summed(np.array([[1.0], [3.0]]), np.array([0, 0]), 2).tolist()
    [[4.0], [0.0]]

    O(E F). Xu et al. 2019, section 4.
    """
    total = np.zeros((n, sent.shape[1]))
    np.add.at(total, receivers, sent)
    return total


def summed_vjp(
    sent: Float[Array, "E F"], receivers: Int[Array, "E"], n: int, dm: Float[Array, "{n} F"]
) -> Float[Array, "E F"]:
    """dm of the receiver."""
    return dm[receivers]


def averaged(sent: Float[Array, "E F"], receivers: Int[Array, "E"], n: int) -> Float[Array, "{n} F"]:
    """The mean of what each node is sent, 0 where nothing is: it knows the shares, not the number.

    >>> averaged(np.array([[1.0], [3.0]]), np.array([0, 0]), 2).tolist()
    [[2.0], [0.0]]

    O(E F). Hamilton, Ying and Leskovec 2017, section 3.3.
    """
    return summed(sent, receivers, n) / np.maximum(np.bincount(receivers, minlength=n), 1)[:, None]


def averaged_vjp(
    sent: Float[Array, "E F"], receivers: Int[Array, "E"], n: int, dm: Float[Array, "{n} F"]
) -> Float[Array, "E F"]:
    """dm of the receiver, over the number of its messages."""
    return dm[receivers] / np.bincount(receivers, minlength=n)[receivers, None]


def largest(sent: Float[Array, "E F"], receivers: Int[Array, "E"], n: int) -> Float[Array, "{n} F"]:
    """The largest of what each node is sent, unit by unit, 0 where nothing is: it knows what there is, not how often.

    >>> largest(np.array([[1.0], [3.0]]), np.array([0, 0]), 2).tolist()
    [[3.0], [0.0]]

    O(E F). Hamilton, Ying and Leskovec 2017, section 3.3.
    """
    most = np.full((n, sent.shape[1]), -np.inf)
    np.maximum.at(most, receivers, sent)
    return np.where(np.isneginf(most), 0.0, most)


def largest_vjp(
    sent: Float[Array, "E F"], receivers: Int[Array, "E"], n: int, dm: Float[Array, "{n} F"]
) -> Float[Array, "E F"]:
    """dm of the receiver where the message is the largest; several that are share it."""
    first = (sent == largest(sent, receivers, n)[receivers]).astype(float)
    return first * dm[receivers] / summed(first, receivers, n)[receivers]


def message_passing(
    a: Float[Array, "N N"],
    x: Float[Array, "N D"],
    message: Message,
    update: Update,
    gather: Gather = summed,
    edges: Float[Array, "N N P"] | None = None,
) -> Float[Array, "N K"]:
    """x_i ← update(x_i, gather_{j: A_ij ≠ 0} A_ij message(x_i, x_j, e_ij)): what graph networks have in common.

    Sum, mean and maximum do not depend on the order of the neighbors, so neither does the result. Without `edges`, the
    features e of each edge, the message is of x_i and x_j alone.

    >>> path = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    >>> message_passing(path, np.array([[1.0], [2.0], [4.0]]), lambda x, y: y, lambda x, m: m)[:, 0].tolist()
    [2.0, 5.0, 2.0]

    O(E) messages. Gilmer et al. 2017, section 2, equations 1 and 2.
    """
    receivers, senders = np.nonzero(a)
    seen = (x[receivers], x[senders], *(() if edges is None else (edges[receivers, senders],)))
    return update(x, gather(a[receivers, senders, None] * message(*seen), receivers, len(x)))


def message_passing_vjp(
    a: Float[Array, "N N"],
    x: Float[Array, "N D"],
    message: Message,
    message_vjp: Gradients,
    update: Update,
    update_vjp: Gradients,
    dh: Float[Array, "N K"],
    gather: Gather = summed,
    gather_vjp: Callable[..., np.ndarray] = summed_vjp,
    edges: Float[Array, "N N P"] | None = None,
) -> tuple[Float[Array, "N N"], Float[Array, "N D"], Float[Array, "N N P"] | None]:
    """(dA, dX, dE), 0 where there is no edge; dE is None without `edges`. The functions' own gradients are given."""
    receivers, senders = np.nonzero(a)
    seen = (x[receivers], x[senders], *(() if edges is None else (edges[receivers, senders],)))
    weight, told = a[receivers, senders, None], message(*seen)
    dx, dm = update_vjp(x, gather(weight * told, receivers, len(x)), dh)
    dsent = gather_vjp(weight * told, receivers, len(x), dm)
    dreceived, dsender, *dedge = message_vjp(*seen, weight * dsent)
    da, dedges = np.zeros(a.shape), None if edges is None else np.zeros(edges.shape)
    da[receivers, senders] = (dsent * told).sum(1)
    if dedges is not None:
        dedges[receivers, senders] = dedge[0]
    return da, dx + summed(dreceived, receivers, len(x)) + summed(dsender, senders, len(x)), dedges


def sage(
    a: Float[Array, "N N"], x: Float[Array, "N D"], w: Float[Array, "D F"], u: Float[Array, "D F"]
) -> Float[Array, "N F"]:
    """h_i = x_i W + mean_{j: A_ij ≠ 0} x_j U: a node and its neighborhood, each by a matrix of its own.

    >>> path = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    >>> sage(path, np.array([[1.0], [2.0], [5.0]]), np.array([[10.0]]), np.array([[1.0]]))[:, 0].tolist()
    [12.0, 23.0, 52.0]

    O(E D + N D F). Hamilton, Ying and Leskovec 2017, algorithm 1 with the mean, W of its concatenation in two.
    """
    return x @ w + _mean_of_neighbors(a) @ x @ u


def sage_vjp(
    a: Float[Array, "N N"], x: Float[Array, "N D"], w: Float[Array, "D F"], u: Float[Array, "D F"],
    dh: Float[Array, "N F"],
) -> tuple[Float[Array, "N D"], Float[Array, "D F"], Float[Array, "D F"]]:  # fmt: skip
    """(dX, dW, dU) = (dH Wᵀ + Mᵀ dH Uᵀ, Xᵀ dH, (M X)ᵀ dH), M the mean of the neighbors. A has no gradient."""
    mean = _mean_of_neighbors(a)
    return dh @ w.T + mean.T @ dh @ u.T, x.T @ dh, (mean @ x).T @ dh


def _mean_of_neighbors(a: Array) -> Array:
    seen = (a != 0).astype(float)
    return seen / np.maximum(seen.sum(1, keepdims=True), 1)


def graph_attention(
    a: Float[Array, "N N"],
    x: Float[Array, "N D"],
    w: Float[Array, "D F"],
    left: Float[Array, "F"],
    right: Float[Array, "F"],
    slope: float = 0.2,
) -> Float[Array, "N F"]:
    """h_i = Σ_j α_ij z_j with z = X W, α_i = softmax_j(leaky(left · z_i + right · z_j)) over neighbors and i itself.

    >>> path = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> graph_attention(path, np.array([[1.0], [3.0]]), np.eye(1), np.zeros(1), np.zeros(1))[:, 0].tolist()
    [2.0, 2.0]

    O(E F + N D F). Veličković et al. 2018, equations 1 to 4, one head; the nonlinearity is the caller's.
    """
    z = x @ w
    return _attention_weights(a, z, left, right, slope)[0] @ z


def graph_attention_vjp(
    a: Float[Array, "N N"],
    x: Float[Array, "N D"],
    w: Float[Array, "D F"],
    left: Float[Array, "F"],
    right: Float[Array, "F"],
    slope: float,
    dh: Float[Array, "N F"],
) -> tuple[Float[Array, "N D"], Float[Array, "D F"], Float[Array, "F"], Float[Array, "F"]]:
    """(dX, dW, dleft, dright); with dα = dH zᵀ and ds = α (dα - Σ_j α dα) leaky',
    dz = αᵀ dH + ds 1 leftᵀ + dsᵀ 1 rightᵀ, dleft = zᵀ ds 1, dright = zᵀ dsᵀ 1.
    """
    z = x @ w
    alpha, scores = _attention_weights(a, z, left, right, slope)
    dalpha = dh @ z.T
    ds = alpha * (dalpha - (alpha * dalpha).sum(1, keepdims=True)) * np.where(scores > 0, 1.0, slope)
    dz = alpha.T @ dh + np.outer(ds.sum(1), left) + np.outer(ds.sum(0), right)
    return dz @ w.T, x.T @ dz, z.T @ ds.sum(1), z.T @ ds.sum(0)


def _attention_weights(a: Array, z: Array, left: Array, right: Array, slope: float) -> tuple[Array, Array]:
    scores = (z @ left)[:, None] + z @ right
    seen = (a != 0) | np.eye(len(a), dtype=bool)
    bent = np.where(seen, np.where(scores > 0, scores, slope * scores), -np.inf)
    e = np.exp(bent - bent.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True), scores


def pair_norm(x: Float[Array, "N D"], scale: float = 1.0, eps: float = 1e-6) -> Float[Array, "N D"]:
    """s (x_i - x̄) / √(mean_i ‖x_i - x̄‖² + ε): the mean square distance of two nodes is 2 s² however deep it stands.

    >>> pair_norm(np.array([[1.0], [3.0]])).round(4).tolist()
    [[-1.0], [1.0]]

    O(N D). Zhao and Akoglu 2020, equations 10 and 11.
    """
    centered = x - x.mean(0)
    return scale * centered / np.sqrt((centered**2).sum(1).mean() + eps)


def pair_norm_vjp(x: Float[Array, "N D"], scale: float, eps: float, dy: Float[Array, "N D"]) -> Float[Array, "N D"]:
    """With c = x - x̄ and r the root: dc = s (dy / r - c Σ(c dy) / (N r³)), dx = dc less its mean over the nodes."""
    c = x - x.mean(0)
    r = np.sqrt((c**2).sum(1).mean() + eps)
    dc = scale * (dy / r - c * (c * dy).sum() / (len(x) * r**3))
    return dc - dc.mean(0)


def spread(a: Float[Array, "N N"], x: Float[Array, "N D"]) -> float:
    """½ Σ_ij A_ij ‖x_i/√d_i - x_j/√d_j‖² / Σ_i ‖x_i‖² with d the degrees, the loop counted: 0 where neighbors agree.

    The Dirichlet energy of X as a share of its size.

    >>> spread(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[1.0], [1.0]]))
    0.0

    O(N² D). Cai and Wang 2020, definition 3.1. ValueError: as normalized_adjacency, or X = 0.
    """
    size = float((x * x).sum())
    if size == 0:
        raise ValueError("features of 0 have no spread as a share of their size")
    return max(0.0, float((x * (x - normalized_adjacency(a) @ x)).sum() / size))


def smoothing(a: Float[Array, "N N"], x: Float[Array, "N D"], depth: int, skip: float = 0.0) -> Float[Array, "layers"]:
    """`spread` before and after each of `depth` layers X ← (1 - skip) Â X + skip X₀.

    Without a skip it falls as λ₂^2l, λ₂ the second largest size of an eigenvalue of Â, until all nodes of a component
    are alike but for their degree: over-smoothing. With a part of the input kept it settles.

    >>> triangle = np.ones((3, 3)) - np.eye(3)
    >>> np.abs(smoothing(triangle, np.array([[1.0], [2.0], [6.0]]), 1)).round(3).tolist()
    [0.341, 0.0]

    O(depth N² D). Oono and Suzuki 2020, theorem 1; Gasteiger et al. 2019, equation 5. ValueError: as spread.
    """
    hat, now, found = normalized_adjacency(a), x, [spread(a, x)]
    for _ in range(depth):
        now = (1 - skip) * hat @ now + skip * x
        found.append(spread(a, now))
    return np.array(found)
