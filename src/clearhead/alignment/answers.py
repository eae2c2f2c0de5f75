"""Answers that a policy draws, in groups of one prompt each, and how they are laid out to learn from.

What is drawn comes from the one engine, so an answer depends on the policy, its prompt, its seed and its index alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from clearhead.generation.backend import in_halves
from clearhead.generation.language_model import Continuation, SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.text.packing import IGNORE_INDEX, Batch, Document, fill_rows, lay_out, sizes
from clearhead.text.prompt_format import given_tokens


@dataclass(frozen=True)
class Prompt:
    """What is asked, as text and as the tokens that the policy reads; of a task also its name and the problem.

    `calls`: answers may call tools.
    """

    text: str
    tokens: tuple[int, ...]
    task: str = ""
    problem: str = ""
    calls: bool = False


@dataclass(frozen=True)
class Answer:
    """What was written, as text and as tokens, the end of the text included where it is `done`.

    `given`: which of the tokens came from tools; none where nothing is said.
    """

    text: str
    tokens: tuple[int, ...]
    done: bool
    given: tuple[bool, ...] = ()

    def after(self, prompt: Prompt) -> Document:
        return Document(prompt.tokens, self.tokens, self.given)


class Group(NamedTuple):
    """Answers to one prompt, and what each is worth."""

    prompt: Prompt
    answers: list[Answer]
    rewards: Float[np.ndarray, "N"]

    @property
    def teaches(self) -> bool:
        """Does it tell better answers from worse ones?"""
        return bool(np.ptp(self.rewards) > 0)


def draw(
    engine: LocalEngine, prompts: Sequence[Prompt], n: int, sampling: SamplingParams, seeds: Sequence[int]
) -> list[list[Answer]]:
    """n answers to each prompt. Prompts must leave room in the engine's context."""

    def answers(some: Sequence[tuple[Prompt, int]]) -> list[list[Answer]]:
        roots = engine.open_tokens([prompt.tokens for prompt, _ in some])
        try:
            drawn = engine.extend(roots, n, sampling, [seed for _, seed in some], stop=None)
            return [
                [_answer(engine, prompt, text) for text in texts]
                for (prompt, _), texts in zip(some, drawn, strict=True)
            ]
        finally:
            engine.close(roots)

    return in_halves(answers, list(zip(prompts, seeds, strict=True)))


def _answer(engine: LocalEngine, prompt: Prompt, text: Continuation) -> Answer:
    tokens = tuple(engine.tokens(text.node)[len(prompt.tokens) :])
    given = given_tokens(engine.tokenizer, tokens, engine.calls.end) if prompt.calls and engine.calls else ()
    return Answer(text.text, tokens, text.done, given)


class LaidOut(NamedTuple):
    """Rows of documents, and where each learned token stands: its number among all of them at the place that predicts
    it, IGNORE_INDEX elsewhere.
    """

    batch: Batch
    number: Int[np.ndarray, "B T"]

    def rows(self, values: Sequence[Float[np.ndarray, "_"]]) -> Float[np.ndarray, "B T"]:
        """A number for each learned token, given by document, at its place; 0 elsewhere."""
        flat = np.concatenate([*values, [0.0]]).astype(np.float32)  # IGNORE_INDEX reads the last
        return flat[self.number]

    def by_document(
        self, rows: Float[np.ndarray, "B T"], documents: Sequence[Document]
    ) -> list[Float[np.ndarray, "_"]]:
        """The inverse: what stands at the places of each document's learned tokens."""
        ends = np.cumsum([document.learned for document in documents])
        flat = np.empty(int(ends[-1]) if len(ends) else 0)
        loss_mask = self.number != IGNORE_INDEX
        flat[self.number[loss_mask]] = rows[loss_mask]
        return np.split(flat, ends[:-1]) if documents else []


def lay_out_numbered(documents: Sequence[Document], length: int) -> LaidOut:
    """The documents in as few rows of `length` tokens as they fill, in one row of padding where there are none."""
    placed = fill_rows(sizes(documents, length), length)
    rows = max(placed, default=0) + 1
    starts = np.cumsum([0, *(document.learned for document in documents)]).tolist()
    numbered = [
        document._replace(solution=_numbers(document, start))
        for document, start in zip(documents, starts, strict=False)
    ]
    return LaidOut(lay_out(documents, placed, rows, length), lay_out(numbered, placed, rows, length).targets)


def _numbers(document: Document, start: int) -> Sequence[int]:
    """What number each token of the solution has among those learned; of one that was given it does not matter."""
    if not document.given:
        return range(start, start + len(document.solution))
    learned = ~np.array(document.given)
    return (start + np.cumsum(learned) - learned).tolist()
