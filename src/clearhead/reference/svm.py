"""The support vector machine with a kernel, its dual problem solved two multipliers at a time (SMO).

Classes are -1 and +1. The kernel is given as the matrix of all pairs, so that any similarity will do.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array


def linear_kernel(x: Float[Array, "N D"], y: Float[Array, "M D"]) -> Float[Array, "N M"]:
    """K(x, y) = x · y.

    >>> linear_kernel(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])).tolist()
    [[11.0]]

    O(N M D). Schölkopf and Smola 2002, section 2.1.
    """
    return x @ y.T


def polynomial_kernel(
    x: Float[Array, "N D"], y: Float[Array, "M D"], degree: int, c: float = 1.0
) -> Float[Array, "N M"]:
    """(x · y + c)^degree: the dot product of all products of up to `degree` features, none of them written down.

    >>> polynomial_kernel(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), 2).tolist()
    [[144.0]]

    O(N M D). Schölkopf and Smola 2002, section 2.1. ValueError: degree < 1 or c < 0, which is no kernel.
    """
    if degree < 1 or c < 0:
        raise ValueError(f"degree = {degree} must be 1 or more and c = {c} at least 0")
    return (x @ y.T + c) ** degree


def rbf_kernel(x: Float[Array, "N D"], y: Float[Array, "M D"], gamma: float) -> Float[Array, "N M"]:
    """exp(-γ ‖x - y‖²): 1 for equal points, falling to 0 with distance; a dot product in infinitely many dimensions.

    >>> rbf_kernel(np.array([[0.0], [1.0]]), np.array([[1.0]]), 1.0).round(4).tolist()
    [[0.3679], [1.0]]

    O(N M D). Schölkopf and Smola 2002, section 2.3. ValueError: γ <= 0.
    """
    if not gamma > 0:
        raise ValueError(f"gamma = {gamma} must be above 0")
    return np.exp(-gamma * ((x[:, None] - y[None]) ** 2).sum(-1))


class Machine(NamedTuple):
    """The multipliers (0 but for the support vectors), the bias, the labels they belong to, and steps taken."""

    alpha: Float[Array, "N"]
    b: float
    y: Float[Array, "N"]
    steps: int

    @property
    def support(self) -> np.ndarray:
        """The places of the support vectors."""
        return np.flatnonzero(self.alpha > 0)


def dual_objective(alpha: Float[Array, "N"], y: Float[Array, "N"], kernel: Float[Array, "N N"]) -> float:
    """Σ α_i - ½ Σ_ij α_i α_j y_i y_j K_ij: to be made large under 0 <= α <= C and Σ α y = 0.

    >>> dual_objective(np.array([0.5, 0.5]), np.array([1.0, -1.0]), np.array([[1.0, -1.0], [-1.0, 1.0]]))
    0.5

    O(N²). Cortes and Vapnik 1995, equation 16.
    """
    v = alpha * y
    return float(alpha.sum() - v @ kernel @ v / 2)


def smo(
    kernel: Float[Array, "N N"], y: Float[Array, "N"], c: float, tolerance: float = 1e-6, most: int = 100_000
) -> Machine:
    """Take the two multipliers that violate optimality most, solve for them alone, and again until none does.

    With g the gradient of the dual objective: i = argmax y g over those that may rise, j = argmin over those that may
    fall; their gap is the violation. α_i y_i gains gap / (K_ii + K_jj - 2 K_ij), cut to [0, C], and α_j y_j loses it.

    >>> machine = smo(linear_kernel(x := np.array([[-1.0], [0.5], [1.0]]), x), np.array([-1.0, 1.0, 1.0]), 10.0)
    >>> machine.support.tolist(), round(machine.b, 6)
    ([0, 1], 0.333333)

    O(N) a step. Platt 1998; Fan, Chen and Lin 2005, section 2 (first order). ValueError: labels other than -1 and 1,
    one class alone, c <= 0, or no convergence.
    """
    if not np.isin(y, (-1.0, 1.0)).all() or len(set(y.tolist())) < 2:
        raise ValueError("labels must be -1 and 1, and both must occur")
    if not c > 0:
        raise ValueError(f"c = {c} must be above 0")
    alpha, g = np.zeros(len(y)), np.ones(len(y))  # g: the gradient of the dual objective
    for step in range(most):
        rising = np.where(y > 0, alpha < c, alpha > 0)
        falling = np.where(y > 0, alpha > 0, alpha < c)
        score = y * g
        i = int(np.where(rising, score, -np.inf).argmax())
        j = int(np.where(falling, score, np.inf).argmin())
        gap = score[i] - score[j]
        if gap < tolerance:
            return Machine(alpha, float((score[i] + score[j]) / 2), y, step)
        curve = max(kernel[i, i] + kernel[j, j] - 2 * kernel[i, j], 1e-12)
        room = (c - alpha[i] if y[i] > 0 else alpha[i], alpha[j] if y[j] > 0 else c - alpha[j])
        move = min(gap / curve, *room)
        for place, sign, bound in ((i, 1, room[0]), (j, -1, room[1])):
            before = alpha[place]
            rises = (y[place] > 0) == (sign > 0)
            alpha[place] = (c if rises else 0.0) if move == bound else before + sign * y[place] * move
        g = g - y * move * (kernel[:, i] - kernel[:, j])
    raise ValueError(f"no optimum after {most} steps, a gap of {gap:.1e} is left; scale the data or raise most")


def decision(machine: Machine, kernel: Float[Array, "M N"]) -> Float[Array, "M"]:
    """f(x) = Σ α_i y_i K(x, x_i) + b, its sign the class; ±1 on the margin. Only support vectors count.

    >>> x = np.array([[-1.0], [1.0]])
    >>> machine = smo(linear_kernel(x, x), np.array([-1.0, 1.0]), 1.0)
    >>> decision(machine, linear_kernel(np.array([[3.0]]), x)).round(6).tolist()
    [3.0]

    O(M · support vectors). Cortes and Vapnik 1995, equation 34.
    """
    at = machine.support
    return kernel[:, at] @ (machine.alpha * machine.y)[at] + machine.b
