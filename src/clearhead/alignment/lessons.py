"""What is learned from a round's groups, as batches: weighed answers, pairs of them, or the right ones alone."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from clearhead.alignment.advantages import gae, shaped, whitened
from clearhead.alignment.answers import Answer, Group, Prompt, lay_out_numbered
from clearhead.alignment.dpo import Pair
from clearhead.alignment.methods import AlignConfig
from clearhead.alignment.policy_gradient import PolicyBatch, read_tokens
from clearhead.text.packing import Document

T = TypeVar("T")
B = TypeVar("B")


class Readings(NamedTuple):
    """Of each answer of a round, in order: log p of its tokens under the policy that drew it and under the reference;
    of the state that each was drawn in, its value where there is a value head, its potential where rewards are shaped.
    """

    log_old: Sequence[Float[np.ndarray, "_"]]
    log_ref: Sequence[Float[np.ndarray, "_"]]
    values: Sequence[Float[np.ndarray, "_"]]
    potentials: Sequence[Float[np.ndarray, "_"]] = ()


class Lesson(NamedTuple):
    """An answer, the times it was drawn, and for each of its tokens what PolicyBatch holds but the weight."""

    document: Document
    times: int
    log_old: Float[np.ndarray, "_"]
    log_ref: Float[np.ndarray, "_"]
    advantage: Float[np.ndarray, "_"]
    returns: Float[np.ndarray, "_"]


def documents(groups: Sequence[Group]) -> list[Document]:
    """Every answer of every group behind its prompt."""
    return [answer.after(group.prompt) for group in groups for answer in group.answers]


def lessons(groups: Sequence[Group], read: Readings, config: AlignConfig, beta: float) -> list[Lesson]:
    """One for each different answer to a prompt, which counts as often as it was drawn.

    `beta`: what the KL counts in the reward.
    """
    gaps = [p - q for p, q in zip(read.log_old, read.log_ref, strict=True)]
    scores = np.concatenate([group.rewards for group in groups]) if groups else np.zeros(0)
    of_group = config.learns.advantages
    if of_group is None:
        paid = [-beta * gap for gap in gaps]
        for tokens, score in zip(paid, scores, strict=True):
            tokens[-1] += score
        if read.potentials:
            paid = shaped(paid, read.potentials, config.gamma)
        estimates = gae(paid, read.values, config.gamma, config.lam)
        returns = [advantage + value for advantage, value in zip(estimates, read.values, strict=True)]
        advantages = whitened(estimates)
    else:
        rewards = scores - beta * np.array([gap.sum() for gap in gaps])
        each = np.concatenate([of_group(row) for row in rewards.reshape(len(groups), -1)]) if groups else rewards
        advantages = [np.full(len(gap), score) for gap, score in zip(gaps, each, strict=True)]
        returns = [np.zeros(len(gap)) for gap in gaps]
    found: dict[Document, Lesson] = {}
    rows = zip(documents(groups), read.log_old, read.log_ref, advantages, returns, strict=True)
    for document, *numbers in rows:
        known = found.get(document)
        found[document] = known._replace(times=known.times + 1) if known else Lesson(document, 1, *numbers)
    return list(found.values())


def policy_batch(
    part: Sequence[Lesson], step: Sequence[Lesson], config: AlignConfig, length: int, most: int
) -> PolicyBatch:
    """The micro-batch `part` of a step that learns from the lessons `step`; an answer has `most` tokens at most."""
    laid_out = lay_out_numbered([lesson.document for lesson in part], length)
    counts = np.array([lesson.times for lesson in step], float)
    answers = max(1.0, counts.sum())
    tokens = max(1.0, float(counts @ np.array([lesson.document.learned for lesson in step], float)))
    share: Mapping[str, Callable[[int], float]] = {
        "answer": lambda n: 1 / (answers * n),
        "token": lambda n: 1 / tokens,
        "limit": lambda n: 1 / (answers * most),
        "sum": lambda n: 1 / answers,
    }
    weigh, parts = share[config.learns.weighs], config.accumulate  # a step is the mean of its parts
    sizes = [lesson.document.learned for lesson in part]
    weights = [np.full(n, parts * lesson.times * weigh(n)) for n, lesson in zip(sizes, part, strict=True)]

    def rows(name: str) -> Float[np.ndarray, "B T"]:
        return laid_out.rows([getattr(lesson, name) for lesson in part])

    return PolicyBatch(
        *laid_out.batch, rows("log_old"), rows("log_ref"), rows("advantage"), laid_out.rows(weights), rows("returns")
    )


def pair_of(group: Group, rng: random.Random, searched: Sequence[Answer] = ()) -> Pair | None:
    """One of the best answers and one of the worst; where all are worth the same, what search found instead of them.

    None where it found nothing either.
    """
    if not group.teaches:
        drawn = rng.choice(group.answers)
        found = next((answer for answer in searched if answer.tokens != drawn.tokens), None)
        return Pair(group.prompt.tokens, found.tokens, drawn.tokens) if found else None
    best, worst = (
        [answer for answer, reward in zip(group.answers, group.rewards, strict=True) if reward == edge]
        for edge in (group.rewards.max(), group.rewards.min())
    )
    return Pair(group.prompt.tokens, rng.choice(best).tokens, rng.choice(worst).tokens)


def finds(groups: Sequence[Group], searched: Mapping[Prompt, Sequence[Answer]], keep: int) -> list[Document]:
    """Up to `keep` different right answers to each prompt, drawn or searched; right is what has a reward above 0.

    Different ones, and as many of an easy problem as of a hard one, so that the policy keeps more than one way.
    """
    found = []
    for group in groups:
        right = [answer for answer, reward in zip(group.answers, group.rewards, strict=True) if reward > 0]
        distinct = list(dict.fromkeys([*right, *searched.get(group.prompt, ())]))
        found += [answer.after(group.prompt) for answer in distinct[:keep]]
    return found


@dataclass(frozen=True)
class FindsLoss:
    """Mean of -log p over the tokens of the finds; 0 where there are none."""

    def __call__(self, model: Any, batch: Any) -> Tensor:
        log_p = read_tokens(model, batch).log_p
        return -log_p.sum() / max(1, len(log_p))

    def drain(self) -> dict[str, float]:
        """It has nothing to tell but the loss itself."""
        return {}


def dealt(
    items: Sequence[T], config: AlignConfig, rng: random.Random, make: Callable[[Sequence[T], Sequence[T]], B]
) -> list[B]:
    """`make(part, step)` for every micro-batch of a round: each pass deals its items out anew."""
    made = []
    for _ in range(config.epochs):
        order = rng.sample(items, len(items))
        for where in np.array_split(np.arange(len(order)), config.minibatches):
            step = [order[i] for i in where]
            for part in np.array_split(np.arange(len(step)), config.accumulate):
                made.append(make([step[i] for i in part], step))
    return made
