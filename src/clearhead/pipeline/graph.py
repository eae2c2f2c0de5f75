"""Classes of nodes from a few that are known: graph networks by depth, and whether their nodes grow alike.

Each network is trained on the loop of all training, one batch being the whole graph.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from clearhead.errors import UserError
from clearhead.models.graph import GraphConfig, GraphNetwork, edges_of, spread
from clearhead.tasks import karate
from clearhead.text.packing import IGNORE_INDEX
from clearhead.training.loop import TrainConfig, train

MOST_NODES = 20_000  # whose features are one place each
Watch = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Graph:
    """`labels` is -1 where a node's class is not known; `features` "N D" are those of the nodes."""

    name: str
    nodes: tuple[str, ...]
    classes: tuple[str, ...]
    pairs: np.ndarray
    labels: np.ndarray

    @property
    def features(self) -> np.ndarray:
        """A place for each node: nothing is known of one but its edges."""
        return np.eye(len(self.nodes), dtype=np.float32)


class GraphBatch(NamedTuple):
    """The whole graph: features "N D" and, for the nodes that are learned from, the class; `targets` counts them."""

    features: np.ndarray
    targets: np.ndarray


def read(edges: Path | None, labels: Path | None) -> Graph:
    """A graph from two files of lines, "node node" and "node class"; the karate club where none is named.

    UserError: a line that is no edge, a labeled node without an edge, fewer than two classes.
    """
    if edges is None:
        if labels is not None:
            raise UserError("--labels is for a graph of your own; name its file of edges")
        return graph_of("karate club", karate.edges(), karate.labels())
    if labels is None:
        raise UserError(f'{edges} needs the classes of some nodes; name a file of lines "node class" with --labels')
    return graph_of(edges.name, _pairs(edges, "two nodes"), dict(_pairs(labels, "a node and its class")))


def _pairs(file: Path, what: str) -> list[tuple[str, str]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}; name a file of lines") from None
    found = []
    for number, line in enumerate(lines, 1):
        parts = line.replace(",", " ").replace(";", " ").split()
        if not parts or line.startswith("#"):
            continue
        if len(parts) != 2:
            raise UserError(
                f"{file}, line {number}: {what} are expected, and {line.strip()!r:.60} is {len(parts)} words"
            )
        found.append((parts[0], parts[1]))
    if not found:
        raise UserError(f"{file} is empty; write {what} a line")
    return found


def graph_of(name: str, edges: Sequence[tuple[str, str]], labels: dict[str, str]) -> Graph:
    ids: dict[str, int] = {}
    pairs = np.array([[ids.setdefault(node, len(ids)) for node in edge] for edge in edges])
    if loose := [node for node in labels if node not in ids]:
        raise UserError(f"{name}: node {loose[0]!r:.60} has a class and no edge; leave it out, or give it an edge")
    if len(ids) > MOST_NODES:
        raise UserError(
            f"{name} has {len(ids):,} nodes; at most {MOST_NODES:,} are possible without features of their own"
        )
    classes = tuple(sorted(set(labels.values())))
    if len(classes) < 2:
        raise UserError(f"{name} has nodes of {len(classes)} class; two are needed to tell them apart")
    found = np.full(len(ids), -1)
    for node, label in labels.items():
        found[ids[node]] = classes.index(label)
    return Graph(name, tuple(ids), classes, pairs, found)


def known_nodes(graph: Graph, each: int) -> np.ndarray:
    """The best-connected nodes of each class, from which the others' are to be found. UserError: none would be left."""
    degree = np.bincount(edges_of(graph.pairs, len(graph.nodes), loops=False).receivers, minlength=len(graph.nodes))
    found = []
    for k in range(len(graph.classes)):
        among = np.flatnonzero(graph.labels == k)
        if len(among) <= each:
            raise UserError(
                f"class {graph.classes[k]!r:.60} has {len(among)} nodes; more than --known {each} are needed to measure"
            )
        found.append(among[np.lexsort((among, -degree[among]))][:each])
    return np.concatenate(found)


def graph_loss(model: Any, batch: Any) -> torch.Tensor:
    """Cross-entropy of the classes that are known."""
    return F.cross_entropy(model(batch.features), batch.targets, ignore_index=IGNORE_INDEX)


@dataclass(frozen=True)
class Measured:
    """One network: the share of the unknown nodes told right, and the spread of its last hidden states."""

    layer: str
    cure: str
    depth: int
    seed: int
    accuracy: float
    spread: float
    seconds: float


def measure(graph: Graph, known: np.ndarray, config: GraphConfig, settings: TrainConfig) -> tuple[Measured, np.ndarray]:
    """Train one network and ask it for every node's class, which come with what was measured."""
    n, started = len(graph.nodes), time.perf_counter()
    model = GraphNetwork(config, graph.pairs, n, settings.seed)
    targets = np.full(n, IGNORE_INDEX)
    targets[known] = graph.labels[known]
    batch = GraphBatch(graph.features, targets)
    train(settings, model, lambda step: batch, graph_loss, prefetch=0)
    x = torch.from_numpy(graph.features)
    with torch.no_grad():
        states, said = model.eval().states(x), model(x).argmax(1).numpy()
    asked = graph.labels >= 0
    asked[known] = False
    hidden = states[-1] if config.cure == "jumping" or len(states) == 1 else states[-2]
    found = Measured(
        config.layer, config.cure, config.depth, settings.seed, float((said == graph.labels)[asked].mean()),
        spread(hidden, edges_of(graph.pairs, n, loops=True)), time.perf_counter() - started,
    )  # fmt: skip
    return found, said


def settings_of(steps: int, lr: float, seed: int) -> TrainConfig:
    """Plain Adam with the weight decay of Kipf and Welling 2017, section 5.2."""
    return TrainConfig(
        steps=steps, batch_size=1, seq_len=1, optimizer="adamw", adam_lr=lr, weight_decay=5e-4, warmup=0, clip=0.0,
        schedule="constant", decay_start=0.0, compile="off", dtype="float32", seed=seed,
    )  # fmt: skip


def study(
    graph: Graph, known: int, layers: Sequence[str], cures: Sequence[str], depths: Sequence[int], seeds: int,
    steps: int, lr: float, width: int, watch: Watch,
) -> dict[str, Any]:  # fmt: skip
    """Every layer, cure and depth with every seed, as the data of the page. The first network's answers come along."""
    nodes = known_nodes(graph, known)
    base = GraphConfig(len(graph.nodes), len(graph.classes), width=width)
    configs = [
        replace(base, layer=layer, cure=cure, depth=depth)  # type: ignore[arg-type]
        for layer in layers for cure in cures for depth in depths
    ]  # fmt: skip
    rows, said = list[dict[str, Any]](), None
    with watch("graph", len(configs) * seeds) as advance:
        for config in configs:
            found = []
            for seed in range(seeds):
                one, answers = measure(graph, nodes, config, settings_of(steps, lr, seed))
                said = answers if said is None else said
                found.append(one)
                advance(1)
            rows.append(_row(found))
    assert said is not None
    return {
        "graph": graph.name, "nodes": len(graph.nodes), "edges": len(np.unique(np.sort(graph.pairs, 1), axis=0)),
        "classes": list(graph.classes), "known": [graph.nodes[i] for i in nodes], "seeds": seeds, "steps": steps,
        "rows": rows, "map": _map(graph, nodes, said),
    }  # fmt: skip


def _row(found: Sequence[Measured]) -> dict[str, Any]:
    accuracies = [one.accuracy for one in found]
    return {
        "layer": found[0].layer, "cure": found[0].cure, "depth": found[0].depth,
        "accuracy": float(np.mean(accuracies)), "low": min(accuracies), "high": max(accuracies),
        "spread": float(np.mean([one.spread for one in found])), "seconds": sum(one.seconds for one in found),
    }  # fmt: skip


def _map(graph: Graph, known: np.ndarray, said: np.ndarray) -> dict[str, Any]:
    """Places of the nodes in a plane, and what the first network said of each; nothing for a large graph."""
    n = len(graph.nodes)
    if n > 200:
        return {}
    edges = edges_of(graph.pairs, n, loops=False)
    table = np.zeros((n, n))
    table[edges.receivers, edges.senders] = 1
    degree = table.sum(1)
    laplacian = np.eye(n) - table / np.sqrt(np.outer(degree, degree))
    _, vectors = np.linalg.eigh(laplacian)
    places = vectors[:, 1:3] / np.sqrt(degree)[:, None]  # Belkin and Niyogi 2003: neighbors lie near each other
    return {
        "nodes": [
            {
                "name": graph.nodes[i], "x": float(places[i, 0]), "y": float(places[i, -1]), "said": int(said[i]),
                "is": int(graph.labels[i]), "known": bool(i in known),
            }
            for i in range(n)
        ],
        "edges": np.unique(np.sort(graph.pairs, 1), axis=0).tolist(),
    }  # fmt: skip
