"""In-context search: what a search tried, left and found, told in one text that the policy can learn to write itself.

Gandhi et al. 2024, "Stream of Search" (arXiv 2404.03683), with one difference: they tell what a symbolic solver does,
here it is what the policy's own rollouts explored, and their labels are when a search turns back.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from clearhead.alignment.rollouts import UNLABELED, LabeledPath, State
from clearhead.errors import UserError
from clearhead.text.prompt_format import BACK, back_line

EVEN = 0.05  # of the weight of any step, so that the best of searches errs now and then
DOUBT = 0.6  # how often a search that guesses nothing sets aside what could be finished
FOUND = 0.05  # at least what a state is worth that a right solution passes, though no completion of it ended right
UNKNOWN = 0.5  # what a state without a label is worth


@dataclass(frozen=True)
class InContextConfig:
    """How the policy learns to search within one text; `steps` 0: it does not.

    In each of `steps` it reads `batch_size` rows of `tokens`, which is the longest such text, at learning and after.
    """

    steps: int = 0
    tokens: int = 600
    batch_size: int = 8
    lr: float = 0.01
    adam_lr: float = 0.002
    weight_decay: float = 0.02
    warmup: int = 20
    eval_every: int = 100
    save_every: int = 100

    def __post_init__(self) -> None:
        for name in ("tokens", "batch_size", "eval_every", "save_every"):
            if getattr(self, name) < 1:
                raise UserError(f"in_context: {name} = {getattr(self, name)} must be at least 1")
        if self.steps < 0 or not self.lr > 0 or not self.adam_lr > 0:
            raise UserError(
                f"in_context: steps = {self.steps} must be 0 or positive, lr = {self.lr} and adam_lr = {self.adam_lr} "
                "positive"
            )


@dataclass
class Explored:
    """Of one problem: the steps tried after each state, what a state is worth, and the ends, right or wrong."""

    problem: str
    tried: dict[State, list[str]] = field(default_factory=lambda: defaultdict(list))
    value: dict[State, float] = field(default_factory=dict)
    ends: dict[State, bool] = field(default_factory=dict)

    def weight(self, state: State, guess: float) -> float:
        """How readily a search takes the step to a state: by its value, as far as it guesses that."""
        return EVEN + 1 - guess + guess * self.value.get(state, UNKNOWN)


def explored(paths: Iterable[LabeledPath]) -> list[Explored]:
    """The paths of each problem as one tree, of problems that some path solves."""
    found: dict[str, Explored] = {}
    for path in paths:
        if any(step.startswith(BACK) for step in path.steps):
            continue  # its step would be read as going back
        tree = found.setdefault(path.problem, Explored(path.problem))
        right = path.done and path.labels[-1] > 0
        for length, label in enumerate(path.labels[: len(path.steps) + (not path.done)]):
            state = path.steps[:length]
            known = tree.value.get(state, label)
            if right or known != UNLABELED:
                tree.value[state] = max(known, FOUND if right else 0.0)
        for length, step in enumerate(path.steps):
            if step not in tree.tried[path.steps[:length]]:
                tree.tried[path.steps[:length]].append(step)
        if path.done:
            tree.ends[path.steps] = right
    return [tree for tree in found.values() if any(tree.ends.values())]


def trace(tree: Explored, rng: random.Random) -> list[str] | None:
    """The lines of one search through the tree: depth first, it ends with the first right solution.

    How well it guesses what steps are worth is drawn for each search, so that short and long ones are learned. None
    where it does not come upon a solution.
    """
    search = TracedSearch(tree, rng, rng.random())
    state: State = ()
    while steps := search.options(state):
        taken = search.take(state, steps)
        if tree.ends.get(taken):
            return search.lines
        state = search.go_on(state, taken)
    return None


@dataclass
class TracedSearch:
    """What a search has written so far, which states it set aside, is at again, and has done with.

    From each state it takes first the step that it guesses to be best, then what it likes of the others in the order of
    their texts: so one line says what was tried, and a small model learns not to try it again. A state that no
    completion finished right is set aside at once, and now and then one that could be finished, as whoever reads only
    the text so far would do. Where all is set aside, the search says so, by going back to where it is, and looks a
    second time, deeper.
    """

    tree: Explored
    rng: random.Random
    guess: float
    lines: list[str] = field(default_factory=list)
    aside: set[State] = field(default_factory=set)
    again: set[State] = field(default_factory=lambda: {()})
    closed: set[State] = field(default_factory=set)
    passed: dict[State, str] = field(default_factory=dict)  # of a state, the step up to which it went through them
    announced: set[State] = field(default_factory=set)

    def options(self, state: State) -> list[str]:
        """The steps to states not looked at yet or, where the search is here again, to those set aside."""
        steps = self._unfinished(state)
        fresh = [step for step in steps if (*state, step) not in self.aside]
        return fresh or (steps if state in self.again else [])

    def take(self, state: State, steps: Sequence[str]) -> State:
        """Write one of the steps, and before the first that was set aside that this is a second look."""
        if (*state, steps[0]) in self.aside and state not in self.announced:
            self.announced.add(state)
            self.passed[state] = ""
            self.lines.append(back_line(len(state)))
        step = self._chosen(state, steps)
        self.lines.append(step)
        return (*state, step)

    def go_on(self, before: State, state: State) -> State:
        """Where to go on after a step to `state` that solves nothing yet: there, or back where something is left."""
        if state in self.tree.ends:
            self.closed.add(state)
            state = before
        elif state in self.aside:
            self.aside.remove(state)
            self.again.add(state)
        elif self._doubts(before, state):
            self.aside.add(state)
            state = before
        while state and not self.options(state):
            (self.aside if self._unfinished(state) and state not in self.again else self.closed).add(state)
            state = state[:-1]
        if len(state) <= len(before):
            self.lines.append(back_line(len(state)))
        return state

    def _unfinished(self, state: State) -> list[str]:
        return [step for step in self.tree.tried.get(state, ()) if (*state, step) not in self.closed]

    def _doubts(self, before: State, state: State) -> bool:
        hopeless = self.tree.value.get(state, UNKNOWN) == 0 or self.rng.random() < DOUBT * (1 - self.guess)
        return hopeless and len(self._unfinished(before)) > 1

    def _chosen(self, state: State, steps: Sequence[str]) -> str:
        weights = {step: self.tree.weight((*state, step), self.guess) for step in steps}
        if state not in self.passed:
            self.passed[state] = ""
            (best,) = self.rng.choices(steps, list(weights.values()))
            return best
        ordered = sorted(steps, key=lambda step: (step <= self.passed[state], step))
        step = next((step for step in ordered if self.rng.random() < weights[step]), ordered[0])
        self.passed[state] = step
        return step
