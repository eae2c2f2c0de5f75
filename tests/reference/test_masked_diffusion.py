"""The bound of a masked diffusion model: all masks, all orders and samples agree; a right model's bound is exact."""

import numpy as np
from against import close

from clearhead.reference.masked_diffusion import any_order_likelihood, elbo, sampled_elbo

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(8, 3))  # one row of scores for each set of hidden positions


def some_model(ids, hidden):
    return TABLE[int((hidden * [1, 2, 4]).sum())] * (1 + ids) - 3


JOINT = RNG.dirichlet(np.ones(8)).reshape(2, 2, 2)


def exact_model(ids, hidden):
    """Conditionals of one joint distribution."""
    seen = tuple(slice(None) if h else int(i) for i, h in zip(ids, hidden, strict=True))
    part = JOINT[seen]
    out = np.zeros(3)
    free = [i for i in range(3) if hidden[i]]
    for axis, position in enumerate(free):
        marginal = part.sum(tuple(a for a in range(len(free)) if a != axis))
        out[position] = np.log(marginal[ids[position]] / marginal.sum())
    return out


def test_the_bound_is_the_mean_over_all_orders() -> None:
    ids = np.array([0, 1, 1])
    close(elbo(some_model, ids), any_order_likelihood(some_model, ids))


def test_conditionals_of_one_joint_give_its_likelihood() -> None:
    for ids in np.ndindex(2, 2, 2):
        close(elbo(exact_model, np.array(ids)), np.log(JOINT[ids]))


def test_samples_average_to_it() -> None:
    ids = np.array([1, 0, 1])
    rng = np.random.default_rng(1)
    found = [sampled_elbo(some_model, ids, rng) for _ in range(20_000)]
    assert abs(np.mean(found) - elbo(some_model, ids)) < 5 * np.std(found) / np.sqrt(len(found))
