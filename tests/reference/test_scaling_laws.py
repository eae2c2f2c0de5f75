"""The optimum against a search along C = 6 N D, and what the two fits of the same data say."""

import numpy as np
import pytest
from against import close
from scipy.optimize import minimize_scalar

from clearhead.reference.scaling_laws import BESIROGLU, HOFFMANN, Law, lifetime_flops, loss, optimal, tokens_for


@pytest.mark.parametrize("law", [HOFFMANN, BESIROGLU, Law(0.0, 1.0, 2.0, 0.5, 0.5)])
@pytest.mark.parametrize("C", [1e18, 5.76e23])
def test_no_other_split_of_the_compute_is_better(law: Law, C: float) -> None:
    N, D = optimal(law, C)
    close(6 * N * D, C)
    found = minimize_scalar(lambda log_n: loss(law, np.exp(log_n), C / 6 / np.exp(log_n)), bounds=(5, 60),
                            method="bounded", options={"xatol": 1e-9})  # fmt: skip
    close(np.log(N), found.x, 1e-4)
    close(law.alpha * law.A / N**law.alpha, law.beta * law.B / D**law.beta)


def test_equal_exponents_give_the_square_root() -> None:
    law = Law(0.0, 1.0, 1.0, 0.3, 0.3)
    close(optimal(law, 4e20)[0] / optimal(law, 1e20)[0], 2.0)


def test_tokens_for_a_loss() -> None:
    N = 1e9
    D = tokens_for(BESIROGLU, N, 2.4)
    close(loss(BESIROGLU, N, D), 2.4)
    assert lifetime_flops(N, D, 0.0) == 6 * N * D
    with pytest.raises(ValueError, match="C = 0 must be"):
        optimal(HOFFMANN, 0)
