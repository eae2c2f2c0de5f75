"""One step of each optimizer as a pure function of weights, gradient and what it remembers: SGD to AdamW, and Muon.

The gradient is the mini-batch's; where it is taken, and how it is clipped or penalized, is the caller's. Every memory
begins at zero. Deliberately not here: how the rate changes with the step (schedules.py), and gradients through a step.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array

JORDAN = (3.4445, -4.775, 2.0315)  # steep at 0, so five rounds reach small singular values; none settles at 1
CUBIC = (1.5, -0.5, 0.0)  # the plain iteration: slower, and it does converge to 1


class AdamState(NamedTuple):
    """Decaying averages of the gradient and of its square, and how many gradients they have seen."""

    m: Float[Array, "*N"]
    v: Float[Array, "*N"]
    t: int


def sgd(w: Float[Array, "*N"], g: Float[Array, "*N"], lr: float) -> Float[Array, "*N"]:
    """w ← w - α g.

    >>> float(sgd(np.array(5.0), np.array(32.0), 0.1).round(6))
    1.8

    O(N). Robbins and Monro 1951, equation 8. ValueError: a negative rate.
    """
    _check_rate(lr)
    return w - lr * g


def momentum(
    w: Float[Array, "*N"], g: Float[Array, "*N"], v: Float[Array, "*N"], lr: float, beta: float
) -> tuple[Float[Array, "*N"], Float[Array, "*N"]]:
    """v ← β v + g, w ← w - α v: under a steady gradient the step grows to α g / (1 - β), where signs alternate it dies.

    >>> w, v = momentum(np.array(0.5), np.array(0.2), np.array(0.1), lr=0.1, beta=0.9)
    >>> round(float(v), 6), round(float(w), 6)
    (0.29, 0.471)

    O(N). Polyak 1964, equation 9; in this form Sutskever et al. 2013, section 2. ValueError: α < 0, β not in [0, 1).
    """
    _check_rate(lr)
    _check_decay("beta", beta)
    v = beta * v + g
    return w - lr * v, v


def nesterov(
    w: Float[Array, "*N"], g: Float[Array, "*N"], v: Float[Array, "*N"], lr: float, beta: float
) -> tuple[Float[Array, "*N"], Float[Array, "*N"]]:
    """v ← β v + g, w ← w - α (g + β v): w stands where momentum is about to carry it, so g is the gradient ahead.

    With w = θ - α β v this is v ← β v + ∇L(θ - α β v), θ ← θ - α v, the form with a look ahead.

    >>> w, v = nesterov(np.array(0.5), np.array(0.2), np.array(0.1), lr=0.1, beta=0.9)
    >>> round(float(v), 6), round(float(w), 6)
    (0.29, 0.4539)

    O(N). Nesterov 1983; Sutskever et al. 2013, equations 3 and 4. ValueError: as momentum.
    """
    _check_rate(lr)
    _check_decay("beta", beta)
    v = beta * v + g
    return w - lr * (g + beta * v), v


def momentum_rate(curvature: float, lr: float, beta: float) -> float:
    """How much of |w| is left by each step of momentum on L = h w² / 2, once many have been taken; above 1 it grows.

    w_{t+1} = (1 + β - α h) w_t - β w_{t-1}, so it is the larger root of z² - (1 + β - α h) z + β by absolute value.
    β = 0 is gradient descent, |1 - α h|. Where h < 0, as on a saddle, the rate says how fast w leaves.

    >>> momentum_rate(1.0, 0.1, 0.0), round(momentum_rate(1.0, 0.1, 0.5), 4)
    (0.9, 0.7071)
    >>> round(momentum_rate(-0.01, 0.1, 0.0), 4), round(momentum_rate(-0.01, 0.1, 0.9), 4)
    (1.001, 1.0092)

    O(1). Goh 2017, "Why Momentum Really Works". ValueError: as momentum.
    """
    _check_rate(lr)
    _check_decay("beta", beta)
    middle = (1 + beta - lr * curvature) / 2
    inside = middle**2 - beta
    return float(np.sqrt(beta) if inside < 0 else abs(middle) + np.sqrt(inside))


def best_momentum(smallest: float, largest: float) -> tuple[float, float]:
    """α = (2 / (√h_min + √h_max))², β = ((√κ - 1) / (√κ + 1))² with κ = h_max / h_min: both ends shrink by √β.

    Gradient descent at its best shrinks them by (κ - 1) / (κ + 1): a valley a hundred times as steep across as along
    takes it about ten times as many steps.

    >>> lr, beta = best_momentum(1.0, 100.0)
    >>> round(lr, 4), round(beta, 4), round(99 / 101, 4), round(beta**0.5, 4)
    (0.0331, 0.6694, 0.9802, 0.8182)

    O(1). Polyak 1964, theorem 9. ValueError: a curvature that is not positive, or the two in the wrong order.
    """
    if not 0 < smallest <= largest:
        raise ValueError(f"curvatures {smallest} and {largest} must be positive, the smaller one first")
    low, high = np.sqrt(smallest), np.sqrt(largest)
    return float((2 / (low + high)) ** 2), float(((high - low) / (high + low)) ** 2)


def rmsprop(
    w: Float[Array, "*N"],
    g: Float[Array, "*N"],
    s: Float[Array, "*N"],
    lr: float,
    beta: float = 0.99,
    eps: float = 1e-8,
) -> tuple[Float[Array, "*N"], Float[Array, "*N"]]:
    """s ← β s + (1 - β) g², w ← w - α g / (√s + ε): each weight has a rate by the usual size of its gradient.

    >>> w, s = rmsprop(np.array([1.0, 1.0]), np.array([0.01, 100.0]), np.zeros(2), lr=0.01, beta=0.75)
    >>> w.round(6).tolist()
    [0.98, 0.98]

    O(N). Tieleman and Hinton 2012, lecture 6.5. ValueError: α < 0, β not in [0, 1), ε ≤ 0.
    """
    _check_rate(lr)
    _check_decay("beta", beta)
    _check_eps(eps)
    s = beta * s + (1 - beta) * g**2
    return w - lr * g / (np.sqrt(s) + eps), s


def adam_start(w: Float[Array, "*N"]) -> AdamState:
    """What Adam and AdamW remember before the first step: nothing.

    >>> adam_start(np.ones(2))
    AdamState(m=array([0., 0.]), v=array([0., 0.]), t=0)
    """
    return AdamState(np.zeros_like(w), np.zeros_like(w), 0)


def adam(
    w: Float[Array, "*N"],
    g: Float[Array, "*N"],
    state: AdamState,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[Float[Array, "*N"], AdamState]:
    """m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², w ← w - α m̂ / (√v̂ + ε), m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ).

    m is momentum, v RMSProp's rate for each weight; the hats undo that both begin at zero. So the first step is
    α sign(g) whatever the size of g, noise or not: one of the reasons for a warm-up.

    >>> w, state = adam(np.zeros(3), np.array([1e-4, -1.0, 1e4]), adam_start(np.zeros(3)), lr=0.1)
    >>> w.round(4).tolist(), state.t
    ([-0.1, 0.1, -0.1], 1)

    O(N). Kingma and Ba 2015, algorithm 1. ValueError: α < 0, a β not in [0, 1), ε ≤ 0.
    """
    _check_rate(lr)
    _check_decay("beta1", beta1)
    _check_decay("beta2", beta2)
    _check_eps(eps)
    t = state.t + 1
    m = beta1 * state.m + (1 - beta1) * g
    v = beta2 * state.v + (1 - beta2) * g**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), AdamState(m, v, t)


def adamw(
    w: Float[Array, "*N"],
    g: Float[Array, "*N"],
    state: AdamState,
    lr: float,
    decay: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[Float[Array, "*N"], AdamState]:
    """w ← (1 - α λ) w, then Adam's step: every weight decays by the same share.

    An L2 penalty inside g would be divided by √v̂ with the rest of it, and weights of large gradients hardly decay.

    >>> w, _ = adamw(np.array([1.0, 1.0]), np.array([0.01, 100.0]), adam_start(np.ones(2)), lr=0.1, decay=0.5)
    >>> w.round(4).tolist()
    [0.85, 0.85]

    O(N). Loshchilov and Hutter 2019, algorithm 2, with α λ for their η λ. ValueError: λ < 0, or as adam.
    """
    _check_rate(lr)
    _check_penalty(decay)
    return adam((1 - lr * decay) * w, g, state, lr, beta1, beta2, eps)


def newton_schulz(
    g: Float[Array, "F D"], iterations: int = 5, coefficients: tuple[float, float, float] = JORDAN
) -> Float[Array, "F D"]:
    """X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X from X = g / ‖g‖: near U Vᵀ, where g = U S Vᵀ, by matrix products alone.

    U and V stay as they are, for every term is odd in X; each singular value goes s ← a s + b s³ + c s⁵ towards 1,
    or with five rounds of Jordan's coefficients from [0.003, 1] into [0.68, 1.21]. A matrix of zeros stays one.

    >>> newton_schulz(np.diag([3.0, 4.0])).round(2).tolist()
    [[0.72, 0.0], [0.0, 1.12]]
    >>> newton_schulz(np.diag([3.0, -4.0]), 10, CUBIC).round(6).tolist()
    [[1.0, 0.0], [0.0, -1.0]]

    O(F D min(F, D)) each. Jordan et al. 2024, "Muon"; Higham 2008, equation 8.20. ValueError: a negative count.
    """
    if iterations < 0:
        raise ValueError(f"iterations = {iterations} must be 0 or more")
    if g.shape[0] > g.shape[1]:
        return newton_schulz(g.T, iterations, coefficients).T  # X Xᵀ on the shorter side
    a, b, c = coefficients
    largest = np.abs(g).max(initial=0.0)
    if largest == 0:
        return np.zeros_like(g)
    x = g / largest  # so that the squares under the norm neither overflow nor vanish
    x = x / np.sqrt((x**2).sum())
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def muon(
    w: Float[Array, "F D"],
    g: Float[Array, "F D"],
    m: Float[Array, "F D"],
    lr: float,
    decay: float = 0.0,
    beta: float = 0.95,
    iterations: int = 5,
) -> tuple[Float[Array, "F D"], Float[Array, "F D"]]:
    """m ← β m + (1 - β) g, w ← (1 - α λ) w - α √max(1, F / D) O with O = newton_schulz(β m + (1 - β) g).

    Nesterov's momentum, then about the same step along every direction of the matrix, strong or weak in the gradient.

    >>> w, m = muon(np.zeros((2, 2)), np.diag([3.0, 4.0]), np.zeros((2, 2)), lr=0.1)
    >>> w.round(3).tolist(), m.round(2).tolist()
    ([[-0.072, 0.0], [0.0, -0.112]], [[0.15, 0.0], [0.0, 0.2]])

    O(F D min(F, D)) for each iteration. Jordan et al. 2024, "Muon", algorithm 2. ValueError: as adamw.
    """
    _check_rate(lr)
    _check_penalty(decay)
    _check_decay("beta", beta)
    m = beta * m + (1 - beta) * g
    update = newton_schulz(beta * m + (1 - beta) * g, iterations)
    rows, columns = w.shape
    return (1 - lr * decay) * w - lr * np.sqrt(max(1, rows / max(1, columns))) * update, m


def _check_rate(lr: float) -> None:
    if not 0 <= lr < np.inf:
        raise ValueError(f"learning rate {lr} must be 0 or more and finite")


def _check_decay(name: str, beta: float) -> None:
    if not 0 <= beta < 1:
        raise ValueError(f"{name} = {beta} must be in [0, 1); at 1 nothing is ever forgotten")


def _check_eps(eps: float) -> None:
    if not eps > 0:
        raise ValueError(f"eps = {eps} must be above 0, for the gradient of a weight may be 0")


def _check_penalty(decay: float) -> None:
    if not decay >= 0:
        raise ValueError(f"decay = {decay} must be 0 or more")
