"""Bahdanau's decoder against torch's GRU cell and softmax, one step at a time."""

import numpy as np
import pytest
import torch
from against import close
from trees import check_tree_vjp

from clearhead.reference.bahdanau import Asking, decode, decode_vjp
from clearhead.reference.recurrent import Weights

RNG = np.random.default_rng(2)
B, T, S, D, F, M = 2, 3, 4, 3, 5, 6
CELL = Weights(
    RNG.normal(size=(D + F, 3 * F)), RNG.normal(size=(F, 3 * F)), RNG.normal(size=3 * F), RNG.normal(size=3 * F)
)
W = Asking(RNG.normal(size=(F, M)), RNG.normal(size=(F, M)), RNG.normal(size=M), CELL)
WORDS, STATES, FIRST = RNG.normal(size=(B, T, D)), RNG.normal(size=(B, S, F)), RNG.normal(size=(B, F))
MASK = np.arange(S) < np.array([S, 2])[:, None]


def peer(w, words, states, mask, first):
    state, written = first, []
    cell = w.cell
    for t in range(words.shape[1]):
        energies = ((state @ w.wq)[:, None] + states @ w.wk).tanh() @ w.v
        weights = energies.masked_fill(~mask, -torch.inf).softmax(-1)
        context = (weights[..., None] * states).sum(1)
        read = torch.cat([words[:, t], context], -1)
        state = torch.gru_cell(read, state, cell.w.T, cell.u.T, cell.b, cell.c)
        written.append(state)
    return torch.stack(written, 1)


def test_every_state_and_every_gradient() -> None:
    check_tree_vjp(decode, decode_vjp, W, WORDS, STATES, MASK, FIRST, peer=peer)


def test_padding_is_never_read() -> None:
    other = STATES.copy()
    other[1, 2:] = 1e6
    close(decode(W, WORDS, other, MASK, FIRST), decode(W, WORDS, STATES, MASK, FIRST))


def test_the_context_reaches_the_state() -> None:
    """Change a source state: every written state changes, the first one too."""
    other = STATES.copy()
    other[0, 1] += 1
    changed = (decode(W, WORDS, other, MASK, FIRST) != decode(W, WORDS, STATES, MASK, FIRST)).any(-1)
    assert changed.tolist() == [[True] * T, [False] * T]


def test_edges() -> None:
    assert np.array_equal(decode(W, WORDS[:, :1], STATES, MASK, FIRST), decode(W, WORDS, STATES, MASK, FIRST)[:, :1])
    assert decode(W, WORDS[:, :0], STATES, MASK, FIRST).shape == (B, 0, F)
    with pytest.raises(ValueError, match="row 1 has no source place"):
        decode(W, WORDS, STATES, np.array([[True] * S, [False] * S]), FIRST)
