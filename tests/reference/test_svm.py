"""The SVM against scikit-learn's and against the conditions of its optimum."""

import numpy as np
import pytest
from against import close
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import pairwise
from sklearn.svm import SVC

from clearhead.reference.svm import decision, dual_objective, linear_kernel, polynomial_kernel, rbf_kernel, smo

RNG = np.random.default_rng(1)
X = RNG.normal(size=(60, 2))
RINGS = np.where((X**2).sum(1) + 0.3 * RNG.normal(size=60) > 1.2, 1.0, -1.0)
KERNELS = {
    "linear": linear_kernel(X, X),
    "poly": polynomial_kernel(X, X, 3),
    "rbf": rbf_kernel(X, X, 0.7),
}


def test_kernels() -> None:
    other = RNG.normal(size=(5, 2))
    close(linear_kernel(X, other), pairwise.linear_kernel(X, other))
    close(polynomial_kernel(X, other, 3), pairwise.polynomial_kernel(X, other, degree=3, gamma=1, coef0=1))
    close(rbf_kernel(X, other, 0.7), pairwise.rbf_kernel(X, other, gamma=0.7))
    u, v = X[:1], X[1:2]  # the features behind (u·v + 1)²

    def features(x):
        a, b = x[0]
        return np.array([a * a, b * b, 2**0.5 * a * b, 2**0.5 * a, 2**0.5 * b, 1])

    close(polynomial_kernel(u, v, 2)[0, 0], features(u) @ features(v))
    assert all(np.linalg.eigvalsh(kernel).min() > -1e-9 for kernel in KERNELS.values())


@pytest.mark.parametrize("c", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("name", KERNELS)
def test_the_same_optimum_as_libsvm(name: str, c: float) -> None:
    kernel = KERNELS[name]
    mine, peer = smo(kernel, RINGS, c), SVC(C=c, kernel="precomputed", tol=1e-8).fit(kernel, RINGS)
    alpha = np.zeros(60)
    alpha[peer.support_] = np.abs(peer.dual_coef_[0])
    close(dual_objective(mine.alpha, RINGS, kernel), dual_objective(alpha, RINGS, kernel), 1e-7)
    close(decision(mine, kernel), peer.decision_function(kernel), 2e-5)
    assert abs(mine.alpha @ RINGS) < 1e-10 and mine.alpha.min() >= 0 and mine.alpha.max() <= c


def test_two_points_take_one_step() -> None:
    x, y = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([-1.0, 1.0])
    machine = smo(linear_kernel(x, x), y, 100.0)
    assert machine.steps == 1  # the step along two multipliers is exact
    close(machine.alpha, np.full(2, 2 / 13))  # 2 / ‖x - x'‖²
    close(decision(machine, linear_kernel(x, x)), y)


def test_the_conditions_of_the_optimum() -> None:
    machine = smo(KERNELS["rbf"], RINGS, 1.0)
    margin = RINGS * decision(machine, KERNELS["rbf"])
    inside, free, out = machine.alpha == 1.0, (machine.alpha > 0) & (machine.alpha < 1), machine.alpha == 0
    assert (margin[inside] <= 1 + 1e-5).all() and (margin[out] >= 1 - 1e-5).all()
    close(margin[free], np.ones(free.sum()), 1e-5)
    assert set(machine.support) == set(np.flatnonzero(inside | free))


def test_only_support_vectors_matter() -> None:
    machine = smo(KERNELS["rbf"], RINGS, 1.0)
    at = machine.support
    alone = smo(KERNELS["rbf"][np.ix_(at, at)], RINGS[at], 1.0)
    close(decision(alone, KERNELS["rbf"][:, at]), decision(machine, KERNELS["rbf"]), 1e-4)


def test_a_curved_kernel_sees_rings() -> None:
    right = {name: (np.sign(decision(smo(k, RINGS, 10.0), k)) == RINGS).mean() for name, k in KERNELS.items()}
    assert right["linear"] < 0.85 < 0.95 < right["rbf"]


def test_breast_cancer() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    x, y = (x - x.mean(0)) / x.std(0), 2.0 * y - 1
    train, test = slice(0, 300), slice(300, None)
    machine = smo(rbf_kernel(x[train], x[train], 1 / 30), y[train], 1.0, 1e-3)
    peer = SVC(gamma=1 / 30).fit(x[train], y[train])
    found = np.sign(decision(machine, rbf_kernel(x[test], x[train], 1 / 30)))
    assert (found == peer.predict(x[test])).mean() > 0.995 and (found == y[test]).mean() > 0.95


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: polynomial_kernel(X, X, 0), "degree = 0"),
        (lambda: rbf_kernel(X, X, 0.0), "gamma = 0.0"),
        (lambda: smo(KERNELS["rbf"], np.ones(60), 1.0), "both must occur"),
        (lambda: smo(KERNELS["rbf"], RINGS / 2, 1.0), "-1 and 1"),
        (lambda: smo(KERNELS["rbf"], RINGS, 0.0), "c = 0.0"),
        (lambda: smo(KERNELS["rbf"], RINGS, 1.0, most=3), "after 3 steps"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
