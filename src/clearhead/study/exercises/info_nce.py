"""InfoNCE: a contrastive loss with the rest of the batch as negatives."""

import numpy as np

from clearhead.reference.contrastive import info_nce
from clearhead.reference.linear_algebra import normalize
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="InfoNCE",
    section="Losses",
    statement="""
Query i belongs to key i; the other keys of the batch are its negatives. The mean over the queries of -log softmax of
their cosine similarities to all keys, divided by the temperature, at their own key. One direction only: queries to
keys. Temperatures may be as small as 0.001.
""",
    signature='def info_nce(q: "float[B, D]", k: "float[B, D]", temperature: float) -> float:',
    sizes={"B": (2, 5), "D": (2, 5)},
    draw=lambda rng, n: {"temperature": float(rng.choice([0.05, 0.1, 0.5, 1.0]))},
    edges=lambda rng: [
        {"q": np.array([[1.0, 0.0], [0.5, 2.0]]), "k": np.array([[-1.0, 0.25], [-0.5, -2.0]]), "temperature": 0.001},
        {"q": rng.normal(size=(3, 4)), "k": 5 * rng.normal(size=(3, 4)), "temperature": 0.5},
    ],
    oracle=lambda q, k, temperature: float(info_nce(normalize(q), normalize(k), temperature)),
    forbidden=("torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss"),
    hints=(
        "It is classification: B classes, one for each key, and query i is of class i.",
        "Normalize both, z = q @ k.T / temperature, then cross-entropy with the targets 0 .. B - 1: the diagonal.",
        "(logsumexp(z, -1) - diag(z)).mean(), with the maximum taken off inside.",
    ),
    solution="""
import numpy as np

def info_nce(q, k, temperature):
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    k = k / np.linalg.norm(k, axis=-1, keepdims=True)
    z = q @ k.T / temperature
    m = z.max(-1)
    return (m + np.log(np.exp(z - m[:, None]).sum(-1)) - np.diag(z)).mean()
""",
    torch="""
import torch

def info_nce(q, k, temperature):
    q, k = (torch.nn.functional.normalize(x, dim=-1) for x in (q, k))
    return -(q @ k.T / temperature).log_softmax(-1).diagonal().mean()
""",
    wrong={
        "vectors are not normalized: dot products, not cosines": (
            "    q = q / np.linalg.norm(q, axis=-1, keepdims=True)\n    k = k / np.linalg.norm(k, axis=-1, keepdims=True)\n", ""
        ),
        "the temperature multiplies": ("/ temperature", "* temperature"),
        "softmax runs over the queries: the other direction": ("z = q @ k.T", "z = k @ q.T"),
        "both directions are averaged, where one is asked for": (
            "    m = z.max(-1)\n    return (m + np.log(np.exp(z - m[:, None]).sum(-1)) - np.diag(z)).mean()",
            "    def one(z):\n        m = z.max(-1)\n        return (m + np.log(np.exp(z - m[:, None]).sum(-1)) - np.diag(z)).mean()\n    return (one(z) + one(z.T)) / 2",
        ),
        "the positive is left out of the denominator": (
            "    m = z.max(-1)\n", "    d = np.diag(z).copy()\n    z = np.where(np.eye(len(z), dtype=bool), -np.inf, z)\n    m = z.max(-1)\n", "np.diag(z)).mean()", "d).mean()"
        ),
        "the sum over the queries, not the mean": ("np.diag(z)).mean()", "np.diag(z)).sum()"),
        "the sign is wrong": ("return (m +", "return -(m +"),
        "the logarithm of a softmax that underflowed": (
            "m + np.log(np.exp(z - m[:, None]).sum(-1)) - np.diag(z)", "-np.log(np.diag(np.exp(z - m[:, None]) / np.exp(z - m[:, None]).sum(-1, keepdims=True)))"
        ),
        "the whole batch is normalized, not each vector": ("np.linalg.norm(q, axis=-1, keepdims=True)", "np.linalg.norm(q)", "np.linalg.norm(k, axis=-1, keepdims=True)", "np.linalg.norm(k)"),
    },
)  # fmt: skip
