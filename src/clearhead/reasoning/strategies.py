"""Ways of answering a problem with one language model: directly, by steps, by many samples, and by search.

Here text meets search: a state is a `Draft`, a step is a line that the model writes, and a verdict comes from a judge
(a reward model) or from the model's own confidence. Whatever the strategy, it reports the same thing: what it would
have answered after each token it spent. What is deliberately not here: the check of answers. No strategy sees it.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from clearhead.errors import UserError
from clearhead.generation.language_model import CONTEXT, UNLIMITED, Continuation, LanguageModel, SampleConfig, Tally
from clearhead.reasoning import beam, halving, mcts, tree_of_thought
from clearhead.reasoning.auto import AUTO, Choice
from clearhead.reasoning.lockstep import Proposal, Result, Space, derive_seed
from clearhead.reasoning.tree import Tree, best_value
from clearhead.reasoning.votes import Aggregate, best_of_n, last, majority, minimum, product, vote_of_solutions
from clearhead.text.documents import direct_prompt, split_steps, steps_prompt

OUTCOME, PROCESS = 0, 1  # the columns of a judge's verdicts
STEP, SOLUTION, DEPTH = "search.step_tokens", "search.solution_tokens", "search.depth"


class Judge(Protocol):
    """A reward model as search sees it. It reads every piece of text once and says how many tokens it has read."""

    def verdicts(self, drafts: "Sequence[Draft]") -> Float[np.ndarray, "N 2"]:
        """The chances that the solution is right (read at its end) and that it will end right from here."""
        ...

    def tokens(self, problem: str) -> int:
        """Tokens read for this problem since it was last forgotten."""
        ...

    def forget(self, problems: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class Draft:
    """A solution as far as it is written. Two drafts with the same text are the same state."""

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

    def proposal(self) -> SampleConfig:
        return SampleConfig(self.temperature, min_p=self.min_p, max_tokens=self.most_step_tokens)

    def samples_at(self, depth: int) -> int:
        """Draws for a state `depth` steps into a solution: the first decision is open, the last is nearly forced.

        >>> [SearchConfig(samples=24, narrowing=2, fewest=4).samples_at(depth) for depth in range(4)]
        [24, 12, 6, 4]
        """
        return max(min(self.fewest, self.samples), round(self.samples / self.narrowing**depth))


class Mark(NamedTuple):
    """What a strategy had spent on a problem at some moment, and what it would have answered then."""

    generated: int
    reward: int
    seconds: float
    steps: tuple[str, ...] | None  # None: no finished solution yet


@dataclass(frozen=True)
class Attempt:
    """One strategy at one problem. The last mark is the answer when the whole budget is spent.

    Of `drawn` solutions (of a search: steps), `cut` were cut off by the settings named in `limits`.
    """

    problem: str
    marks: tuple[Mark, ...]
    cut: int = 0
    drawn: int = 0
    limits: tuple[str, ...] = ()


def tallied(problem: str, marks: Sequence[Mark], tally: Tally) -> Attempt:
    return Attempt(problem, tuple(marks), tally.cut, tally.drawn, tally.limits)


def too_long(problem: str) -> Attempt:
    """What any strategy makes of a problem that the context cannot hold: nothing, and it says so."""
    return tallied(problem, [Mark(0, 0, 0.0, None)], Tally(1, Counter({CONTEXT: 1})))


def in_order(problems: Sequence[str], attempts: Sequence[Attempt]) -> list[Attempt]:
    """An attempt for each problem; those that have none were too long."""
    made = {attempt.problem: attempt for attempt in attempts}
    return [made.get(problem) or too_long(problem) for problem in problems]


class Bench(NamedTuple):
    """What every strategy works with. `judge` is None where only the language model is at hand."""

    model: LanguageModel
    judge: Judge | None
    config: SearchConfig
    answer: Callable[[str, Sequence[str]], str | None]  # where the steps of a problem arrive: a task's `answer`
    choice: Choice | None = None  # what "auto" does; None where nothing was measured
    sharpness: float | None = None  # of a vote by odds; None where the judge is not calibrated


SINGLE = ("direct", "greedy")
SAMPLED = (
    "self-consistency", "best-of-n-outcome", "best-of-n-last", "best-of-n-min", "best-of-n-product",
    "best-of-n-joint", "weighted-vote", "likelihood-vote", "odds-vote",
)  # fmt: skip
SEARCHES = ("beam", "tree-of-thought", "mcts-ucb", "mcts-puct", "halving")
STRATEGIES = (*SINGLE, *SAMPLED, *SEARCHES, AUTO)
UNJUDGED = (*SINGLE, "self-consistency", "likelihood-vote", "tree-of-thought", AUTO)
JUDGED = tuple(name for name in STRATEGIES if name not in UNJUDGED)

LABELS = {
    "direct": "direct answer",
    "greedy": "chain of thought, greedy",
    "self-consistency": "self-consistency",
    "best-of-n-outcome": "best of N, outcome model",
    "best-of-n-last": "best of N, process model (last step)",
    "best-of-n-min": "best of N, process model (weakest step)",
    "best-of-n-product": "best of N, process model (product)",
    "best-of-n-joint": "best of N, process model × own probability",
    "weighted-vote": "vote weighted by the process model",
    "likelihood-vote": "vote weighted by own probability",
    "odds-vote": "vote weighted by the odds of being right",
    "beam": "step beam search",
    "tree-of-thought": "tree of thoughts, own confidence",
    "mcts-ucb": "MCTS, UCB",
    "mcts-puct": "MCTS, PUCT",
    "halving": "sequential halving",
    AUTO: "auto: what helped on held-out problems",
}


WIDE = ("beam", "tree-of-thought")  # a width may follow a colon: beam:8


def family(name: str) -> str:
    """The strategy's name without its width.

    >>> family("beam:8")
    'beam'
    """
    return name.partition(":")[0]


def known(names: Sequence[str], judged: bool = True, measured: bool = True) -> tuple[str, ...]:
    """The names, checked; `judged` says whether a reward model is at hand, `measured` what "auto" goes by."""
    for name in names:
        base, colon, width = name.partition(":")
        if base not in STRATEGIES:
            raise UserError(f"strategy {name!r} is unknown; choose from {', '.join(STRATEGIES)}")
        if colon and not (base in WIDE and width.isdecimal() and int(width)):
            raise UserError(f"strategy {name!r}: only {' and '.join(WIDE)} take a width, a whole number such as beam:4")
        if base == AUTO and not measured:
            raise UserError(
                f"strategy {name!r} needs a run that was calibrated on held-out problems; run it again, or name another"
            )
        if base in JUDGED and not judged:
            raise UserError(f"strategy {name!r} needs a reward model, and this run has none; train one or use greedy")
    return tuple(names)


def single(name: str, bench: Bench, problems: Sequence[str]) -> list[Attempt]:
    """One greedy text for each problem: the bare answer (`direct`) or the steps (`greedy`)."""
    prompt = direct_prompt if name == "direct" else steps_prompt
    asked = [problem for problem in problems if bench.model.fits(prompt(problem))]
    started = time.perf_counter()
    nodes = bench.model.open([prompt(problem) for problem in asked])
    sampling = SampleConfig(temperature=0.0, max_tokens=bench.config.most_solution_tokens)
    written = bench.model.extend(nodes, 1, sampling, [0] * len(nodes), stop=None)
    seconds = (time.perf_counter() - started) / max(len(asked), 1)
    attempts = []
    for problem, node, texts in zip(asked, nodes, written, strict=True):
        tally, (text,) = Tally(), texts
        tally.add(texts, sampling.max_tokens, SOLUTION)
        steps = split_steps(text.text) if text.done else None
        attempts.append(tallied(problem, [Mark(bench.model.usage(node).generated, 0, seconds, steps)], tally))
    bench.model.close(nodes)
    return in_order(problems, attempts)


@dataclass
class _Samples:
    """The solutions drawn so far for one problem, with what had been spent after each round of drawing."""

    drafts: list[Draft] = field(default_factory=list)
    verdicts: list[np.ndarray] = field(default_factory=list)  # of each draft: one row of (outcome, process) a step
    rounds: list[tuple[int, int, int, float]] = field(default_factory=list)  # drafts, generated, reward, seconds
    tally: Tally = field(default_factory=Tally)


def sampled(
    names: Sequence[str], bench: Bench, problems: Sequence[str], budget: int, seed: int
) -> dict[str, list[Attempt]]:
    """Draw whole solutions until the budget is spent, once, and let every rule of `names` choose among the same ones.

    A rule that needs no judge is not charged for it, but stops where the dearest of the rules stopped.
    """
    model, judge = bench.model, bench.judge if any(name in JUDGED for name in names) else None
    everything, problems = problems, [problem for problem in problems if model.fits(steps_prompt(problem))]
    started = time.perf_counter()
    nodes = model.open([steps_prompt(problem) for problem in problems])
    drawn = [_Samples() for _ in problems]
    plain = SampleConfig(max_tokens=bench.config.most_solution_tokens)
    open_rows, size = list(range(len(problems))), 1
    while open_rows:
        seeds = [derive_seed(seed, problems[row], len(drawn[row].drafts)) for row in open_rows]
        batch = model.extend([nodes[row] for row in open_rows], size, plain, seeds, stop=None)
        fresh = {
            row: [_finished(problems[row], text) for text in texts] for row, texts in zip(open_rows, batch, strict=True)
        }
        for row, texts in zip(open_rows, batch, strict=True):
            drawn[row].tally.add(texts, plain.max_tokens, SOLUTION)
        if judge is not None:
            _judge_paths(judge, drawn, fresh)
        elapsed = (time.perf_counter() - started) / len(problems)
        for row in list(open_rows):
            drawn[row].drafts += fresh[row]
            generated = model.usage(nodes[row]).generated
            reward = judge.tokens(problems[row]) if judge is not None else 0
            drawn[row].rounds.append((len(drawn[row].drafts), generated, reward, elapsed))
            if generated + reward >= budget or len(drawn[row].drafts) >= MOST_SAMPLES:
                open_rows.remove(row)
        size = min(2 * size, 8)
    model.close(nodes)
    if judge is not None:
        judge.forget(problems)
    chosen = {
        name: [_choose(name, bench, problem, got) for problem, got in zip(problems, drawn, strict=True)]
        for name in names
    }
    return {name: in_order(everything, attempts) for name, attempts in chosen.items()}


MOST_SAMPLES = 512  # a model that is sure of itself draws the same solution again and again, at no cost


def _finished(problem: str, text: Continuation) -> Draft:
    steps = split_steps(text.text)
    return Draft(problem, steps, text.done, text.node, text.logprob)


def _judge_paths(judge: Judge, drawn: Sequence[_Samples], fresh: dict[int, list[Draft]]) -> None:
    """Verdicts at every step of the new solutions, in one batch."""
    prefixes = [
        draft if length == len(draft.steps) else Draft(draft.problem, draft.steps[:length])
        for drafts in fresh.values()
        for draft in drafts
        for length in range(1, len(draft.steps) + 1)
    ]
    verdicts = judge.verdicts(prefixes)
    start = 0
    for row, drafts in fresh.items():
        for draft in drafts:
            drawn[row].verdicts.append(verdicts[start : start + len(draft.steps)])
            start += len(draft.steps)


def _choose(name: str, bench: Bench, problem: str, got: _Samples) -> Attempt:
    """The rule's choice after each round. A solution that is unfinished, or arrives at no answer, is never chosen."""
    answers = [bench.answer(problem, draft.steps) if draft.done else None for draft in got.drafts]
    marks = []
    for count, generated, reward, seconds in got.rounds:
        chosen = pick(name, answers[:count], got.verdicts[:count], got.drafts[:count], bench.sharpness)
        steps = None if chosen is None else got.drafts[chosen].steps
        marks.append(Mark(generated, reward if name in JUDGED else 0, seconds, steps))
    return tallied(problem, marks, got.tally)


def pick(
    name: str,
    answers: Sequence[str | None],
    verdicts: Sequence[Float[np.ndarray, "_ 2"]],
    drafts: Sequence[Draft],
    sharpness: float | None = None,
) -> int | None:
    """Which of the samples a rule answers with: the voted answer's first sample, or the best-judged sample."""
    if name == "likelihood-vote":
        return vote_of_solutions(answers, [draft.steps for draft in drafts], [draft.logprob for draft in drafts])
    if name == "odds-vote":
        odds = [(1.0 if sharpness is None else sharpness) * log_odds(rows) for rows in verdicts]
        return vote_of_solutions(answers, [draft.steps for draft in drafts], odds)
    if name in ("self-consistency", "weighted-vote"):
        weights = None if name == "self-consistency" else [_verdict(last, rows, PROCESS) for rows in verdicts]
        winner = majority(answers, weights)
        return None if winner is None else answers.index(winner)
    aggregate, column = BEST_OF[name]
    scores = [_verdict(aggregate, rows, column) for rows in verdicts]
    if name == "best-of-n-joint":
        scores = [joint(verdict, draft.logprob) for verdict, draft in zip(scores, drafts, strict=True)]
    candidates = [None if answer is None else i for i, answer in enumerate(answers)]
    chosen = best_of_n(candidates, scores)
    return chosen if isinstance(chosen, int) else None


BEST_OF: dict[str, tuple[Aggregate, int]] = {
    "best-of-n-outcome": (last, OUTCOME),
    "best-of-n-last": (last, PROCESS),
    "best-of-n-min": (minimum, PROCESS),
    "best-of-n-product": (product, PROCESS),
    "best-of-n-joint": (last, PROCESS),
}


def _verdict(aggregate: Aggregate, rows: Float[np.ndarray, "steps 2"], column: int) -> float:
    return float(aggregate(rows[None, :, column])[0]) if len(rows) else 0.0


def log_odds(rows: Float[np.ndarray, "steps 2"]) -> float:
    """ln p/(1 - p) of a finished solution, the mean of what the two heads say at its end; minus infinity for none."""
    if not len(rows):
        return -math.inf
    p = np.clip(rows[-1], 1e-12, 1 - 1e-12)
    return float(np.mean(np.log(p) - np.log1p(-p)))


def joint(verdict: float, logprob: float) -> float:
    """log p(right | y) + log p(y): how likely it is that the model writes y and that y is right.

    The two judges know different things. A reward model that has seen few failures overrates some of them, and of many
    candidates the overrated ones win; the writer finds most of its own slips improbable.

    >>> joint(0.9, -5.0) < joint(0.7, -0.1)
    True
    """
    return (math.log(verdict) if verdict > 0 else -math.inf) + logprob


Weigh = Callable[[float, Draft], float]
"""(verdict on a finished solution, the solution) -> what it competes by for the answer of a search."""


def joint_weight(verdict: float, draft: Draft) -> float:
    return joint(verdict, draft.logprob)


def verdict_weight(verdict: float, draft: Draft) -> float:
    """The verdict alone: a calibrated one knows the writer's probability already."""
    return verdict


def heaviest(tree: Tree, row: int, weigh: Weigh) -> int | None:
    """The finished solution of the most weight, the first of equals: what every search answers with."""
    done = np.flatnonzero(tree.done[row]).tolist()
    return max(done, key=lambda node: weigh(float(tree.score[row, node]), tree.states[row][node]), default=None)


class Grown(NamedTuple):
    """A problem's place in the search that found its answer, or in its last one."""

    result: Result
    row: int


WIDENING = ("mcts-ucb", "mcts-puct")  # what goes on with more samples where its tree holds nothing more to expand
MOST_WIDE = 8  # times as many samples as the first search drew


def searched(
    name: str, bench: Bench, problems: Sequence[str], budget: int, seed: int
) -> tuple[list[Attempt], list[Grown | None]]:
    """A tree search for every problem at once, each stopping when its own budget is spent; None for one too long.

    A tree that is exhausted before has only the steps that were drawn. It is then searched again with twice the
    samples, at no cost for those that are known: what was written and judged once is not paid for again.
    """
    model, config = bench.model, bench.config
    name, _, width = name.partition(":")
    config = replace(config, width=int(width)) if width else config
    judge = bench.judge if name in JUDGED else None
    assert judge is not None or name not in JUDGED, "known() refuses this"
    weigh = joint_weight if judge is None or bench.sharpness is None else verdict_weight
    everything, problems = problems, [problem for problem in problems if model.fits(steps_prompt(problem))]
    nodes = model.open([steps_prompt(problem) for problem in problems])
    started = time.perf_counter()
    spent: list[dict[int, Mark]] = [{} for _ in problems]
    tallies = {problem: Tally() for problem in problems}

    def count(draft: Draft, texts: Sequence[Continuation]) -> None:
        tallies[draft.problem].add(texts, config.most_step_tokens, STEP)

    def cost(row: int) -> int:
        generated = model.usage(nodes[row]).generated
        reward = judge.tokens(problems[row]) if judge is not None else 0
        seconds = (time.perf_counter() - started) / len(problems)
        spent[row].setdefault(generated + reward, Mark(generated, reward, seconds, None))
        return generated + reward

    def value(drafts: Sequence[Draft]) -> np.ndarray:
        if judge is None:
            return np.array([math.exp(draft.logprob) for draft in drafts])
        return judge.verdicts(drafts)[:, PROCESS]

    def search(rows: list[int], wider: SearchConfig) -> Result:
        space = Space(
            roots=[Draft(problems[row], node=nodes[row]) for row in rows],
            keys=[problems[row] for row in rows],
            propose=lambda drafts, seeds: propose(model, drafts, wider, seeds, count),
            value=value,
            is_done=lambda draft: draft.done,
            cost=lambda i: cost(rows[i]),
            limit=budget,
            seed=seed,
        )
        return _search(name, space, wider, weigh)

    best: list[tuple[float, Draft] | None] = [None] * len(problems)
    marks: list[list[Mark]] = [[] for _ in problems]
    grown: list[Grown | None] = [None] * len(problems)
    rows, times = list(range(len(problems))), 1
    while rows:
        result = search(rows, replace(config, samples=times * config.samples, fewest=times * config.fewest))
        for i, row in enumerate(rows):
            for point in result.curves[i]:
                known = best[row]
                if point.answer is not None and point.value is not None:
                    worth = weigh(point.value, point.answer)
                    if known is None or worth > known[0]:
                        best[row] = known = (worth, point.answer)
                        grown[row] = Grown(result, i)
                steps = None if known is None else known[1].steps
                marks[row].append(spent[row][point.cost]._replace(steps=steps))
            grown[row] = grown[row] or Grown(result, i)
            if config.depth and family(name) in WIDE:
                tallies[problems[row]].cuts.update({DEPTH: unfinished(result.tree, i, config.depth)})
        times *= 2
        rows = [row for row in rows if cost(row) < budget] if name in WIDENING and times <= MOST_WIDE else []
    model.close(nodes)
    if judge is not None:
        judge.forget(problems)
    attempts = [tallied(problem, found, tallies[problem]) for problem, found in zip(problems, marks, strict=True)]
    trees = dict(zip(problems, grown, strict=True))
    return in_order(everything, attempts), [trees.get(problem) for problem in everything]


def attempt(
    names: Sequence[str], bench: Bench, problems: Sequence[str], budget: int, seed: int
) -> tuple[dict[str, list[Attempt]], list[Grown | None]]:
    """What strategies that share their samples, or a single one, make of problems; and the trees, where one grew them.

    Every problem has its attempt, in order. "auto" is the strategy that its choice names at this budget.
    """
    (name, *more) = names
    if name == AUTO:
        assert bench.choice is not None, "known() refuses this"
        stage = bench.choice.at(budget)
        attempts, grown = attempt([stage.strategy], bench, problems, min(stage.spend, budget), seed)
        return {AUTO: attempts[stage.strategy]}, grown
    if family(name) in SAMPLED:
        return sampled(names, bench, problems, budget, seed), []
    assert not more, "only strategies that choose among samples are measured together"
    if name in SINGLE:
        return {name: single(name, bench, problems)}, []
    found, trees = searched(name, bench, problems, budget, seed)
    return {name: found}, trees


def unfinished(tree: Tree, row: int, depth: int) -> int:
    """How many states a search left open since they are `depth` steps down, whatever it may still spend."""
    reached = np.flatnonzero(tree.depth[row, : len(tree.states[row])] == depth)
    return int((~tree.done[row, reached]).sum())


def _search(name: str, space: Space, config: SearchConfig, weigh: Weigh) -> Result:
    choose, depth = partial(heaviest, weigh=weigh), config.depth or UNLIMITED
    many = 10_000  # simulations: the budget in tokens ends a search, not their number
    match name:
        case "beam":
            return beam.search(space, width=config.width, depth=depth, choose=choose)
        case "tree-of-thought":
            return tree_of_thought.breadth_first(space, keep=config.width, depth=depth, choose=choose)
        case "mcts-ucb":
            rule, worth = mcts.ucb(config.c_ucb), best_value
        case "mcts-puct":
            rule, worth = mcts.puct(config.c_puct), best_value
        case "halving":
            return halving.search(space, simulations=many, actions=config.actions, worth=best_value, choose=choose)
    return mcts.search(
        space, simulations=many, rule=rule, worth=worth, leaves_per_simulation=config.leaves, choose=choose
    )


def propose(
    model: LanguageModel,
    drafts: Sequence[Draft],
    config: SearchConfig,
    seeds: Sequence[int],
    count: Callable[[Draft, Sequence[Continuation]], None] = lambda draft, texts: None,
) -> list[list[Proposal]]:
    """Distinct next steps of each draft, with the model's own probability as the prior; cut-off lines are dropped.

    `count` is told all that was drawn for each draft.
    """
    families: list[list[Proposal]] = [[] for _ in drafts]
    for depth in sorted({len(draft.steps) for draft in drafts}):
        rows = [row for row, draft in enumerate(drafts) if len(draft.steps) == depth]
        nodes = [drafts[row].node for row in rows]
        drawn = model.extend(nodes, config.samples_at(depth), config.proposal(), [seeds[row] for row in rows])
        for row, texts in zip(rows, drawn, strict=True):
            count(drafts[row], texts)
            distinct = {(text.text, text.done): text for text in texts if not text.truncated}
            families[row] = [_proposal(drafts[row], text) for text in distinct.values()]
    return families


def _proposal(draft: Draft, text: Continuation) -> Proposal:
    steps, logprob = (*draft.steps, text.text), draft.logprob + text.logprob
    return Proposal(Draft(draft.problem, steps, text.done, text.node, logprob), math.exp(text.logprob))
