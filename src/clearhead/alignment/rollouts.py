"""Step labels without a teacher: complete a half-written solution a few times and see how often it ends right.

The value of a state is the probability that the model itself finishes it correctly, estimated from samples, judged by
the final answer only (Wang et al. 2024, Math-Shepherd, section 3.2). A reward model fed only on what the model does
anyway hardly sees a failure, so states are first *explored*: decisions drawn with a high temperature, from the tokens
that the model itself finds possible (`min_p`), which changes what is tried but not how carefully it is carried out.
Where the task knows a right solution, it and near misses of it (near_misses.py) join them: whole ones are checked,
begun ones completed like every other state.

What is deliberately not here: `check_step`. The truth about a step is for evaluation (`quality.py`), never for labels.
"""

import random
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from clearhead.alignment.near_misses import near_misses
from clearhead.errors import UserError
from clearhead.generation.backend import in_halves
from clearhead.generation.language_model import UNLIMITED, LanguageModel, SamplingParams, Tally
from clearhead.tasks.task import Task
from clearhead.text.prompt_format import STEP_END, join_steps, split_steps, steps_prompt

State = tuple[str, ...]  # the steps written so far
UNLABELED = -1.0
MAX_TOKENS = "rollouts.max_tokens"


@dataclass(frozen=True)
class RolloutConfig:
    """How states are explored and completed. `widths[i]`: samples drawn at depth i to find states to label.

    `max_tokens` bounds a completion. 0: in a recipe, as the data are long, elsewhere the model's context alone.
    `whole` solutions are drawn from the problem alone, as search will draw them; `misses` near misses are made of a
    right solution's last step, and as many of an earlier step. The reward model that learns from them grows from a
    `reader`, a language model of its own, or from the policy; auto: from its own where the training problems are few.
    """

    problems: int = 1000
    reader: Literal["auto", "own", "policy"] = "auto"
    widths: tuple[int, ...] = (12, 2)
    temperature: float = 1.5
    min_p: float = 0.1
    completions: int = 3
    whole: int = 8
    misses: int = 2
    max_tokens: int = 0
    at_once: int = 50

    def __post_init__(self) -> None:
        if self.whole < 1 or self.misses < 0:
            raise UserError(f"rollouts: whole = {self.whole} must be at least 1 and misses = {self.misses} at least 0")
        if self.problems < 1 or self.completions < 1 or self.at_once < 1:
            raise UserError(
                f"rollouts: problems = {self.problems}, completions = {self.completions} and at_once = {self.at_once} "
                "must all be at least 1"
            )
        if self.max_tokens < 0:
            raise UserError(f"max_tokens = {self.max_tokens} must be at least 1, or 0 for as long as the data need")

    @property
    def most_tokens(self) -> int:
        return self.max_tokens or UNLIMITED


@dataclass(frozen=True)
class LabeledPath:
    """A written solution with the value of each state on its way; `done` when the model closed it itself.

    `labels[i]` belongs to the state after `steps[:i]` (so there are len(steps) + 1): the share of its completions that
    ended right, or UNLABELED. Paths that begin alike have the same labels there.
    """

    problem: str
    steps: State
    done: bool
    labels: tuple[float, ...]


def collect(
    model: LanguageModel,
    task: Task,
    problems: Sequence[str],
    config: RolloutConfig,
    seed: int,
    tally: Tally | None = None,
) -> Iterator[LabeledPath]:
    """Explore and complete every problem; yield labeled paths, a few problems at a time.

    The completions are counted in `tally`. A problem too long for the context has none.
    """
    tally = Tally() if tally is None else tally
    problems = [problem for problem in problems if model.fits(steps_prompt(problem))]
    for start in range(0, len(problems), config.at_once):
        batch = problems[start : start + config.at_once]
        for paths, counted in in_halves(lambda some: [_labeled(model, task, some, config, seed)], batch):
            yield from paths
            tally.drawn += counted.drawn
            tally.cuts += counted.cuts


def _labeled(
    model: LanguageModel, task: Task, problems: Sequence[str], config: RolloutConfig, seed: int
) -> tuple[list[LabeledPath], Tally]:
    """The same of a few problems at once."""
    tally, paths = Tally(), []
    nodes = model.open([steps_prompt(problem) for problem in problems])
    try:
        explored = _explore(model, problems, nodes, config, seed)
        known = [_known(task, problem, config.misses, seed) for problem in problems]
        begun = [(i, steps) for i, (_, starts) in enumerate(known) for steps in starts if steps not in explored[i]]
        texts = [steps_prompt(problems[i]) + join_steps(steps) + STEP_END for i, steps in begun]
        begun = [start for start, text in zip(begun, texts, strict=True) if model.fits(text)]
        opened = model.open([text for text in texts if model.fits(text)])
        nodes += opened
        for (i, steps), node in zip(begun, opened, strict=True):
            explored[i][steps] = _Explored(node, False)
        endings = _complete(model, problems, explored, config, seed, tally)
    finally:
        model.close(nodes)
    for problem, (whole, _), found in zip(problems, known, endings, strict=True):
        paths += label_paths(task, problem, [*found, *(Ending(len(steps), steps, True) for steps in whole)])
    return paths, tally


def _known(task: Task, problem: str, misses: int, seed: int) -> tuple[list[State], list[State]]:
    """Whole solutions to check, one right and some nearly, and begun ones whose last step is nearly right."""
    rng = random.Random(_seed(seed, problem, -2, ()))
    right = tuple(task.solve(problem, rng))
    whole = [right, *(((*right[:-1], miss)) for miss in near_misses(right[-1], misses, rng))]
    begun = []
    if len(right) > 1:
        at = rng.randrange(len(right) - 1)
        begun = [(*right[:at], miss) for miss in near_misses(right[at], misses, rng)]
    return whole, begun


@dataclass(frozen=True)
class Ending:
    """A completion that was started after `start` steps of `steps`."""

    start: int
    steps: State
    done: bool


@dataclass(frozen=True)
class _Explored:
    node: int
    done: bool


def _explore(
    model: LanguageModel, problems: Sequence[str], roots: Sequence[int], config: RolloutConfig, seed: int
) -> list[dict[State, _Explored]]:
    """Distinct states reached from each root by bold sampling, the root itself included."""
    bold = SamplingParams(temperature=config.temperature, min_p=config.min_p, max_tokens=config.most_tokens)
    found: list[dict[State, _Explored]] = [{(): _Explored(root, False)} for root in roots]
    frontier: list[tuple[int, State]] = [(i, ()) for i in range(len(roots))]
    for depth, width in enumerate(config.widths):
        seeds = [_seed(seed, problems[i], depth, steps) for i, steps in frontier]
        drawn = model.extend([found[i][steps].node for i, steps in frontier], width, bold, seeds)
        reached = []
        for (i, steps), continuations in zip(frontier, drawn, strict=True):
            for continuation in continuations:
                state = (*steps, continuation.text)
                if state not in found[i]:
                    found[i][state] = _Explored(continuation.node, continuation.done)
                    if not (continuation.done or continuation.truncated):
                        reached.append((i, state))
        frontier = reached
    return found


def _complete(
    model: LanguageModel,
    problems: Sequence[str],
    explored: Sequence[dict[State, _Explored]],
    config: RolloutConfig,
    seed: int,
    tally: Tally,
) -> list[list[Ending]]:
    """How the model's own completions of each problem's explored states end."""
    plain = SamplingParams(temperature=1.0, max_tokens=config.most_tokens)
    open_states = [(i, state) for i, found in enumerate(explored) for state, at in found.items() if not at.done]
    seeds = [_seed(seed, problems[i], -1, state) for i, state in open_states]
    nodes = [explored[i][state].node for i, state in open_states]
    drawn = model.extend(nodes, config.completions, plain, seeds, stop=None)
    roots = [(i, ()) for i in range(len(problems))]
    open_states += roots
    drawn += model.extend(
        [explored[i][()].node for i, _ in roots], config.whole, plain,
        [_seed(seed, problem, -3, ()) for problem in problems], stop=None,
    )  # fmt: skip
    endings = [[Ending(len(state), state, True) for state, at in found.items() if at.done] for found in explored]
    for (i, state), continuations in zip(open_states, drawn, strict=True):
        tally.add(continuations, plain.max_tokens, MAX_TOKENS)
        for continuation in continuations:
            written = split_steps(continuation.text)
            whole = written if continuation.done else written[:-1]  # a step that was cut off is no step
            endings[i].append(Ending(len(state), state + whole, continuation.done))
    return endings


def label_paths(task: Task, problem: str, endings: Sequence[Ending]) -> list[LabeledPath]:
    """Turn completions into labels. A completion started at a state is a fair sample for that state and for every
    state that it passes afterwards, not for the ones before: those were left by a bold choice, not by the model's own.
    """
    wins: dict[tuple[State, bool], int] = defaultdict(int)
    trials: dict[tuple[State, bool], int] = defaultdict(int)
    for ending in endings:
        answer = task.answer(problem, ending.steps) if ending.done else None
        right = answer is not None and task.check(problem, answer)
        for state in _states(ending.steps, ending.done)[ending.start :]:
            trials[state] += 1
            wins[state] += right
    paths = []
    for steps, done in sorted({(e.steps, e.done) for e in endings}, key=lambda path: (-len(path[0]), path)):
        states = _states(steps, done)
        labels = tuple(wins[state] / trials[state] if trials[state] else UNLABELED for state in states)
        paths.append(LabeledPath(problem, steps, done, labels))
    return paths


def labeled_states(paths: Sequence[LabeledPath]) -> dict[tuple[str, State, bool], float]:
    """The label of each (problem, steps, closed or not) that has one, once however many paths pass it."""
    return {
        (path.problem, *state): label
        for path in paths
        for state, label in zip(_states(path.steps, path.done), path.labels, strict=True)
        if label != UNLABELED
    }


def _states(steps: State, done: bool) -> list[tuple[State, bool]]:
    """The states on the way to `steps`, the last one closed or not: the same text may be an end, or not yet."""
    return [(steps[:length], False) for length in range(len(steps))] + [(steps, done)]


def _seed(seed: int, problem: str, depth: int, state: State) -> int:
    """A seed of its own for each state, independent of what else is in the batch."""
    return zlib.crc32(repr((seed, problem, depth, state)).encode())
