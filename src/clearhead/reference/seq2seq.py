"""From one sequence to another: an encoder, a decoder, and attention between them.

B rows, T target and S source places, F units of a state. A place that the mask rules out has no weight; a row that is
ruled out altogether gives a context of zeros.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from clearhead.reference import Array
from clearhead.reference.recurrent import Weights, gru, gru_vjp
from clearhead.reference.softmax import cross_entropy, cross_entropy_vjp, softmax, softmax_vjp


def attend(
    scores: Float[Array, "B T S"], values: Float[Array, "B S F"], mask: Bool[Array, "B S"]
) -> Float[Array, "B T F"]:
    """c_t = Σ_s α_ts v_s with α_t = softmax over the allowed s of the scores: a weighted mean of the source.

    >>> attend(np.zeros((1, 1, 3)), np.array([[[1.0], [3.0], [99.0]]]), np.array([[True, True, False]])).tolist()
    [[[2.0]]]

    O(T S F) a row. Bahdanau, Cho and Bengio 2015, equations 5 and 6.
    """
    return softmax(_masked(scores, mask)) @ values


def attend_vjp(
    scores: Float[Array, "B T S"], values: Float[Array, "B S F"], mask: Bool[Array, "B S"], dc: Float[Array, "B T F"]
) -> tuple[Float[Array, "B T S"], Float[Array, "B S F"]]:
    """(softmax's gradient of dc Vᵀ, αᵀ dc)."""
    z = _masked(scores, mask)
    return softmax_vjp(z, dc @ values.swapaxes(1, 2)), softmax(z).swapaxes(1, 2) @ dc


def additive_scores(
    q: Float[Array, "B T F"], k: Float[Array, "B S F"], wq: Float[Array, "F M"], wk: Float[Array, "F M"],
    v: Float[Array, "M"],
) -> Float[Array, "B T S"]:  # fmt: skip
    """e_ts = v · tanh(q_t W_q + k_s W_k): a small network asks how well a target state fits a source state.

    Luong's "concat" is the same with W_q and W_k as halves of one matrix; Bahdanau's q is the state before the step.

    >>> one = np.ones((1, 1, 1))
    >>> additive_scores(one, one, np.zeros((1, 1)), np.ones((1, 1)), np.ones(1)).round(4).tolist()  # tanh 1
    [[[0.7616]]]

    O(T S M + (T + S) F M) a row. Bahdanau, Cho and Bengio 2015, appendix A.1.2; Luong et al. 2015, equation 8.
    """
    return np.tanh((q @ wq)[:, :, None] + (k @ wk)[:, None]) @ v


def additive_scores_vjp(
    q: Float[Array, "B T F"], k: Float[Array, "B S F"], wq: Float[Array, "F M"], wk: Float[Array, "F M"],
    v: Float[Array, "M"], de: Float[Array, "B T S"],
) -> tuple[
    Float[Array, "B T F"], Float[Array, "B S F"], Float[Array, "F M"], Float[Array, "F M"], Float[Array, "M"]
]:  # fmt: skip
    """With dz = de v (1 - tanh²): what goes to q is its sum over s, what goes to k its sum over t."""
    h = np.tanh((q @ wq)[:, :, None] + (k @ wk)[:, None])
    dz = de[..., None] * v * (1 - h**2)
    dq, dk = dz.sum(2), dz.sum(1)
    return (
        dq @ wq.T, dk @ wk.T, np.einsum("btf,btm->fm", q, dq), np.einsum("bsf,bsm->fm", k, dk),
        np.einsum("bts,btsm->m", de, h),
    )  # fmt: skip


def dot_scores(q: Float[Array, "B T F"], k: Float[Array, "B S F"]) -> Float[Array, "B T S"]:
    """e_ts = q_t · k_s: no weights at all, so both sides must speak one language.

    >>> dot_scores(np.array([[[1.0, 2.0]]]), np.array([[[3.0, 4.0]]])).tolist()
    [[[11.0]]]

    O(T S F) a row. Luong, Pham and Manning 2015, equation 8, "dot".
    """
    return q @ k.swapaxes(1, 2)


def dot_scores_vjp(
    q: Float[Array, "B T F"], k: Float[Array, "B S F"], de: Float[Array, "B T S"]
) -> tuple[Float[Array, "B T F"], Float[Array, "B S F"]]:
    """(de k, deᵀ q)."""
    return de @ k, de.swapaxes(1, 2) @ q


def general_scores(q: Float[Array, "B T F"], k: Float[Array, "B S F"], w: Float[Array, "F F"]) -> Float[Array, "B T S"]:
    """e_ts = q_t W k_s: a dot product after a map from one side's language to the other's.

    >>> general_scores(np.array([[[1.0]]]), np.array([[[3.0]]]), np.array([[2.0]])).tolist()
    [[[6.0]]]

    O(T S F + T F²) a row. Luong, Pham and Manning 2015, equation 8, "general".
    """
    return dot_scores(q @ w, k)


def general_scores_vjp(
    q: Float[Array, "B T F"], k: Float[Array, "B S F"], w: Float[Array, "F F"], de: Float[Array, "B T S"]
) -> tuple[Float[Array, "B T F"], Float[Array, "B S F"], Float[Array, "F F"]]:
    """dot_scores_vjp of q W and k, then through W."""
    dm, dk = dot_scores_vjp(q @ w, k, de)
    return dm @ w.T, dk, np.einsum("btf,btg->fg", q, dm)


class Translator(NamedTuple):
    """Embeddings of both languages, two GRUs, Luong's general attention, and the way from states to logits.

    With attention `score` is (F, F) and `combine` (2F, F), the context above the state; without it `score` is empty, of
    shape (0, 0), and `combine` (F, F).
    """

    source: Float[Array, "V D"]
    target: Float[Array, "K D"]
    encoder: Weights
    decoder: Weights
    score: Float[Array, "..."]
    combine: Float[Array, "..."]
    out: Float[Array, "F K"]


def translate_loss(
    w: Translator,
    source: Int[Array, "B S"],
    lengths: Int[Array, "B"],
    given: Int[Array, "B T"],
    wanted: Int[Array, "B T"],
) -> Float[Array, ""]:
    """Mean -log p(wanted | source, given): encode, decode with the true words before each as input, attend, predict.

    Without attention all that the decoder knows of the source is the encoder's last state (Sutskever et al. 2014); with
    it every step looks back at every source state: h̃ = tanh([c, h] W), logits = h̃ W_out.

    Weights of zero prefer none of K words, which costs log K:

    >>> gates = Weights(np.zeros((1, 3)), np.zeros((1, 3)), np.zeros(3), np.zeros(3))
    >>> tables, empty = np.zeros((4, 1)), np.zeros((0, 0))
    >>> w = Translator(tables, tables, gates, gates, empty, np.zeros((1, 1)), np.zeros((1, 4)))
    >>> round(float(translate_loss(w, np.array([[1]]), np.array([1]), np.array([[2]]), np.array([[3]]))), 4)
    1.3863

    O((S + T) F² + S T F + T F K) a row. Luong, Pham and Manning 2015, equations 5 and 6. ValueError: no target words, a
    length outside 1 to S, or a word outside its table.
    """
    *_, logits = _forward(w, source, lengths, given)
    return cross_entropy(logits, wanted).mean()


def translate_loss_vjp(
    w: Translator, source: Int[Array, "B S"], lengths: Int[Array, "B"], given: Int[Array, "B T"],
    wanted: Int[Array, "B T"], dl: Float[Array, ""],
) -> Translator:  # fmt: skip
    """Back through the logits, the attention, the decoder, its first state, the encoder, and both embeddings."""
    mask = np.arange(source.shape[1]) < lengths[:, None]
    states, first, outputs, joined, top, logits = _forward(w, source, lengths, given)
    F = outputs.shape[-1]
    d_logits = cross_entropy_vjp(logits, wanted, np.full(wanted.shape, float(dl) / wanted.size))
    d_mixed = (d_logits @ w.out.T) * (1 - top**2)
    d_joined = d_mixed @ w.combine.T
    d_outputs, d_states, d_score = d_joined[..., -F:], np.zeros_like(states), np.zeros_like(w.score)
    if w.score.size:
        scores = general_scores(outputs, states, w.score)
        d_scores, d_states = attend_vjp(scores, states, mask, d_joined[..., :F])
        d_queries, from_keys, d_score = general_scores_vjp(outputs, states, w.score, d_scores)
        d_outputs, d_states = d_outputs + d_queries, d_states + from_keys
    d_given, d_first, d_decoder = gru_vjp(w.target[given], first, w.decoder, d_outputs)
    np.add.at(d_states, (np.arange(len(source)), lengths - 1), d_first)
    d_read, _, d_encoder = gru_vjp(w.source[source], np.zeros_like(first), w.encoder, d_states)
    d_source, d_target = np.zeros_like(w.source), np.zeros_like(w.target)
    np.add.at(d_source, source, d_read)
    np.add.at(d_target, given, d_given)
    d_combine = np.einsum("btf,btg->fg", joined, d_mixed)
    return Translator(
        d_source, d_target, d_encoder, d_decoder, d_score, d_combine, np.einsum("btf,btk->fk", top, d_logits)
    )


def _forward(w: Translator, source: Array, lengths: Array, given: Array) -> tuple[Array, ...]:
    """Encoder states, the decoder's first state, its outputs, they with their contexts, h̃, and the logits."""
    _check(w, source, lengths, given)
    mask = np.arange(source.shape[1]) < lengths[:, None]
    states = gru(w.source[source], np.zeros((len(source), w.encoder.u.shape[0])), w.encoder)
    first = states[np.arange(len(source)), lengths - 1]
    outputs = gru(w.target[given], first, w.decoder)
    joined = outputs
    if w.score.size:
        context = attend(general_scores(outputs, states, w.score), states, mask)
        joined = np.concatenate([context, outputs], -1)
    top = np.tanh(joined @ w.combine)
    return states, first, outputs, joined, top, top @ w.out


def _check(w: Translator, source: Array, lengths: Array, given: Array) -> None:
    if not given.size:
        raise ValueError(f"given of shape {given.shape} holds no words: a mean over nothing is undefined")
    if not ((lengths >= 1) & (lengths <= source.shape[1])).all():
        raise ValueError(f"lengths run from {lengths.min()} to {lengths.max()}; they must be 1 to {source.shape[1]}")
    for name, words, table in (("source", source, w.source), ("given", given, w.target)):
        if not ((words >= 0) & (words < len(table))).all():
            raise ValueError(f"{name} runs from {words.min()} to {words.max()}; words must be 0 to {len(table) - 1}")


def _masked(scores: Array, mask: Array) -> Array:
    return np.where(mask[:, None], scores, -np.inf)
