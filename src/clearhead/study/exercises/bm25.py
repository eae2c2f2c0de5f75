"""BM25, the ranking that dense retrieval has to beat."""

from typing import Any

import numpy as np

from clearhead.reference.evaluation import bm25
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    words = list("abcdef")
    documents = [[str(w) for w in rng.choice(words, rng.integers(1, 7))] for _ in range(n.N)]
    return {
        "query": [str(w) for w in rng.choice([*words, "z"], rng.integers(1, 4), replace=False)], "documents": documents,
        "k1": float(rng.choice([1.2, 1.5, 2.0])), "b": float(rng.choice([0.5, 0.75])),
    }  # fmt: skip


exercise = Exercise(
    title="BM25",
    section="Retrieval",
    statement="""
The score of each document for the query: the sum over the query's words of idf * f (k1 + 1) / (f + k1 (1 - b + b L /
mean L)), f being how often the word stands in the document, L the document's length in words, mean L that of all
documents. idf = log(1 + (N - n + 0.5) / (n + 0.5)), where n of the N documents hold the word. No document is empty.
""",
    signature='def bm25(query: "list[str]", documents: "list[list[str]]", k1: float, b: float) -> "list[float]":',
    sizes={"N": (2, 6)},
    draw=_draw,
    edges=lambda rng: [
        {"query": ["a", "b"], "documents": [["a", "b", "a"], ["b"], ["c", "c"]], "k1": 1.5, "b": 0.75},
        {"query": ["z"], "documents": [["a"], ["b", "a"]], "k1": 1.5, "b": 0.75},
        {"query": ["a"], "documents": [["a", "a", "a"], ["a"], ["a", "b", "c", "d", "e"]], "k1": 2.0, "b": 0.5},
    ],
    oracle=lambda query, documents, k1, b: bm25(query, documents, k1, b).tolist(),
    hints=(
        "Two counts for each word: how often it stands in this document, and in how many documents it stands.",
        "A word's second occurrence adds less than its first; long documents are held back by b.",
        "for word in query: f = d.count(word); score += idf[word] * f * (k1 + 1) / (f + k1 * (1 - b + b * len(d) / mean)).",
    ),
    solution="""
import math

def bm25(query, documents, k1, b):
    N, mean = len(documents), sum(map(len, documents)) / len(documents)
    scores = [0.0] * N
    for word in query:
        n = sum(word in d for d in documents)
        idf = math.log(1 + (N - n + 0.5) / (n + 0.5))
        for i, d in enumerate(documents):
            f = d.count(word)
            scores[i] += idf * f * (k1 + 1) / (f + k1 * (1 - b + b * len(d) / mean))
    return scores
""",
    torch="""
import torch

def bm25(query, documents, k1, b):
    f = torch.tensor([[d.count(word) for word in query] for d in documents], dtype=torch.float64)
    length = torch.tensor([len(d) for d in documents], dtype=torch.float64)
    n = (f > 0).sum(0)
    idf = torch.log1p((len(documents) - n + 0.5) / (n + 0.5))
    scaled = f * (k1 + 1) / (f + (k1 * (1 - b + b * length / length.mean()))[:, None])
    return (scaled * idf).sum(-1)
""",
    wrong={
        "n counts occurrences, not documents": ("sum(word in d for d in documents)", "sum(d.count(word) for d in documents)"),
        "the 1 inside the logarithm is missing: common words count negatively": ("math.log(1 + (N", "math.log((N"),
        "the factor k1 + 1 is missing": ("f * (k1 + 1)", "f"),
        "documents' lengths are left out: b is not used": ("(1 - b + b * len(d) / mean)", "1"),
        "lengths are divided by the total, not by the mean": ("/ len(documents)\n", "\n"),
        "b and 1 - b have changed places": ("(1 - b + b * len(d) / mean)", "(b + (1 - b) * len(d) / mean)"),
        "f is not damped: this is tf-idf": ("f * (k1 + 1) / (f + k1 * (1 - b + b * len(d) / mean))", "f"),
        "a word counts once however often it stands": ("f = d.count(word)", "f = int(word in d)"),
        "idf is left out": ("idf * f", "f"),
        "the length counts different words only": ("b * len(d)", "b * len(set(d))"),
    },
)  # fmt: skip
