"""pass@k against all subsets, and its bias; errors and corrections against simulations; AUC against scikit-learn."""

from itertools import combinations

import numpy as np
import pytest
from against import close
from sklearn.metrics import roc_auc_score

from clearhead.reference.evaluation import (
    bm25,
    corrected_rate,
    paired_error,
    pass_at_k,
    plug_in_pass_at_k,
    roc_auc,
    standard_error,
)


@pytest.mark.parametrize(("n", "right", "k"), [(6, 2, 3), (6, 0, 2), (6, 6, 1), (6, 5, 3)])
def test_it_is_the_share_of_subsets_with_a_right_one(n: int, right: int, k: int) -> None:
    subsets = list(combinations(range(n), k))
    close(pass_at_k(n, right, k), np.mean([min(subset) < right for subset in subsets]))


def test_it_is_unbiased_and_the_plug_in_is_not() -> None:
    p, n, k = 0.1, 10, 5
    rng = np.random.default_rng(0)
    counts = rng.binomial(n, p, 20_000).tolist()
    assert abs(np.mean([pass_at_k(n, c, k) for c in counts]) - (1 - (1 - p) ** k)) < 0.01
    assert np.mean([plug_in_pass_at_k(n, c, k) for c in counts]) < 1 - (1 - p) ** k - 0.03


def test_errors() -> None:
    rng = np.random.default_rng(0)
    shares = rng.binomial(200, 0.3, 20_000) / 200
    assert abs(shares.std() / standard_error(0.3, 200) - 1) < 0.02
    hard = rng.random(500)  # questions are easy or hard for both models
    a, b = ((rng.random(500) < hard).astype(float) for _ in range(2))
    a = np.maximum(a, b)
    assert paired_error(a, b) < 0.8 * np.hypot(
        standard_error(float(a.mean()), 500), standard_error(float(b.mean()), 500)
    )


def test_a_judges_rate_is_corrected() -> None:
    true, sensitivity, specificity = 0.3, 0.9, 0.7
    judged = true * sensitivity + (1 - true) * (1 - specificity)
    close(corrected_rate(judged, sensitivity, specificity), true)


@pytest.mark.parametrize("wrong", [lambda: pass_at_k(3, 4, 1), lambda: pass_at_k(3, 1, 4), lambda: standard_error(2, 9),
                                   lambda: corrected_rate(0.5, 0.5, 0.5)])  # fmt: skip
def test_what_cannot_be(wrong) -> None:
    with pytest.raises(ValueError, match="must"):
        wrong()


def test_auc_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        score, label = rng.integers(0, 6, 30) / 5.0, rng.integers(0, 2, 30)
        assert roc_auc(score, label) == pytest.approx(roc_auc_score(label, score))
    with pytest.raises(ValueError, match="both"):
        roc_auc(np.ones(2), np.ones(2, int))


def test_bm25_by_hand() -> None:
    documents = [["a", "b", "a"], ["b"], ["c", "c"]]
    idf_a, idf_b = np.log(1 + 2.5 / 1.5), np.log(1 + 1.5 / 2.5)
    first = idf_a * 2 * 2.5 / (2 + 1.5 * (0.25 + 0.75 * 1.5)) + idf_b * 2.5 / (1 + 1.5 * (0.25 + 0.75 * 1.5))
    second = idf_b * 2.5 / (1 + 1.5 * (0.25 + 0.75 * 0.5))
    np.testing.assert_allclose(bm25(["a", "b", "z"], documents), [first, second, 0.0])
    np.testing.assert_allclose(bm25(["a", "a"], documents), 2 * bm25(["a"], documents))
    with pytest.raises(ValueError, match="a word"):
        bm25(["a"], [[]])
