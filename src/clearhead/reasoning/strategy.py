"""What all strategies have in common: a partial solution, what has been spent when, and the record of a strategy.

Here text meets search: a state is a `PartialSolution`, a step is a line that the model writes, and a value comes from a
scorer (a reward model) or from the model's own confidence. Whatever the strategy, it reports the same thing: what it
would have answered after each token it spent. What is deliberately not here: the check of answers. No strategy sees it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from clearhead.errors import UserError
from clearhead.generation.language_model import CONTEXT, UNLIMITED, LanguageModel, SamplingParams, Tally
from clearhead.reasoning.auto import AutoChoice
from clearhead.reasoning.lockstep import Choose, Result, SearchProblem
from clearhead.text.prompt_format import Form

OUTCOME, PROCESS = 0, 1  # the columns of a scorer's values
STEP, SOLUTION, DEPTH = "search.step_tokens", "search.solution_tokens", "search.depth"
SEARCHED_TEXT = "in_context.tokens"


class Scorer(Protocol):
    """A reward model as search sees it. It reads every piece of text once and says how many tokens it has read."""

    def values(self, solutions: "Sequence[PartialSolution]") -> Float[np.ndarray, "N 2"]:
        """The probabilities that the solution is right (read at its end) and that it will end right from here."""
        ...

    def tokens(self, problem: str) -> int:
        """Tokens read for this problem since it was last forgotten."""
        ...

    def forget(self, problems: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class PartialSolution:
    """A solution as far as it is written. Two with the same text are the same state."""

    problem: str
    steps: tuple[str, ...] = ()
    done: bool = False
    node: int = field(default=-1, compare=False)
    logprob: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class SearchConfig:
    """How steps are proposed and how far search goes; a strategy reads only what concerns it.

    `step_tokens`, `solution_tokens` and `depth` (the steps of a beam) bound what is written. 0: in a recipe, as the
    data are long (pipeline/sizes.py), elsewhere the model's context alone.
    """

    samples: int = 24  # drawn for the first step; equal ones are merged and cost nothing more
    narrowing: float = 2.0  # each further step is proposed so many times fewer samples, but at least `fewest`
    fewest: int = 4
    temperature: float = 1.0
    min_p: float = 0.02
    step_tokens: int = 0
    solution_tokens: int = 0
    depth: int = 0
    width: int = 4
    leaves: int = 1  # expanded at once for each problem
    c_ucb: float = 0.2
    c_puct: float = 0.25
    actions: int = 8

    def __post_init__(self) -> None:
        for name in ("step_tokens", "solution_tokens", "depth"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1, or 0 for as long as the data need")

    @property
    def most_solution_tokens(self) -> int:
        return self.solution_tokens or UNLIMITED

    @property
    def most_step_tokens(self) -> int:
        return self.step_tokens or UNLIMITED

    def proposal(self) -> SamplingParams:
        return SamplingParams(self.temperature, min_p=self.min_p, max_tokens=self.most_step_tokens)

    def samples_at(self, depth: int) -> int:
        """Draws for a state `depth` steps into a solution: the first decision is open, the last is nearly forced.

        >>> [SearchConfig(samples=24, narrowing=2, fewest=4).samples_at(depth) for depth in range(4)]
        [24, 12, 6, 4]
        """
        return max(min(self.fewest, self.samples), round(self.samples / self.narrowing**depth))


class CostPoint(NamedTuple):
    """What a strategy had spent on a problem at some moment, and what it would have answered then."""

    generated: int
    reward: int
    seconds: float
    steps: tuple[str, ...] | None  # None: no finished solution yet


@dataclass(frozen=True)
class Trace:
    """One strategy at one problem. The last point is the answer when the whole budget is spent.

    Of `drawn` solutions (of a search: steps), `cut` were cut off by the settings named in `limits`.
    """

    problem: str
    points: tuple[CostPoint, ...]
    cut: int = 0
    drawn: int = 0
    limits: tuple[str, ...] = ()


def tallied(problem: str, points: Sequence[CostPoint], tally: Tally) -> Trace:
    return Trace(problem, tuple(points), tally.cut, tally.drawn, tally.limits)


def too_long(problem: str) -> Trace:
    """What any strategy makes of a problem that the context cannot hold: nothing, and it says so."""
    return tallied(problem, [CostPoint(0, 0, 0.0, None)], Tally(1, Counter({CONTEXT: 1})))


@contextmanager
def opened(
    model: LanguageModel, prompts: Sequence[str], scorer: Scorer | None = None, problems: Sequence[str] = ()
) -> Iterator[list[int]]:
    """A node for each prompt. Afterwards, whatever went wrong, nothing is kept of their texts or of the problems'."""
    nodes = model.open(prompts)
    try:
        yield nodes
    finally:
        model.close(nodes)
        if scorer is not None:
            scorer.forget(problems)


def in_order(problems: Sequence[str], traces: Sequence[Trace]) -> list[Trace]:
    """A trace for each problem; those that have none were too long."""
    made = {trace.problem: trace for trace in traces}
    return [made.get(problem) or too_long(problem) for problem in problems]


class StrategyContext(NamedTuple):
    """What every strategy works with. `scorer` is None where only the language model is at hand.

    `searcher` is the model that searches within one text, None where none has learned to.
    """

    model: LanguageModel
    scorer: Scorer | None
    config: SearchConfig
    answer: Callable[[str, Sequence[str]], str | None]  # where the steps of a problem arrive: a task's `answer`
    choice: AutoChoice | None = None  # what "auto" does; None where nothing was measured
    sharpness: float | None = None  # of a vote by odds; None where the scorer is not calibrated
    searcher: LanguageModel | None = None
    watch: Callable[[Result], None] | None = None  # told of a search's trees while they grow


Pick = Callable[
    [Sequence[str | None], Sequence[Float[np.ndarray, "_ 2"]], Sequence[PartialSolution], float | None], int | None
]
"""(answers, values of each sample's steps, samples, sharpness) -> the sample that is answered with."""

SearchFunction = Callable[[SearchProblem, SearchConfig, Choose], Result]
StrategyKind = Literal["single", "samples", "search", "auto"]


@dataclass(frozen=True)
class Strategy:
    """An inference-time strategy. Those of kind "samples" draw solutions together and `pick` one, a "search" grows a
    tree.

    anytime: what it would have answered with less is read off its curve; else it is run anew for each budget.
    form: how the one text of kind "single" is asked for.
    takes_width: a width may follow its name, as in beam:8. widens: it goes on with more samples where its tree holds
    nothing more to expand.
    """

    name: str
    label: str
    kind: StrategyKind
    needs_reward_model: bool = False
    needs_searcher: bool = False
    anytime: bool = True
    takes_width: bool = False
    widens: bool = False
    form: Form | None = None
    pick: Pick | None = None
    search: SearchFunction | None = None

    def able(self, has_reward_model: bool, has_searcher: bool) -> bool:
        """Has it all it needs?"""
        return has_reward_model >= self.needs_reward_model and has_searcher >= self.needs_searcher
