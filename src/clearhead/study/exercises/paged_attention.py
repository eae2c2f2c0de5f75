"""Attention over a KV cache that lies in pages."""

from typing import Any

import numpy as np

from clearhead.reference.attention import attention
from clearhead.study.practice.exercise import Exercise


def _oracle(
    q: np.ndarray, k_pages: np.ndarray, v_pages: np.ndarray, table: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    rows = []
    for query, pages, n in zip(q, table, lengths, strict=True):
        k, v = (all_[pages].reshape(-1, q.shape[-1])[:n] for all_ in (k_pages, v_pages))
        rows.append(attention(query[None], k, v)[0])
    return np.stack(rows)


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    pages, block = n.B * n.K + 2, n.P
    table = rng.permutation(pages)[: n.B * n.K].reshape(n.B, n.K)
    lengths = rng.integers(1, n.K * block, n.B, endpoint=True)
    table[np.arange(n.K) * block >= lengths[:, None]] = 0  # pages that are not in use
    size = (pages, block, n.C)
    return {
        "q": rng.normal(size=(n.B, n.C)), "k_pages": rng.normal(size=size), "v_pages": rng.normal(size=size), "table": table,
        "lengths": lengths,
    }  # fmt: skip


exercise = Exercise(
    title="Paged attention",
    section="Inference",
    statement="""
Keys and values of B texts lie in pages of P positions, k_pages and v_pages of shape [pages, P, C]; table[b] lists the
pages of text b in order, and only its first lengths[b] positions are in use: the rest of the last page, and later
entries of the table (0), hold other texts' data. For one new query per text return softmax(q k^T / sqrt(C)) v.
""",
    signature='def paged_attention(q: "float[B, C]", k_pages, v_pages, table: "int[B, K]", lengths: "int[B]") -> "float[B, C]":',
    sizes={"B": (2, 3), "K": (2, 3), "P": (2, 4), "C": (2, 4)},
    draw=_draw,
    edges=lambda rng: [{
        "q": rng.normal(size=(2, 3)), "k_pages": rng.normal(size=(5, 2, 3)), "v_pages": rng.normal(size=(5, 2, 3)),
        "table": np.array([[3, 1, 0], [2, 4, 1]]), "lengths": np.array([3, 5]),
    }],
    oracle=_oracle,
    hints=(
        "A position s of a text lies in page table[s // P], at place s % P.",
        "k_pages[table] has shape [B, K, P, C]: put its middle axes together and you have ordinary padded keys.",
        "k = k_pages[table].reshape(B, -1, C); mask arange(K P) < lengths[:, None]; softmax; weighted sum of v likewise.",
    ),
    solution="""
import numpy as np

def paged_attention(q, k_pages, v_pages, table, lengths):
    B, C = q.shape
    k, v = k_pages[table].reshape(B, -1, C), v_pages[table].reshape(B, -1, C)
    z = np.einsum("bc,bsc->bs", q, k) / np.sqrt(C)
    z = np.where(np.arange(k.shape[1]) < lengths[:, None], z, -np.inf)
    p = np.exp(z - z.max(-1, keepdims=True))
    return np.einsum("bs,bsc->bc", p / p.sum(-1, keepdims=True), v)
""",
    torch="""
import torch

def paged_attention(q, k_pages, v_pages, table, lengths):
    P, rows = k_pages.shape[1], []
    for query, pages, n in zip(q, table, lengths.tolist()):
        place = torch.arange(n)
        page = pages[place // P]
        k, v = k_pages[page, place % P], v_pages[page, place % P]
        rows.append((k @ query / len(query) ** 0.5).softmax(0) @ v)
    return torch.stack(rows)
""",
    wrong={
        "the table is ignored: pages are taken in the order in which they lie": (
            "    k, v = k_pages", "    table = np.arange(table.size).reshape(table.shape)\n    k, v = k_pages"
        ),
        "the rest of the last page is attended to": ("np.arange(k.shape[1]) < lengths[:, None]", "np.arange(k.shape[1]) < -(-lengths[:, None] // k_pages.shape[1]) * k_pages.shape[1]"),
        "all pages of the table are attended to, whatever the length": ("z = np.where(np.arange(k.shape[1]) < lengths[:, None], z, -np.inf)", "pass"),
        "the last position is left out": ("< lengths[:, None]", "< np.maximum(lengths[:, None] - 1, 1)"),
        "values are read without the table": ("v_pages[table].reshape(B, -1, C)", "v_pages[: table.size].reshape(B, -1, C)"),
        "the places within a page and the pages are mixed up": (
            "k_pages[table].reshape(B, -1, C)", "k_pages[table].swapaxes(1, 2).reshape(B, -1, C)"
        ),
        "the factor 1/√C is missing from the scores": (" / np.sqrt(C)", ""),
        "the logits of what is not in use are set to 0, not to -inf": ("-np.inf", "0.0"),
        "all texts have the first one's length": ("lengths[:, None]", "lengths[0]"),
    },
)  # fmt: skip
