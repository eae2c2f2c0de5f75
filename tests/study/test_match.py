"""What counts as alike."""

import numpy as np

from clearhead.study.match import similarity


def test_a_text_is_most_like_itself_and_changes_count_little() -> None:
    texts = ["What is a vector norm?", "Why does dropout work?", "Explain the chain rule"]
    edited = ["What is a norm of a vector?", "Why does drop-out work so well?", "Derive the chain rule"]
    assert np.allclose(np.diag(similarity(texts, texts)), 1)
    scores = similarity(texts, edited)
    assert scores.argmax(1).tolist() == [0, 1, 2] and scores.diagonal().min() > 0.4
    assert scores[~np.eye(3, dtype=bool)].max() < 0.3


def test_edges() -> None:
    assert similarity([], ["a"]).shape == (0, 1)
    assert similarity(["", "?!"], ["a"]).tolist() == [[0.0], [0.0]]
