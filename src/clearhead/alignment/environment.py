"""What a policy that learns from rewards lives in: prompts to answer, and what an answer is worth."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from clearhead.alignment.answers import Answer, Group, Prompt, draw
from clearhead.alignment.methods import AlignConfig
from clearhead.errors import UserError
from clearhead.generation.calls import Calls
from clearhead.generation.language_model import UNLIMITED, SamplingParams
from clearhead.generation.local import LocalEngine

MOST_DRAWS = 4  # times the problems of a round that are tried for groups that teach something
Rewards = Callable[[Sequence[Prompt], Sequence[Answer]], Any]
"""(prompts, answers), as many of each -> a number for each pair; what it gives is checked."""

Potential = Callable[[Sequence[Prompt], Sequence[Answer]], list[Float[np.ndarray, "_"]]]


@dataclass(frozen=True)
class Environment:
    """`prompts(first, n)`: n of an endless stream, from number `first` on, the same at every call.

    `truth` says what is right where the reward is only a proxy of it; it is told, and nothing learns from it.
    `search(prompts, seed)` finds answers to prompts that no sample solves. `potential(prompts, answers)` says, of each
    token of each answer, how promising the state was in which it was drawn. `calls`: the tools that answers may call.
    """

    prompts: Callable[[int, int], list[Prompt]]
    reward: Rewards
    truth: Rewards | None = None
    search: Callable[[Sequence[Prompt], int], list[list[Answer]]] | None = None
    max_tokens: int = UNLIMITED
    potential: Potential | None = None
    calls: Calls | None = None


def checked(rewards: Any, n: int) -> Float[np.ndarray, "N"]:
    """What a reward function gave, as numbers; UserError where it is anything but n finite ones."""
    if isinstance(rewards, str | bytes) or not hasattr(rewards, "__len__") or not hasattr(rewards, "__getitem__"):
        raise UserError(f"the reward function gave {rewards!r:.60}; it must give a list of {n} numbers")
    if len(rewards) != n:
        raise UserError(f"the reward function gave {len(rewards)} numbers for {n} answers; it must give one for each")
    found = np.zeros(n)
    for i in range(n):
        try:
            found[i] = np.nan if isinstance(rewards[i], str | bytes) else float(rewards[i])
        except (TypeError, ValueError, KeyError):
            found[i] = np.nan
        if not np.isfinite(found[i]):
            raise UserError(f"the reward of answer {i} is {rewards[i]!r:.60}; it must be a finite number")
    return found


def rewarded(
    reward: Rewards, prompts: Sequence[Prompt], answers: Sequence[Sequence[Answer]]
) -> list[Float[np.ndarray, "N"]]:
    """The rewards of several answers to each prompt, asked for all at once."""
    asked = [prompt for prompt, found in zip(prompts, answers, strict=True) for _ in found]
    flat = [answer for found in answers for answer in found]
    rewards = checked(reward(asked, flat), len(flat)) if flat else np.zeros(0)
    return np.split(rewards, np.cumsum([len(found) for found in answers])[:-1])


@dataclass(frozen=True)
class Drawn:
    """The groups of a round that are learned from, and numbers of all that were drawn for it."""

    groups: list[Group]
    numbers: dict[str, Any]


def draw_groups(engine: LocalEngine, environment: Environment, config: AlignConfig, number: int, seed: int) -> Drawn:
    """Round `number`. A method that resamples leaves groups out that teach nothing, and draws others for a while."""
    sampling = SamplingParams(temperature=config.temperature, max_tokens=environment.max_tokens)
    drawn: list[Group] = []
    chosen: list[Group] = []
    truths: list[Float[np.ndarray, "N"]] = []
    for attempt in range(MOST_DRAWS if config.learns.resamples else 1):
        first = (number * MOST_DRAWS + attempt) * config.problems
        prompts = environment.prompts(first, config.problems)
        seeds = [zlib.crc32(repr((seed, first + i)).encode()) for i in range(len(prompts))]
        answers = draw(engine, prompts, config.samples, sampling, seeds)
        rewards = rewarded(environment.reward, prompts, answers)
        if environment.truth is not None:
            truths += rewarded(environment.truth, prompts, answers)
        groups = [Group(*row) for row in zip(prompts, answers, rewards, strict=True)]
        drawn += groups
        chosen += [group for group in groups if group.teaches or not config.learns.resamples]
        if len(chosen) >= config.problems:
            break
    return Drawn(chosen[: config.problems], _numbers(drawn, truths))


def _numbers(groups: Sequence[Group], truths: Sequence[Float[np.ndarray, "N"]]) -> dict[str, Any]:
    answers = [answer for group in groups for answer in group.answers]
    best = max(groups, key=lambda group: group.rewards.max())
    at = int(best.rewards.argmax())
    numbers = {
        "reward": float(np.mean([group.rewards for group in groups])), "answers": len(answers),
        "length": float(np.mean([len(answer.tokens) for answer in answers])),
        "cut": float(np.mean([not answer.done for answer in answers])),
        "without_variance": float(np.mean([not group.teaches for group in groups])),
        "distinct": float(np.mean([len({a.tokens for a in group.answers}) / len(group.answers) for group in groups])),
        "sample": best.prompt.text + best.answers[at].text, "sample_reward": float(best.rewards[at]),
    }  # fmt: skip
    return numbers | ({"truth": float(np.mean(truths))} if truths else {})
