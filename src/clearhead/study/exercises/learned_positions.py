"""Learned positions: looked up, added, and their gradients."""

from typing import Any

import numpy as np

from clearhead.reference.positions import lookup, lookup_vjp
from clearhead.study.practice.exercise import Exercise


def _oracle(ids: np.ndarray, tokens: np.ndarray, positions: np.ndarray, dy: np.ndarray) -> tuple[Any, ...]:
    place = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    x = lookup(tokens, ids) + lookup(positions, place)
    return x, lookup_vjp(tokens, ids, dy), lookup_vjp(positions, place, dy)


exercise = Exercise(
    title="Learned positions",
    section="Positions",
    statement="""
The input of a transformer: x[b, t] = tokens[ids[b, t]] + positions[t]. Then, given dy, the gradient with
respect to x, the gradients of both tables: return (x, dtokens, dpositions). A token that occurs several times gets the
sum; a row that was not looked up gets 0. By hand: no automatic differentiation.
""",
    signature="""
def learned_positions(
    ids: "int[B, T]", tokens: "float[V, D]", positions: "float[N, D]", dy: "float[B, T, D]"
) -> "x, dtokens, dpositions":
""",
    sizes={"B": (2, 3), "T": (2, 5), "N": (5, 8), "V": (2, 5)},
    draw=lambda rng, n: {"ids": rng.integers(0, n.V, (n.B, n.T))},
    oracle=_oracle,
    outputs=("x", "dtokens", "dpositions"),
    forbidden=("torch.autograd", "torch.Tensor.backward", "torch.func"),
    hints=(
        "A look-up is a product with a one-hot matrix. What is the gradient of that product?",
        "dtokens[v] is the sum of dy wherever ids is v. In NumPy dtable[ids] += dy counts a repeated id only once.",
        "np.add.at(dtokens, ids, dy), in torch dtokens.index_put_((ids,), dy, accumulate=True); dpositions[:T] = dy.sum(0).",
    ),
    solution="""
import numpy as np

def learned_positions(ids, tokens, positions, dy):
    T = ids.shape[1]
    dtokens, dpositions = np.zeros_like(tokens), np.zeros_like(positions)
    np.add.at(dtokens, ids, dy)
    dpositions[:T] = dy.sum(0)
    return tokens[ids] + positions[:T], dtokens, dpositions
""",
    torch="""
import torch

def learned_positions(ids, tokens, positions, dy):
    T = ids.shape[1]
    dtokens, dpositions = torch.zeros_like(tokens), torch.zeros_like(positions)
    dtokens.index_put_((ids,), dy, accumulate=True)
    dpositions[:T] = dy.sum(0)
    return tokens[ids] + positions[:T], dtokens, dpositions
""",
    wrong={
        "a token that occurs several times gets the gradient of one place only": (
            "np.add.at(dtokens, ids, dy)", "dtokens[ids] += dy"
        ),
        "the gradient of a position is averaged over the batch": ("dy.sum(0)", "dy.mean(0)"),
        "positions are looked up by token id": ("positions[:T], dtok", "positions[ids], dtok"),
        "positions begin at 1": ("positions[:T], dtok", "positions[1 : T + 1] if T < len(positions) else positions[:T], dtok"),
        "only the first row of the batch reaches the positions": ("dy.sum(0)", "dy[0]"),
        "the tables' gradients are missing": ("    np.add.at(dtokens, ids, dy)\n    dpositions[:T] = dy.sum(0)\n", ""),
    },
)  # fmt: skip
