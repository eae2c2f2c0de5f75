"""How the loss of a language model falls with parameters and data, and what to spend compute on.

L(N, D) = E + A / N^α + B / D^β with N parameters and D tokens; training costs about C = 6 N D operations.
"""

from typing import NamedTuple

import numpy as np


class Law(NamedTuple):
    """Constants of a fit; the loss is in nats a token of its own data."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float


HOFFMANN = Law(1.69, 406.4, 410.7, 0.34, 0.28)  # Hoffmann et al. 2022, arXiv 2203.15556, equation 10
BESIROGLU = Law(1.8172, 482.01, 2085.43, 0.3478, 0.3658)  # the same data fitted again: 2024, arXiv 2404.10102


def loss(law: Law, N: float, D: float) -> float:
    """E + A / N^α + B / D^β.

    >>> round(loss(HOFFMANN, 70e9, 1.4e12), 2)
    1.94

    O(1). Hoffmann et al. 2022, equation 2. ValueError: N or D not above 0.
    """
    _check(N=N, D=D)
    return law.E + law.A / N**law.alpha + law.B / D**law.beta


def optimal(law: Law, C: float) -> tuple[float, float]:
    """N and D of least loss with C = 6 N D: N = G (C/6)^a, D = (C/6)^b / G, a = β/(α+β), G = (α A / β B)^(1/(α+β)).

    Along C = 6 N D, α A / N^α = β B / D^β at the minimum: another percent of either would gain the same.

    >>> N, D = optimal(BESIROGLU, 5.76e23)  # Chinchilla's compute
    >>> f"{N:.1e} {D:.1e}", round(D / N)
    ('7.2e+10 1.3e+12', 18)

    O(1). Hoffmann et al. 2022, equation 4. ValueError: C not above 0.
    """
    _check(C=C)
    a = law.beta / (law.alpha + law.beta)
    G = (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
    N = G * (C / 6) ** a
    return float(N), float(C / 6 / N)


def tokens_for(law: Law, N: float, target: float) -> float:
    """Tokens after which a model of N parameters reaches a loss: infinite where it never does.

    >>> tokens_for(HOFFMANN, 1e6, 1.7)
    inf

    O(1). ValueError: N not above 0.
    """
    _check(N=N)
    left = target - law.E - law.A / N**law.alpha
    return float((law.B / left) ** (1 / law.beta)) if left > 0 else float(np.inf)


def lifetime_flops(N: float, D: float, served: float) -> float:
    """6 N D to train and 2 N for each token served.

    >>> lifetime_flops(1e9, 2e10, 3e10)
    1.8e+20

    O(1). Sardana et al. 2023, arXiv 2401.00448, equation 1.
    """
    return 6 * N * D + 2 * N * served


def _check(**sizes: float) -> None:
    for name, size in sizes.items():
        if not size > 0:
            raise ValueError(f"{name} = {size} must be above 0")
