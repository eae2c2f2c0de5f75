"""Strategies that write whole solutions: one, greedily, or many, among which a rule chooses."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Float

from clearhead.generation.language_model import UNLIMITED, Continuation, SamplingParams, Tally
from clearhead.reasoning.lockstep import derive_seed
from clearhead.reasoning.strategy import (
    OUTCOME,
    PROCESS,
    SEARCHED_TEXT,
    SOLUTION,
    CostPoint,
    PartialSolution,
    Scorer,
    Strategy,
    StrategyContext,
    Trace,
    in_order,
    opened,
    tallied,
)
from clearhead.reasoning.votes import Aggregate, best_of_n, last, majority, minimum, product, vote_of_solutions
from clearhead.text.prompt_format import DIRECT, IN_CONTEXT, IN_STEPS, split_steps, steps_prompt


def single(name: str, context: StrategyContext, problems: Sequence[str]) -> list[Trace]:
    """One greedy text for each problem: the bare answer (`direct`), the steps (`greedy`), or a search in one text."""
    strategy = SINGLE[name]
    assert strategy.form is not None
    prompt, steps_of = strategy.form
    model, most, setting = context.model, context.config.most_solution_tokens, SOLUTION
    if strategy.needs_searcher:
        assert context.searcher is not None, "known() refuses this"
        model, most, setting = context.searcher, UNLIMITED, SEARCHED_TEXT
    asked = [problem for problem in problems if model.fits(prompt(problem))]
    started = time.perf_counter()
    sampling = SamplingParams(temperature=0.0, max_tokens=most)
    with opened(model, [prompt(problem) for problem in asked]) as nodes:
        written = model.extend(nodes, 1, sampling, [0] * len(nodes), stop=None)
        seconds = (time.perf_counter() - started) / max(len(asked), 1)
        traces = []
        for problem, node, texts in zip(asked, nodes, written, strict=True):
            tally, (text,) = Tally(), texts
            tally.add(texts, 0 if strategy.needs_searcher else most, setting)  # a search is cut off by its room alone
            steps = steps_of(text.text) if text.done else None
            traces.append(tallied(problem, [CostPoint(model.usage(node).generated, 0, seconds, steps)], tally))
    return in_order(problems, traces)


@dataclass
class _Samples:
    """The solutions drawn so far for one problem, with what had been spent after each round of drawing."""

    solutions: list[PartialSolution] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)  # of each solution: one row of (outcome, process) a step
    rounds: list[tuple[int, int, int, float]] = field(default_factory=list)  # solutions, generated, reward, seconds
    tally: Tally = field(default_factory=Tally)


def sampled(
    names: Sequence[str], context: StrategyContext, problems: Sequence[str], budget: int, seed: int
) -> dict[str, list[Trace]]:
    """Draw whole solutions until the budget is spent, once, and let every rule of `names` choose among the same ones.

    A rule that needs no scorer is not charged for it, but stops where the most expensive of the rules stopped.
    """
    model, scorer = context.model, context.scorer if any(SAMPLED[name].needs_reward_model for name in names) else None
    everything, problems = problems, [problem for problem in problems if model.fits(steps_prompt(problem))]
    started = time.perf_counter()
    drawn = [_Samples() for _ in problems]
    plain = SamplingParams(max_tokens=context.config.most_solution_tokens)
    open_rows, size = list(range(len(problems))), 1
    with opened(model, [steps_prompt(problem) for problem in problems], scorer, problems) as nodes:
        while open_rows:
            seeds = [derive_seed(seed, problems[row], len(drawn[row].solutions)) for row in open_rows]
            batch = model.extend([nodes[row] for row in open_rows], size, plain, seeds, stop=None)
            fresh = {
                row: [_finished(problems[row], text) for text in texts]
                for row, texts in zip(open_rows, batch, strict=True)
            }
            for row, texts in zip(open_rows, batch, strict=True):
                drawn[row].tally.add(texts, plain.max_tokens, SOLUTION)
            if scorer is not None:
                _score_paths(scorer, drawn, fresh)
            elapsed = (time.perf_counter() - started) / len(problems)
            for row in list(open_rows):
                drawn[row].solutions += fresh[row]
                generated = model.usage(nodes[row]).generated
                reward = scorer.tokens(problems[row]) if scorer is not None else 0
                drawn[row].rounds.append((len(drawn[row].solutions), generated, reward, elapsed))
                if generated + reward >= budget or len(drawn[row].solutions) >= MOST_SAMPLES:
                    open_rows.remove(row)
            size = min(2 * size, SAMPLES_AT_ONCE)
    chosen = {
        name: [_choose(SAMPLED[name], context, problem, got) for problem, got in zip(problems, drawn, strict=True)]
        for name in names
    }
    return {name: in_order(everything, traces) for name, traces in chosen.items()}


SAMPLES_AT_ONCE = 8  # of a problem
MOST_SAMPLES = 512  # a model that is sure of itself draws the same solution again and again, at no cost


def _finished(problem: str, text: Continuation) -> PartialSolution:
    steps = split_steps(text.text)
    return PartialSolution(problem, steps, text.done, text.node, text.logprob)


def _score_paths(scorer: Scorer, drawn: Sequence[_Samples], fresh: dict[int, list[PartialSolution]]) -> None:
    """Values at every step of the new solutions, in one batch."""
    prefixes = [
        solution if length == len(solution.steps) else PartialSolution(solution.problem, solution.steps[:length])
        for solutions in fresh.values()
        for solution in solutions
        for length in range(1, len(solution.steps) + 1)
    ]
    values = scorer.values(prefixes)
    start = 0
    for row, solutions in fresh.items():
        for solution in solutions:
            drawn[row].values.append(values[start : start + len(solution.steps)])
            start += len(solution.steps)


def _choose(strategy: Strategy, context: StrategyContext, problem: str, got: _Samples) -> Trace:
    """The rule's choice after each round that cost something: a model that is sure of itself has many that did not.

    A solution that is unfinished, or arrives at no answer, is never chosen.
    """
    answers = [context.answer(problem, solution.steps) if solution.done else None for solution in got.solutions]
    at_cost = {(generated, reward): (count, seconds) for count, generated, reward, seconds in got.rounds}
    points = []
    for (generated, reward), (count, seconds) in at_cost.items():
        chosen = pick(strategy.name, answers[:count], got.values[:count], got.solutions[:count], context.sharpness)
        steps = None if chosen is None else got.solutions[chosen].steps
        points.append(CostPoint(generated, reward if strategy.needs_reward_model else 0, seconds, steps))
    return tallied(problem, points, got.tally)


def _voted(
    answers: Sequence[str | None], values: Sequence[Float[np.ndarray, "_ 2"]], solutions: Sequence[PartialSolution],
    sharpness: float | None, weighted: bool,
) -> int | None:  # fmt: skip
    """The first sample of the answer with most votes, or with most weight by the process model."""
    winner = majority(answers, [_value(last, rows, PROCESS) for rows in values] if weighted else None)
    return None if winner is None else answers.index(winner)


def _by_likelihood(
    answers: Sequence[str | None], values: Sequence[Float[np.ndarray, "_ 2"]], solutions: Sequence[PartialSolution],
    sharpness: float | None,
) -> int | None:  # fmt: skip
    return vote_of_solutions(
        answers, [solution.steps for solution in solutions], [solution.logprob for solution in solutions]
    )


def _by_odds(
    answers: Sequence[str | None], values: Sequence[Float[np.ndarray, "_ 2"]], solutions: Sequence[PartialSolution],
    sharpness: float | None,
) -> int | None:  # fmt: skip
    odds = [(1.0 if sharpness is None else sharpness) * log_odds(rows) for rows in values]
    return vote_of_solutions(answers, [solution.steps for solution in solutions], odds)


def _best(
    answers: Sequence[str | None], values: Sequence[Float[np.ndarray, "_ 2"]], solutions: Sequence[PartialSolution],
    sharpness: float | None, aggregate: Aggregate = last, column: int = PROCESS, with_own: bool = False,
) -> int | None:  # fmt: skip
    """The sample that scores highest; `with_own`: its value times its own probability."""
    scores = [_value(aggregate, rows, column) for rows in values]
    if with_own:
        scores = [joint(value, solution.logprob) for value, solution in zip(scores, solutions, strict=True)]
    candidates = [None if answer is None else i for i, answer in enumerate(answers)]
    chosen = best_of_n(candidates, scores)
    return chosen if isinstance(chosen, int) else None


def pick(
    name: str, answers: Sequence[str | None], values: Sequence[Float[np.ndarray, "_ 2"]],
    solutions: Sequence[PartialSolution], sharpness: float | None = None,
) -> int | None:  # fmt: skip
    """Which of the samples a strategy answers with: the voted answer's first sample, or the best-scored sample."""
    rule = SAMPLED[name].pick
    assert rule is not None
    return rule(answers, values, solutions, sharpness)


def _value(aggregate: Aggregate, rows: Float[np.ndarray, "steps 2"], column: int) -> float:
    return float(aggregate(rows[None, :, column])[0]) if len(rows) else 0.0


def log_odds(rows: Float[np.ndarray, "steps 2"]) -> float:
    """ln p/(1 - p) of a finished solution, the mean of what the two heads say at its end; minus infinity for none."""
    if not len(rows):
        return -math.inf
    p = np.clip(rows[-1], 1e-12, 1 - 1e-12)
    return float(np.mean(np.log(p) - np.log1p(-p)))


def joint(value: float, logprob: float) -> float:
    """log p(right | y) + log p(y): how likely it is that the model writes y and that y is right.

    The two scorers know different things. A reward model that has seen few failures overrates some of them, and of many
    candidates the overrated ones win; the writer finds most of its own slips improbable.

    >>> joint(0.9, -5.0) < joint(0.7, -0.1)
    True
    """
    return (math.log(value) if value > 0 else -math.inf) + logprob


SINGLE = {
    strategy.name: strategy
    for strategy in (
        Strategy("direct", "direct answer", "single", form=DIRECT),
        Strategy("greedy", "chain of thought, greedy", "single", form=IN_STEPS),
        Strategy("in-context", "search in one text, greedy", "single", needs_searcher=True, form=IN_CONTEXT),
    )
}
SAMPLED = {
    strategy.name: strategy
    for strategy in (
        Strategy("self-consistency", "self-consistency", "samples", pick=partial(_voted, weighted=False)),
        Strategy(
            "best-of-n-outcome", "best of N, outcome model", "samples", True, pick=partial(_best, column=OUTCOME)
        ),
        Strategy("best-of-n-last", "best of N, process model (last step)", "samples", True, pick=_best),
        Strategy(
            "best-of-n-min", "best of N, process model (weakest step)", "samples", True,
            pick=partial(_best, aggregate=minimum),
        ),
        Strategy(
            "best-of-n-product", "best of N, process model (product)", "samples", True,
            pick=partial(_best, aggregate=product),
        ),
        Strategy(
            "best-of-n-joint", "best of N, process model × own probability", "samples", True,
            pick=partial(_best, with_own=True),
        ),
        Strategy(
            "weighted-vote", "vote weighted by the process model", "samples", True, pick=partial(_voted, weighted=True)
        ),
        Strategy("likelihood-vote", "vote weighted by own probability", "samples", pick=_by_likelihood),
        Strategy("odds-vote", "vote weighted by the odds of being right", "samples", True, pick=_by_odds),
    )
}  # fmt: skip
