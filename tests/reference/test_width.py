"""One step of Adam grows with the width, and does not at a learning rate of 1/width."""

import numpy as np
import pytest

from clearhead.reference.width import adam_step_change


def test_the_change_goes_with_the_width_and_is_level_at_one_over_it() -> None:
    rng = np.random.default_rng(0)
    standard = [adam_step_change(n, 0.01, rng) for n in (128, 2048)]
    scaled = [adam_step_change(n, 0.01 * 128 / n, rng).change for n in (128, 2048)]
    assert 12 < standard[1].change / standard[0].change < 20
    assert 0.8 < scaled[1] / scaled[0] < 1.25
    assert all(0.7 < one.output < 1.3 for one in standard)
    with pytest.raises(ValueError, match="width = 0 must be"):
        adam_step_change(0, 0.1, rng)
