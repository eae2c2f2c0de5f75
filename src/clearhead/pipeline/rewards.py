"""What a run's policy is asked when it learns from its own answers, and what these are worth.

The training problems of its tasks; the task's checker, the reward model, or a function of the user's.
"""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from clearhead.alignment.answers import Answer, Prompt
from clearhead.alignment.environment import Environment, Potential, Rewards
from clearhead.alignment.methods import AlignConfig
from clearhead.alignment.policy_gradient import policy_of
from clearhead.alignment.reward import OUTCOME, PROCESS
from clearhead.alignment.scorer import LocalScorer
from clearhead.errors import UserError
from clearhead.generation.local import LocalEngine
from clearhead.pipeline.context import Context
from clearhead.pipeline.data import POOL, calls_of
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.stages import Models, load_reward, strategy_context
from clearhead.reasoning.strategies import known, run_strategies
from clearhead.reasoning.strategy import PartialSolution
from clearhead.tasks.task import CALL_END, Task, UsesTools
from clearhead.tasks.userfile import UserFile
from clearhead.text.begin import prompt_tokens
from clearhead.text.prompt_format import (
    IN_CONTEXT,
    IN_STEPS,
    STEP_END,
    Form,
    given_tokens,
    join_steps,
    solution_tokens,
    split_steps,
)
from clearhead.text.protocol import Tokenizer

HOLDERS = 3  # of keys and values at a time: what draws answers, what searches, and a reward model
HEADS = {"outcome": OUTCOME, "process": PROCESS}
REWARD_SECONDS = 60.0  # that a user's reward may take for a round's answers


def environment(
    context: Context, config: AlignConfig, tasks: Mapping[str, Task], tokenizer: Tokenizer, model: Any,
    form: Form = IN_STEPS,
) -> Environment:  # fmt: skip
    """The training problems of the run's tasks, by their shares, asked for in a form, and the reward of a section."""
    recipe = context.recipe
    check, longest = checker(tasks, form), most(recipe, form)
    pools = {name: task.problems("train", POOL, recipe.seed) for name, task in tasks.items()}
    room = policy_of(model).config.max_positions - 1

    def prompt(number: int) -> Prompt:
        rng = random.Random(f"{recipe.seed}/align/{number}")
        while True:
            (name,) = rng.choices(list(tasks), [task.share for task in recipe.tasks])
            problem = rng.choice(pools[name])
            text = form.prompt(problem)
            if len(ids := prompt_tokens(tokenizer, text)) <= room:
                return Prompt(text, tuple(ids), name, problem, isinstance(tasks[name], UsesTools))

    def search(prompts: Sequence[Prompt], seed: int) -> list[list[Answer]]:
        engine = LocalEngine(policy_of(model), tokenizer, kv_memory=recipe.kv_part(HOLDERS), tools=calls_of(tasks))
        budget, found = config.budget or max(recipe.evaluation.budgets), dict[Prompt, list[Answer]]()
        for name, task in tasks.items():
            some = [prompt for prompt in prompts if prompt.task == name]
            context = strategy_context(Models(engine, scorer, None), task, recipe.search)
            traces = (
                run_strategies([config.search], context, [p.problem for p in some], budget, seed)[0] if some else {}
            )
            for asked, trace in zip(some, traces.get(config.search, ()), strict=True):
                steps = trace.points[-1].steps
                found[asked] = [] if steps is None else [written(tokenizer, steps, asked.calls)]
        return [found[prompt] for prompt in prompts]

    searches = config.learns.learns != "policy"
    scores = config.reward in HEADS or config.shaping > 0
    reward = load_reward(context.run, context.device) if scores or searches else None
    scorer = None if reward is None else LocalScorer(reward, tokenizer, kv_memory=recipe.kv_part(HOLDERS))
    if searches:
        known([config.search], has_reward_model=scorer is not None, measured=False)
    checks = config.reward == "checker"
    if checks:
        given = check
    elif config.reward in HEADS:
        given = of_model(trained(scorer, "reward", config.reward), HEADS[config.reward], form)
    else:
        given = of_file(config.reward, form)
    return Environment(
        lambda first, n: [prompt(first + i) for i in range(n)], given, None if checks else check,
        search if searches else None, longest,
        potentials(trained(scorer, "shaping", config.shaping), tokenizer, form) if config.shaping else None,
        calls_of(tasks),
    )  # fmt: skip


def most(recipe: Recipe, form: Form = IN_STEPS) -> int:
    """Tokens of an answer, at most."""
    return recipe.in_context.tokens if form == IN_CONTEXT else recipe.search.most_solution_tokens


def written(tokenizer: Tokenizer, steps: Sequence[str], calls: bool = False) -> Answer:
    """A whole solution as the policy would have written it, and the tools that it `calls`."""
    text = join_steps(steps)
    tokens = tuple(solution_tokens(tokenizer, text))
    return Answer(text, tokens, True, given_tokens(tokenizer, tokens, CALL_END) if calls else ())


def checker(tasks: Mapping[str, Task], form: Form = IN_STEPS) -> Rewards:
    """1 for a right answer, 0 for a wrong one or none."""

    def reward(prompts: Sequence[Prompt], answers: Sequence[Answer]) -> list[float]:
        return [float(is_right(tasks[p.task], p.problem, a, form)) for p, a in zip(prompts, answers, strict=True)]

    return reward


def is_right(task: Task, problem: str, answer: Answer, form: Form = IN_STEPS) -> bool:
    found = task.answer(problem, form.steps(answer.text)) if answer.done else None
    return found is not None and task.check(problem, found)


def trained(scorer: LocalScorer | None, name: str, value: object) -> LocalScorer:
    """The run's reward model, which the setting `name` asks for."""
    if scorer is None:
        raise UserError(
            f"align.{name} = {value!r} asks the reward model, and the run has trained none; leave it out, "
            "or set reward.steps"
        )
    return scorer


def of_model(scorer: LocalScorer, head: int, form: Form = IN_STEPS) -> Rewards:
    """What a head of the reward model thinks of a finished answer; 0 for one that does not end."""

    def reward(prompts: Sequence[Prompt], answers: Sequence[Answer]) -> list[float]:
        drafts = [PartialSolution(p.problem, form.steps(a.text), True) for p, a in zip(prompts, answers, strict=True)]
        values = scorer.values(drafts)[:, head]
        scorer.forget(list({prompt.problem for prompt in prompts}))
        return np.where([answer.done for answer in answers], values, 0.0).tolist()

    return reward


def potentials(scorer: LocalScorer, tokenizer: Tokenizer, form: Form = IN_STEPS) -> Potential:
    """What the process head thinks of the whole steps before each token of an answer."""
    ends = cache(lambda token: tokenizer.decode([token]).count(STEP_END))

    def potential(prompts: Sequence[Prompt], answers: Sequence[Answer]) -> list[np.ndarray]:
        states, known = [], []  # of each answer: the states after 0, 1, ... steps, and how many of them a token knows
        for prompt, answer in zip(prompts, answers, strict=True):
            steps_before = np.cumsum([0, *map(ends, answer.tokens[:-1])])
            lines = split_steps(answer.text)
            paths = [(), *(form.steps(join_steps(lines[:n])) for n in range(1, steps_before[-1] + 1))]
            states.append([PartialSolution(prompt.problem, path) for path in paths])
            known.append(steps_before)
        values = scorer.values([state for of_answer in states for state in of_answer])[:, PROCESS]
        scorer.forget(list({prompt.problem for prompt in prompts}))
        split = np.split(values, np.cumsum([len(of_answer) for of_answer in states])[:-1])
        return [value[steps_before] for value, steps_before in zip(split, known, strict=True)]

    return potential


def of_file(name: str, form: Form = IN_STEPS) -> Rewards:
    """The function reward(prompts, completions) of the user's own file, in a process of its own."""
    file = UserFile(Path(name))
    if not name.endswith(".py"):
        raise UserError(f"align.reward = {name!r} is unknown; take checker, outcome, process, or a Python file")
    if "reward" not in file.functions():
        raise UserError(f"{name} has no function reward; write def reward(prompts, completions) -> list of numbers")

    def reward(prompts: Sequence[Prompt], answers: Sequence[Answer]) -> Any:
        named = {
            "prompts": [p.problem or p.text for p in prompts],
            "completions": [join_steps(form.steps(a.text)) for a in answers],
        }
        try:
            return file.call("reward", REWARD_SECONDS, **named)
        except TimeoutError:
            raise UserError(
                f"reward in {name} took longer than {REWARD_SECONDS:g} s for {len(answers)} answers"
            ) from None

    return reward
