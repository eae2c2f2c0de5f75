"""Strategies that grow a tree of steps: what search needs of text, and the searches by their names."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from clearhead.generation.language_model import UNLIMITED, Continuation, LanguageModel, Tally
from clearhead.reasoning import beam, halving, mcts, tree_of_thought
from clearhead.reasoning.lockstep import Choose, Proposal, Result, SearchProblem
from clearhead.reasoning.samples import joint
from clearhead.reasoning.strategy import (
    DEPTH,
    PROCESS,
    STEP,
    CostPoint,
    PartialSolution,
    SearchConfig,
    Strategy,
    StrategyContext,
    Trace,
    in_order,
    opened,
    tallied,
)
from clearhead.reasoning.tree import Tree, best_value
from clearhead.text.prompt_format import steps_prompt

Weigh = Callable[[float, PartialSolution], float]
"""(value on a finished solution, the solution) -> what it competes by for the answer of a search."""


def joint_weight(value: float, solution: PartialSolution) -> float:
    return joint(value, solution.logprob)


def value_weight(value: float, solution: PartialSolution) -> float:
    """The value alone: a calibrated one knows the writer's probability already."""
    return value


def heaviest(tree: Tree, row: int, weigh: Weigh) -> int | None:
    """The finished solution of the most weight, the first of equals: what every search answers with."""
    done = np.flatnonzero(tree.done[row]).tolist()
    return max(done, key=lambda node: weigh(float(tree.score[row, node]), tree.states[row][node]), default=None)


class SearchTrace(NamedTuple):
    """A problem's place in the search that found its answer, or in its last one."""

    result: Result
    row: int


MOST_WIDE = 8  # times as many samples as the first search drew


def searched(
    name: str, context: StrategyContext, problems: Sequence[str], budget: int, seed: int
) -> tuple[list[Trace], list[SearchTrace | None]]:
    """A tree search for every problem at once, each stopping when its own budget is spent; None for one too long.

    A tree that is exhausted before has only the steps that were drawn. It is then searched again with twice the
    samples, at no cost for those that are known: what was generated and scored once is not paid for again.
    """
    model, config = context.model, context.config
    name, _, width = name.partition(":")
    strategy = SEARCHES[name]
    config = replace(config, width=int(width)) if width else config
    scorer = context.scorer if strategy.needs_reward_model else None
    assert scorer is not None or not strategy.needs_reward_model, "known() refuses this"
    weigh = joint_weight if scorer is None or context.sharpness is None else value_weight
    everything, problems = problems, [problem for problem in problems if model.fits(steps_prompt(problem))]
    started = time.perf_counter()
    spent: list[dict[int, CostPoint]] = [{} for _ in problems]
    tallies = {problem: Tally() for problem in problems}

    def count(solution: PartialSolution, texts: Sequence[Continuation]) -> None:
        tallies[solution.problem].add(texts, config.most_step_tokens, STEP)

    def cost(row: int) -> int:
        generated = model.usage(nodes[row]).generated
        reward = scorer.tokens(problems[row]) if scorer is not None else 0
        seconds = (time.perf_counter() - started) / len(problems)
        spent[row].setdefault(generated + reward, CostPoint(generated, reward, seconds, None))
        return generated + reward

    def value(solutions: Sequence[PartialSolution]) -> np.ndarray:
        if scorer is None:
            return np.array([math.exp(solution.logprob) for solution in solutions])
        return scorer.values(solutions)[:, PROCESS]

    def search(rows: list[int], wider: SearchConfig) -> Result:
        problem = SearchProblem(
            roots=[PartialSolution(problems[row], node=nodes[row]) for row in rows],
            keys=[problems[row] for row in rows],
            propose=lambda solutions, seeds: propose(model, solutions, wider, seeds, count),
            value=value,
            is_done=lambda solution: solution.done,
            cost=lambda i: cost(rows[i]),
            limit=budget,
            seed=seed,
            watch=context.watch,
        )
        assert strategy.search is not None
        return strategy.search(problem, wider, partial(heaviest, weigh=weigh))

    best: list[tuple[float, PartialSolution] | None] = [None] * len(problems)
    points: list[list[CostPoint]] = [[] for _ in problems]
    search_traces: list[SearchTrace | None] = [None] * len(problems)
    rows, times = list(range(len(problems))), 1
    with opened(model, [steps_prompt(problem) for problem in problems], scorer, problems) as nodes:
        while rows:
            result = search(rows, replace(config, samples=times * config.samples, fewest=times * config.fewest))
            for i, row in enumerate(rows):
                for point in result.curves[i]:
                    known = best[row]
                    if point.answer is not None and point.value is not None:
                        rank = weigh(point.value, point.answer)
                        if known is None or rank > known[0]:
                            best[row] = known = (rank, point.answer)
                            search_traces[row] = SearchTrace(result, i)
                    steps = None if known is None else known[1].steps
                    points[row].append(spent[row][point.cost]._replace(steps=steps))
                search_traces[row] = search_traces[row] or SearchTrace(result, i)
                if config.depth and strategy.takes_width:
                    tallies[problems[row]].cuts.update({DEPTH: unfinished(result.tree, i, config.depth)})
            times *= 2
            rows = [row for row in rows if cost(row) < budget] if strategy.widens and times <= MOST_WIDE else []
    traces = [tallied(problem, found, tallies[problem]) for problem, found in zip(problems, points, strict=True)]
    trees = dict(zip(problems, search_traces, strict=True))
    return in_order(everything, traces), [trees.get(problem) for problem in everything]


def unfinished(tree: Tree, row: int, depth: int) -> int:
    """How many states a search left open since they are `depth` steps down, whatever it may still spend."""
    reached = np.flatnonzero(tree.depth[row, : len(tree.states[row])] == depth)
    return int((~tree.done[row, reached]).sum())


def propose(
    model: LanguageModel,
    solutions: Sequence[PartialSolution],
    config: SearchConfig,
    seeds: Sequence[int],
    count: Callable[[PartialSolution, Sequence[Continuation]], None] = lambda solution, texts: None,
) -> list[list[Proposal]]:
    """Distinct next steps of each solution, with the model's own probability as the prior; cut-off lines are dropped.

    `count` is told all that was drawn for each solution.
    """
    families: list[list[Proposal]] = [[] for _ in solutions]
    for depth in sorted({len(solution.steps) for solution in solutions}):
        rows = [row for row, solution in enumerate(solutions) if len(solution.steps) == depth]
        nodes = [solutions[row].node for row in rows]
        drawn = model.extend(nodes, config.samples_at(depth), config.proposal(), [seeds[row] for row in rows])
        for row, texts in zip(rows, drawn, strict=True):
            count(solutions[row], texts)
            distinct = {(text.text, text.done): text for text in texts if not text.truncated}
            families[row] = [_proposal(solutions[row], text) for text in distinct.values()]
    return families


def _proposal(solution: PartialSolution, text: Continuation) -> Proposal:
    steps, logprob = (*solution.steps, text.text), solution.logprob + text.logprob
    return Proposal(PartialSolution(solution.problem, steps, text.done, text.node, logprob), math.exp(text.logprob))


MANY = 10_000  # simulations: the budget in tokens ends a search, not their number


def _beam(problem: SearchProblem, config: SearchConfig, choose: Choose) -> Result:
    return beam.search(problem, width=config.width, depth=config.depth or UNLIMITED, choose=choose)


def _tree_of_thought(problem: SearchProblem, config: SearchConfig, choose: Choose) -> Result:
    return tree_of_thought.breadth_first(problem, keep=config.width, depth=config.depth or UNLIMITED, choose=choose)


def _mcts(problem: SearchProblem, config: SearchConfig, choose: Choose, rule: mcts.SelectionRule) -> Result:
    return mcts.search(
        problem, simulations=MANY, rule=rule, q_value=best_value, leaves_per_simulation=config.leaves, choose=choose
    )


def _ucb(problem: SearchProblem, config: SearchConfig, choose: Choose) -> Result:
    return _mcts(problem, config, choose, mcts.ucb1(config.c_ucb))


def _puct(problem: SearchProblem, config: SearchConfig, choose: Choose) -> Result:
    return _mcts(problem, config, choose, mcts.puct(config.c_puct))


def _halving(problem: SearchProblem, config: SearchConfig, choose: Choose) -> Result:
    return halving.search(problem, simulations=MANY, actions=config.actions, q_value=best_value, choose=choose)


SEARCHES = {
    strategy.name: strategy
    for strategy in (
        Strategy("beam", "step beam search", "search", True, takes_width=True, search=_beam),
        Strategy(
            "tree-of-thought", "tree of thoughts, own confidence", "search", takes_width=True, search=_tree_of_thought
        ),
        Strategy("mcts-ucb", "MCTS, UCB", "search", True, widens=True, search=_ucb),
        Strategy("mcts-puct", "MCTS, PUCT", "search", True, widens=True, search=_puct),
        Strategy("halving", "sequential halving", "search", True, anytime=False, search=_halving),
    )
}
