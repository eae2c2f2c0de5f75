"""Each step of the kernel is the formula of the reference, in float64 and one after the other."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.kernels.word_vectors import alias_table, glove_steps, negative_sampling_steps
from clearhead.reference.embeddings import (
    glove_loss,
    glove_loss_vjp,
    glove_weight,
    negative_sampling,
    negative_sampling_vjp,
)

V, D = 4, 7
NOISE = 3  # the word that every negative is
TOLERANCE = 1e-12
Pair = tuple[list[int], int]  # the words whose mean is h, and the true word


def tables(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(V, D)), rng.normal(size=(V, D))


def stepped(
    ids: list[int], cbow: bool, window: int, lr: float, dtype: type = np.float64, negatives: int = 1, **more: object
) -> tuple[np.ndarray, np.ndarray, float]:  # fmt: skip
    center, context = (table.astype(dtype) for table in tables())
    keep, noise = np.ones(V, np.float32), alias_table(np.eye(V)[NOISE])
    given = {"keep": keep, "noise": noise, "state": np.array([5], np.uint64), **more}
    loss, steps = negative_sampling_steps(
        np.array(ids, np.int32), center, context, cbow=cbow, window=window, negatives=negatives, lr=lr, **given
    )
    return center, context, loss / max(steps, 1)


def by_formula(pairs: Iterator[Pair], lr: float) -> tuple[np.ndarray, np.ndarray, float]:
    center, context = tables()
    first = 0.0
    for words, target in pairs:
        h, drawn = center[words].mean(0), context[[NOISE] if target != NOISE else []]
        first = first or float(negative_sampling(h, context[target], drawn))
        dh, du, dn = negative_sampling_vjp(h, context[target], drawn, np.array(1.0))
        for word in words:
            center[word] -= lr * dh / len(words)
        context[target] -= lr * du
        if len(drawn):
            context[NOISE] -= lr * dn[0]
    return center, context, first


def skip_gram_pairs(text: list[int]) -> Iterator[Pair]:
    for i, word in enumerate(text):
        for j in (i - 1, i + 1):
            if 0 <= j < len(text):
                yield [text[j]], word


def cbow_pairs(text: list[int]) -> Iterator[Pair]:
    for i, word in enumerate(text):
        beside = [text[j] for j in (i - 1, i + 1) if 0 <= j < len(text)]
        if beside:
            yield beside, word


@pytest.mark.parametrize("lr", [0.025, 0.7])
@pytest.mark.parametrize(("cbow", "pairs"), [(False, skip_gram_pairs), (True, cbow_pairs)])
def test_every_step_is_the_gradient_of_the_formula(cbow: bool, pairs: type, lr: float) -> None:
    text = [0, 1, 2, 1, 3, 0]
    expected, found = by_formula(pairs(text), lr), stepped([*text, -1], cbow, 1, lr)
    for a, b in zip(found[:2], expected[:2], strict=True):
        assert np.abs(a - b).max() < TOLERANCE * np.abs(b).max()
        assert np.abs(b - tables()[0]).max() > 1e-3
    narrow = stepped([*text, -1], cbow, 1, lr, np.float32)
    assert np.abs(narrow[0] - expected[0]).max() < 2e-6 * np.abs(expected[0]).max()


def test_the_loss_is_that_of_the_pairs_that_are_measured() -> None:
    found = stepped([0, 1, -1], False, 1, 1e-9)[2]  # of the first word of a text, with its one neighbor
    assert found == pytest.approx(by_formula(skip_gram_pairs([0, 1]), 1e-9)[2], rel=1e-7)


def test_no_window_reaches_into_another_text() -> None:
    apart = stepped([0, 1, -1, 2, 1, -1], False, 1, 0.1)
    expected = by_formula(iter([*skip_gram_pairs([0, 1]), *skip_gram_pairs([2, 1])]), 0.1)
    assert np.allclose(apart[0], expected[0], rtol=0, atol=1e-12)
    assert not np.allclose(apart[0], stepped([0, 1, 2, 1, -1], False, 1, 0.1)[0])
    alone = stepped([0, -1, 1, -1], True, 1, 0.1)
    assert np.array_equal(alone[0], tables()[0]), "a word alone has nothing to predict it"


def test_the_same_seed_gives_the_same_bits_and_frequent_words_are_thinned() -> None:
    ids = np.random.default_rng(1).integers(0, V, 300).tolist()
    more = {"noise": alias_table(np.full(V, 1 / V)), "keep": np.array([0.5, 1, 0, 1], np.float32)}
    one, two = (stepped([*ids, -1], False, 3, 0.05, negatives=4, state=np.array([9], np.uint64), **more) for _ in "ab")
    assert np.array_equal(one[0], two[0])
    other = stepped([*ids, -1], False, 3, 0.05, negatives=4, state=np.array([8], np.uint64), **more)
    assert not np.array_equal(one[0], other[0])
    assert np.array_equal(one[0][2], tables()[0][2]), "never kept, so never a center"
    assert not np.array_equal(one[1][2], tables()[1][2]), "but drawn as a negative"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40).filter(lambda p: sum(p) > 1e-3))
@settings(max_examples=60, deadline=None)
def test_an_alias_table_draws_every_word_as_often_as_it_should(p: list[float]) -> None:
    threshold, alias = alias_table(np.array(p))
    drawn = np.bincount(np.arange(len(p)), threshold, len(p)) + np.bincount(alias, 1 - threshold, len(p))
    assert np.abs(drawn / len(p) - np.array(p) / sum(p)).max() < 1e-6


def test_glove_is_adagrad_on_the_gradient_of_each_cell() -> None:
    rng = np.random.default_rng(2)
    rows, columns = np.array([0, 1, 2, 3], np.int32), np.array([1, 1, 0, 2], np.int32)
    counts = np.array([3, 250, 7, 1])
    parameters = [rng.normal(size=shape) for shape in ((V, D), (V, D), (V,), (V,))]
    squares, lr = [np.ones_like(p) for p in parameters], 0.05
    mine, my_squares = tuple(p.copy() for p in parameters), tuple(s.copy() for s in squares)
    order = np.array([2, 0, 3, 1, 2])
    found = glove_steps(order, rows, columns, np.log(counts), glove_weight(counts.astype(float)), mine, my_squares, lr)
    total = 0.0
    for cell in order:
        table = np.zeros((V, V), int)
        table[rows[cell], columns[cell]] = counts[cell]
        total += float(glove_loss(*parameters, table))
        for p, s, g in zip(parameters, squares, glove_loss_vjp(*parameters, table, 100.0, np.array(1.0)), strict=True):
            s += g * g
            p -= lr * g / np.sqrt(s)
    for a, b in zip((*mine, *my_squares), (*parameters, *squares), strict=True):
        assert np.abs(a - b).max() < TOLERANCE * np.abs(b).max()
    assert found == pytest.approx(total, rel=TOLERANCE)
