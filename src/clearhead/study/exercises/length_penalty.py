"""Beam search with a length penalty."""

from typing import Any

import numpy as np

from clearhead.reference.decoding import beam_search
from clearhead.study.exercises.beam_search import DRIVE, draw
from clearhead.study.practice.exercise import Exercise


def _oracle(table: np.ndarray, end: int, beam: int, limit: int, alpha: float) -> list[Any]:
    found = beam_search(lambda y: table[len(y) % 2, y[-1] if y else -1], end, beam, limit, alpha)
    return [(list(h.tokens), h.score) for h in found]


exercise = Exercise(
    title="Beam search with a length penalty",
    section="Decoding",
    statement="""
Beam search as in the exercise beam-search: within a round texts have equal lengths and compete by log-probability;
`beam` of them are kept, and those that end or reach the limit are finished. But finished texts are ranked by score =
log-probability / ((5 + length) / 6)^alpha, length counting every token, `end` too. Return the best `beam` of all
finished texts as (tokens, score), highest score first.
""",
    signature='def beam_length_penalty(next_log_p, end: int, beam: int, limit: int, alpha: float) -> "list[tuple[list[int], float]]":',
    sizes={"V": (3, 5), "K": (2, 5), "L": (2, 6)},
    draw=lambda rng, n: {**draw(rng, n), "alpha": float(rng.uniform(0.5, 2.0))},
    oracle=_oracle,
    drive=DRIVE.format(name="beam_length_penalty"),
    hints=(
        "Without it a longer text, being a longer sum of negative numbers, nearly always loses.",
        "The penalty changes the ranking of finished texts only; keep their log-probabilities until they are finished.",
        "finished.append((tokens, log_p / ((5 + len(tokens)) / 6) ** alpha)), and sort by that at the very end.",
    ),
    solution="""
def beam_length_penalty(next_log_p, end, beam, limit, alpha):
    live, finished = [((), 0.0)], []
    while live:
        grown = [((*y, v), s + float(step)) for y, s in live for v, step in enumerate(next_log_p(y))]
        grown = sorted(grown, key=lambda y: -y[1])[:beam]
        done = [y for y in grown if y[0][-1] == end or len(y[0]) == limit]
        live = [y for y in grown if y not in done]
        finished += [(y, s / ((5 + len(y)) / 6) ** alpha) for y, s in done]
    return sorted(finished, key=lambda y: -y[1])[:beam]
""",
    torch="""
import torch

def beam_length_penalty(next_log_p, end, beam, limit, alpha):
    live, finished = [((), 0.0)], []
    for length in range(1, limit + 1):
        grown = [((*y, v), s + step) for y, s in live for v, step in enumerate(next_log_p(y).tolist())]
        grown = sorted(grown, key=lambda y: -y[1])[:beam]
        penalty = ((5 + length) / 6) ** alpha
        finished += [(y, s / penalty) for y, s in grown if y[-1] == end or length == limit]
        live = [(y, s) for y, s in grown if y[-1] != end]
    return sorted(finished, key=lambda y: -y[1])[:beam]
""",
    wrong={
        "there is no penalty": (" / ((5 + len(y)) / 6) ** alpha", ""),
        "the score is divided by the length to the power alpha": ("((5 + len(y)) / 6) ** alpha", "len(y) ** alpha"),
        "the score is multiplied by the penalty, which favors short texts": ("s / ((5", "s * ((5"),
        "the end is not counted in the length": ("(5 + len(y))", "(5 + len(y) - (y[-1] == end))"),
        "a penalized score is carried on as if it were a log-probability": (
            "grown = [((*y, v), s + float(step))", "grown = [((*y, v), (s + float(step)) / ((5 + len(y) + 1) / 6) ** alpha)", "s / ((5 + len(y)) / 6) ** alpha", "s"
        ),
        "finished texts are ranked by log-probability": (
            "    return sorted(finished, key=lambda y: -y[1])", "    return sorted(finished, key=lambda y: -y[1] * ((5 + len(y[0])) / 6) ** alpha)"
        ),
    },
)  # fmt: skip
