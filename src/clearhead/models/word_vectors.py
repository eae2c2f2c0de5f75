"""Word vectors by skip-gram, CBOW, GloVe and the SVD of PPMI; who is near whom; and what skip-gram factorizes.

Words are ids below V, the most frequent first; -1 parts texts. Deliberately not here: words themselves (text.words),
files (formats.word2vec), and the steps of descent (kernels.word_vectors), each with its own rule and none an epoch of
batches, so that the training loop has no part in them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from clearhead.errors import UserError
from clearhead.kernels.word_vectors import alias_table, glove_steps, negative_sampling_steps

Method = Literal["skipgram", "cbow", "glove", "ppmi"]
RATES = {"skipgram": 0.025, "cbow": 0.05, "glove": 0.05, "ppmi": 0.0}
NEGATIVES = {"skipgram": 5, "cbow": 5, "glove": 0, "ppmi": 1}
EPOCHS = {"skipgram": 5, "cbow": 5, "glove": 25, "ppmi": 1}
LOWEST_RATE = 1e-4  # where the rate of word2vec ends
CHUNK = 10_000  # words or cells between two looks at the clock and the rate
ITERATIONS = 12  # of the subspace iteration: from there on no score of a measured text has changed
Advance = Callable[[int], None]


@dataclass(frozen=True)
class VectorConfig:
    """How word vectors are made. lr, negatives and epochs: 0 stands for what the method's authors used.

    sample: how frequent words are thinned (text.words); x_max: the count from which GloVe weighs all alike.
    """

    method: Method = "skipgram"
    dimensions: int = 100
    window: int = 5
    epochs: int = 0
    negatives: int = 0
    lr: float = 0.0
    sample: float = 1e-3
    x_max: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, most in (("dimensions", 10_000), ("window", 1000)):
            if not 1 <= getattr(self, name) <= most:
                raise UserError(f"{name} = {getattr(self, name)} must be 1 to {most}")
        for name in ("epochs", "negatives", "lr", "sample"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} = {getattr(self, name)} must be 0 or a positive number")
        if not 0 < self.x_max < math.inf:
            raise UserError(f"x_max = {self.x_max} must be above 0")

    @property
    def passes(self) -> int:
        return self.epochs or EPOCHS[self.method]

    @property
    def k(self) -> int:
        """Negatives for each true pair; of PPMI the shift is log k."""
        return self.negatives or NEGATIVES[self.method]

    @property
    def rate(self) -> float:
        return self.lr or RATES[self.method]


class Cells(NamedTuple):
    """The cells of a symmetric table that are not 0."""

    rows: Int[np.ndarray, "E"]
    columns: Int[np.ndarray, "E"]
    values: Float[np.ndarray, "E"]


class Trained(NamedTuple):
    """`contexts`: the second table, where the method has one. `curve`: (share of the training done, mean loss)."""

    vectors: Float[np.ndarray, "V D"]
    contexts: Float[np.ndarray, "V D"] | None
    curve: list[tuple[float, float]]


def train(
    ids: Int[np.ndarray, "N"], keep: Float[np.ndarray, "V"], noise: Float[np.ndarray, "V"], config: VectorConfig,
    advance: Advance = lambda words: None,
) -> Trained:  # fmt: skip
    """Vectors of all words. keep: how probably an occurrence stays; noise: what negatives are drawn from.

    `advance` hears of words, or cells, as they are done; `work` says how many there are.
    """
    V = len(keep)
    if config.method in ("skipgram", "cbow"):
        return _negative_sampling(ids, keep, noise, config, advance)
    cells = cooccurrences(ids, V, config.window, "inverse" if config.method == "glove" else "equal")
    if not len(cells.values):
        raise UserError("no two words of the text stand near each other; give more text, or a wider window")
    if config.method == "glove":
        return _glove(cells, V, config, advance)
    return Trained(ppmi_svd(cells, V, config.dimensions, config.k, config.seed), None, [])


def _negative_sampling(
    ids: Int[np.ndarray, "N"], keep: Float[np.ndarray, "V"], noise: Float[np.ndarray, "V"], config: VectorConfig,
    advance: Advance,
) -> Trained:  # fmt: skip
    """Centers begin within ±1/(2D), contexts at 0, and the rate falls evenly: word2vec.c."""
    V, D, rng = len(keep), config.dimensions, np.random.default_rng(config.seed)
    center = ((rng.random((V, D), np.float32) - 0.5) / D).astype(np.float32)
    context = np.zeros((V, D), np.float32)
    state, table, curve = np.array([rng.integers(1 << 63)], np.uint64), alias_table(noise), list[tuple[float, float]]()
    places = _chunks(ids)
    for epoch in range(config.passes):
        loss, measured = 0.0, 0
        for i, (start, stop) in enumerate(places):
            done = (epoch + start / len(ids)) / config.passes
            found = negative_sampling_steps(
                ids[start:stop], center, context, cbow=config.method == "cbow", window=config.window,
                negatives=config.k, keep=keep, noise=table, lr=max(config.rate * (1 - done), LOWEST_RATE), state=state,
            )  # fmt: skip
            loss, measured = loss + found[0], measured + found[1]
            advance(stop - start)
            if measured and (i + 1) % max(1, len(places) // 20) == 0:
                curve.append(((epoch + stop / len(ids)) / config.passes, loss / measured))
                loss, measured = 0.0, 0
    return Trained(center, context, curve)


def _chunks(ids: Int[np.ndarray, "N"]) -> list[tuple[int, int]]:
    """Stretches of about CHUNK ids that end where a text does."""
    ends = [0]
    for end in (np.flatnonzero(ids < 0) + 1).tolist():
        if end - ends[-1] >= CHUNK:
            ends.append(end)
    if ends[-1] < len(ids):
        ends.append(len(ids))
    return list(pairwise(ends))


def cooccurrences(
    ids: Int[np.ndarray, "N"], vocab: int, window: int, weight: Literal["equal", "inverse", "drawn"]
) -> Cells:
    """How often j stands near i: each time 1, 1 / distance (GloVe), or as often as a drawn window reaches (word2vec).

    O(N window log N), never the whole table.
    """
    segment = np.cumsum(ids < 0)
    keys, counts = list[np.ndarray](), list[np.ndarray]()
    for distance in range(1, min(window, len(ids) - 1) + 1):
        a, b = ids[:-distance], ids[distance:]
        near = (a >= 0) & (b >= 0) & (segment[:-distance] == segment[distance:])
        low, high = np.minimum(a, b)[near].astype(np.int64), np.maximum(a, b)[near]
        found, number = np.unique(low * vocab + high, return_counts=True)
        share = {"equal": 1.0, "inverse": 1 / distance, "drawn": (window - distance + 1) / window}[weight]
        keys.append(found)
        counts.append(number * share)
    together, place = np.unique(np.concatenate(keys or [np.zeros(0, np.int64)]), return_inverse=True)
    values = np.bincount(place, np.concatenate(counts or [np.zeros(0)]), len(together))
    rows, columns = together // vocab, together % vocab
    apart = rows != columns
    return Cells(
        np.concatenate((rows, columns[apart])).astype(np.int32),
        np.concatenate((columns, rows[apart])).astype(np.int32),
        np.concatenate((np.where(apart, values, 2 * values), values[apart])),
    )


def _glove(cells: Cells, V: int, config: VectorConfig, advance: Advance) -> Trained:
    """AdaGrad over the cells in a new order each epoch; a word's vector is the sum of its two."""
    rng, D, E = np.random.default_rng(config.seed), config.dimensions, len(cells.values)
    w, u = (((rng.random((V, D)) - 0.5) / D).astype(np.float32) for _ in "wu")
    parameters = (w, u, np.zeros(V, np.float32), np.zeros(V, np.float32))
    squares = tuple(np.ones_like(p) for p in parameters)
    logs = np.log(cells.values).astype(np.float32)
    weights = (np.minimum(cells.values / config.x_max, 1.0) ** 0.75).astype(np.float32)
    curve = list[tuple[float, float]]()
    for epoch in range(config.passes):
        order, loss = rng.permutation(E), 0.0
        for start in range(0, E, CHUNK):
            part = np.ascontiguousarray(order[start : start + CHUNK])
            loss += glove_steps(part, cells.rows, cells.columns, logs, weights, parameters, squares, config.rate)  # type: ignore[arg-type]
            advance(len(part))
        curve.append(((epoch + 1) / config.passes, loss / E))
    return Trained(w + u, None, curve)


def ppmi(cells: Cells, V: int, k: int = 1) -> Cells:
    """max(PMI - log k, 0), cells of 0 left out. Levy and Goldberg 2014, section 4.1."""
    sums = np.bincount(cells.rows, cells.values, V)
    total = sums.sum()
    found = np.log(cells.values * total / (sums[cells.rows] * sums[cells.columns])) - math.log(k)
    above = found > 0
    return Cells(cells.rows[above], cells.columns[above], found[above])


def ppmi_svd(
    cells: Cells, V: int, dimensions: int, k: int = 1, seed: int = 0, iterations: int = ITERATIONS
) -> Float[np.ndarray, "V D"]:
    """U √Σ of the positive PMI, its largest singular values. Levy and Goldberg 2014, section 4.2.

    Subspace iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4) on a symmetric matrix, whose singular values
    are the sizes of its eigenvalues. Dimensions beyond V are 0. O(E D iterations), float64.
    """
    rows, columns, values = ppmi(cells, V, k)
    places = torch.from_numpy(np.stack((rows, columns)).astype(np.int64))
    table = torch.sparse_coo_tensor(places, torch.from_numpy(values), (V, V), check_invariants=False).coalesce()
    width = min(V, dimensions + max(10, dimensions // 4))
    basis = torch.randn(V, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for _ in range(iterations):
        basis, _ = torch.linalg.qr(table @ basis)
    eigenvalues, small = torch.linalg.eigh(basis.T @ (table @ basis))
    largest = eigenvalues.abs().argsort(descending=True)[:dimensions]
    found = basis @ small[:, largest] * eigenvalues[largest].abs().sqrt()
    return np.pad(found.numpy().astype(np.float32), ((0, 0), (0, dimensions - len(largest))))


def work(ids: Int[np.ndarray, "N"], config: VectorConfig) -> int:
    """What `advance` will hear of in all, of skip-gram and CBOW: words, those of every epoch."""
    return len(ids) * config.passes


def factorization(
    ids: Int[np.ndarray, "N"], noise: Float[np.ndarray, "V"], trained: Trained, config: VectorConfig, words: int = 1000
) -> tuple[Float[np.ndarray, "E"], Float[np.ndarray, "E"]]:
    """For pairs of the most frequent words that meet: (log #(i,j) / (#(i) p(j)) - log k, v_i · u_j).

    With dimensions enough, skip-gram's optimum makes the two equal: p is what negatives are drawn from, and #(i,j)
    counts a pair as often as a drawn window reaches it. Levy and Goldberg 2014, equations 7 to 11.
    """
    assert trained.contexts is not None
    V = len(noise)
    rows, columns, values = cooccurrences(ids, V, config.window, "drawn")
    centers = np.bincount(rows, values, V)
    seen = (rows < words) & (columns < words)
    rows, columns, values = rows[seen], columns[seen], values[seen]
    shifted = np.log(values) - np.log(centers[rows]) - np.log(noise[columns]) - math.log(config.k)
    return shifted, np.einsum("ed,ed->e", trained.vectors[rows], trained.contexts[columns])
