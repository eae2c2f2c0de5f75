"""Labeled paths as training batches for the reward model: problem by problem, so that its solutions can be compared.

A batch holds all that it compares: some right and some wrong solutions of each of its problems. Which pairs are
compared is decided here, as positions in the flat batch, so that the loss has one shape for every batch.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from clearhead.alignment.reward import OUTCOME, PROCESS, Scored, pair_loss, reward_loss, scored_document
from clearhead.alignment.rollouts import UNLABELED, LabeledPath, labeled_states
from clearhead.kernels.attention import causal_attend
from clearhead.text.packing import IGNORE_INDEX, Document, fill_rows, lay_out
from clearhead.text.protocol import Tokenizer
from clearhead.text.tokenizer import PAD
from clearhead.training.step import to_tensors

SOLUTIONS = 8  # of one problem in one batch, as many right as wrong ones where there are enough
FULL = 0.9  # of a batch, on average: what does not fit its rows is left out
PAIRS_PER_TOKEN = 1 / 8  # pairs in a batch; more than there are, except where solutions are very short


class RewardBatch(NamedTuple):
    """Packed rows (see text.packing.Batch) with the labels of both heads where a step ends, UNLABELED elsewhere.

    Targets are the tokens of right solutions, which the model goes on learning to write.
    `pairs[p]` are two positions in the flat logits "B*T*2", of which the first has the higher label, and `weights[p]`
    is what the pair counts for: 0 where it stands for none.
    """

    tokens: Int[np.ndarray, "B T"]
    positions: Int[np.ndarray, "B T"]
    segments: Int[np.ndarray, "B T"]
    targets: Int[np.ndarray, "B T"]
    labels: Float[np.ndarray, "B T 2"]
    pairs: Int[np.ndarray, "P 2"]
    weights: Float[np.ndarray, "P"]


@dataclass(frozen=True)
class RewardEpochs:
    """`batch(i)`: some solutions of the i-th handful of problems; depends on seed and i alone.

    The problems of an epoch are shuffled; each time a problem comes up, its solutions are drawn anew.
    """

    problems: Sequence[Sequence[Scored]]  # the documents of each problem
    rows: int
    length: int
    seed: int

    @cached_property
    def at_once(self) -> int:
        """Problems in a batch."""
        tokens = [sum(sorted(len(d.tokens) for d in documents)[-SOLUTIONS:]) for documents in self.problems]
        return max(1, min(len(self.problems), int(FULL * self.rows * self.length / np.mean(tokens))))

    def batch(self, i: int) -> RewardBatch:
        rng = random.Random(f"{self.seed}/{i}")
        groups = [_chosen(self.problems[j], rng) for j in self._drawn(i)]
        return pack_groups(groups, self.rows, self.length, rng)

    def _drawn(self, i: int) -> list[int]:
        total, taken = len(self.problems), list[int]()
        epoch, start = divmod(i * self.at_once, total)
        while len(taken) < self.at_once:
            taken += self._order(epoch)[start:][: self.at_once - len(taken)]
            epoch, start = epoch + 1, 0
        return taken

    def _order(self, epoch: int) -> list[int]:
        order = list(range(len(self.problems)))
        random.Random(f"{self.seed}/epoch {epoch}").shuffle(order)
        return order


def _chosen(documents: Sequence[Scored], rng: random.Random) -> list[Scored]:
    """Right, wrong and unfinished solutions in turn, until there are enough."""
    kinds: dict[float, list[Scored]] = defaultdict(list)
    for document in rng.sample(documents, len(documents)):
        kinds[document.outcome[-1]].append(document)
    found: list[Scored] = []
    while len(found) < SOLUTIONS and any(kinds.values()):
        found += [kinds[kind].pop() for kind in sorted(kinds, reverse=True) if kinds[kind]]
    return found[:SOLUTIONS]


def pack_groups(groups: Sequence[Sequence[Scored]], rows: int, length: int, rng: random.Random) -> RewardBatch:
    """The documents of each problem in `rows` rows of `length` tokens; what does not fit is left out.

    A state that several documents of a problem share is labeled in the first of them alone, so that a shared
    beginning does not count twice.
    """
    documents = [(problem, document) for problem, group in enumerate(groups) for document in group]
    placed = fill_rows([len(d.tokens) for _, d in documents], length, rows)
    kept = [(problem, d, row) for (problem, d), row in zip(documents, placed, strict=True) if row >= 0]
    packed = lay_out([Document(d.tokens, [PAD]) for _, d, _ in kept], [row for *_, row in kept], rows, length)
    targets = np.full((rows, length), IGNORE_INDEX)
    labels = np.full((rows, length, 2), UNLABELED, np.float32)
    used, seen, states = [0] * rows, set[tuple[int, tuple[int, ...]]](), list[_State]()
    for problem, d, row in kept:
        start, used[row], depth = used[row], used[row] + len(d.tokens), 0
        if d.outcome[-1] == 1:
            targets[row, start + d.asked - 1 : start + len(d.tokens) - 1] = d.tokens[d.asked :]
        for at, pair in enumerate(zip(d.outcome, d.process, strict=True)):
            if d.ends[at]:
                depth += 1
                key = (problem, tuple(d.tokens[: at + 1]))
                if key not in seen and pair != (UNLABELED, UNLABELED):
                    seen.add(key)
                    labels[row, start + at] = pair
                    position, last = row * length + start + at, at == len(d.tokens) - 1 and d.outcome[-1] != UNLABELED
                    states.append(_State(problem, 0 if last else depth, position, pair))
    pairs, weights = choose_pairs(states, max(1, round(rows * length * PAIRS_PER_TOKEN)), rng)
    return RewardBatch(packed.tokens, packed.positions, packed.segments, targets, labels, pairs, weights)


class _State(NamedTuple):
    problem: int
    depth: int  # 0 for a finished solution: all of a problem are compared, however long they are
    position: int
    labels: tuple[float, float]


def choose_pairs(
    states: Sequence[_State], n_pairs: int, rng: random.Random
) -> tuple[Int[np.ndarray, "P 2"], Float[np.ndarray, "P"]]:
    """Pairs that search compares: finished solutions of a problem, or its states after as many steps.

    A pair counts by how far its labels are apart, and every problem counts alike for each head. Where there are more
    pairs than `n_pairs`, a random part of them stands for all.
    """
    alike: dict[tuple[int, int], list[_State]] = defaultdict(list)
    for state in states:
        alike[state.problem, state.depth].append(state)
    found: dict[tuple[int, int], list[tuple[int, int, float]]] = defaultdict(list)
    for (problem, _), group in alike.items():
        for head in (OUTCOME, PROCESS):
            ranked = sorted((s for s in group if s.labels[head] != UNLABELED), key=lambda s: -s.labels[head])
            for i, better in enumerate(ranked):
                for worse in ranked[i + 1 :]:
                    gap = better.labels[head] - worse.labels[head]
                    if gap > 0:
                        found[head, problem].append((2 * better.position + head, 2 * worse.position + head, gap))
    problems = {head: sum(1 for h, _ in found if h == head) for head in (OUTCOME, PROCESS)}
    weighed = [
        (better, worse, gap / sum(gap for *_, gap in pairs) / problems[head])
        for (head, _), pairs in found.items()
        for better, worse, gap in pairs
    ]
    if len(weighed) > n_pairs:
        share = n_pairs / len(weighed)
        weighed = [(better, worse, weight / share) for better, worse, weight in rng.sample(weighed, n_pairs)]
    pairs, weights = np.zeros((n_pairs, 2), np.int64), np.zeros(n_pairs, np.float32)
    for p, (first, second, weight) in enumerate(weighed):
        pairs[p], weights[p] = (first, second), weight
    return pairs, weights


def by_problem(tokenizer: Tokenizer, paths: Sequence[LabeledPath], length: int) -> list[list[Scored]]:
    """The documents of each problem that a row of `length` tokens holds, in the order of the paths."""
    groups: dict[str, list[Scored]] = defaultdict(list)
    for path in paths:
        document = scored_document(tokenizer, path)
        if len(document.tokens) <= length:
            groups[path.problem].append(document)
    return list(groups.values())


def split_paths(
    paths: Sequence[LabeledPath], held_out: float, most: int, seed: int
) -> tuple[list[LabeledPath], list[LabeledPath]]:
    """(train, held out), by problem, so that no state of a held-out problem is learned; at most `most` are held out."""
    problems = sorted({path.problem for path in paths})
    random.Random(seed).shuffle(problems)
    apart = set(problems[: min(round(held_out * len(problems)), most)])
    return [p for p in paths if p.problem not in apart], [p for p in paths if p.problem in apart]


def reward_model_loss(model: Any, batch: Any) -> Tensor:
    """Cross-entropy of the labels, comparisons within problems, and -log p of right solutions, for training.loop."""
    hidden = model.decoder(batch.tokens, batch.positions, causal_attend(batch.segments))
    return _values_loss(model, hidden, batch) + _written_loss(model, hidden.flatten(0, -2), batch.targets.flatten())


def sparse_reward_model_loss(model: Any, batch: Any) -> Tensor:
    """The same, with logits of the tokens of right solutions alone: for many tokens, where nothing is compiled."""
    hidden = model.decoder(batch.tokens, batch.positions, causal_attend(batch.segments))
    is_target = batch.targets != IGNORE_INDEX
    return _values_loss(model, hidden, batch) + _written_loss(model, hidden[is_target], batch.targets[is_target])


def _values_loss(model: Any, hidden: Tensor, batch: Any) -> Tensor:
    logits = model.scorer(hidden)
    return reward_loss(logits, batch.labels) + pair_loss(logits, batch.pairs, batch.weights)


def _written_loss(model: Any, hidden: Float[Tensor, "N D"], targets: Int[Tensor, "N"]) -> Tensor:
    """Mean of -log p over the targets, 0 where there is none."""
    logits = model.decoder.logits(hidden).float()
    return F.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="sum") / (
        (targets != IGNORE_INDEX).sum().clamp(min=1)
    )


@torch.no_grad()
def share_ranked(model: Any, batches: Sequence[RewardBatch], head: int) -> float:
    """How often the better of two states of a problem is ranked first, ties one half, every problem counting alike."""
    device, training = next(model.parameters()).device, model.training
    model.eval()
    won = total = 0.0
    for batch in batches:
        b = to_tensors(batch, device)
        logits = model(b.tokens, b.positions, causal_attend(b.segments)).float().flatten()
        better, worse = logits[b.pairs[:, 0]], logits[b.pairs[:, 1]]
        weights = b.weights * (b.pairs[:, 0] % 2 == head)
        won += float((weights * ((better > worse).float() + 0.5 * (better == worse).float())).sum())
        total += float(weights.sum())
    model.train(training)
    return won / total if total else float("nan")


def share_positive(paths: Sequence[LabeledPath]) -> tuple[int, float]:
    """How many states are labeled, and the mean of their labels."""
    labels = list(labeled_states(paths).values())
    return len(labels), float(np.mean(labels)) if labels else float("nan")


def held_out_batches(problems: Sequence[Sequence[Scored]], rows: int, length: int, seed: int) -> list[RewardBatch]:
    """All problems once."""
    epochs = RewardEpochs(problems, rows, length, seed)
    return [epochs.batch(i) for i in range(-(-len(problems) // epochs.at_once))] if problems else []
