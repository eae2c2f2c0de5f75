"""Pairs as batches: what every row reads and learns, and which pairs come when."""

import numpy as np

from clearhead.text.pairs import Pair, PairStream, concatenated, pair_batch

PAIRS = [Pair([5, 6, 7], [8, 9]), Pair([4], [3])]


def test_a_row_reads_the_start_and_learns_the_end() -> None:
    batch = pair_batch(PAIRS, start=2, end=1, sampled=0.5)
    assert batch.tokens.tolist() == [[2, 8, 9], [2, 3, 0]]
    assert batch.source.tolist() == [[5, 6, 7], [4, 0, 0]]
    assert batch.lengths.tolist() == [3, 1]
    assert batch.targets.tolist() == [[8, 9, 1], [3, 1, -1]]
    assert batch.sampled == 0.5


def test_a_decoder_learns_the_target_alone() -> None:
    batch = concatenated(PAIRS, end=1)
    assert batch.tokens.tolist() == [[5, 6, 7, 1, 8, 9], [4, 1, 3, 0, 0, 0]]
    assert batch.targets.tolist() == [[-1, -1, -1, 8, 9, 1], [-1, 3, 1, -1, -1, -1]]
    assert batch.segments.tolist() == [[1] * 6, [1, 1, 1, 0, 0, 0]]


def test_a_stream_repeats_from_anywhere_and_puts_like_lengths_together() -> None:
    rng = np.random.default_rng(0)
    pairs = [Pair([i], [1] * int(rng.integers(1, 30))) for i in range(100)]
    stream = PairStream(pairs, rows=4, seed=3)
    there = [stream.batch(step) for step in range(40)]
    assert [PairStream(pairs, 4, 3).batch(step) for step in (39, 0, 17)] == [there[39], there[0], there[17]]
    assert PairStream(pairs, 4, 4).batch(0) != there[0]
    spans = [max(len(p.target) for p in batch) - min(len(p.target) for p in batch) for batch in there]
    assert np.mean(spans) < 3  # drawn as they come it is about 18
    assert len({p.source[0] for batch in there for p in batch}) > 60
