"""Layers over lists of edges against the reference's matrices; and a transformer as a graph network."""

from collections.abc import Callable

import networkx
import numpy as np
import pytest
import torch
from torch import Tensor

from clearhead.errors import UserError
from clearhead.models.encoder import Encoder, EncoderConfig
from clearhead.models.graph import (
    Cure,
    GATLayer,
    GCNLayer,
    GraphConfig,
    GraphNetwork,
    Layer,
    SAGELayer,
    edge_softmax,
    edges_of,
    gather,
    pair_norm,
    spread,
)
from clearhead.reference import graph as reference

CLUB = networkx.karate_club_graph()
A = networkx.to_numpy_array(CLUB, weight=None)
PAIRS = np.array(CLUB.edges())
X = np.random.default_rng(1).normal(size=(34, 3))
TOLERANCE = 1e-10


def apart(a: Tensor | np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(np.asarray(a) - b).max() / np.abs(b).max())


def with_gradients(layer: torch.nn.Module, loops: bool, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The layer's result and the gradient of its input; the parameters' are left on them."""
    x = torch.from_numpy(X).requires_grad_()
    y = layer(x, edges_of(PAIRS, 34, loops))
    y.backward(torch.from_numpy(upstream))
    assert x.grad is not None
    return y.detach().numpy(), x.grad.numpy()


def array(weight: Tensor | None) -> np.ndarray:
    assert weight is not None
    return weight.detach().numpy()


UP = np.random.default_rng(2).normal(size=(34, 4))


def test_gcn() -> None:
    layer, hat = GCNLayer(3, 4).double(), reference.normalized_adjacency(A)
    w = array(layer.linear.weight).T
    y, dx = with_gradients(layer, True, UP)
    assert apart(y, reference.graph_convolution(hat, X, w)) < TOLERANCE
    _, expected_dx, expected_dw = reference.graph_convolution_vjp(hat, X, w, UP)
    assert apart(dx, expected_dx) < TOLERANCE
    assert apart(array(layer.linear.weight.grad).T, expected_dw) < TOLERANCE


def test_sage() -> None:
    layer = SAGELayer(3, 4).double()
    w, u = array(layer.own.weight).T, array(layer.neighbors.weight).T
    y, dx = with_gradients(layer, False, UP)
    assert apart(y, reference.sage(A, X, w, u) + array(layer.own.bias)) < TOLERANCE
    expected = reference.sage_vjp(A, X, w, u, UP)
    for mine, theirs in zip(
        (dx, array(layer.own.weight.grad).T, array(layer.neighbors.weight.grad).T), expected, strict=True
    ):
        assert apart(mine, theirs) < TOLERANCE


@pytest.mark.parametrize("joined", [True, False])
def test_gat_head_by_head(joined: bool) -> None:
    torch.manual_seed(0)
    layer = GATLayer(3, 4, heads=2, joined=joined).double()
    C = 2 if joined else 4
    w = array(layer.linear.weight).T
    y, dx = with_gradients(layer, True, UP)
    told, expected_dx = [], np.zeros_like(X)
    for h in range(2):
        part, l, r = w[:, h * C : (h + 1) * C], array(layer.left)[h], array(layer.right)[h]  # noqa: E741
        told.append(reference.graph_attention(A, X, part, l, r))
        up = UP[:, h * C : (h + 1) * C] if joined else UP / 2
        gradients = reference.graph_attention_vjp(A, X, part, l, r, 0.2, up)
        expected_dx += gradients[0]
        assert apart(array(layer.linear.weight.grad).T[:, h * C : (h + 1) * C], gradients[1]) < TOLERANCE
        assert apart(array(layer.left.grad)[h], gradients[2]) < TOLERANCE
        assert apart(array(layer.right.grad)[h], gradients[3]) < TOLERANCE
    assert apart(y, np.concatenate(told, 1) if joined else np.mean(told, 0)) < TOLERANCE
    assert apart(dx, expected_dx) < TOLERANCE


def test_pair_norm_and_spread() -> None:
    x = torch.from_numpy(X).requires_grad_()
    y = pair_norm(x, 2.0)
    assert apart(y.detach(), reference.pair_norm(X, 2.0)) < TOLERANCE
    y.backward(torch.from_numpy(UP[:, :3]))
    assert apart(array(x.grad), reference.pair_norm_vjp(X, 2.0, 1e-6, UP[:, :3])) < TOLERANCE
    assert spread(torch.from_numpy(X), edges_of(PAIRS, 34, True)) == pytest.approx(reference.spread(A, X), rel=1e-12)


def attention(q: Tensor, k: Tensor, v: Tensor, pairs: np.ndarray) -> Tensor:
    """Scaled dot-product attention as message passing: along each edge a score, a weight and a value."""
    edges = edges_of(pairs, len(q), loops=True)
    scores = (q[edges.receivers] * k[edges.senders]).sum(-1) / q.shape[-1] ** 0.5  # E H
    sent = edge_softmax(scores, edges)[..., None] * v[edges.senders]
    return gather(sent.flatten(1), edges).unflatten(1, v.shape[1:])


def as_graph(pairs: np.ndarray) -> Callable[..., Tensor]:
    return lambda layer, q, k, v: attention(q[0], k[0], v[0], pairs)[None]


def test_a_transformer_is_a_graph_network_on_the_full_graph() -> None:
    """Every encoder layer's attention, replaced by messages along the edges of the complete graph: the same numbers."""
    n = 9
    encoder = Encoder(EncoderConfig(20, d_model=16, n_heads=4, d_ff=24, n_layers=3, max_positions=n), seed=1).double()
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(7)))
    tokens = torch.arange(n)[None]
    everyone = np.array([(i, j) for i in range(n) for j in range(i)])
    with torch.no_grad():
        expected, found = encoder(tokens), encoder(tokens, attend=as_graph(everyone))
        sparse = encoder(tokens, attend=as_graph(everyone[::2]))
    assert apart(found, expected.numpy()) < TOLERANCE
    assert apart(sparse, expected.numpy()) > 0.01, "and on another graph, others"


@pytest.mark.parametrize("layer", ["gcn", "sage", "gat"])
@pytest.mark.parametrize("cure", ["none", "residual", "pairnorm", "jumping"])
def test_every_network_answers_for_every_node_and_learns_in_all_its_parts(layer: Layer, cure: Cure) -> None:
    config = GraphConfig(3, 2, layer, depth=4, width=8, heads=2, cure=cure)
    model = GraphNetwork(config, PAIRS, 34, seed=1)
    y = model(torch.from_numpy(X).float())
    assert y.shape == (34, 2)
    (y * torch.from_numpy(UP[:, :2]).float()).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name
    again = GraphNetwork(config, PAIRS, 34, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_depth_makes_a_plain_network_s_nodes_alike_and_a_cure_does_not() -> None:
    x, edges = torch.eye(34), edges_of(PAIRS, 34, True)

    def deep(cure: Cure) -> float:
        config = GraphConfig(34, 2, depth=24, width=16, cure=cure)
        return spread(GraphNetwork(config, PAIRS, 34, seed=0).states(x)[-2], edges)

    plain = deep("none")
    assert plain < 0.05 < 0.1 < deep("pairnorm")
    assert deep("residual") > plain


def test_edges_are_undirected_and_each_counted_once() -> None:
    edges = edges_of(np.array([[0, 1], [1, 0], [0, 1], [2, 2]]), 3, loops=False)
    assert sorted(zip(edges.receivers.tolist(), edges.senders.tolist(), strict=True)) == [(0, 1), (1, 0)]
    looped = edges_of(np.array([[0, 1]]), 3, loops=True)
    assert len(looped.receivers) == 5 and torch.equal(gather(torch.ones(5, 1), looped)[:, 0], torch.tensor([2.0, 2, 1]))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"depth": 0}, "depth = 0 must be 1"), ({"layer": "gat", "width": 6}, "not a multiple of heads = 4"),
     ({"dropout": 1.0}, "dropout = 1.0 must be")],
)  # fmt: skip
def test_settings_that_cannot_be(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        GraphConfig(3, 2, **wrong)  # type: ignore[arg-type]
