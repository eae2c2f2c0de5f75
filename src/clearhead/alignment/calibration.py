"""From what a reward model says to probabilities that hold on problems nobody has learned from.

A reward model that was trained on a policy's own solutions is too sure of itself, and knows less than the policy about
the policy's slips. So three voices are weighed against each other where all are new: the reward model's logit z, log p
of the solution as the reward model would write it, and log p of the solution as the policy did.

    s(y) = a z(y) + b log p_reward(y) + c log p_policy(y)     a, b, c >= 0: the right one of a problem's solutions
    P(right | y) = σ(τ s(y) + d)                              τ, d: the probabilities of all problems (Platt 1999)

a, b and c are fitted to the log-likelihood of the right ones, as in a choice among alternatives (McFadden 1974), and
drawn to 0, ½ and ½. What chooses worse on the same problems than a plainer set, the two writers or the policy alone,
gives way to it: what does not help has no say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

PRIOR = np.array([0.0, 0.5, 0.5])  # of (a, b, c)
STRENGTH = 4.0  # of the prior, in problems
FLATTEST = 1e-3  # τ at least, so that the order within a problem is never lost
POLICY_ALONE = np.array([0.0, 0.0, 1.0])
STEPS = 200  # of the search for the best weights
NEWTON = 50  # steps of Newton's method; a handful is enough
RATE = 0.3  # of its first step, in units of what a voice differs by within a problem


@dataclass(frozen=True)
class Head:
    """P(right) = σ(scale z + reward log p_reward + policy log p_policy + bias)."""

    scale: float = 1.0
    reward: float = 0.0
    policy: float = 0.0
    bias: float = 0.0

    def logit(
        self, z: Float[np.ndarray, "N"], reward: Float[np.ndarray, "N"], policy: Float[np.ndarray, "N"]
    ) -> Float[np.ndarray, "N"]:
        return self.scale * z + self.reward * reward + self.policy * policy + self.bias


@dataclass(frozen=True)
class Calibration:
    """Of one task: finished solutions by the outcome head and by the process head, unfinished ones by the latter.

    `sharpness` is the power to which a solution's odds count in a vote (reasoning.votes.odds_vote).
    """

    outcome: Head = Head()
    process: Head = Head()
    step: Head = Head()
    sharpness: float = 1.0


@dataclass(frozen=True)
class Samples:
    """Finished solutions of several problems, each once: what both models say of them, and the truth."""

    problem: Int[np.ndarray, "N"]
    z: Float[np.ndarray, "N 2"]
    reward: Float[np.ndarray, "N"]  # log p of the solution
    policy: Float[np.ndarray, "N"]
    right: Bool[np.ndarray, "N"]


def fit_head(z: Float[np.ndarray, "N"], samples: Samples) -> Head:
    """Both steps for one head of the reward model."""
    features = np.column_stack([z, samples.reward, samples.policy])
    weights = fit_order(features, samples.problem, samples.right)
    (tau,), bias = fit_logistic((features @ weights)[:, None], samples.right)
    scale, reward, policy = (max(tau, FLATTEST) * weights).tolist()
    return Head(scale, reward, policy, bias)


def fit_step(z: Float[np.ndarray, "N"], reward: Float[np.ndarray, "N"], right: Bool[np.ndarray, "N"]) -> Head:
    """Of unfinished solutions, without the policy's log p: whether what went on from there ended right."""
    if not len(z):
        return Head()
    (scale, likelihood), bias = fit_logistic(np.column_stack([z, reward]), right)
    return Head(scale, likelihood, 0.0, bias)


def fit_order(
    features: Float[np.ndarray, "N 3"], problem: Int[np.ndarray, "N"], right: Bool[np.ndarray, "N"]
) -> Float[np.ndarray, "3"]:
    """(a, b, c), none below 0: of the fitted weights and the plain ones those whose best sample is right most often.

    In a tie the likelier ones, by the share of e^s that right samples have.
    """
    both = [p for p in np.unique(problem) if 0 < right[problem == p].sum() < (problem == p).sum()]
    groups = [(features[problem == p], right[problem == p]) for p in both]
    if not groups:
        return PRIOR.copy()

    def fit(weights: np.ndarray) -> tuple[float, float]:
        scores = [(x @ weights, ok) for x, ok in groups]
        return sum(float(ok[s.argmax()]) for s, ok in scores), -sum(_surprise(s, ok) for s, ok in scores)

    return max((_fitted(groups), PRIOR.copy(), POLICY_ALONE.copy()), key=fit)


def _surprise(s: Float[np.ndarray, "N"], right: Bool[np.ndarray, "N"]) -> float:
    """-ln of the share of e^s that the right ones have."""
    return float(np.logaddexp.reduce(s) - np.logaddexp.reduce(s[right]))


def _fitted(groups: Sequence[tuple[Float[np.ndarray, "N 3"], Bool[np.ndarray, "N"]]]) -> Float[np.ndarray, "3"]:
    """argmin Σ_problems surprise + STRENGTH |w - PRIOR|² / 2 over w >= 0, by projected gradient, in shrinking steps."""
    w, best = PRIOR.copy(), (np.inf, PRIOR.copy())
    spread = np.maximum(np.concatenate([x - x.mean(0) for x, _ in groups]).std(0), 1e-9)
    for step in range(STEPS):
        loss, gradient = STRENGTH * float(((w - PRIOR) ** 2).sum()) / 2, STRENGTH * (w - PRIOR)
        for x, ok in groups:
            s = x @ w
            p, q = np.exp(s - np.logaddexp.reduce(s)), np.where(ok, s, -np.inf)
            gradient = gradient + x.T @ (p - np.exp(q - np.logaddexp.reduce(q)))
            loss += _surprise(s, ok)
        if loss < best[0]:
            best = loss, w
        scaled = gradient * spread
        w = np.maximum(w - RATE / (1 + step / 20) * scaled / max(np.abs(scaled).max(), 1e-9) / spread, 0)
    return best[1]


def fit_logistic(x: Float[np.ndarray, "N K"], right: Bool[np.ndarray, "N"]) -> tuple[list[float], float]:
    """Weights of at least 0 and the bias of σ(x w + bias), finite by targets a little inside (0, 1) (Platt 1999)."""
    positives, negatives = int(right.sum()), int((~right).sum())
    target = np.where(right, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    mean, spread = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1.0)
    free = np.ones(x.shape[1], bool)
    while True:
        design = np.column_stack([((x - mean) / spread)[:, free], np.ones(len(x))])
        theta = np.zeros(design.shape[1])
        for _ in range(NEWTON):
            p = 1 / (1 + np.exp(-design @ theta))
            hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(len(theta))
            theta = theta - np.clip(np.linalg.solve(hessian, design.T @ (p - target)), -2, 2)
        if (theta[:-1] >= 0).all():
            weights = np.zeros(x.shape[1])
            weights[free] = theta[:-1] / spread[free]
            return weights.tolist(), float(theta[-1] - weights @ mean)
        free[np.flatnonzero(free)[theta[:-1] < 0]] = False


def sharpness(
    odds: Sequence[dict[str, list[float]]], right: Sequence[set[str]], grid: Sequence[float] = (0.25, 0.5, 1, 1.5, 2, 4)
) -> float:
    """The power κ under which a vote by odds^κ gives the right answers the most, Σ ln of their share of the vote.

    `odds[i]` are the log odds of problem i's distinct solutions, by the answer that they arrive at.
    """

    def log_share(kappa: float) -> float:
        total = 0.0
        for answers, good in zip(odds, right, strict=True):
            mass = {answer: float(np.logaddexp.reduce(kappa * np.array(s))) for answer, s in answers.items()}
            if 0 < len(good & mass.keys()) < len(mass):
                won = np.logaddexp.reduce([mass[answer] for answer in good & mass.keys()])
                total += max(float(won - np.logaddexp.reduce(list(mass.values()))), -5.0)  # one loss is not the end
        return total

    return max(grid, key=log_share)
