"""The vote among sampled answers."""

from typing import Any

import numpy as np

from clearhead.reference.voting import weighted_vote
from clearhead.study.practice.exercise import Exercise


def _oracle(texts: list[str], weights: list[float]) -> str | None:
    answers = []
    for text in texts:
        _, found, rest = text.rpartition("Answer:")
        answers.append(rest.strip() if found and rest.strip() else None)
    winner = weighted_vote(answers, weights)
    return None if winner is None else str(winner)


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    texts = []
    for _ in range(n.N):
        answer = str(rng.choice(["408", "357", " 408 ", "12", "400"]))
        texts.append(
            str(
                rng.choice(
                    [
                        f"So it is.\nAnswer: {answer}",
                        f"Answer: 1? No.\nAnswer: {answer}",
                        f"Answer:{answer}",
                        "I do not know",
                        "Answer:",
                    ]
                )
            )
        )
    return {"texts": texts, "weights": rng.integers(1, 5, n.N).astype(float).tolist()}


exercise = Exercise(
    title="Self-consistency",
    section="Search",
    statement="""
Sampled solutions vote on the answer. The answer of a text is what follows its last "Answer:", without the blanks
around it; a text without one, or with nothing behind it, has no vote. A vote counts as much as its weight. Return the
answer with the largest sum of weights, the one that came first among equals, and None where nobody voted.
""",
    signature='def self_consistency(texts: "list[str]", weights: "list[float]") -> "str | None":',
    sizes={"N": (1, 9)},
    draw=_draw,
    edges=lambda rng: [
        {"texts": ["Answer: 7", "Answer: 5", "Answer: 5"], "weights": [2.0, 1.0, 1.0]},
        {"texts": ["Answer: 5", "Answer: 7", "Answer: 7"], "weights": [5.0, 2.0, 2.0]},
        {"texts": ["nothing", "Answer:"], "weights": [3.0, 3.0]}, {"texts": ["none", "none", "Answer: 3"], "weights": [2.0, 2.0, 1.0]},
        {"texts": ["Answer: 1, or rather Answer: 2", "Answer: 1"], "weights": [2.0, 1.0]},
        {"texts": ["Answer: 8", "Answer:  8 ", "Answer: 9"], "weights": [1.0, 1.0, 1.5]},
    ],
    oracle=_oracle,
    hints=(
        "First a function from a text to its answer or None, then a dictionary of sums.",
        "rpartition splits at the last 'Answer:'. Dictionaries keep the order in which keys came.",
        "totals[a] = totals.get(a, 0) + w for the votes; max(totals, key=totals.get, default=None) takes the first of equals.",
    ),
    solution="""
def self_consistency(texts, weights):
    totals = {}
    for text, weight in zip(texts, weights):
        answer = text.rpartition("Answer:")[2].strip()
        if "Answer:" in text and answer:
            totals[answer] = totals.get(answer, 0.0) + weight
    return max(totals, key=totals.get, default=None)
""",
    torch="""
import re
import torch

def self_consistency(texts, weights):
    found = [re.findall("Answer:(.*?)(?=Answer:|$)", text, re.S) for text in texts]
    votes = [(f[-1].strip(), w) for f, w in zip(found, weights) if f and f[-1].strip()]
    names = list(dict.fromkeys(name for name, _ in votes))
    if not names:
        return None
    totals = torch.zeros(len(names), dtype=torch.float64)
    for name, w in votes:
        totals[names.index(name)] += w
    return names[int((totals == totals.max()).nonzero()[0])]
""",
    wrong={
        "every vote counts 1: the weights are ignored": ("totals.get(answer, 0.0) + weight", "totals.get(answer, 0.0) + 1"),
        "the answer with the single largest weight wins, not the one with the largest sum": ("totals.get(answer, 0.0) + weight", "max(totals.get(answer, 0.0), weight)"),
        "the first 'Answer:' is taken, not the last": ("text.rpartition", "text.partition"),
        "texts without an answer vote too": ('if "Answer:" in text and answer:', "if True:"),
        "blanks around the answer make it another answer": (".strip()\n", "\n"),
        "among equals the last one wins": ("max(totals, key=totals.get, default=None)", "max(reversed(list(totals)), key=totals.get, default=None)"),
    },
)  # fmt: skip
