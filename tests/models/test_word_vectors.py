"""Word vectors against the reference's tables, and on a text whose structure is known."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.errors import UserError
from clearhead.models.vector_space import VectorSpace, spearman
from clearhead.models.word_vectors import VectorConfig, cooccurrences, factorization, ppmi_svd, train
from clearhead.reference import embeddings as reference

texts_type = st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=5)


def flat(texts: list[list[int]]) -> np.ndarray:
    return np.array([i for text in texts for i in [*text, -1]], np.int32)


def dense(cells: tuple[np.ndarray, ...], V: int) -> np.ndarray:
    table = np.zeros((V, V))
    np.add.at(table, cells[:2], cells[2])
    return table


@given(texts_type, st.integers(1, 4), st.booleans())
@settings(max_examples=80, deadline=None)
def test_counts_are_the_reference_s(texts: list[list[int]], window: int, weighted: bool) -> None:
    found = cooccurrences(flat(texts), 6, window, "inverse" if weighted else "equal")
    expected = reference.cooccurrences(texts, 6, window, weighted)
    assert np.abs(dense(found, 6) - expected).max() < 1e-12
    assert len(set(zip(found.rows.tolist(), found.columns.tolist(), strict=True))) == (expected > 0).sum()


def test_counts_of_drawn_windows_weigh_a_distance_as_often_as_it_is_reached() -> None:
    found = dense(cooccurrences(flat([[0, 1, 2]]), 3, 2, "drawn"), 3)
    assert found.tolist() == [[0, 1, 0.5], [1, 0, 1], [0.5, 1, 0]]


def topics(texts: int = 400, seed: int = 0) -> list[list[int]]:
    """Words 0 to 9 stand together, and so do 10 to 19."""
    rng = np.random.default_rng(seed)
    return [(rng.integers(0, 10, 12) + 10 * (i % 2)).tolist() for i in range(texts)]


@pytest.mark.parametrize("k", [1, 2])
def test_ppmi_svd_is_the_reference_s_but_for_turns_of_equal_values(k: int) -> None:
    texts = topics(30)
    counts = reference.cooccurrences(texts, 20, 3)
    expected = reference.sppmi_vectors(counts, k, 20)
    found = ppmi_svd(cooccurrences(flat(texts), 20, 3, "equal"), 20, 20, k).astype(float)
    assert np.abs(found @ found.T - expected @ expected.T).max() < 1e-5  # it is kept in float32
    few = ppmi_svd(cooccurrences(flat(texts), 20, 3, "equal"), 20, 2, k, iterations=60).astype(float)
    assert np.abs(few @ few.T - expected[:, :2] @ expected[:, :2].T).max() < 1e-4
    assert ppmi_svd(cooccurrences(flat(texts), 20, 3, "equal"), 20, 30).shape == (20, 30)


def trained(method: str, **more: object) -> tuple[VectorSpace, list[tuple[float, float]]]:
    config = VectorConfig(method=method, dimensions=8, window=4, sample=0.0, **more)  # type: ignore[arg-type]
    found = train(flat(topics()), np.ones(20, np.float32), np.full(20, 0.05), config)
    return VectorSpace(tuple(f"w{i}" for i in range(20)), found.vectors), found.curve


@pytest.mark.parametrize("method", ["skipgram", "cbow", "glove", "ppmi"])
def test_words_that_stand_together_are_near(method: str) -> None:
    space, curve = trained(method, **({} if method == "ppmi" else {"epochs": 30, "lr": 0.1}))
    same, other = space.unit[:10] @ space.unit[:10].T, space.unit[:10] @ space.unit[10:].T
    assert same.mean() > other.mean() + 0.5
    if method != "ppmi":
        assert curve[-1][0] == pytest.approx(1) and curve[-1][1] < curve[0][1]


def test_a_seed_decides() -> None:
    assert np.array_equal(trained("skipgram", epochs=2)[0].vectors, trained("skipgram", epochs=2)[0].vectors)
    assert not np.array_equal(
        trained("skipgram", epochs=2)[0].vectors, trained("skipgram", epochs=2, seed=1)[0].vectors
    )


def test_skip_gram_s_dot_products_become_the_shifted_pmi() -> None:
    """With as many dimensions as words the optimum is reached: the two are equal, not only alike."""
    rng = np.random.default_rng(3)
    chain = rng.dirichlet(np.full(8, 0.5), 8)  # which word follows which
    texts = []
    for _ in range(1500):
        text = [int(rng.integers(8))]
        while len(text) < 12:
            text.append(int(rng.choice(8, p=chain[text[-1]])))
        texts.append(text)
    ids = flat(texts)
    noise = np.bincount(ids[ids >= 0], minlength=8) / (ids >= 0).sum()
    config = VectorConfig(dimensions=16, window=2, sample=0.0, epochs=40, lr=0.1, negatives=2)
    found = train(ids, np.ones(8, np.float32), noise, config)
    shifted, dots = factorization(ids, noise, found, config)
    often = shifted > np.median(shifted)
    assert np.corrcoef(shifted, dots)[0, 1] > 0.97
    assert np.abs(shifted - dots)[often].mean() < 0.25 < shifted[often].std()


def test_space_by_hand() -> None:
    space = VectorSpace(("man", "king", "woman", "queen", "tree"),
                        np.array([[1.0, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [-1, 0, 0]]))  # fmt: skip
    assert space.similarity("man", "king") == pytest.approx(2**-0.5)
    assert [n.word for n in space.nearest("man", 2)] == ["king", "woman"]
    assert space.analogy("man", "king", "woman", 1)[0].word == "queen"
    assert space.solved(np.array([[0, 1, 2, 3], [0, 1, 2, 4]])).tolist() == [1, 0]
    assert space.nearest("Man", 9)[-1].word == "tree" and len(space.nearest("man", 9)) == 4
    assert space.plane([0, 1, 2, 3]).shape == (4, 2)
    with pytest.raises(UserError, match="'qeen' has no vector; did you mean 'queen'"):
        space.nearest("qeen", 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
@settings(max_examples=60, deadline=None)
def test_spearman_is_scipy_s(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, float).T
    if x.std() and y.std():
        assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)
    else:
        assert np.isnan(spearman(x, y))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"dimensions": 0}, "dimensions = 0 must be 1 to 10000"),
        ({"lr": -1.0}, "lr = -1.0 must be 0 or a positive number"),
        ({"x_max": 0.0}, "x_max = 0.0 must be above 0"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        VectorConfig(**wrong)  # type: ignore[arg-type]


def test_a_text_in_which_no_two_words_meet() -> None:
    with pytest.raises(UserError, match="no two words of the text stand near each other"):
        train(flat([[0], [1]]), np.ones(2, np.float32), np.full(2, 0.5), VectorConfig("glove"))
