"""Probability as learning needs it: Bayes' rule, moments, independence, the Gaussian and the Laplace, MLE and MAP.

Entropy, cross-entropy and divergence stand in softmax.py. Logarithms are natural.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array, is_distribution
from clearhead.reference.softmax import softmax

LOG_2PI = math.log(2 * math.pi)


def bayes(prior: Float[Array, "K"], likelihood: Float[Array, "K"]) -> Float[Array, "K"]:
    """P(k | e) = P(e | k) P(k) / Σ_j P(e | j) P(j).

    >>> bayes(np.array([0.25, 0.75]), np.array([1.0, 1 / 3])).tolist()
    [0.5, 0.5]

    O(K). Bayes 1763, proposition 5. ValueError: no distribution, or evidence that is impossible under every hypothesis.
    """
    _check_distribution(prior)
    if not ((likelihood >= 0) & (likelihood <= 1)).all():
        raise ValueError("a likelihood is a probability, in [0, 1]")
    evidence = float(prior @ likelihood)
    if evidence == 0:
        raise ValueError("the evidence is impossible under every hypothesis; no posterior exists")
    return prior * likelihood / evidence


def disease_given_positive(prevalence: float, sensitivity: float, specificity: float) -> float:
    """P(ill | positive) = sens · prev / (sens · prev + (1 - spec) (1 - prev)).

    Where an illness is rare, most who test positive are healthy, however good the test.

    >>> round(disease_given_positive(0.01, 0.99, 0.95), 4)
    0.1667

    Bayes 1763, proposition 5. ValueError: a number outside [0, 1], or a test that is never positive.
    """
    for name, value in (("prevalence", prevalence), ("sensitivity", sensitivity), ("specificity", specificity)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} = {value} is no probability; it must be in [0, 1]")
    return float(bayes(np.array([prevalence, 1 - prevalence]), np.array([sensitivity, 1 - specificity]))[0])


def expectation(x: Float[Array, "K"], p: Float[Array, "K"]) -> float:
    """E[X] = Σ x p(x).

    >>> expectation(np.array([1.0, 2.0, 6.0]), np.array([0.5, 0.25, 0.25]))
    2.5

    O(K). Grimmett and Stirzaker 2001, section 3.3. ValueError: p is no distribution.
    """
    _check_distribution(p)
    return float(x @ p)


def variance(x: Float[Array, "K"], p: Float[Array, "K"]) -> float:
    """Var[X] = E[(X - E[X])²] = E[X²] - E[X]²; the first form, since the second cancels where the mean is large.

    >>> variance(np.array([1.0, 2.0, 6.0]), np.array([0.5, 0.25, 0.25]))
    4.25

    O(K). Grimmett and Stirzaker 2001, section 3.3. ValueError: p is no distribution.
    """
    return expectation((x - expectation(x, p)) ** 2, p)


def covariance(x: Float[Array, "N D"]) -> Float[Array, "D D"]:
    """Σ = 1/N Σ_n (x_n - μ)(x_n - μ)ᵀ of the rows: the maximum likelihood estimate, which divides by N.

    >>> covariance(np.array([[0.0, 0.0], [2.0, 4.0]])).tolist()
    [[1.0, 2.0], [2.0, 4.0]]

    O(N D²). Bishop 2006, equation 2.122. ValueError: no rows.
    """
    _check_sample(x)
    centered = x - x.mean(0)
    return centered.T @ centered / len(x)


def is_independent(joint: Float[Array, "N K"], slack: float = 1e-12) -> bool:
    """P(a, b) = P(a) P(b) everywhere? Zero covariance is less: X and X² of a symmetric X have it and are dependent.

    >>> is_independent(np.outer([0.5, 0.5], [0.2, 0.8])), is_independent(np.diag([0.5, 0.5]))
    (True, False)

    O(N K). Grimmett and Stirzaker 2001, section 1.5. ValueError: no distribution.
    """
    _check_distribution(joint.reshape(-1))
    return bool(np.abs(joint - np.outer(joint.sum(1), joint.sum(0))).max() <= slack)


def log_likelihood(log_p: Float[Array, "*B N"]) -> Float[Array, "*B"]:
    """log Π p_n = Σ log p_n for independent draws: the product itself underflows after a few hundred of them.

    >>> round(float(log_likelihood(np.full(1000, np.log(0.1)))), 4), 0.1**1000
    (-2302.5851, 0.0)

    O(N). Bishop 2006, section 1.2.4.
    """
    return log_p.sum(-1)


def gaussian_log_pdf(x: Float[Array, "*B"], mean: Float[Array, ""], var: Float[Array, ""]) -> Float[Array, "*B"]:
    """log N(x | μ, σ²) = -(x - μ)² / 2σ² - log(2πσ²) / 2: with σ fixed, squared error is its negative.

    >>> gaussian_log_pdf(np.array([0.0, 1.0]), np.array(0.0), np.array(1.0)).round(4).tolist()
    [-0.9189, -1.4189]

    O(1) each. Bishop 2006, equation 1.46. ValueError: σ² <= 0.
    """
    _check_positive("variance", float(var))
    return -((x - mean) ** 2) / (2 * var) - (LOG_2PI + np.log(var)) / 2


def gaussian_log_pdf_vjp(
    x: Float[Array, "*B"], mean: Float[Array, ""], var: Float[Array, ""], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B"], Float[Array, ""], Float[Array, ""]]:
    """dx = -dy (x - μ) / σ², dμ = -Σ dx, dσ² = Σ dy ((x - μ)² / σ² - 1) / 2σ²."""
    dx = -dy * (x - mean) / var
    return dx, -dx.sum(), (dy * ((x - mean) ** 2 / var - 1)).sum() / (2 * var)


def laplace_log_pdf(x: Float[Array, "*B"], mean: Float[Array, ""], scale: Float[Array, ""]) -> Float[Array, "*B"]:
    """log L(x | μ, b) = -|x - μ| / b - log 2b: with b fixed, absolute error is its negative.

    >>> laplace_log_pdf(np.array([1.0, 2.0]), np.array(0.0), np.array(0.5)).tolist()
    [-2.0, -4.0]

    O(1) each. Murphy 2022, section 2.7.3. ValueError: b <= 0.
    """
    _check_positive("scale", float(scale))
    return -np.abs(x - mean) / scale - np.log(2 * scale)


def laplace_log_pdf_vjp(
    x: Float[Array, "*B"], mean: Float[Array, ""], scale: Float[Array, ""], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B"], Float[Array, ""], Float[Array, ""]]:
    """dx = -dy sign(x - μ) / b, dμ = -Σ dx, db = Σ dy (|x - μ| / b - 1) / b."""
    dx = -dy * np.sign(x - mean) / scale
    return dx, -dx.sum(), (dy * (np.abs(x - mean) / scale - 1)).sum() / scale


class Gaussian(NamedTuple):
    """A mean and a variance."""

    mean: float
    var: float


def gaussian_mle(x: Float[Array, "N"]) -> Gaussian:
    """μ̂ = mean(x), σ̂² = mean((x - μ̂)²), where the gradient of the log-likelihood is 0.

    >>> gaussian_mle(np.array([1.0, 3.0]))
    Gaussian(mean=2.0, var=1.0)

    O(N). Bishop 2006, equations 1.55 and 1.56. ValueError: no numbers.
    """
    _check_sample(x)
    return Gaussian(float(x.mean()), float(((x - x.mean()) ** 2).mean()))


def variance_bias(var: float, n: int) -> float:
    """E[σ̂²] - σ² = -σ² / N: the sample lies nearer to its own mean than to the true one. Dividing by N - 1 mends it.

    An estimator is unbiased if its expectation is the truth; μ̂ is.

    >>> variance_bias(4.0, 8)
    -0.5

    Bishop 2006, equation 1.58. ValueError: no numbers, or a negative variance.
    """
    if n < 1 or var < 0:
        raise ValueError(f"n = {n} must be 1 or more and the variance {var} at least 0")
    return -var / n


def unbiased_variance(x: Float[Array, "N"]) -> float:
    """Σ (x - mean)² / (N - 1).

    >>> unbiased_variance(np.array([1.0, 3.0]))
    2.0

    O(N). Bishop 2006, equation 1.59. ValueError: fewer than two numbers.
    """
    if len(x) < 2:
        raise ValueError(f"{len(x)} numbers have no unbiased variance; two are the fewest")
    return gaussian_mle(x).var * len(x) / (len(x) - 1)


def map_mean(x: Float[Array, "N"], var: float, prior_var: float) -> float:
    """argmax_μ Σ log N(x_n | μ, σ²) + log N(μ | 0, τ²) = Σ x / (N + σ²/τ²): the mean, shrunk towards the prior's.

    The prior adds -μ² / 2τ², which is an L2 penalty with λ = σ²/τ² beside half the squared error; as τ² or N grows,
    MAP becomes MLE.

    >>> map_mean(np.array([2.0, 4.0]), 1.0, 1.0), map_mean(np.array([2.0, 4.0]), 1.0, np.inf)
    (2.0, 3.0)

    O(N). Murphy 2022, section 4.5. ValueError: a variance that is not positive.
    """
    _check_positive("variance", var)
    _check_positive("prior variance", prior_var)
    return float(x.sum() / (len(x) + var / prior_var)) if len(x) else 0.0


def map_mean_laplace(x: Float[Array, "N"], var: float, scale: float) -> float:
    """The same under a Laplace prior of scale b: the mean moved towards 0 by σ² / (N b), and exactly 0 within it.

    The prior adds -|μ| / b, which is an L1 penalty; its kink is why small means become 0.

    >>> map_mean_laplace(np.array([2.0, 4.0]), 1.0, 0.5), map_mean_laplace(np.array([0.1, 0.3]), 1.0, 0.5)
    (2.0, 0.0)

    O(N). Tibshirani 1996, section 5; Murphy 2022, section 11.4. ValueError: no numbers, or not positive.
    """
    _check_positive("variance", var)
    _check_positive("scale", scale)
    _check_sample(x)
    mean = float(x.mean())
    return math.copysign(max(abs(mean) - var / (len(x) * scale), 0.0), mean) if mean else 0.0


def posterior_over(log_prior: Float[Array, "K"], log_like: Float[Array, "K N"]) -> Float[Array, "K"]:
    """P(k | x_1 … x_N) = softmax_k(log P(k) + Σ_n log P(x_n | k)): Bayes' rule for many draws, without underflow.

    >>> coin = np.log(np.array([[0.5], [0.9]]) * np.ones((2, 2000)))  # 2,000 heads: fair, or nine in ten?
    >>> posterior_over(np.log([0.5, 0.5]), coin).tolist()
    [0.0, 1.0]

    O(K N). Bishop 2006, section 1.2.3.
    """
    return softmax(log_prior + log_likelihood(log_like))


def _check_distribution(p: Array) -> None:
    if not is_distribution(p):
        raise ValueError("probabilities must be 0 or more and sum to 1; divide by their sum")


def _check_sample(x: Array) -> None:
    if not len(x):
        raise ValueError("an empty sample has no mean; give at least one number")


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} = {value} must be above 0")
