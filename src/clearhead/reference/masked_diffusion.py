"""Language models that fill in masks in any order: their bound on the likelihood, exactly and from samples.

At level t each token is masked with probability t, independently. A model gives log p(token | what is visible) for each
masked position; it is called with the tokens and a mask, True where hidden.
"""

from collections.abc import Callable
from itertools import permutations, product

import numpy as np
from jaxtyping import Bool, Float, Int

from clearhead.reference import Array

Model = Callable[[Int[Array, "T"], Bool[Array, "T"]], Float[Array, "T"]]  # log p of the true token, at hidden positions


def elbo(model: Model, ids: Int[Array, "T"]) -> float:
    """E_t (1/t) E_mask Σ_hidden log p, a bound on log p(ids). A mask of m tokens weighs (m-1)! (T-m)! / T!.

    That is ∫ t^(m-1) (1-t)^(T-m) dt, so the sum over all masks is exact.

    >>> round(elbo(lambda ids, hidden: np.log(np.full(3, 0.5)), np.zeros(3, int)), 4)  # 3 log 0.5
    -2.0794

    O(2^T) calls. Sahoo et al. 2024, arXiv 2406.07524, equation 8; Nie et al. 2025, arXiv 2502.09992, equation 3.
    """
    T = len(ids)
    factorial = np.cumprod([1.0, *range(1, T + 1)])
    total = 0.0
    for hidden in product((False, True), repeat=T):
        m = sum(hidden)
        if m:
            mask = np.array(hidden)
            total += factorial[m - 1] * factorial[T - m] / factorial[T] * float(model(ids, mask)[mask].sum())
    return float(total)


def any_order_likelihood(model: Model, ids: Int[Array, "T"]) -> float:
    """The mean over all T! orders of log p by the chain rule in that order: the same number as `elbo`.

    O(T! T) calls. Ou et al. 2024, arXiv 2406.03736, theorem 2.
    """
    T = len(ids)
    total = []
    for order in permutations(range(T)):
        hidden, log_p = np.ones(T, bool), 0.0
        for position in order:
            log_p += float(model(ids, hidden)[position])
            hidden[position] = False
        total.append(log_p)
    return float(np.mean(total))


def sampled_elbo(model: Model, ids: Int[Array, "T"], rng: np.random.Generator) -> float:
    """One sample of the bound, as training takes it: t uniform, a mask at that level, Σ_hidden log p / t."""
    t = 1 - rng.random()  # above 0
    hidden = rng.random(len(ids)) < t
    return float(model(ids, hidden)[hidden].sum() / t) if hidden.any() else 0.0
