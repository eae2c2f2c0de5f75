"""Choosing tokens against transformers' filters and beam search, and against all texts written out."""

import itertools
from functools import cache

import numpy as np
import pytest
import torch
from against import close
from batched import check_batched
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation.logits_process import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from clearhead.reference.decoding import (
    beam_search,
    draw,
    exhaustive_search,
    greedy,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    length_penalty,
)
from clearhead.reference.softmax import apply_temperature, log_softmax, softmax

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(20, 9)) * 3
NEG = -np.inf
TIED = np.array([1.0, 2.0, 2.0, 0.0, 2.0])


@pytest.mark.parametrize(
    ("mine", "warper"),
    [
        (lambda z: keep_top_k(z, 1), TopKLogitsWarper(1)),
        (lambda z: keep_top_k(z, 4), TopKLogitsWarper(4)),
        (lambda z: keep_top_k(z, 50), TopKLogitsWarper(50)),
        (lambda z: keep_top_p(z, 0.05), TopPLogitsWarper(0.05)),
        (lambda z: keep_top_p(z, 0.6), TopPLogitsWarper(0.6)),
        (lambda z: keep_top_p(z, 0.95), TopPLogitsWarper(0.95)),
        (lambda z: keep_min_p(z, 0.02), MinPLogitsWarper(0.02)),
        (lambda z: keep_min_p(z, 0.5), MinPLogitsWarper(0.5)),
    ],
)
def test_filters_are_those_of_transformers(mine, warper) -> None:
    close(mine(Z), warper(None, torch.tensor(Z)).numpy())


def test_the_nucleus_is_the_smallest_likely_set() -> None:
    z = Z[0, :6]
    p = softmax(z)
    for share in np.linspace(0.01, 0.99, 25):
        kept = set(np.flatnonzero(keep_top_p(z, float(share)) > NEG))
        enough = [set(s) for n in range(1, 7) for s in itertools.combinations(range(6), n) if p[list(s)].sum() >= share]
        assert len(kept) == len(enough[0])
        assert kept == max((s for s in enough if len(s) == len(kept)), key=lambda s: p[list(s)].sum())


def test_equals_go_to_the_smaller_id() -> None:
    assert greedy(TIED) == 1
    assert keep_top_k(TIED, 2).tolist() == [NEG, 2, 2, NEG, NEG]
    assert keep_top_k(TIED, 4).tolist() == [1, 2, 2, NEG, 2]
    assert keep_top_p(np.zeros(4), 0.5).tolist() == [0, 0, NEG, NEG]
    assert keep_top_p(np.zeros(4), 0.51).tolist() == [0, 0, 0, NEG]
    assert keep_min_p(TIED, 1.0).tolist() == [NEG, 2, 2, NEG, 2]


def test_edges_of_the_filters() -> None:
    for same in (keep_top_k(Z, 9), keep_top_p(Z, 1.0), keep_min_p(Z, 0.0)):
        assert same.tolist() == Z.tolist()
    tail = np.array([0.0, -60.0, -60.0])
    assert keep_top_p(tail, 1.0).tolist() == tail.tolist()
    assert keep_top_p(Z, 0.0).tolist() == keep_top_k(Z, 1).tolist()
    far = np.array([[1e4, -1e4, 0.0], [NEG, NEG, 0.0]])
    for kept in (keep_top_k(far, 1), keep_top_p(far, 0.9), keep_min_p(far, 0.1)):
        assert kept.tolist() == [[1e4, NEG, NEG], [NEG, NEG, 0]]
    masked = np.full(3, NEG)
    for kept in (keep_top_k(masked, 1), keep_top_p(masked, 0.5), keep_min_p(masked, 0.5)):
        assert kept.tolist() == masked.tolist()
    assert keep_top_k(np.zeros((0, 4)), 2).shape == (0, 4)
    assert (greedy(Z) == Z.argmax(-1)).all()
    assert (apply_temperature(Z, 0.0).argmax(-1) == greedy(Z)).all()


def test_any_number_of_batch_axes() -> None:
    for f in (greedy, lambda z: keep_top_k(z, 3), lambda z: keep_top_p(z, 0.7), lambda z: keep_min_p(z, 0.1)):
        check_batched(f, Z)
    certain = np.eye(5)[RNG.integers(5, size=(4,))]
    check_batched(lambda p: draw(p, RNG), certain)


def test_draws_follow_the_probabilities() -> None:
    p = np.array([0.1, 0.0, 0.6, 0.3])
    counts = np.bincount(draw(np.tile(p, (20_000, 1)), np.random.default_rng(1)), minlength=4)
    assert counts[1] == 0
    assert np.abs(counts / 20_000 - p).max() < 4 * 0.5 / np.sqrt(20_000)
    assert np.array_equal(draw(np.tile(7 * p, (50, 1)), np.random.default_rng(2)), _by_search(p, 50))
    assert draw(np.zeros((0, 3)) + 1, np.random.default_rng(0)).shape == (0,)


class Lowest(np.random.Generator):
    """The end of [0, 1) that a draw may hit, though one in 2⁵³."""

    def random(self, size=None):
        return np.zeros(size)


def test_what_cannot_happen_is_not_drawn_at_the_lowest_draw() -> None:
    assert draw(np.array([[0.0, 1.0], [0.5, 0.5]]), Lowest(np.random.PCG64())).tolist() == [1, 0]


def _by_search(p: np.ndarray, n: int) -> np.ndarray:
    return np.searchsorted(p.cumsum() / p.sum(), np.random.default_rng(2).random(n), side="right")


def chain(seed: int, V: int):
    """A model whose next token depends on everything before it."""

    @cache
    def next_log_p(tokens: tuple[int, ...]) -> np.ndarray:
        return log_softmax(np.random.default_rng([seed, *tokens]).normal(size=V) * 2)

    return next_log_p


def written_out(next_log_p, V: int, end: int, limit: int) -> dict[tuple[int, ...], float]:
    """log p of every text that ends, or is cut off, at `limit` tokens at most."""
    texts = {}
    for n in range(1, limit + 1):
        for y in itertools.product(range(V), repeat=n):
            if end not in y[:-1] and (y[-1] == end or n == limit):
                texts[y] = sum(next_log_p(y[:i])[v] for i, v in enumerate(y))
    return texts


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_exhaustive_search_lists_every_text(alpha: float) -> None:
    model = chain(3, 3)
    want = written_out(model, 3, 0, 4)
    got = exhaustive_search(model, end=0, limit=4, alpha=alpha)
    assert {h.tokens for h in got} == want.keys()
    close(np.array([h.log_p for h in got]), np.array([want[h.tokens] for h in got]))
    close(np.array([h.score for h in got]), [want[h.tokens] / ((5 + len(h.tokens)) / 6) ** alpha for h in got])
    assert [h.score for h in got] == sorted((h.score for h in got), reverse=True)
    close(sum(np.exp(h.log_p) for h in got), 1.0)


def test_texts_of_one_token_are_all_tried() -> None:
    found = exhaustive_search(lambda y: np.log([0.6, 0.4]), end=1, limit=1)
    assert [h.tokens for h in found] == [(0,), (1,)]


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_is_exhaustive_and_a_beam_of_one_is_greedy(seed: int) -> None:
    model = chain(seed, 3)
    everything = exhaustive_search(model, end=2, limit=4, alpha=0.7)
    assert beam_search(model, end=2, beam=81, limit=4, alpha=0.7) == everything
    tokens: tuple[int, ...] = ()
    while len(tokens) < 4 and tokens[-1:] != (2,):
        tokens = (*tokens, int(greedy(model(tokens))))
    (only,) = beam_search(model, end=2, beam=1, limit=4)
    assert only.tokens == tokens
    for beam in (1, 2, 3):
        assert beam_search(model, end=2, beam=beam, limit=4)[0].log_p <= exhaustive_search(model, 2, 4)[0].log_p


def test_a_beam_beats_greedy_and_still_misses_the_best() -> None:
    p = {(): [0.36, 0.34, 0.3], (0,): [0.4, 0.3, 0.3], (1,): [0.8, 0.1, 0.1], (2,): [0.0, 0.0, 1.0]}

    def model(y: tuple[int, ...]) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(p[y])

    best = [beam_search(model, end=9, beam=b, limit=2)[0] for b in (1, 2, 3)]
    assert [h.tokens for h in best] == [(0, 0), (1, 0), (2, 2)]
    close(np.exp([h.log_p for h in best]), [0.144, 0.272, 0.3])
    assert best[2] == exhaustive_search(model, end=9, limit=2)[0]


def test_a_wider_beam_can_do_worse() -> None:
    """Both steps after 1 are likelier than the best one after 0, which alone is followed by a certainty."""
    p = {(): [0.55, 0.45, 0.0], (0,): [0.4, 0.3, 0.3], (1,): [0.5, 0.5, 0.0], (0, 0): [1.0, 0.0, 0.0]}

    def model(y: tuple[int, ...]) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(p.get(y, [0.5, 0.5, 0.0]))

    best = [beam_search(model, end=9, beam=b, limit=3)[0] for b in (1, 2, 3)]
    assert [h.tokens for h in best] == [(0, 0, 0), (1, 0, 0), (0, 0, 0)]
    close(np.exp([h.log_p for h in best]), [0.22, 0.1125, 0.22])


def test_length_bias_and_its_penalty() -> None:
    """Each token of the long text is likelier than the short one, yet their product is not."""
    step = {(): [0.4, 0.6], (1,): [0.35, 0.65], (1, 1): [0.35, 0.65], (1, 1, 1): [0.0001, 0.9999]}

    def model(y: tuple[int, ...]) -> np.ndarray:
        return np.log(step[y])

    assert exhaustive_search(model, end=0, limit=4, alpha=0.0)[0].tokens == (0,)
    assert exhaustive_search(model, end=0, limit=4, alpha=1.0)[0].tokens == (1, 1, 1, 1)
    assert beam_search(model, end=0, beam=2, limit=4, alpha=1.0)[0].tokens == (1, 1, 1, 1)
    close(length_penalty(4, 0.6), 1.5**0.6)
    assert length_penalty(50, 0.0) == 1 == length_penalty(1, 3.0)
    assert length_penalty(0, 1.0) == 5 / 6


def test_equal_texts_and_dead_ends() -> None:
    def flat(y: tuple[int, ...]) -> np.ndarray:
        return np.full(2, np.log(0.5))

    assert [h.tokens for h in beam_search(flat, end=9, beam=3, limit=2)] == [(0, 0), (0, 1), (1, 0)]
    assert [h.tokens for h in beam_search(flat, end=0, beam=3, limit=2)] == [(0,), (1, 0), (1, 1)]
    assert [h.tokens for h in exhaustive_search(flat, end=9, limit=2)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert beam_search(lambda y: np.full(2, NEG), end=0, beam=2, limit=3) == []
    assert exhaustive_search(lambda y: np.full(2, NEG), end=0, limit=3) == []


def test_beams_of_one_length_are_those_of_transformers() -> None:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=7, n_positions=8, n_embd=8, n_layer=1, n_head=2, initializer_range=1.0)
    gpt2 = GPT2LMHeadModel(config).double().eval()
    theirs = gpt2.generate(
        torch.tensor([[3]]),
        attention_mask=torch.ones(1, 1, dtype=torch.long),
        num_beams=3,
        num_return_sequences=3,
        max_new_tokens=5,
        eos_token_id=None,
        pad_token_id=0,
        bos_token_id=None,
        length_penalty=0.0,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
    )

    def model(y: tuple[int, ...]) -> np.ndarray:
        with torch.no_grad():
            return gpt2(torch.tensor([[3, *y]])).logits[0, -1].log_softmax(-1).numpy()

    mine = beam_search(model, end=-1, beam=3, limit=5)
    assert [list(h.tokens) for h in mine] == theirs.sequences[:, 1:].tolist()
    close([h.log_p for h in mine], theirs.sequences_scores.numpy(), 1e-6)  # their running sums are float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: greedy(np.array([[0.0, 1.0], [NEG, NEG]])), "-inf throughout"),
        (lambda: greedy(np.array([0.0, np.nan])), "NaN"),
        (lambda: keep_top_k(Z, 0), "k = 0"),
        (lambda: keep_top_k(np.zeros((2, 0)), 1), "no classes"),
        (lambda: keep_top_p(Z, 1.5), "p = 1.5"),
        (lambda: keep_top_p(Z, -0.5), "p = -0.5"),
        (lambda: keep_min_p(Z, float("nan")), "p = nan"),
        (lambda: keep_min_p(np.array([np.nan]), 0.5), "NaN"),
        (lambda: draw(np.zeros(3), RNG), "above 0"),
        (lambda: draw(np.array([1.0, -0.5]), RNG), "0 or more"),
        (lambda: length_penalty(-1, 0.5), "length = -1"),
        (lambda: beam_search(lambda y: np.zeros(2), 0, 1, 1, alpha=-1.0), "alpha = -1.0"),
        (lambda: beam_search(lambda y: np.zeros(2), 0, 0, 1), "beam = 0"),
        (lambda: beam_search(lambda y: np.zeros(2), 0, 1, 0), "limit = 0"),
        (lambda: exhaustive_search(lambda y: np.zeros(2), 0, 0), "limit = 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
