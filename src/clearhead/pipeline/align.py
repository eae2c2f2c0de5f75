"""The stage that closes the thread: the policy of a run goes on learning from its own answers, by reward (alignment).

It leaves aligned.safetensors, which every later stage and verb takes for the policy, and align.json: what both policies
make of the test problems, from which nothing is learned.
"""

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clearhead.alignment.answers import Answer, Prompt
from clearhead.alignment.environment import Environment, Rewards
from clearhead.alignment.health import findings
from clearhead.alignment.methods import AlignConfig
from clearhead.alignment.policy_gradient import ActorCritic, policy_of
from clearhead.alignment.reward import OUTCOME, PROCESS
from clearhead.alignment.rounds import Rounds, loss_of
from clearhead.alignment.scorer import LocalScorer
from clearhead.checkpoints import own
from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import Decoder
from clearhead.nn.lora import merge
from clearhead.pipeline import pretrained
from clearhead.pipeline.data import POOL
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.stages import Context, first_try, load_reward, strategy_context
from clearhead.reasoning.statistics import Interval, bootstrap_difference, bootstrap_mean
from clearhead.reasoning.strategies import attempt, known
from clearhead.reasoning.strategy import PartialSolution
from clearhead.tasks.task import Task
from clearhead.tasks.userfile import UserFile
from clearhead.text.begin import prompt_tokens
from clearhead.text.prompt_format import join_steps, solution_tokens, split_steps, steps_prompt
from clearhead.text.protocol import Tokenizer
from clearhead.training import checkpoint
from clearhead.training.jsonl_log import Event, JsonlLog, read
from clearhead.training.loop import TrainConfig, train
from clearhead.training.step import compute_dtype

SCRATCH_LR, FULL_LR, LORA_LR = 5e-4, 1e-5, 2e-4  # AdamW's, by what is trained
FALLS = 0.7  # share of the steps before the learning rate falls
SAMPLES = 8  # answers to each test problem, drawn at temperature 1
WATCHED = 200  # held-out problems of each task, at most
HEADS = {"outcome": OUTCOME, "process": PROCESS}
REWARD_SECONDS = 60.0  # that a user's reward may take for a round's answers
KEPT = "align.round.safetensors"


def align_stage(context: Context) -> None:
    """Nothing, where the recipe says no method."""
    recipe, run, config = context.recipe, context.run, context.recipe.align
    if config.method == "none":
        return
    tasks, tokenizer = context.tasks(), context.tokenizer()
    reference = own.load_file(run.policy).to(context.device).requires_grad_(False).eval()
    model, log = trainable(run.policy, recipe, context.device), JsonlLog(run.log("align"))
    rounds = Rounds(
        config, environment(context, tasks, tokenizer, model), tokenizer, model, reference, recipe.reward.seq_len,
        recipe.seed, compute_dtype("auto", context.device), log, run.path / KEPT,
    )  # fmt: skip
    loss, warned = loss_of(config), set[str]()
    asked = {name: task.problems("valid", WATCHED, recipe.seed) for name, task in tasks.items()}

    def on_eval(trained: Any, step: int) -> Mapping[str, Any]:
        found, told = (
            first_try(policy_of(trained), tokenizer, tasks, asked, recipe.search.solution_tokens),
            rounds_of(log),
        )
        if told:
            context.say(round_line(told[-1], found["first_try"]))
        for line in set(findings(told)) - warned:
            context.say(f"align: {line}")
            warned.add(line)
        return found

    def note(event: Event) -> None:
        if event["kind"] == "step" and (numbers := loss.drain()):
            log.emit("learned", step=event["step"], **numbers)

    with context.watch(f"align, {config.learns.label}") as watch:
        train(
            training(config, recipe), model, rounds.batch, loss, checkpoint=run.checkpoint("align"), log=log,
            callbacks=[watch, note], on_eval=on_eval, prefetch=0,
        )  # fmt: skip
    decoder = policy_of(model)
    merge(decoder)
    found = compared(recipe, tasks, tokenizer, reference, decoder)
    write_json(run.alignment, {"method": config.method, "tasks": found, "health": findings(rounds_of(log))})
    checkpoint.save(run.aligned, decoder.state_dict(), {"model": asdict(decoder.config)})
    for name, each in found.items():
        context.say(compared_line(name, each))
    with suppress(FileNotFoundError):
        rounds.kept.unlink()


def training(config: AlignConfig, recipe: Recipe) -> TrainConfig:
    """The steps of all rounds. A checkpoint is written where a round ends, so that none is ever begun twice."""
    steps = config.rounds * config.updates
    lr = config.lr or (SCRATCH_LR if not recipe.base else FULL_LR if recipe.full else LORA_LR)
    return TrainConfig(
        steps=steps, batch_size=1, seq_len=recipe.reward.seq_len, optimizer="adamw", lr=lr, adam_lr=lr,
        weight_decay=config.weight_decay, warmup=min(config.warmup, steps - 1), decay_start=FALLS, clip=config.clip,
        accumulate=config.accumulate, eval_every=config.eval_every * config.updates,
        save_every=config.save_every * config.updates, compile="off", seed=recipe.seed,
    )  # fmt: skip


def trainable(file: Path, recipe: Recipe, device: torch.device) -> Any:
    """The policy, and a critic of the same start beside it where the method has one."""

    def loaded(seed: int) -> Decoder:
        decoder = own.load_file(file).to(device)
        if recipe.base:
            pretrained.make_trainable(decoder, recipe, seed)
        return decoder

    policy = loaded(recipe.seed)
    return ActorCritic(policy, loaded(recipe.seed + 1)).to(device) if recipe.align.critic else policy


def environment(context: Context, tasks: Mapping[str, Task], tokenizer: Tokenizer, model: Any) -> Environment:
    """The training problems of the run's tasks, by their shares, and the reward that the recipe names."""
    recipe = context.recipe
    config, check = recipe.align, checker(tasks)
    pools = {name: task.problems("train", POOL, recipe.seed) for name, task in tasks.items()}
    room = policy_of(model).config.max_positions - 1

    def prompt(number: int) -> Prompt:
        rng = random.Random(f"{recipe.seed}/align/{number}")
        while True:
            (name,) = rng.choices(list(tasks), [task.share for task in recipe.tasks])
            problem = rng.choice(pools[name])
            text = steps_prompt(problem)
            if len(ids := prompt_tokens(tokenizer, text)) <= room:
                return Prompt(text, tuple(ids), name, problem)

    def search(prompts: Sequence[Prompt], seed: int) -> list[list[Answer]]:
        engine = LocalEngine(policy_of(model), tokenizer)
        budget, found = config.budget or max(recipe.evaluation.budgets), dict[Prompt, list[Answer]]()
        for name, task in tasks.items():
            some = [prompt for prompt in prompts if prompt.task == name]
            bench = strategy_context(engine, scorer, task, recipe.search)
            traces = attempt([config.search], bench, [p.problem for p in some], budget, seed)[0] if some else {}
            for asked, trace in zip(some, traces.get(config.search, ()), strict=True):
                steps = trace.marks[-1].steps
                found[asked] = [] if steps is None else [written(tokenizer, steps)]
        return [found[prompt] for prompt in prompts]

    finds = config.learns.learns == "finds"
    reward = load_reward(context.run, context.device) if config.reward in HEADS or finds else None
    scorer = None if reward is None else LocalScorer(reward, tokenizer)
    if finds:
        known([config.search], judged=scorer is not None, measured=False)
    if config.reward == "checker":
        return Environment(
            lambda first, n: [prompt(first + i) for i in range(n)], check, None, search if finds else None,
            recipe.search.most_solution_tokens,
        )  # fmt: skip
    given = of_model(scorer, HEADS[config.reward]) if config.reward in HEADS else of_file(config.reward)
    return Environment(
        lambda first, n: [prompt(first + i) for i in range(n)], given, check, search if finds else None,
        recipe.search.most_solution_tokens,
    )  # fmt: skip


def written(tokenizer: Tokenizer, steps: Sequence[str]) -> Answer:
    """A whole solution as the policy would have written it."""
    text = join_steps(steps)
    return Answer(text, tuple(solution_tokens(tokenizer, text)), True)


def checker(tasks: Mapping[str, Task]) -> Rewards:
    """1 for a right answer, 0 for a wrong one or none."""

    def reward(prompts: Sequence[Prompt], answers: Sequence[Answer]) -> list[float]:
        return [float(is_right(tasks[p.task], p.problem, a)) for p, a in zip(prompts, answers, strict=True)]

    return reward


def is_right(task: Task, problem: str, answer: Answer) -> bool:
    found = task.answer(problem, split_steps(answer.text)) if answer.done else None
    return found is not None and task.check(problem, found)


def of_model(scorer: LocalScorer | None, head: int) -> Rewards:
    """What a head of the reward model thinks of a finished answer; 0 for one that does not end."""
    if scorer is None:
        raise UserError("align.reward names the reward model, and the run has trained none; take reward = 'checker'")

    def reward(prompts: Sequence[Prompt], answers: Sequence[Answer]) -> list[float]:
        drafts = [PartialSolution(p.problem, split_steps(a.text), True) for p, a in zip(prompts, answers, strict=True)]
        values = scorer.values(drafts)[:, head]
        scorer.forget(list({prompt.problem for prompt in prompts}))
        return np.where([answer.done for answer in answers], values, 0.0).tolist()

    return reward


def of_file(name: str) -> Rewards:
    """The function reward(prompts, completions) of the user's own file, in a process of its own."""
    file = UserFile(Path(name))
    if not name.endswith(".py"):
        raise UserError(f"align.reward = {name!r} is unknown; take checker, outcome, process, or a Python file")
    if "reward" not in file.functions():
        raise UserError(f"{name} has no function reward; write def reward(prompts, completions) -> list of numbers")

    def reward(prompts: Sequence[Prompt], answers: Sequence[Answer]) -> Any:
        named = {"prompts": [p.problem or p.text for p in prompts], "completions": [a.text for a in answers]}
        try:
            return file.call("reward", REWARD_SECONDS, **named)
        except TimeoutError:
            raise UserError(
                f"reward in {name} took longer than {REWARD_SECONDS:g} s for {len(answers)} answers"
            ) from None

    return reward


def rounds_of(log: JsonlLog) -> list[dict[str, Any]]:
    return [event for event in read(log.path) if event["kind"] == "round"] if log.path.is_file() else []


def round_line(told: Mapping[str, Any], accuracy: float) -> str:
    truth = f", really right {told['truth']:.0%}" if "truth" in told else ""
    return (
        f"align, round {told['round'] + 1}: reward {told['reward']:.3f}{truth}, held-out first try {accuracy:.0%}, "
        f"KL {told['kl']:.2f} nats an answer, entropy {told['entropy']:.3f} nats a token, {told['length']:.0f} tokens"
    )


def compared(
    recipe: Recipe, tasks: Mapping[str, Task], tokenizer: Tokenizer, before: Decoder, after: Decoder
) -> dict[str, Any]:
    """What both policies make of the test problems, by a greedy answer and by answers drawn at temperature 1."""
    found: dict[str, Any] = {}
    for name, task in tasks.items():
        problems = task.problems("test", recipe.evaluation.problems, recipe.seed)
        each = {}
        for key, decoder in (("before", before), ("after", after)):
            engine = LocalEngine(decoder, tokenizer)
            each[key] = {
                "greedy": scores(engine, task, problems, SamplingParams(0.0, max_tokens=most(recipe)), 1, recipe.seed),
                "sampled": scores(
                    engine, task, problems, SamplingParams(max_tokens=most(recipe)), SAMPLES, recipe.seed
                ),
            }
        found[name] = {
            key: {
                "before": _interval(bootstrap_mean(each["before"][key])),
                "after": _interval(bootstrap_mean(each["after"][key])),
                "gain": _interval(bootstrap_difference(each["after"][key], each["before"][key])),
            }
            for key in ("greedy", "sampled")
        } | {"problems": len(problems)}
    return found


def most(recipe: Recipe) -> int:
    return recipe.search.most_solution_tokens


def scores(
    engine: LocalEngine, task: Task, problems: Sequence[str], sampling: SamplingParams, n: int, seed: int
) -> np.ndarray:
    """Whether each of n answers to each problem is right, "P N"; of one too long for the context none is."""
    right = np.zeros((len(problems), n))
    fitting = [i for i, problem in enumerate(problems) if engine.fits(steps_prompt(problem))]
    drawn = engine.generate([steps_prompt(problems[i]) for i in fitting], sampling, n, [seed + i for i in fitting])
    for i, texts in zip(fitting, drawn, strict=True):
        right[i] = [is_right(task, problems[i], Answer(text.text, (), text.done)) for text in texts]
    return right


def _interval(found: Interval) -> dict[str, float]:
    return found._asdict()


def compared_line(name: str, found: Mapping[str, Any]) -> str:
    told = []
    for key, label in (("greedy", "greedy"), ("sampled", "one sample")):
        before, after, gain = (found[key][part] for part in ("before", "after", "gain"))
        told.append(
            f"{label} {before['estimate']:.1%} -> {after['estimate']:.1%} "
            f"({gain['estimate']:+.1%}, [{gain['low']:+.1%}, {gain['high']:+.1%}])"
        )
    return f"{name}: {'; '.join(told)} of {found['problems']} test problems"
