"""From logits to probabilities: log-sum-exp, softmax, temperature, and the losses and distances built on them.

Everything works along the last axis. A logit of -inf is a class that is ruled out; where all are, no class has any
probability, so that a row that is masked out altogether weighs nothing. Logarithms are natural: results are in nats.
"""

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array, is_distribution


def log_sum_exp(z: Float[Array, "*B K"]) -> Float[Array, "*B"]:
    """m + log Σ exp(z - m) with m = max z: the logarithm of a sum of exponentials, without overflow.

    >>> round(float(log_sum_exp(np.array([1000.0, 1000.0]))), 4)
    1000.6931

    O(K). Blanchard, Higham and Higham 2021, section 1. ValueError: no classes, NaN, or +inf.
    """
    _check(z)
    m = _finite_max(z)
    with np.errstate(divide="ignore"):  # log 0 = -inf is the answer for a row that is masked out
        return np.log(np.exp(z - m).sum(-1)) + m[..., 0]


def log_sum_exp_vjp(z: Float[Array, "*B K"], dy: Float[Array, "*B"]) -> Float[Array, "*B K"]:
    """∂/∂z_i log Σ exp z = softmax(z)_i."""
    return dy[..., None] * softmax(z)


def softmax(z: Float[Array, "*B K"]) -> Float[Array, "*B K"]:
    """p_i = exp(z_i - m) / Σ_j exp(z_j - m) with m = max z.

    >>> softmax(np.log([1.0, 2.0, 5.0])).round(3).tolist()
    [0.125, 0.25, 0.625]

    O(K). Bridle 1990, equation 10. ValueError: no classes, NaN, or +inf.
    """
    _check(z)
    e = np.exp(z - _finite_max(z))
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def softmax_vjp(z: Float[Array, "*B K"], dp: Float[Array, "*B K"]) -> Float[Array, "*B K"]:
    """dz = p (dp - Σ_j p_j dp_j): the Jacobian is diag(p) - p pᵀ."""
    p = softmax(z)
    return p * (dp - (p * dp).sum(-1, keepdims=True))


def log_softmax(z: Float[Array, "*B K"]) -> Float[Array, "*B K"]:
    """log p = z - log Σ exp z, exact where p itself would underflow to 0.

    >>> log_softmax(np.array([0.0, -10_000.0])).tolist()
    [0.0, -10000.0]

    O(K). ValueError: no classes, NaN, or +inf.
    """
    total = log_sum_exp(z)[..., None]
    return z - np.where(np.isneginf(total), 0, total)


def log_softmax_vjp(z: Float[Array, "*B K"], dy: Float[Array, "*B K"]) -> Float[Array, "*B K"]:
    """dz = dy - p Σ_j dy_j."""
    return dy - softmax(z) * dy.sum(-1, keepdims=True)


def apply_temperature(z: Float[Array, "*B K"], temperature: float) -> Float[Array, "*B K"]:
    """softmax(z / τ): near 0 the largest logit takes all, at 1 nothing changes, above it the choice evens out.

    At τ = 0 stands the limit: the largest logits share the probability equally.

    >>> apply_temperature(np.array([0.0, np.log(3)]), 0.5).round(6).tolist()
    [0.1, 0.9]
    >>> apply_temperature(np.array([2.0, 2.0, 1.0]), 0.0).tolist()
    [0.5, 0.5, 0.0]

    O(K). Hinton, Vinyals and Dean 2015, equation 1. ValueError: a negative temperature, or as softmax.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature = {temperature} must be 0 or more")
    _check(z)
    if temperature == 0:
        z = np.where((z == z.max(-1, keepdims=True)) & ~np.isneginf(z), 0.0, -np.inf)
        return softmax(z)
    return softmax((z - _finite_max(z)) / temperature)


def apply_temperature_vjp(
    z: Float[Array, "*B K"], temperature: float, dp: Float[Array, "*B K"]
) -> Float[Array, "*B K"]:
    """softmax's gradient at z / τ, divided by τ; 0 at τ = 0, where the result is piecewise constant."""
    if temperature == 0:
        return np.zeros_like(z)
    p = apply_temperature(z, temperature)
    return p * (dp - (p * dp).sum(-1, keepdims=True)) / temperature


def entropy(p: Float[Array, "*B K"]) -> Float[Array, "*B"]:
    """H(p) = -Σ p log p, in nats, with 0 log 0 = 0.

    >>> round(float(entropy(np.array([0.5, 0.5, 0.0]))), 4)
    0.6931

    O(K). Shannon 1948, section 6. ValueError: p is no distribution.
    """
    _check_distribution(p)
    return -(p * _log(p)).sum(-1)


def entropy_vjp(p: Float[Array, "*B K"], dh: Float[Array, "*B"]) -> Float[Array, "*B K"]:
    """∂H/∂p_i = -log p_i - 1, each p_i taken as free; infinite where p_i = 0."""
    with np.errstate(divide="ignore"):
        return dh[..., None] * (-np.log(p) - 1)


def cross_entropy(z: Float[Array, "*B K"], target: Int[Array, "*B"]) -> Float[Array, "*B"]:
    """-log softmax(z)[target], from the logits, for it is softmax and logarithm together that stay finite.

    >>> cross_entropy(np.array([[0.0, 0.0], [10_000.0, -10_000.0]]), np.array([0, 1])).round(4).tolist()
    [0.6931, 20000.0]

    O(K). Goodfellow, Bengio and Courville 2016, section 6.2.2.3. ValueError: a target that is no class.
    """
    _check_target(z, target)
    return -np.take_along_axis(log_softmax(z), target[..., None], -1)[..., 0]


def cross_entropy_vjp(
    z: Float[Array, "*B K"], target: Int[Array, "*B"], dy: Float[Array, "*B"]
) -> Float[Array, "*B K"]:
    """dz = (p - onehot(target)) dy: what is predicted minus what happened."""
    _check_target(z, target)
    happened = np.arange(z.shape[-1]) == target[..., None]
    return (softmax(z) - happened) * dy[..., None]


def cross_entropy_between(p: Float[Array, "*B K"], q: Float[Array, "*B K"]) -> Float[Array, "*B"]:
    """H(p, q) = -Σ p log q: nats spent on events of p in a code made for q; infinite where q rules out what p allows.

    >>> round(float(cross_entropy_between(np.array([1.0, 0.0]), np.array([0.25, 0.75]))), 4)
    1.3863

    O(K). Cover and Thomas 2006, section 5.4. ValueError: p or q is no distribution.
    """
    return entropy(p) + kl(p, q)


def kl(p: Float[Array, "*B K"], q: Float[Array, "*B K"]) -> Float[Array, "*B"]:
    """KL(p‖q) = Σ p log(p / q) ≥ 0, and 0 only where p = q; infinite where q rules out what p allows.

    It is not symmetric: as a loss in q, KL(p‖q) makes q cover all of p, KL(q‖p) makes it settle inside p.

    >>> p, q = np.array([0.5, 0.5]), np.array([0.75, 0.25])
    >>> round(float(kl(p, q)), 4), round(float(kl(q, p)), 4)
    (0.1438, 0.1308)

    O(K). Kullback and Leibler 1951, section 2. ValueError: p or q is no distribution.
    """
    _check_distribution(p)
    _check_distribution(q)
    with np.errstate(divide="ignore"):
        ratio = np.where(p > 0, _log(p) - np.log(q), 0.0)
    return (np.where(p > 0, p, 0.0) * ratio).sum(-1)


def kl_vjp(
    p: Float[Array, "*B K"], q: Float[Array, "*B K"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B K"], Float[Array, "*B K"]]:
    """(log(p / q) + 1, -p / q) dy, each entry taken as free."""
    with np.errstate(divide="ignore"):
        return (np.log(p) - np.log(q) + 1) * dy[..., None], -p / q * dy[..., None]


def _check(z: np.ndarray) -> None:
    if z.shape[-1] == 0:
        raise ValueError(f"logits of shape {z.shape} have no classes; the last axis must hold at least one")
    if np.isnan(z).any() or np.isposinf(z).any():
        raise ValueError("logits must be finite or -inf (ruled out); found NaN or +inf")


def _check_target(z: np.ndarray, target: np.ndarray) -> None:
    if not ((target >= 0) & (target < z.shape[-1])).all():
        raise ValueError(f"targets run from {target.min()} to {target.max()}; they must be 0 to {z.shape[-1] - 1}")


def _check_distribution(p: np.ndarray) -> None:
    if not is_distribution(p):
        raise ValueError("probabilities must be 0 or more and sum to 1 along the last axis; divide by their sum")


def _finite_max(z: np.ndarray) -> np.ndarray:
    """The largest logit of each row, with its axis kept; 0 where all are -inf, so that z - m never is inf - inf."""
    m = z.max(-1, keepdims=True)
    return np.where(np.isneginf(m), 0.0, m)


def _log(p: np.ndarray) -> np.ndarray:
    """log p, and 0 where p = 0, for what is multiplied by p afterwards."""
    return np.log(np.where(p > 0, p, 1.0))
