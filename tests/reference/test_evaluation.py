"""pass@k against enumeration, AUC against scikit-learn, BM25 worked by hand."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clearhead.reference.evaluation import bm25, pass_at_k, roc_auc


def test_pass_at_k_counts_the_subsets_with_a_right_sample() -> None:
    for n in range(1, 7):
        for c in range(n + 1):
            for k in range(1, n + 1):
                subsets = list(combinations(range(n), k))
                assert pass_at_k(n, c, k) == pytest.approx(sum(min(s) < c for s in subsets) / len(subsets))
    for bad in ((3, 4, 1), (3, 1, 4), (3, 1, 0), (3, -1, 1)):
        with pytest.raises(ValueError, match="it must be"):
            pass_at_k(*bad)


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
