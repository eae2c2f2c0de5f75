"""A policy that learns from rewards: no variance, runaway KL, a ratio that is not 1, a fooled reward, entropy, length."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clearhead.doctor.finding import Finding, Kind
from clearhead.doctor.record import Record

NO_VARIANCE = Kind(
    "no_variance", "error", "answers to one prompt are nearly all worth the same, and such groups teach nothing",
    "where all are wrong, easier problems, more samples or a better start; where all are right, harder problems",
    "more than a tenth of the groups have answers of different worth", "Shao et al. 2024 (GRPO); Yu et al. 2025 (DAPO), dynamic sampling",
)  # fmt: skip
RUNAWAY = Kind(
    "kl_runaway", "error", "the policy is far from its reference, and moves further away",
    "raise beta, lower the rate, or set a target for the KL", "the KL levels off", "Ziegler et al. 2019; Gao et al. 2023",
)  # fmt: skip
NEGATIVE_KL = Kind(
    "kl_negative", "error", "the estimate of the KL is below 0 on average: its sign is wrong, or policy and reference differ in more than weights",
    "use log p(policy) - log p(reference) of the policy's own samples, or the k3 estimator, which is never negative",
    "the mean is at or above 0", "Schulman 2020, Approximating KL divergence",
)  # fmt: skip
RATIO = Kind(
    "ratio_not_one", "error", "the probability ratio is not 1 at the first step after the samples were drawn",
    "score samples with the weights, temperature, mask and dropout mode that drew them", "the first ratio of a round is 1 to rounding",
    "Schulman et al. 2017 (PPO), equation 6: at the old weights r = 1",
)  # fmt: skip
HACKED = Kind(
    "reward_hacking", "error", "the reward rises while what is really right falls",
    "raise beta, stop sooner, or mend the reward", "reward and checker rise together", "Gao et al. 2023, reward overoptimization",
)  # fmt: skip
LENGTH = Kind(
    "length_drift", "warning", "answers grow much longer, or shorter, while the reward hardly changes",
    "take the length out of the advantage (Dr. GRPO), or penalize it", "the length levels off", "Liu et al. 2025 (Dr. GRPO), length bias",
)  # fmt: skip
ENTROPY = Kind(
    "entropy_collapse", "error", "the policy has become certain, and tries nothing new, while there is still something to find",
    "lower the rate, raise beta or the upper clip, or sample at a higher temperature", "the entropy levels off above a tenth of its start",
    "Yu et al. 2025 (DAPO), clip-higher",
)  # fmt: skip
CUT_OFF = Kind(
    "answers_cut", "warning", "most answers are cut off before they end, which earns nothing", "raise the limit of an answer's length",
    "less than half are cut", "Yu et al. 2025 (DAPO), overlong reward shaping",
)  # fmt: skip

WINDOW = 5  # rounds
EVEN, FAR, COLLAPSED, DROPPED, CUT = 0.9, 0.5, 0.1, 0.05, 0.5
NEGATIVE = -0.005  # nats a token, on average over a window
OFF_ONE = 0.02
DRIFT = 2.0  # times the length at the start


def rounds(record: Record) -> Iterator[Finding]:
    """Means over the last WINDOW rounds against the first ones."""
    reward = record.get("reward").finite.values
    if len(reward) < WINDOW:
        return
    last = {
        name: float(record.get(name).finite.values[-WINDOW:].mean())
        for name in ("reward", "kl", "entropy", "length", "without_variance", "cut", "truth")
        if len(record.get(name).finite) >= WINDOW
    }
    first = {name: float(record.get(name).finite.values[:WINDOW].mean()) for name in last}
    if last.get("without_variance", 0) >= EVEN and not (
        last["reward"] > 0.95 and first["reward"] < last["reward"] - 0.1
    ):
        yield NO_VARIANCE.found("the groups", "without_variance", share=last["without_variance"], reward=last["reward"])
    if "kl" in last:
        kl = record.get("kl").finite.values
        before = float((kl[-2 * WINDOW : -WINDOW] if len(kl) >= 2 * WINDOW else kl[:1]).mean())
        if last["kl"] > FAR and last["kl"] > before:
            yield RUNAWAY.found("the policy", "kl", kl=last["kl"], before=before)
        elif last["kl"] < NEGATIVE:
            yield NEGATIVE_KL.found("the KL term", "kl", kl=last["kl"])
    if "truth" in last and not np.array_equal(record.get("truth").values, record.get("reward").values):
        truth = record.get("truth").finite.values
        means = np.convolve(truth, np.ones(WINDOW) / WINDOW, "valid")
        best = int(means.argmax())
        then = float(reward[best : best + WINDOW].mean())
        if means[best] - last["truth"] > DROPPED and last["reward"] > then:
            yield HACKED.found(
                "the reward", "truth", reward=last["reward"], truth=last["truth"], best_truth=float(means[best])
            )
    if (
        "entropy" in last
        and first["entropy"] > 0
        and last["entropy"] < COLLAPSED * first["entropy"]
        and last["reward"] < 0.95
    ):
        yield ENTROPY.found(
            "the policy", "entropy", first=first["entropy"], last=last["entropy"], reward=last["reward"]
        )
    if "length" in last and first["length"] > 0:
        times = last["length"] / first["length"]
        better = abs(last["reward"] - first["reward"]) > 0.05 * max(abs(first["reward"]), 0.2)
        if (times > DRIFT or times < 1 / DRIFT) and not better:
            yield LENGTH.found(
                "the answers", "length", first=first["length"], last=last["length"], reward=last["reward"]
            )
    if last.get("cut", 0) > CUT:
        yield CUT_OFF.found("the answers", "cut", share=last["cut"])


def ratio(record: Record) -> Iterator[Finding]:
    """|ratio - 1| at the first step of each round, by its median."""
    values = (
        record.get("first_ratio").finite.values
        if len(record.get("first_ratio"))
        else record.get("ratio").finite.values[:1]
    )
    if len(values) and float(np.median(np.abs(values - 1))) > OFF_ONE:
        yield RATIO.found("the first step of a round", ratio=float(np.median(values)))


KINDS = (NO_VARIANCE, RUNAWAY, NEGATIVE_KL, RATIO, HACKED, LENGTH, ENTROPY, CUT_OFF)
CHECKS = (rounds, ratio)
