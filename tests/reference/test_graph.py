"""Graph layers against torch and networkx, on the karate club."""

import networkx
import numpy as np
import pytest
import torch
from against import check_vjp, close

from clearhead.reference.graph import (
    averaged,
    averaged_vjp,
    graph_attention,
    graph_attention_vjp,
    graph_convolution,
    graph_convolution_vjp,
    largest,
    largest_vjp,
    message_passing,
    message_passing_vjp,
    normalized_adjacency,
    pair_norm,
    pair_norm_vjp,
    sage,
    sage_vjp,
    smoothing,
    spread,
    summed,
    summed_vjp,
)

RNG = np.random.default_rng(1)
CLUB = networkx.karate_club_graph()
A = networkx.to_numpy_array(CLUB, weight=None)
HAT = normalized_adjacency(A)
X = RNG.normal(size=(34, 3))


def test_convolution() -> None:
    small = RNG.normal(size=(6, 6))  # not symmetric: Â and its transpose must not be confused
    check_vjp(graph_convolution, graph_convolution_vjp, small, X[:6], RNG.normal(size=(3, 2)),
              peer=lambda a, x, w: a @ x @ w)  # fmt: skip
    looped = networkx.from_numpy_array(A + np.eye(34))
    close(HAT, np.eye(34) - networkx.normalized_laplacian_matrix(looped).toarray())
    values = np.linalg.eigvalsh(HAT)
    close(values[-1], 1.0)
    assert values[0] > -1


def test_messages() -> None:
    w = RNG.normal(size=(3, 2))
    close(message_passing(HAT, X, lambda x, y: y @ w, lambda x, m: m), graph_convolution(HAT, X, w))
    order = RNG.permutation(34)
    ours = message_passing(A, X, lambda x, y: np.tanh(x - y), lambda x, m: x + m)
    moved = message_passing(A[np.ix_(order, order)], X[order], lambda x, y: np.tanh(x - y), lambda x, m: x + m)
    close(moved, ours[order])
    close(message_passing(A, np.ones((34, 1)), lambda x, y: y, lambda x, m: m)[:, 0], [d for _, d in CLUB.degree()])
    lonely = message_passing(np.zeros((2, 2)), X[:2], lambda x, y: y, lambda x, m: x + m)
    close(lonely, X[:2])


def test_what_is_gathered_and_what_is_lost() -> None:
    """Every way against a loop over neighbors; a mean cannot count, a maximum cannot even tell shares."""
    for gather, numpy in ((summed, np.sum), (averaged, np.mean), (largest, np.max)):
        found = message_passing(A, X, lambda x, y: y, lambda x, m: m, gather)
        close(found, np.stack([numpy(X[sorted(CLUB[node])], axis=0) for node in CLUB]))
        order = RNG.permutation(34)
        close(message_passing(A[np.ix_(order, order)], X[order], lambda x, y: y, lambda x, m: m, gather), found[order])
        assert not gather(np.zeros((0, 2)), np.zeros(0, int), 3).any()
    once, twice = np.array([[1.0], [2.0]]), np.array([[1.0], [2.0], [1.0], [2.0]])
    more = np.array([[1.0], [2.0], [2.0]])

    def at_one(gather, sent):
        return gather(sent, np.zeros(len(sent), int), 1).item()

    assert at_one(summed, once) != at_one(summed, twice)
    assert at_one(averaged, once) == at_one(averaged, twice) != at_one(averaged, more)
    assert at_one(largest, once) == at_one(largest, twice) == at_one(largest, more)


def test_gradients_of_what_is_gathered() -> None:
    receivers = RNG.integers(0, 5, 20)
    sent = RNG.normal(size=(20, 3))
    for gather, gradient in ((summed, summed_vjp), (averaged, averaged_vjp), (largest, largest_vjp)):
        check_vjp(gather, gradient, sent, receivers, 7)
    equal = largest_vjp(np.array([[2.0], [2.0], [1.0]]), np.zeros(3, int), 1, np.array([[1.0]]))
    assert equal[:, 0].tolist() == [0.5, 0.5, 0]  # as torch's scatter_reduce has it


@pytest.mark.parametrize("featured", [False, True])
@pytest.mark.parametrize(
    ("gather", "gradient"), [(summed, summed_vjp), (averaged, averaged_vjp), (largest, largest_vjp)]
)
def test_gradients_of_messages_with_and_without_features_of_edges(featured: bool, gather, gradient) -> None:
    a, x, e, w, u = A[:8, :8] * RNG.uniform(0.5, 1, (8, 8)), X[:8], *map(RNG.normal, [0] * 3, [1] * 3, [
        (8, 8, 2), (3, 4), (4, 3)])  # fmt: skip
    v = RNG.normal(size=(2, 4)) if featured else None

    def message(xi, xj, *edge):
        return (xi - xj) * xj @ w * (1 if v is None else edge[0] @ v)

    def message_vjp(xi, xj, *rest):
        dm = rest[-1]
        scale = 1 if v is None else rest[0] @ v
        inner = (dm * scale) @ w.T
        edge = () if v is None else ((dm * ((xi - xj) * xj @ w)) @ v.T,)
        return inner * xj, inner * (xi - 2 * xj), *edge

    def update_vjp(x, m, dh):
        return dh * np.cos(x + m @ u), (dh * np.cos(x + m @ u)) @ u.T

    def update(x, m):
        return np.sin(x + m @ u)

    def passed(x, *edges):
        return message_passing(a, x, message, update, gather, *edges)

    def passed_vjp(x, *rest):
        *edges, dh = rest
        dx, de = message_passing_vjp(
            a, x, message, message_vjp, update, update_vjp, dh, gather, gradient, *edges
        )[1:]  # fmt: skip
        return (dx, de) if edges else dx

    given = (e,) if featured else ()
    check_vjp(passed, passed_vjp, x, *given)

    def weighted(scale):
        return message_passing(a * scale, x, message, update, summed, *given)

    dh = RNG.normal(size=(8, 3))
    da = message_passing_vjp(a, x, message, message_vjp, update, update_vjp, dh, summed, summed_vjp, *given)[0]
    change = RNG.normal(size=a.shape)
    slope = ((weighted(1 + 1e-6 * change) - weighted(1 - 1e-6 * change)) * dh).sum() / 2e-6
    close((da * a * change).sum(), slope, 1e-6)
    assert (da[a == 0] == 0).all()


def test_depth_makes_all_nodes_alike() -> None:
    found = smoothing(A, X, 60)
    second = np.sort(np.abs(np.linalg.eigvalsh(HAT)))[-2]
    assert found[0] > 0.5 and found[-1] < 1e-3 and (np.diff(found) < 0).all()
    close(found[60] / found[59], second**2, 0.02)
    alike = np.linalg.matrix_power(HAT, 400) @ X
    close(alike / alike[0], np.sqrt((A.sum(1) + 1) / (A[0].sum() + 1))[:, None] * np.ones(3), 1e-6)
    kept = smoothing(A, X, 60, skip=0.2)
    assert kept[-1] > 0.05
    close(kept[-1], kept[-10], 1e-4)


def test_a_little_smoothing_finds_the_two_clubs() -> None:
    sides = np.array([1.0 if CLUB.nodes[n]["club"] == "Officer" else -1.0 for n in CLUB])
    x = np.zeros((34, 1))
    x[0], x[33] = -1, 1  # the two leaders are all that is known
    for depth, right in ((2, 0.9), (3, 0.9)):
        assert (np.sign(np.linalg.matrix_power(HAT, depth) @ x)[:, 0] == sides).mean() >= right


def test_spread_is_the_energy() -> None:
    scaled = X / np.sqrt(A.sum(1) + 1)[:, None]
    pairs = ((scaled[:, None] - scaled[None]) ** 2).sum(-1)
    close(spread(A, X), (A * pairs).sum() / 2 / (X**2).sum())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: normalized_adjacency(np.triu(np.ones((3, 3)))), "symmetric"),
        (lambda: normalized_adjacency(-np.ones((2, 2))), "at least 0"),
        (lambda: spread(A, 0 * X), "no spread"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_sage_is_message_passing_with_the_mean() -> None:
    w, u = RNG.normal(size=(2, 3, 2))
    passed = message_passing(A, X, lambda x, y: y @ u, lambda x, m: x @ w + m, averaged)
    close(sage(A, X, w, u), passed)
    mean = torch.from_numpy(A / A.sum(1, keepdims=True))
    check_vjp(
        lambda *given: sage(A, *given), lambda *given: sage_vjp(A, *given), X, w, u,
        peer=lambda x, w, u: x @ w + mean @ x @ u,
    )  # fmt: skip
    close(sage(np.zeros((2, 2)), X[:2], w, u), X[:2] @ w)


def test_graph_attention_against_torch() -> None:
    w, left, right = RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.normal(size=4)
    seen = torch.from_numpy((A + np.eye(34)) > 0)

    def peer(x: torch.Tensor, w: torch.Tensor, left: torch.Tensor, right: torch.Tensor, _: float = 0.2) -> torch.Tensor:
        z = x @ w
        scores = torch.nn.functional.leaky_relu((z @ left)[:, None] + (z @ right)[None], 0.2)
        return scores.masked_fill(~seen, -torch.inf).softmax(1) @ z

    check_vjp(
        lambda *given: graph_attention(A, *given), lambda *given: graph_attention_vjp(A, *given), X, w, left, right,
        0.2, peer=peer,
    )  # fmt: skip
    far = graph_attention(A, X * 1e3, w, left, right)
    assert np.isfinite(far).all(), "scores of any size"


def test_pair_norm_keeps_the_mean_square_distance() -> None:
    def peer(x: torch.Tensor, scale: float, eps: float) -> torch.Tensor:
        centered = x - x.mean(0)
        return scale * centered / (centered.square().sum(1).mean() + eps).sqrt()

    check_vjp(pair_norm, pair_norm_vjp, X, 2.0, 1e-6, peer=peer)
    normed = pair_norm(X * 1e3 + 5, 1.5)
    apart = ((normed[:, None] - normed) ** 2).sum(-1).mean()
    close(apart, 2 * 1.5**2, 1e-9)
