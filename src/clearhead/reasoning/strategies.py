"""Every strategy by its name, from one guess to search, and the one call that runs any of them."""

from collections.abc import Sequence

from clearhead.errors import UserError
from clearhead.reasoning.auto import AUTO
from clearhead.reasoning.samples import SAMPLED, SINGLE, sampled, single
from clearhead.reasoning.searches import SEARCHES, SearchTrace, searched
from clearhead.reasoning.strategy import Strategy, StrategyContext, Trace

STRATEGIES: dict[str, Strategy] = {
    **SINGLE,
    **SAMPLED,
    **SEARCHES,
    AUTO: Strategy(AUTO, "auto: what helped on held-out problems", "auto", anytime=False),
}


def strategy_of(name: str) -> Strategy:
    """The record of a strategy, whatever width follows its name."""
    return STRATEGIES[family(name)]


def family(name: str) -> str:
    """The strategy's name without its width.

    >>> family("beam:8")
    'beam'
    """
    return name.partition(":")[0]


def known(
    names: Sequence[str], has_reward_model: bool = True, measured: bool = True, has_searcher: bool = True
) -> tuple[str, ...]:
    """The names, checked. Is there a reward model, something that "auto" goes by, a model that searches in one text?"""
    for name in names:
        base, colon, width = name.partition(":")
        if base not in STRATEGIES:
            raise UserError(f"strategy {name!r} is unknown; choose from {', '.join(STRATEGIES)}")
        if colon and not (STRATEGIES[base].takes_width and width.isdecimal() and int(width)):
            wide = " and ".join(name for name, strategy in STRATEGIES.items() if strategy.takes_width)
            raise UserError(f"strategy {name!r}: only {wide} take a width, a whole number such as beam:4")
        if base == AUTO and not measured:
            raise UserError(
                f"strategy {name!r} needs a run that was calibrated on held-out problems; run it again, or name another"
            )
        if STRATEGIES[base].needs_reward_model and not has_reward_model:
            raise UserError(f"strategy {name!r} needs a reward model, and this run has none; train one or use greedy")
        if STRATEGIES[base].needs_searcher and not has_searcher:
            raise UserError(
                f"strategy {name!r} needs a model that has learned to search within one text, and this run has none; "
                "set in_context.steps, such as 400, or name another"
            )
    return tuple(names)


def known_to(context: StrategyContext, names: Sequence[str]) -> tuple[str, ...]:
    """The names, checked to be those of strategies that have all they need."""
    has_reward_model, has_searcher = context.scorer is not None, context.searcher is not None
    return known(names, has_reward_model, context.choice is not None, has_searcher)


def run_strategies(
    names: Sequence[str], context: StrategyContext, problems: Sequence[str], budget: int, seed: int
) -> tuple[dict[str, list[Trace]], list[SearchTrace | None]]:
    """What strategies that share their samples, or a single one, make of problems; and the trees, where one grew them.

    Every problem has its trace, in order. "auto" is the strategy that its choice names at this budget.
    """
    (name, *more) = names
    if name == AUTO:
        assert context.choice is not None, "known() refuses this"
        stage = context.choice.at(budget)
        traces, search_traces = run_strategies([stage.strategy], context, problems, min(stage.spend, budget), seed)
        return {AUTO: traces[stage.strategy]}, search_traces
    if name in SAMPLED:
        return sampled(names, context, problems, budget, seed), []
    assert not more, "only strategies that choose among samples are measured together"
    if name in SINGLE:
        return {name: single(name, context, problems)}, []
    found, trees = searched(name, context, problems, budget, seed)
    return {name: found}, trees
