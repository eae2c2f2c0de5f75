"""Sizes follow the data: how long its problems and solutions are decides contexts, rows and limits.

What a recipe leaves at 0 is filled in from here, what it says is kept, and what cannot work is an error before anything
is trained. What is generated gets half again the room of the longest seen, since a model rambles more than its teacher
and a sample misses the longest.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from clearhead.errors import UserError
from clearhead.generation.language_model import CONTEXT
from clearhead.models.decoder import MAX_SIZES, DecoderConfig
from clearhead.pipeline.recipe import Recipe, decoder_config
from clearhead.reasoning.searches import SEARCHES
from clearhead.reasoning.strategies import family
from clearhead.reasoning.strategy import SEARCHED_TEXT
from clearhead.tasks.task import Task
from clearhead.text.begin import prompt_tokens
from clearhead.text.prompt_format import direct_prompt, solution_tokens, step_tokens, steps_prompt
from clearhead.text.protocol import Tokenizer
from clearhead.training.loop import TrainConfig

SAMPLE = 3_000  # problems of each split that are measured
MARGIN = 1.5  # times the longest seen, for what is generated
GRAIN = 32  # limits are whole multiples of it, a context of twice as many
FEWEST_DEEPER = 2  # steps beyond the longest solution seen, at least
SHORTEST_ROW = 256  # tokens of a row that follows from the data: shorter documents share one
STEP_TOKENS = 4096  # of one training step at most, whatever the rows' length
STEP_DOCUMENTS = 48  # of one training step: with 128, what dates need took twice as many tokens
FEWEST_STEP_TOKENS = 1024
BUDGETS = (1, 4, 16)  # times the cost of the longest solution, the last one only up to
MOST_BUDGET = 5_000  # tokens


@dataclass(frozen=True)
class Lengths:
    """The longest that was found among the problems and solutions of one task. All but `steps` are in tokens.

    A step counts the token that ends it, a problem the one that asks; `document` is a problem with its solution. Of
    `sampled` problems, `left_out` exceed the limit and count for nothing else. The documents of the `solved` training
    problems have `median` tokens in the middle, and `stepped` of them more than one step.
    """

    problem: int
    step: int
    solution: int
    steps: int
    document: int
    sampled: int
    left_out: int
    solved: int = 1
    stepped: int = 0
    median: int = 0


@dataclass(frozen=True)
class Sizes:
    """The longest of all tasks, as in `Lengths`, and the sizes that follow. Steps count steps, all else tokens."""

    longest_problem: int
    longest_step: int
    longest_solution: int
    most_steps: int
    longest_document: int
    context: int
    row: int
    step_tokens: int
    solution_tokens: int
    depth: int
    median_document: int = 0  # in the middle; 0 of a run that did not note it


FIELDS = tuple(field.name for field in fields(Sizes))
LATER_FIELDS = ("median_document",)  # which older runs did not note


def measure(task: Task, tokenizer: Tokenizer, most: int, seed: int, name: str = "") -> Lengths:
    """Lengths in a sample of the task: training problems with a solution of each, the problems alone of valid and test.

    UserError where no training document has `most` tokens or fewer.
    """
    rng = random.Random(seed)
    solved = [(problem, task.solve(problem, rng)) for problem in _distinct(task, "train", seed)]
    documents = [document_lengths(task, tokenizer, problem, steps) for problem, steps in solved]
    kept = [found for found in documents if found.document <= most]
    if not kept:
        shortest = min(found.document for found in documents)
        raise UserError(
            f"task {name or task.name}: all of {len(documents):,} sampled problems with their solutions are longer "
            f"than data.max_length = {most} tokens, the shortest {shortest:,}; raise it, or give shorter ones"
        )
    asked = [problem for split in ("valid", "test") for problem in task.problems(split, SAMPLE, seed)]
    alone = [len(prompt_tokens(tokenizer, steps_prompt(problem))) for problem in asked]
    fitting = [length for length in alone if length < most]
    longest = {key: max(getattr(found, key) for found in kept) for key in ("step", "solution", "steps", "document")}
    return Lengths(
        problem=max(*(found.problem for found in kept), *fitting, 0), **longest,
        sampled=len(documents) + len(alone), left_out=len(documents) - len(kept) + len(alone) - len(fitting),
        solved=len(kept), stepped=sum(found.steps > 1 for found in kept),
        median=sorted(found.document for found in kept)[len(kept) // 2],
    )  # fmt: skip


def document_lengths(task: Task, tokenizer: Tokenizer, problem: str, steps: Sequence[str]) -> Lengths:
    """The lengths of one solved problem, asked for its steps or for its bare answer."""
    asking, *each = map(len, step_tokens(tokenizer, problem, steps, done=True))
    bare = len(solution_tokens(tokenizer, task.answer(problem, steps) or ""))
    direct = len(prompt_tokens(tokenizer, direct_prompt(problem))) + bare
    document = max(asking + sum(each), direct)
    return Lengths(asking, max(each), max(sum(each), bare), len(steps), document, 1, 0)


def _distinct(task: Task, split: str, seed: int) -> list[str]:
    return list(dict.fromkeys(task.problems(split, SAMPLE, seed)))


def sizes(found: Iterable[Lengths]) -> Sizes:
    """What follows from the lengths of a run's tasks.

    >>> sizes([Lengths(problem=212, step=64, solution=100, steps=12, document=290, sampled=9, left_out=0)]).context
    384
    """
    tasks = list(found)
    problem, step, solution, steps, document = (
        max(getattr(task, key) for task in tasks) for key in ("problem", "step", "solution", "steps", "document")
    )
    solution_tokens = rounded_up(MARGIN * solution, GRAIN)
    context = rounded_up(problem + solution_tokens, 2 * GRAIN)
    return Sizes(
        problem, step, solution, steps, document, context,
        row=max(context, SHORTEST_ROW), step_tokens=rounded_up(MARGIN * step, GRAIN), solution_tokens=solution_tokens,
        depth=max(rounded_up(MARGIN * steps, 1), steps + FEWEST_DEEPER),
        median_document=max(lengths.median for lengths in tasks),
    )  # fmt: skip


def rounded_up(number: float, grain: int) -> int:
    """
    >>> rounded_up(65, 32), rounded_up(96.0, 32)
    (96, 96)
    """
    return int(-(-number // grain)) * grain


def budgets(longest_solution: int) -> tuple[int, ...]:
    """What one problem may cost: multiples of writing a solution and having it read by a reward model.

    >>> budgets(37), budgets(300)
    ((80, 320, 1280), (600, 2400))
    """
    one = rounded_up(2 * longest_solution, 10)
    return tuple(times * one for times in BUDGETS if times < BUDGETS[-1] or times * one <= MOST_BUDGET)


def read_sizes(data: Mapping[str, Any]) -> Sizes:
    return Sizes(**{name: data[name] for name in FIELDS if name in data})


def to_plain(found: Sizes, tasks: Mapping[str, Lengths]) -> dict[str, Any]:
    """What sizes.json holds: the sizes, and the lengths of each task behind them."""
    return asdict(found) | {"tasks": {name: asdict(lengths) for name, lengths in tasks.items()}}


def filled(recipe: Recipe, found: Sizes, base: DecoderConfig | None = None) -> Recipe:
    """The recipe with every size that it leaves at 0. UserError where one that it gives cannot hold the data.

    `base`: the shape of the checkpoint that the run starts from, which is the model's then.
    """
    if base is not None:
        if base.max_positions < found.longest_document:
            raise UserError(
                f"{recipe.base} has a context of {base.max_positions} tokens, and the longest document is "
                f"{found.longest_document}; leave longer ones out with data.max_length = {base.max_positions}"
            )
        context, model = min(found.context, base.max_positions), {**recipe.model, **asdict(base)}
        at_once = FEWEST_STEP_TOKENS  # its steps are expensive, and it needs few
    else:
        context = _context(recipe, found)
        model = {**recipe.model, "max_positions": context, "rope_theta": rope_theta(recipe.model, context)}
        at_once = tokens_at_once(found.median_document)
    search = replace(
        recipe.search,
        step_tokens=recipe.search.step_tokens or found.step_tokens,
        solution_tokens=recipe.search.solution_tokens or found.solution_tokens,
        depth=recipe.search.depth or found.depth,
    )
    return replace(
        recipe,
        model=model,
        pretrain=_train(recipe.pretrain, "pretrain", found.longest_document, max(found.row, context), at_once),
        reward=_train(recipe.reward, "reward", context, max(found.row, context), at_once),
        rollouts=replace(recipe.rollouts, max_tokens=recipe.rollouts.max_tokens or found.solution_tokens),
        search=search,
        evaluation=replace(recipe.evaluation, budgets=recipe.evaluation.budgets or budgets(found.longest_solution)),
    )


def _context(recipe: Recipe, found: Sizes) -> int:
    """The context of a model that is made for the data."""
    context: int = recipe.model.get("max_positions", 0) or found.context
    if context > MAX_SIZES["max_positions"]:
        raise UserError(f"a context of {context} tokens is too large; lower data.max_length")
    if context < found.longest_document:
        raise UserError(
            f"model.max_positions = {context} is below the longest document, {found.longest_document} tokens; "
            f"raise it, set it to 0, or leave longer documents out with data.max_length = {context}"
        )
    return context


def tokens_at_once(median: int) -> int:
    """Tokens of one training step for documents of so many in the middle.

    >>> tokens_at_once(56), tokens_at_once(13), tokens_at_once(300)
    (2688, 1024, 4096)
    """
    return min(STEP_TOKENS, max(FEWEST_STEP_TOKENS, STEP_DOCUMENTS * median)) if median else STEP_TOKENS


def _train(config: TrainConfig, section: str, least: int, row: int, at_once: int) -> TrainConfig:
    """Rows that hold `least` tokens; as many as make about `at_once` tokens a step."""
    tokens = config.seq_len or row
    if tokens < least:
        raise UserError(
            f"{section}.seq_len = {tokens} is too short a row for texts of {least} tokens; raise it, or set 0"
        )
    return replace(config, seq_len=tokens, batch_size=config.batch_size or max(1, at_once // tokens))


def rope_theta(model: Mapping[str, Any], context: int) -> float:
    """The base of rotary positions: what the recipe says, or the preset's, longer in proportion to the context.

    The slowest pair of channels of C turns once in 2π θ^((C-2)/C) positions, about 2π θ, so a θ in proportion lets it
    tell the ends of a long text apart as it does those of the short ones for which the preset's was chosen.

    >>> rope_theta({"preset": "demo"}, 128), rope_theta({"preset": "demo"}, 1024)
    (100.0, 800.0)
    """
    if "rope_theta" in model:
        return float(model["rope_theta"])
    usual = decoder_config({key: value for key, value in model.items() if key != "max_positions"}, vocab=8)
    return usual.rope_theta * max(1.0, context / usual.max_positions)


def told(name: str, lengths: Lengths, recipe: Recipe) -> str:
    """One line about a task, with what a filled recipe makes of it."""
    context = recipe.model["max_positions"]
    steps = f"{lengths.steps} step{'s' * (lengths.steps != 1)}"
    line = (
        f"{name}: longest problem {lengths.problem:,} tokens, longest step {lengths.step:,}, {steps}, "
        f"longest solution {lengths.solution:,}; context {context:,}"
    )
    if lengths.left_out:
        share = f"{lengths.left_out:,} of {lengths.sampled:,} sampled problems"
        line += f"; {share} are left out: they are longer than data.max_length = {recipe.data.max_length:,}"
    return line


FOR_FIXED = "give shorter problems, or start from a model with a longer context"
BOUNDED_BY = {  # which of the sizes each limit bounds
    "model.max_positions": "longest_document",
    "search.step_tokens": "longest_step",
    "search.solution_tokens": "longest_solution",
    "rollouts.max_tokens": "longest_solution",
    "search.depth": "most_steps",
    SEARCHED_TEXT: "longest_document",
}


def is_fixed(recipe: Recipe, key: str) -> bool:
    """A limit that no setting raises: the context of a checkpoint that the run starts from."""
    return bool(recipe.base) and key == CONTEXT


def remedy(recipe: Recipe, limits: Sequence[str]) -> str:
    """What to do where these limits of a recipe cut off too much."""
    open_ones = [key for key in limits if not is_fixed(recipe, key)]
    if len(open_ones) == len(limits):
        return f"raise {'it' if len(limits) == 1 else 'them'}"
    return " and ".join([f"raise {key}" for key in open_ones] + [FOR_FIXED])


def too_tight(recipe: Recipe, found: Sizes) -> list[str]:
    """A line for each limit of a filled recipe that will cut off solutions like those of the data."""
    return [
        f"{key} = {limit(recipe, key)} is below the {name.replace('_', ' ')} of the data, {getattr(found, name)}, "
        f"and will cut such solutions off; {remedy(recipe, [key]) + ('' if is_fixed(recipe, key) else ', or set 0')}"
        for key, name in BOUNDED_BY.items()
        if limit(recipe, key) < getattr(found, name) and (key != SEARCHED_TEXT or recipe.in_context.steps)
    ]


def cut_off_line(
    strategy: str, cut: int, drawn: int, limits: Sequence[str], recipe: Recipe, found: Sizes | None = None
) -> str:
    """What a strategy, or the rollouts, lost to limits of a filled recipe, and what to do. `found`: its data's sizes.

    A limit that holds the longest of the data cuts off what rambles on, and that it is for.
    """
    what = "steps" if family(strategy) in SEARCHES else "solutions"
    told = f"{strategy}: {cut:,} of {drawn:,} {what} were cut off at " + " and ".join(
        f"{key} = {limit(recipe, key)}" for key in limits
    )
    if found and all(limit(recipe, key) >= getattr(found, BOUNDED_BY[key]) for key in limits):
        return f"{told}, more than any of the data has: the model rambles on; train it longer"
    return f"{told}: {remedy(recipe, limits)}"


def limit(recipe: Recipe, key: str) -> int:
    """A setting of a filled recipe by its dotted name."""
    section, _, name = key.partition(".")
    value: int = getattr(recipe.decoder(vocab=8) if section == "model" else getattr(recipe, section), name)
    return value
