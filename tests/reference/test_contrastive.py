"""InfoNCE against torch's cross-entropy, with both gradients."""

import numpy as np
import pytest
import torch
from against import check_vjp, close

from clearhead.reference.contrastive import info_nce, info_nce_vjp

RNG = np.random.default_rng(0)
Q, D = RNG.normal(size=(2, 5, 3))


def test_it_is_a_cross_entropy_over_the_batch() -> None:
    scores = torch.tensor(Q @ D.T / 0.3)
    close(info_nce(Q, D, 0.3), torch.nn.functional.cross_entropy(scores, torch.arange(5)).numpy())
    check_vjp(lambda q, d: info_nce(q, d, 0.3), lambda q, d, dy: info_nce_vjp(q, d, 0.3, dy), Q, D)


def test_all_alike_is_log_b_and_no_temperature_is_told() -> None:
    close(info_nce(np.ones((5, 3)), np.ones((5, 3)), 1.0), np.log(5))
    with pytest.raises(ValueError, match="temperature = 0"):
        info_nce(Q, D, 0.0)
