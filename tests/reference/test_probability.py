"""Probability against SciPy, NumPy and simulation."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch
from against import check_vjp, close

from clearhead.reference.probability import (
    bayes,
    covariance,
    disease_given_positive,
    expectation,
    gaussian_log_pdf,
    gaussian_log_pdf_vjp,
    gaussian_mle,
    is_independent,
    laplace_log_pdf,
    laplace_log_pdf_vjp,
    log_likelihood,
    map_mean,
    map_mean_laplace,
    posterior_over,
    unbiased_variance,
    variance,
    variance_bias,
)

RNG = np.random.default_rng(0)
X = RNG.normal(1.0, 2.0, size=(2, 7))
MEAN, SPREAD = np.array(0.3), np.array(1.7)
P = RNG.dirichlet(np.ones(5))
VALUES = RNG.normal(size=5)


def test_densities() -> None:
    normal, laplace = torch.distributions.Normal, torch.distributions.Laplace
    check_vjp(gaussian_log_pdf, gaussian_log_pdf_vjp, X, MEAN, SPREAD,
              peer=lambda x, m, v: normal(m, v.sqrt()).log_prob(x))  # fmt: skip
    check_vjp(laplace_log_pdf, laplace_log_pdf_vjp, X, MEAN, SPREAD, peer=lambda x, m, b: laplace(m, b).log_prob(x))
    close(gaussian_log_pdf(X, MEAN, SPREAD), scipy.stats.norm.logpdf(X, 0.3, np.sqrt(1.7)))
    close(laplace_log_pdf(X, MEAN, SPREAD), scipy.stats.laplace.logpdf(X, 0.3, 1.7))
    assert np.isfinite(gaussian_log_pdf(np.array([1e8]), MEAN, SPREAD)).all()


def test_bayes() -> None:
    ill, healthy = 0.01 * 0.9, 0.99 * 0.09  # of those who test positive
    close(disease_given_positive(0.01, 0.9, 0.91), ill / (ill + healthy))
    assert disease_given_positive(0.0, 0.9, 0.9) == 0 and disease_given_positive(0.3, 0.8, 1.0) == 1
    people = RNG.random(400_000) < 0.1
    positive = RNG.random(400_000) < np.where(people, 0.8, 1 - 0.7)
    close(people[positive].mean(), disease_given_positive(0.1, 0.8, 0.7), 0.02)
    twice = bayes(bayes(P, P), VALUES**2 / 9)
    close(twice, bayes(P, P * VALUES**2 / 9))  # evidence may come one piece at a time
    close(posterior_over(np.log(P), np.log(np.stack([P, VALUES**2 / 9], 1))), twice)


def test_moments() -> None:
    dice = scipy.stats.rv_discrete(values=(range(5), P))
    close(expectation(np.arange(5.0), P), dice.mean())
    close(variance(np.arange(5.0), P), dice.var(), 1e-10)
    close(variance(np.arange(5.0) + 1e8, P), dice.var(), 1e-6)
    close(covariance(X.T), np.cov(X, bias=True))


def test_independence_is_more_than_no_covariance() -> None:
    assert is_independent(np.outer(P, P))
    assert not is_independent(0.9 * np.outer(P, P) + 0.1 * np.diag(P))
    joint = np.array([[0, 0.25], [0.5, 0], [0, 0.25]])  # X in -1, 0, 1 and X² in 0, 1
    x, y = np.array([-1.0, 0.0, 1.0]), np.array([0.0, 1.0])
    assert x @ joint @ y - (x @ joint.sum(1)) * (y @ joint.sum(0)) == 0 and not is_independent(joint)


def test_maximum_likelihood_and_its_bias() -> None:
    found = gaussian_mle(X[0])
    close([found.mean, np.sqrt(found.var)], scipy.stats.norm.fit(X[0]))
    g = gaussian_log_pdf_vjp(X[0], np.array(found.mean), np.array(found.var), np.ones(7))
    assert abs(g[1]) < 1e-12 and abs(g[2]) < 1e-12
    close(unbiased_variance(X[0]), X[0].var(ddof=1))
    samples = RNG.normal(0, 2, size=(200_000, 4))
    bias = samples.var(axis=1).mean() - 4
    close(bias, variance_bias(4.0, 4), 0.03)
    close(np.mean([unbiased_variance(s) for s in samples[:20_000]]), 4, 0.03)


@pytest.mark.parametrize("prior", [0.1, 1.0, 30.0])
def test_a_prior_is_a_penalty(prior: float) -> None:
    x, var = X[0], 2.0

    def ridge(m: float) -> float:
        return -gaussian_log_pdf(x, np.array(m), np.array(var)).sum() + m**2 / (2 * prior)

    def lasso(m: float) -> float:
        return -gaussian_log_pdf(x, np.array(m), np.array(var)).sum() + abs(m) / prior

    bounds, tight = (-9, 9), {"xatol": 1e-10}
    best = scipy.optimize.minimize_scalar(ridge, bounds=bounds, method="bounded", options=tight)
    close(map_mean(x, var, prior), best.x, 1e-6)
    best = scipy.optimize.minimize_scalar(lasso, bounds=bounds, method="bounded", options=tight)
    assert abs(map_mean_laplace(x, var, prior) - best.x) < 1e-6


def test_limits_of_priors() -> None:
    close(map_mean(X[0], 2.0, 1e12), X[0].mean(), 1e-9)
    assert map_mean(X[0], 2.0, 1e-12) < 1e-9 and map_mean(np.zeros(0), 1.0, 1.0) == 0
    assert map_mean_laplace(X[0], 2.0, 1e-3) == 0 and map_mean_laplace(-X[0], 2.0, 9.0) < 0
    assert log_likelihood(np.zeros((2, 0))).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes(np.array([0.5, 0.6]), np.ones(2)), "sum to 1"),
        (lambda: bayes(np.array([0.5, 0.5]), np.array([2.0, 0.0])), "likelihood"),
        (lambda: bayes(np.array([1.0, 0.0]), np.array([0.0, 1.0])), "impossible"),
        (lambda: disease_given_positive(1.2, 0.9, 0.9), "prevalence = 1.2"),
        (lambda: disease_given_positive(0.1, 0.9, -1.0), "specificity = -1.0"),
        (lambda: expectation(VALUES, -P), "sum to 1"),
        (lambda: gaussian_log_pdf(X, MEAN, np.array(0.0)), "variance = 0.0"),
        (lambda: laplace_log_pdf(X, MEAN, np.array(-1.0)), "scale = -1.0"),
        (lambda: gaussian_mle(np.zeros(0)), "empty"),
        (lambda: covariance(np.zeros((0, 2))), "empty"),
        (lambda: unbiased_variance(np.ones(1)), "two"),
        (lambda: variance_bias(1.0, 0), "n = 0"),
        (lambda: map_mean(X[0], 1.0, 0.0), "prior variance"),
        (lambda: map_mean_laplace(np.zeros(0), 1.0, 1.0), "empty"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
