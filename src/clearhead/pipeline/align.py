"""The stage that closes the thread: the policy of a run goes on learning from its own answers, by reward (alignment).

It leaves aligned.safetensors, which every later stage and verb takes for the policy, and align.json: what both policies
make of the test problems, from which nothing is learned.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from clearhead.alignment.answers import Answer
from clearhead.checkpoints import own
from clearhead.doctor.checkup import round_lines
from clearhead.files import write_json
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import Decoder
from clearhead.pipeline.context import Context
from clearhead.pipeline.data import calls_of
from clearhead.pipeline.learn import KEPT, learn, rounds_of
from clearhead.pipeline.overoptimization import best_of_betas
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.rewards import is_right, most
from clearhead.reasoning.statistics import Interval, bootstrap_difference, bootstrap_mean
from clearhead.tasks.task import Task
from clearhead.text.prompt_format import IN_STEPS, Form
from clearhead.text.protocol import Tokenizer
from clearhead.training import checkpoint
from clearhead.training.jsonl_log import JsonlLog

SAMPLES = 8  # answers to each test problem, drawn at temperature 1


def align_stage(context: Context) -> None:
    """Nothing, where the recipe says no method."""
    recipe, run, config = context.recipe, context.run, context.recipe.align
    if config.method == "none":
        return
    tasks, tokenizer = context.tasks(), context.tokenizer()
    reference = own.load_file(run.policy).to(context.device).requires_grad_(False).eval()
    if config.betas:
        decoder, log = best_of_betas(context, tasks, tokenizer, reference)
    else:
        decoder, log = (
            learn(context, config, "align", tasks, tokenizer, run.policy, reference),
            JsonlLog(run.log("align")),
        )
    found = compared(recipe, tasks, tokenizer, reference, decoder)
    write_json(
        run.alignment, {"method": config.method, "tasks": found, "health": list(round_lines(rounds_of(log)).values())}
    )
    checkpoint.save(run.aligned, decoder.state_dict(), {"model": asdict(decoder.config)})
    for name, each in found.items():
        context.say(compared_line(name, each))
    with suppress(FileNotFoundError):
        (run.path / KEPT).unlink()


def compared(
    recipe: Recipe, tasks: Mapping[str, Task], tokenizer: Tokenizer, before: Decoder, after: Decoder
) -> dict[str, Any]:
    """What both policies make of the test problems, by a greedy answer and by answers drawn at temperature 1."""
    found: dict[str, Any] = {}
    for name, task in tasks.items():
        problems = task.problems("test", recipe.evaluation.problems, recipe.seed)
        each = {}
        for key, decoder in (("before", before), ("after", after)):
            engine = LocalEngine(decoder, tokenizer, kv_memory=recipe.kv_bytes, tools=calls_of(tasks))
            each[key] = {
                "greedy": scores(engine, task, problems, SamplingParams(0.0, max_tokens=most(recipe)), 1, recipe.seed),
                "sampled": scores(
                    engine, task, problems, SamplingParams(max_tokens=most(recipe)), SAMPLES, recipe.seed
                ),
            }
        found[name] = {
            key: {
                "before": Interval._asdict(bootstrap_mean(each["before"][key])),
                "after": Interval._asdict(bootstrap_mean(each["after"][key])),
                "gain": Interval._asdict(bootstrap_difference(each["after"][key], each["before"][key])),
            }
            for key in ("greedy", "sampled")
        } | {"problems": len(problems)}
    return found


def scores(
    engine: LocalEngine, task: Task, problems: Sequence[str], sampling: SamplingParams, n: int, seed: int,
    form: Form = IN_STEPS,
) -> np.ndarray:  # fmt: skip
    """Whether each of n answers to each problem is right, "P N"; of one too long for the context none is."""
    right = np.zeros((len(problems), n))
    fitting = [i for i, problem in enumerate(problems) if engine.fits(form.prompt(problem))]
    drawn = engine.generate([form.prompt(problems[i]) for i in fitting], sampling, n, [seed + i for i in fitting])
    for i, texts in zip(fitting, drawn, strict=True):
        right[i] = [is_right(task, problems[i], Answer(text.text, (), text.done), form) for text in texts]
    return right


def compared_line(name: str, found: Mapping[str, Any]) -> str:
    told = []
    for key, label in (("greedy", "greedy"), ("sampled", "one sample")):
        before, after, gain = (found[key][part] for part in ("before", "after", "gain"))
        told.append(
            f"{label} {before['estimate']:.1%} -> {after['estimate']:.1%} "
            f"({gain['estimate']:+.1%}, [{gain['low']:+.1%}, {gain['high']:+.1%}])"
        )
    return f"{name}: {'; '.join(told)} of {found['problems']} test problems"
