"""Graph networks over lists of edges: GCN, GraphSAGE and GAT, and what keeps the nodes of deep ones apart.

A layer touches each edge once; nothing of N x N is made. Deliberately not here: which graph, and training.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from clearhead.errors import UserError

Layer = Literal["gcn", "sage", "gat"]
Cure = Literal["none", "residual", "pairnorm", "jumping"]
SLOPE = 0.2  # of GAT's leaky ReLU


class Edges(NamedTuple):
    """Messages go from `senders` to `receivers`, an undirected edge both ways; `n` nodes."""

    receivers: Int[Tensor, "E"]
    senders: Int[Tensor, "E"]
    n: int


def edges_of(pairs: Int[np.ndarray, "E 2"], n: int, loops: bool) -> Edges:
    """Undirected pairs, each once whatever the file repeats, both ways; `loops`: each node sends to itself too."""
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    ends = np.unique(np.concatenate((pairs, pairs[:, ::-1])), axis=0)
    if loops:
        ends = np.concatenate((ends, np.repeat(np.arange(n)[:, None], 2, 1)))
    receivers, senders = torch.from_numpy(np.ascontiguousarray(ends.T))
    return Edges(receivers, senders, n)


def gather(sent: Float[Tensor, "E F"], edges: Edges) -> Float[Tensor, "N F"]:
    """The sum of what each node is sent."""
    return sent.new_zeros(edges.n, sent.shape[1]).index_add(0, edges.receivers, sent)


def edge_softmax(scores: Float[Tensor, "E H"], edges: Edges) -> Float[Tensor, "E H"]:
    """Softmax over the messages that a node is sent, for each head. O(E H)."""
    index = edges.receivers[:, None].expand_as(scores)
    most = scores.new_full((edges.n, scores.shape[1]), -torch.inf)
    most = most.scatter_reduce(0, index, scores.detach(), "amax")
    e = (scores - most[edges.receivers]).exp()
    return e / gather(e, edges)[edges.receivers]


def degrees(edges: Edges) -> Float[Tensor, "N"]:
    return torch.bincount(edges.receivers, minlength=edges.n).float()


@dataclass(frozen=True)
class GraphConfig:
    """`cure` is what a deep network has against over-smoothing: the input of a layer added to its output (residual),
    PairNorm after each, or all layers read at the end (jumping knowledge, the maximum)."""

    features: int
    classes: int
    layer: Layer = "gcn"
    depth: int = 2
    width: int = 16
    heads: int = 4
    cure: Cure = "none"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("features", "classes", "depth", "width", "heads"):
            if not 1 <= getattr(self, name) <= 1 << 20:
                raise UserError(f"{name} = {getattr(self, name)} must be 1 to {1 << 20}")
        if self.layer == "gat" and self.width % self.heads:
            raise UserError(f"width = {self.width} is not a multiple of heads = {self.heads}; change one")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout = {self.dropout} must be at least 0 and below 1")


class GCNLayer(nn.Module):
    """Â X W with Â = D^-½ (A + I) D^-½. Kipf and Welling 2017, equation 2."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, width, bias=False)

    def forward(self, x: Float[Tensor, "N D"], edges: Edges) -> Float[Tensor, "N F"]:
        root = degrees(edges).to(x.dtype).rsqrt()
        z = self.linear(x)
        sent = (root[edges.receivers] * root[edges.senders])[:, None] * z[edges.senders]
        return gather(sent, edges)


class SAGELayer(nn.Module):
    """x_i W + mean of the neighbors' x_j U + b. Hamilton, Ying and Leskovec 2017, algorithm 1."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.own, self.neighbors = nn.Linear(features, width), nn.Linear(features, width, bias=False)

    def forward(self, x: Float[Tensor, "N D"], edges: Edges) -> Float[Tensor, "N F"]:
        share = degrees(edges).to(x.dtype).clamp(min=1).reciprocal()
        return self.own(x) + share[:, None] * gather(self.neighbors(x)[edges.senders], edges)


class GATLayer(nn.Module):
    """Σ α_ij z_j + b, z = X W; heads side by side, or their mean. Veličković et al. 2018, equations 1 to 6."""

    def __init__(self, features: int, width: int, heads: int, joined: bool = True) -> None:
        super().__init__()
        self.heads, self.joined = heads, joined
        channels = width // heads if joined else width
        self.linear = nn.Linear(features, heads * channels, bias=False)
        self.left, self.right = (nn.Parameter(torch.empty(heads, channels)) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(width))
        for weight in (self.left, self.right):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Float[Tensor, "N D"], edges: Edges) -> Float[Tensor, "N F"]:
        z = self.linear(x).unflatten(1, (self.heads, -1))  # N H C
        scores = (z * self.left).sum(-1)[edges.receivers] + (z * self.right).sum(-1)[edges.senders]
        alpha = edge_softmax(F.leaky_relu(scores, SLOPE), edges)  # E H
        out = gather((alpha[..., None] * z[edges.senders]).flatten(1), edges).unflatten(1, (self.heads, -1))
        return (out.flatten(1) if self.joined else out.mean(1)) + self.bias


def pair_norm(x: Float[Tensor, "N D"], scale: float = 1.0, eps: float = 1e-6) -> Float[Tensor, "N D"]:
    """s (x_i - x̄) / √(mean ‖x_i - x̄‖² + ε). Zhao and Akoglu 2020, equations 10 and 11."""
    centered = x - x.mean(0)
    return scale * centered * (centered.square().sum(1).mean() + eps).rsqrt()


class GraphNetwork(nn.Module):
    """features -> `depth` layers with ReLU between -> logits of classes. Equal configurations and seeds, equal weights.

    The graph is fixed, and is no parameter; `loops` as the layer's authors have it.
    """

    def __init__(self, config: GraphConfig, pairs: Int[np.ndarray, "E 2"], n: int, seed: int = 0) -> None:
        super().__init__()
        self.config, self.n = config, n
        edges = edges_of(pairs, n, loops=config.layer != "sage")
        self.register_buffer("receivers", edges.receivers, persistent=False)
        self.register_buffer("senders", edges.senders, persistent=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            widths = [config.features] + [config.width] * config.depth
            jumping = config.cure == "jumping"
            last = config.width if jumping else config.classes
            widths[-1] = last
            self.layers = nn.ModuleList(
                self._layer(a, b, end=i == config.depth - 1 and not jumping)
                for i, (a, b) in enumerate(pairwise(widths))
            )
            self.head = nn.Linear(config.width, config.classes) if jumping else None

    def _layer(self, features: int, width: int, end: bool) -> nn.Module:
        match self.config.layer:
            case "gcn":
                return GCNLayer(features, width)
            case "sage":
                return SAGELayer(features, width)
            case _:
                return GATLayer(features, width, self.config.heads, joined=not end)

    @property
    def edges(self) -> Edges:
        return Edges(self.receivers, self.senders, self.n)  # type: ignore[arg-type]

    def states(self, x: Float[Tensor, "N D"]) -> list[Float[Tensor, "N F"]]:
        """What every layer gives, the last one's without a nonlinearity unless a head reads it."""
        found, edges = list[Tensor](), self.edges
        for i, layer in enumerate(self.layers):
            x = F.dropout(x, self.config.dropout, self.training)
            h = layer(x, edges)
            if i < len(self.layers) - 1 or self.head is not None:
                h = pair_norm(h) if self.config.cure == "pairnorm" else h
                h = h.relu()
                if self.config.cure == "residual" and h.shape == x.shape:
                    h = h + x
            found.append(h)
            x = h
        return found

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N K"]:
        states = self.states(x)
        if self.head is None:
            return states[-1]
        return self.head(torch.stack(states).amax(0))  # Xu et al. 2018, section 4: max-pooling


@torch.no_grad()
def spread(x: Float[Tensor, "N D"], edges: Edges) -> float:
    """The Dirichlet energy as a share of the size: 0 where neighbors agree but for their degree; NaN if all is 0.

    `edges` hold the loops. Cai and Wang 2020, definition 3.1; as reference/graph.py.
    """
    x = x.double()
    size = x.square().sum()
    root = degrees(edges).double().rsqrt()
    smooth = gather((root[edges.receivers] * root[edges.senders])[:, None] * x[edges.senders], edges)
    return float((x * (x - smooth)).sum().clamp(min=0) / size)
