"""Packing: what is put in comes out, rows are full, and a batch depends on the seed and its number alone."""

import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhead.errors import UserError
from clearhead.text.packing import IGNORE_INDEX, Batch, Document, PackedStream, fill_rows, pack, waste

LENGTHS = [44, 42, 46, 45, 48, 36, 43, 39, 47, 40, 41, 50, 38, 49, 51, 54, 52, 53, 57, 60]  # of Game of 24 solutions


def draw(rng: random.Random) -> Document:
    length = rng.choice(LENGTHS)
    prompt = rng.randint(6, 12)
    return Document([rng.randint(2, 20) for _ in range(prompt)], [rng.randint(2, 20) for _ in range(length - prompt)])


def unpack(batch: Batch) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(inputs, targets) of every document, read back from the rows."""
    found = []
    for tokens, positions, segments, targets in zip(*batch, strict=True):
        assert np.all(tokens[segments == 0] == 0) and np.all(targets[segments == 0] == IGNORE_INDEX)
        for segment in range(1, segments.max(initial=0) + 1):
            where = np.flatnonzero(segments == segment)
            assert np.array_equal(where, np.arange(where[0], where[-1] + 1)), "a document is torn"
            assert np.array_equal(positions[where], np.arange(len(where)))
            found.append((tuple(tokens[where].tolist()), tuple(targets[where].tolist())))
    return sorted(found)


def expected(documents: list[Document]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    pairs = []
    for prompt, solution, _ in documents:
        text = [*prompt, *solution]
        hidden = max(len(prompt) - 1, 0)
        pairs.append((tuple(text[:-1]), (IGNORE_INDEX,) * hidden + tuple(text[1:][hidden:])))
    return sorted(pairs)


def test_the_picture() -> None:
    batch = pack([Document([3, 4], [5, 6, 1]), Document([7], [8, 1])], 8)
    assert batch.tokens.tolist() == [[3, 4, 5, 6, 7, 8, 0, 0]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 0, 1, 0, 0]]
    assert batch.segments.tolist() == [[1, 1, 1, 1, 2, 2, 0, 0]]
    assert batch.targets.tolist() == [[-1, 5, 6, 1, 8, 1, -1, -1]]
    assert waste(batch) == 0.25


def test_what_was_given_is_read_and_not_learned() -> None:
    called = Document([3, 4], [5, 6, 7, 1], (False, True, True, False))
    batch = pack([called, Document([7], [8, 1])], 8)
    assert batch.tokens.tolist() == [[3, 4, 5, 6, 7, 7, 8, 0]]
    assert batch.targets.tolist() == [[-1, 5, -1, -1, 1, 8, 1, -1]]
    assert called.learned == 2 and Document([7], [8, 1]).learned == 2


documents = st.lists(
    st.builds(
        Document,
        st.lists(st.integers(1, 9), max_size=6),
        st.lists(st.integers(1, 9), min_size=2, max_size=7),
        st.just(()),
    ),
    max_size=30,
)


@given(documents)
def test_every_document_comes_back_once(drawn: list[Document]) -> None:
    assert unpack(pack(drawn, 12)) == expected(drawn)


@given(st.lists(st.integers(1, 20), max_size=40), st.one_of(st.none(), st.integers(0, 6)))
def test_no_row_overflows(lengths: list[int], rows: int | None) -> None:
    placed = fill_rows(lengths, 20, rows)
    used: dict[int, int] = {}
    for row, length in zip(placed, lengths, strict=True):
        used[row] = used.get(row, 0) + length
    left_out = used.pop(-1, 0)
    assert all(total <= 20 for total in used.values())
    assert sorted(used) == list(range(len(used)))
    assert rows is not None or not left_out
    assert not left_out or len(used) == rows


def test_gaps_are_closed_where_a_combination_closes_them() -> None:
    assert fill_rows([7, 6, 4, 3], 10) == [0, 1, 1, 0]
    assert sorted(fill_rows([6, 5, 4, 3, 2], 10)) == [0, 0, 1, 1, 1]  # 6+4 and 5+3+2
    assert fill_rows([5, 5, 5], 10, rows=1).count(-1) == 1


def test_hardly_any_padding() -> None:
    stream = PackedStream(draw, rows=32, length=256, seed=0)
    shares = [waste(stream.batch(step)) for step in range(32)]
    assert 0 < np.mean(shares) < 0.01


def test_long_documents_are_not_dropped_for_short_ones() -> None:
    """In rows that suit no combination of the lengths, the mean length stays that of what is drawn."""
    batches = [PackedStream(draw, rows=64, length=112, seed=seed).batch(0) for seed in range(4)]
    mean = np.mean([len(inputs) for batch in batches for inputs, _ in unpack(batch)])
    assert abs(mean - (np.mean(LENGTHS) - 1)) < 0.9  # four standard errors
    assert np.mean([waste(batch) for batch in batches]) > 0.02


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    def stream(seed: int = 5) -> PackedStream:
        return PackedStream(draw, rows=4, length=128, seed=seed, chunk=3)

    in_order = stream()
    batches = [in_order.batch(step) for step in range(8)]
    for step in (7, 0, 4, 5):
        again = stream().batch(step)
        assert all(np.array_equal(a, b) for a, b in zip(again, batches[step], strict=True))
    assert len({batch.tokens.tobytes() for batch in batches}) == 8
    assert not np.array_equal(stream(6).batch(0).tokens, batches[0].tokens)


def test_nothing_leaks_between_chunks_of_different_size() -> None:
    assert [b.shape for b in PackedStream(draw, 4, 128, 0).batch(0)] == [(4, 128)] * 4
    assert [b.shape for b in pack([], 8)] == [(0, 8)] * 4


@pytest.mark.parametrize(("prompt", "solution"), [(8, 6), (0, 14), (3, 0), (0, 1), (0, 0)])
def test_what_no_row_holds_is_refused(prompt: int, solution: int) -> None:
    with pytest.raises(UserError, match=re.escape(f"{prompt} + {solution} tokens")):
        pack([Document([1] * prompt, [1] * solution)], 12)
    pack([Document([1] * 7, [1] * 6), Document([], [1, 1])], 12)
