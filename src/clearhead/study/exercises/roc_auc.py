"""The area under the ROC curve, ties included."""

from typing import Any

import numpy as np

from clearhead.reference.evaluation import roc_auc
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    label = rng.integers(0, 2, n.N)
    label[:2] = 0, 1
    return {"score": rng.integers(0, 2 * n.N, n.N) / 4.0, "label": label[rng.permutation(n.N)]}


exercise = Exercise(
    title="ROC AUC",
    section="Evaluation",
    statement="""
The area under the ROC curve: the probability that a random positive example (label 1) has a larger score than a random
negative one (label 0), where equal scores count half. Both classes occur.
""",
    signature='def roc_auc(score: "float[N]", label: "int[N]") -> float:',
    sizes={"N": (3, 9)},
    draw=_draw,
    edges=lambda rng: [
        {"score": np.array([0.875, 0.5, 0.5, 0.125]), "label": np.array([1, 1, 0, 0])}, {"score": np.full(4, 0.5), "label": np.array([1, 0, 0, 1])},
        {"score": np.array([0.125, 0.25, 0.75]), "label": np.array([1, 1, 0])}, {"score": np.array([3.0, -2.0, 7.0, 1.0]), "label": np.array([0, 0, 1, 0])},
        {"score": np.array([0.5, 0.5, 0.75, 0.25]), "label": np.array([0, 1, 1, 0])}, {"score": np.array([0.5, 0.5, 0.75, 0.25]), "label": np.array([1, 0, 1, 0])},
    ],
    oracle=lambda score, label: roc_auc(score, label),
    hints=(
        "Count pairs: for how many of the positive-negative pairs is the positive ahead?",
        "Compare all positives with all negatives by broadcasting, and give ties one half.",
        "d = score[label == 1][:, None] - score[label == 0]; ((d > 0) + 0.5 * (d == 0)).mean()",
    ),
    solution="""
import numpy as np

def roc_auc(score, label):
    d = score[label == 1][:, None] - score[label == 0]
    return ((d > 0) + 0.5 * (d == 0)).mean()
""",
    torch="""
import torch

def roc_auc(score, label):
    order = score.sort().values
    low = torch.searchsorted(order, score, right=False)
    high = torch.searchsorted(order, score, right=True)
    rank = (low + high + 1) / 2
    n = int(label.sum())
    return (rank[label == 1].sum() - n * (n + 1) / 2) / (n * (len(label) - n))
""",
    wrong={
        "ties count nothing": (" + 0.5 * (d == 0)", ""),
        "ties count in full": ("(d > 0) + 0.5 * (d == 0)", "d >= 0"),
        "the classes have changed places": ("score[label == 1][:, None] - score[label == 0]", "score[label == 0][:, None] - score[label == 1]"),
        "it is the accuracy at a threshold of 0.5": ('    d = score[label == 1][:, None] - score[label == 0]\n    return ((d > 0) + 0.5 * (d == 0)).mean()', '    return ((score > 0.5) == label).mean()'),
        "pairs are counted but not divided by their number": (".mean()", ".sum()"),
        "divided by all pairs of examples, not by those of a positive and a negative": (".mean()", ".sum() / (len(score) * (len(score) - 1) / 2)"),
        "ranks are given to ties in the order in which they stand": '''
import numpy as np

def roc_auc(score, label):
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    n = (label == 1).sum()
    return (rank[label == 1].sum() - n * (n + 1) / 2) / (n * (len(label) - n))
''',
    },
)  # fmt: skip
