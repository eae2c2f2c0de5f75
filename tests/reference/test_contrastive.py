"""InfoNCE against torch's own normalisation and cross-entropy."""

import numpy as np
import pytest
import torch

from clearhead.reference.contrastive import info_nce


def test_it_is_cross_entropy_over_cosine_similarities() -> None:
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    a, b = (torch.nn.functional.normalize(torch.from_numpy(x), dim=-1) for x in (q, k))
    want = torch.nn.functional.cross_entropy(a @ b.T / 0.07, torch.arange(5), reduction="none")
    np.testing.assert_allclose(info_nce(q, k, 0.07), want.numpy())
    with pytest.raises(ValueError, match="positive"):
        info_nce(q, k, 0.0)
