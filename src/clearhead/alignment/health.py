"""Is a policy that learns from rewards well? Each check is a pure function of the log's rounds: one line, or none.

A round is an event of kind "round" (alignment.rounds).
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any

RoundEvent = Mapping[str, Any]

WINDOW = 5  # rounds that are looked at together
EVEN = 0.9  # share of groups without variance from which on the reward can hardly move
FAR = 0.5  # nats a token from the reference: a text of thirty tokens is then e^15 times as likely as before
COLLAPSED = 0.1  # of the entropy at the start, left
DROPPED = 0.05  # of the true reward, while the proxy rises
CUT = 0.5  # share of answers that a limit cuts off


def findings(rounds: Sequence[RoundEvent]) -> list[str]:
    """What is wrong with a run so far, a line each; none of a healthy one."""
    if len(rounds) < WINDOW:
        return []
    found = (check(rounds) for check in CHECKS)
    return [line for line in found if line]


def cannot_move(rounds: Sequence[RoundEvent]) -> str:
    """Groups whose answers are all worth the same have no gradient."""
    share, reward = _last(rounds, "without_variance"), _last(rounds, "reward")
    if share < EVEN:
        return ""
    known = "all right, so there is little left to learn: harder problems would teach more"
    advice = known if reward > 0.5 else "all wrong: give easier problems, more samples, or a start that solves some"
    return f"{share:.0%} of the groups have answers of one reward, and such groups teach nothing; they are {advice}"


def runs_away(rounds: Sequence[RoundEvent]) -> str:
    """KL to the reference that is large and still grows."""
    now, before = _last(rounds, "kl_token"), mean(r["kl_token"] for r in rounds[-2 * WINDOW : -WINDOW] or rounds[:1])
    if now < FAR or now <= before:
        return ""
    return (
        f"the policy is {now:.2f} nats a token from where it started, and moves further away: "
        "raise beta, lower lr, or set target_kl"
    )


def collapses(rounds: Sequence[RoundEvent]) -> str:
    """Entropy that is gone while there is still something to find."""
    first, now, reward = mean(r["entropy"] for r in rounds[:WINDOW]), _last(rounds, "entropy"), _last(rounds, "reward")
    if first <= 0 or now > COLLAPSED * first or reward > 0.95:
        return ""
    return (
        f"entropy fell from {first:.3f} to {now:.3f} nats a token at a reward of {reward:.2f}: the answers are alike "
        "and nothing new is tried; lower lr, raise beta or clip_high, or keep more ways with expert iteration"
    )


def fools_its_reward(rounds: Sequence[RoundEvent]) -> str:
    """A proxy that rises while the truth falls."""
    if "truth" not in rounds[-1] or all(r["truth"] == r["reward"] for r in rounds):
        return ""
    best = max(range(len(rounds) - WINDOW + 1), key=lambda i: mean(r["truth"] for r in rounds[i : i + WINDOW]))
    was, proxy = (mean(r[key] for r in rounds[best : best + WINDOW]) for key in ("truth", "reward"))
    if was - _last(rounds, "truth") < DROPPED or _last(rounds, "reward") <= proxy:
        return ""
    return (
        f"the reward rose to {_last(rounds, 'reward'):.2f} while what is really right fell from {was:.0%} to "
        f"{_last(rounds, 'truth'):.0%}: the policy learned to please the reward model; raise beta or stop sooner"
    )


def rambles(rounds: Sequence[RoundEvent]) -> str:
    """Answers that no longer end."""
    share = _last(rounds, "cut")
    if share < CUT:
        return ""
    return f"{share:.0%} of the answers are cut off before they end, which earns nothing: raise search.solution_tokens"


CHECKS: tuple[Callable[[Sequence[RoundEvent]], str], ...] = (
    cannot_move,
    runs_away,
    collapses,
    fools_its_reward,
    rambles,
)


def _last(rounds: Sequence[RoundEvent], key: str) -> float:
    return mean(r[key] for r in rounds[-WINDOW:])
