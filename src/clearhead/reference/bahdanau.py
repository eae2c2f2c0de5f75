"""The decoder that asks before it writes: each step's context comes from the state before it and goes into the cell.

Luong's decoder (seq2seq.py) attends after the cell; here what was looked at changes the state, so the order of the
steps cannot be undone and training runs through time. Deliberately not here: the encoder and the way to the words.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from clearhead.reference import Array
from clearhead.reference.recurrent import Weights, gru, gru_vjp
from clearhead.reference.seq2seq import additive_scores, additive_scores_vjp, attend, attend_vjp


class Asking(NamedTuple):
    """The alignment model (wq, wk, v), and a GRU that reads the word before, "D", and below it the context, "F"."""

    wq: Float[Array, "F M"]
    wk: Float[Array, "F M"]
    v: Float[Array, "M"]
    cell: Weights


def decode(
    w: Asking,
    words: Float[Array, "B T D"],
    states: Float[Array, "B S F"],
    mask: Bool[Array, "B S"],
    first: Float[Array, "B F"],
) -> Float[Array, "B T F"]:
    """s_t = GRU([y_{t-1}, c_t], s_{t-1}) with c_t = Σ_j α_tj h_j, α_t = softmax_j(v · tanh(s_{t-1} W_q + h_j W_k)).

    A cell that only passes its context on writes the mean of the source while the scores are equal:

    >>> read = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> gates = Weights(read, np.zeros((1, 3)), np.array([0.0, -99.0, 0.0]), np.zeros(3))
    >>> w = Asking(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1), gates)
    >>> source = np.array([[[0.1], [0.3]]])
    >>> decode(w, np.zeros((1, 2, 1)), source, np.ones((1, 2), bool), np.zeros((1, 1))).round(4)[0, :, 0].tolist()
    [0.1974, 0.1974]

    O(T (S F M + (D + F) F)) a row. Bahdanau, Cho and Bengio 2015, equations 4 to 6 and appendix A.1.2, with torch's
    GRU (recurrent.py). ValueError: a row whose source is masked altogether.
    """
    if not mask.any(1).all():
        raise ValueError(f"row {int(np.argmin(mask.any(1)))} has no source place to look at; unmask at least one")
    written = [first]
    for t in range(words.shape[1]):
        context = attend(_scores(w, written[-1], states), states, mask)[:, 0]
        written.append(gru(_read(words, t, context), written[-1], w.cell)[:, 0])
    return np.stack(written[1:], 1) if len(written) > 1 else np.zeros((len(words), 0, first.shape[1]))


def decode_vjp(
    w: Asking,
    words: Float[Array, "B T D"],
    states: Float[Array, "B S F"],
    mask: Bool[Array, "B S"],
    first: Float[Array, "B F"],
    ds: Float[Array, "B T F"],
) -> tuple[Asking, Float[Array, "B T D"], Float[Array, "B S F"], Float[Array, "B F"]]:
    """Backwards through time: s_{t-1} hears from the cell and, through the scores, from where it made the cell look."""
    written = np.concatenate([first[:, None], decode(w, words, states, mask, first)], 1)
    d_align = [np.zeros_like(w.wq), np.zeros_like(w.wk), np.zeros_like(w.v)]
    d_cell = Weights(*map(np.zeros_like, w.cell))
    d_words, d_states, back = np.zeros_like(words), np.zeros_like(states), np.zeros_like(first)
    D = words.shape[2]
    for t in reversed(range(words.shape[1])):
        before = written[:, t]
        scores = _scores(w, before, states)
        read = _read(words, t, attend(scores, states, mask)[:, 0])
        d_read, d_before, from_cell = gru_vjp(read, before, w.cell, (ds[:, t] + back)[:, None])
        d_words[:, t] = d_read[:, 0, :D]
        d_scores, from_values = attend_vjp(scores, states, mask, d_read[..., D:])
        d_query, from_keys, *from_scores = additive_scores_vjp(before[:, None], states, w.wq, w.wk, w.v, d_scores)
        d_states += from_values + from_keys
        back = d_before + d_query[:, 0]
        d_align = [total + part for total, part in zip(d_align, from_scores, strict=True)]
        d_cell = Weights(*(total + part for total, part in zip(d_cell, from_cell, strict=True)))
    wq, wk, v = d_align
    return Asking(wq, wk, v, d_cell), d_words, d_states, back


def _scores(w: Asking, state: Array, states: Array) -> Array:
    return additive_scores(state[:, None], states, w.wq, w.wk, w.v)


def _read(words: Array, t: int, context: Array) -> Array:
    return np.concatenate([words[:, t : t + 1], context[:, None]], -1)
