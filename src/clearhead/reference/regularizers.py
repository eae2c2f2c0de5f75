"""What keeps weights small or few, and networks from leaning on single units: L2, L1, elastic net and dropout.

A penalty's vjp is what it adds to the gradient of the loss. L2's λ is that of ridge regression, λ Σ w², so an
optimizer's `weight_decay` is 2 λ. Deliberately not here: the priors that the penalties stand for, and decay that goes
around the gradient (`adamw` in optimizers.py).
"""

import numpy as np
from jaxtyping import Bool, Float

from clearhead.reference import Array


def l2_penalty(w: Float[Array, "*N"], strength: float) -> Float[Array, ""]:
    """λ Σ w²: the pull on a weight is in proportion to it, so large ones shrink fast and none arrives at 0.

    >>> float(l2_penalty(np.array([3.0, -4.0]), 0.5))
    12.5

    O(N). Hoerl and Kennard 1970; Goodfellow, Bengio and Courville 2016, section 7.1.1. ValueError: λ < 0.
    """
    _check_strength(strength)
    return strength * (w**2).sum()


def l2_penalty_vjp(w: Float[Array, "*N"], strength: float, dy: Float[Array, ""]) -> Float[Array, "*N"]:
    """2 λ w dy."""
    return 2 * strength * w * dy


def l1_penalty(w: Float[Array, "*N"], strength: float) -> Float[Array, ""]:
    """λ Σ |w|: the pull on a weight is λ however small it has become, so small ones do arrive at 0.

    >>> float(l1_penalty(np.array([3.0, -4.0]), 0.5))
    3.5

    O(N). Tibshirani 1996, section 2.1; Goodfellow, Bengio and Courville 2016, section 7.1.2. ValueError: λ < 0.
    """
    _check_strength(strength)
    return strength * np.abs(w).sum()


def l1_penalty_vjp(w: Float[Array, "*N"], strength: float, dy: Float[Array, ""]) -> Float[Array, "*N"]:
    """λ sign(w) dy; at w = 0, where every slope in [-λ, λ] supports it, 0."""
    return strength * np.sign(w) * dy


def elastic_net_penalty(w: Float[Array, "*N"], l1: float, l2: float) -> Float[Array, ""]:
    """λ₁ Σ |w| + λ₂ Σ w²: zeros as with L1, and weights of features that say the same stay together as with L2.

    >>> float(elastic_net_penalty(np.array([3.0, -4.0]), 0.5, 0.1))
    6.0

    O(N). Zou and Hastie 2005, equation 3. ValueError: λ₁ or λ₂ below 0.
    """
    return l1_penalty(w, l1) + l2_penalty(w, l2)


def elastic_net_penalty_vjp(w: Float[Array, "*N"], l1: float, l2: float, dy: Float[Array, ""]) -> Float[Array, "*N"]:
    """(λ₁ sign(w) + 2 λ₂ w) dy."""
    return l1_penalty_vjp(w, l1, dy) + l2_penalty_vjp(w, l2, dy)


def soft_threshold(w: Float[Array, "*N"], strength: float) -> Float[Array, "*N"]:
    """sign(w) max(|w| - λ, 0), which is argmin_v ½ (v - w)² + λ |v|: exactly 0 wherever |w| ≤ λ.

    >>> soft_threshold(np.array([3.0, -0.5, 0.2, -2.0]), 0.5).tolist()
    [2.5, -0.0, 0.0, -1.5]

    O(N). Donoho 1995, equation 2.1; Parikh and Boyd 2014, section 6.5.2. ValueError: λ < 0.
    """
    _check_strength(strength)
    return np.sign(w) * np.maximum(np.abs(w) - strength, 0.0)


def soft_threshold_vjp(w: Float[Array, "*N"], strength: float, dy: Float[Array, "*N"]) -> Float[Array, "*N"]:
    """dy where |w| > λ, else 0."""
    return np.where(np.abs(w) > strength, dy, 0.0)


def shrink(w: Float[Array, "*N"], strength: float) -> Float[Array, "*N"]:
    """w / (1 + 2 λ), which is argmin_v ½ (v - w)² + λ v²: what was not 0 does not become it.

    >>> shrink(np.array([3.0, -0.5]), 0.5).tolist()
    [1.5, -0.25]

    O(N). Parikh and Boyd 2014, section 6.1.1. ValueError: λ < 0.
    """
    _check_strength(strength)
    return w / (1 + 2 * strength)


def shrink_vjp(w: Float[Array, "*N"], strength: float, dy: Float[Array, "*N"]) -> Float[Array, "*N"]:
    """dy / (1 + 2 λ)."""
    return shrink(dy, strength)


def proximal_step(
    w: Float[Array, "*N"], g: Float[Array, "*N"], lr: float, l1: float, l2: float = 0.0
) -> Float[Array, "*N"]:
    """shrink(soft_threshold(w - α g, α λ₁), α λ₂): down the slope of the loss, then the penalty minimized exactly.

    Plain gradient descent on λ |w| jumps from side to side of 0; this step arrives and stays.

    >>> w = np.array([1.0, 0.01])
    >>> proximal_step(w, np.array([2.0, 0.05]), lr=0.1, l1=0.5).round(4).tolist()
    [0.75, 0.0]

    O(N). Beck and Teboulle 2009, equation 1.4; with both, Parikh and Boyd 2014, section 6.5.3. ValueError: α or λ < 0.
    """
    if not lr >= 0:
        raise ValueError(f"learning rate {lr} must be 0 or more")
    _check_strength(min(l1, l2))
    return shrink(soft_threshold(w - lr * g, lr * l1), lr * l2)


def dropout_mask(shape: tuple[int, ...], rate: float, rng: np.random.Generator) -> Bool[Array, "..."]:
    """Each entry kept, True, with probability 1 - p, one by one.

    >>> dropout_mask((6,), 0.5, np.random.default_rng(0)).astype(int).tolist()
    [1, 0, 0, 0, 1, 1]

    O(N). Srivastava et al. 2014, section 4. ValueError: p not in [0, 1].
    """
    _check_rate(rate)
    return rng.random(shape) >= rate


def dropout(x: Float[Array, "*N"], keep: Bool[Array, "*N"], rate: float) -> Float[Array, "*N"]:
    """x / (1 - p) where kept, else 0: the mean over all masks is x, so in evaluation nothing is left to do.

    >>> dropout(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), 0.5).tolist()
    [2.0, 0.0, 6.0]

    O(N). Srivastava et al. 2014, section 4; scaled in training as in its section 10. ValueError: p not in [0, 1].
    """
    _check_rate(rate)
    return np.where(keep, x / (1 - rate), 0.0) if rate < 1 else np.zeros_like(x)


def dropout_vjp(
    x: Float[Array, "*N"], keep: Bool[Array, "*N"], rate: float, dy: Float[Array, "*N"]
) -> Float[Array, "*N"]:
    """dy / (1 - p) where kept, else 0: the same mask again."""
    return dropout(dy, keep, rate)


def dropout_penalty(x: Float[Array, "N D"], w: Float[Array, " D"], rate: float) -> Float[Array, ""]:
    """p / (1 - p) Σ_j w_j² Σ_i x_ij²: what dropping the features of x adds to ‖x w - y‖², averaged over all masks.

    Dropout is noise on the features, and in a linear model that noise is an L2 penalty that follows their size.

    >>> float(dropout_penalty(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([1.0, 0.5]), 0.5))
    11.0

    O(N D). Srivastava et al. 2014, section 9.1; Wager, Wang and Liang 2013, section 2. ValueError: p not in [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate = {rate} must be in [0, 1); where all is dropped the loss knows nothing of w")
    return rate / (1 - rate) * (w**2 * (x**2).sum(0)).sum()


def dropout_penalty_vjp(
    x: Float[Array, "N D"], w: Float[Array, " D"], rate: float, dy: Float[Array, ""]
) -> tuple[Float[Array, "N D"], Float[Array, " D"]]:
    """2 p / (1 - p) (w² x, w Σ_i x²) dy."""
    scale = 2 * rate / (1 - rate) * dy
    return scale * w**2 * x, scale * w * (x**2).sum(0)


def _check_strength(strength: float) -> None:
    if not strength >= 0:
        raise ValueError(f"strength = {strength} must be 0 or more")


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ValueError(f"rate = {rate} must be in [0, 1]; it is the share that is dropped")
