"""How far a learned reward can be pushed before it is fooled: policies of several betas, and best-of-N beside them.

Gao et al. 2023, "Scaling laws for reward model overoptimization".
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from clearhead.alignment.answers import Answer, Prompt, draw, lay_out_numbered
from clearhead.alignment.environment import rewarded
from clearhead.alignment.policy_gradient import read_rows
from clearhead.files import write_json
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import Decoder
from clearhead.pipeline.context import Context
from clearhead.pipeline.data import calls_of
from clearhead.pipeline.learn import KEPT, learn
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.rewards import HOLDERS, environment, most
from clearhead.reasoning.statistics import bootstrap_mean
from clearhead.tasks.task import Task
from clearhead.text.begin import prompt_tokens
from clearhead.text.packing import Document
from clearhead.text.prompt_format import steps_prompt
from clearhead.text.protocol import Tokenizer
from clearhead.training.jsonl_log import JsonlLog

SAMPLES = 8  # answers to each test problem, drawn at temperature 1
OF_N = (1, 2, 4, 8, 16, 32, 64)
FOOLED = 4  # answers that are shown


def best_of_betas(
    context: Context, tasks: Mapping[str, Task], tokenizer: Tokenizer, reference: Decoder
) -> tuple[Decoder, JsonlLog]:
    """A policy for each beta, and best-of-N beside them: what each thinks it earned, and what is really right.

    Leaves overoptimization.json (Gao et al. 2023); the best of them by the truth on held-out problems, and its record.
    """
    run, config = context.run, context.recipe.align
    policies, lines = [], []
    for i, beta in enumerate(config.betas):
        each, name = replace(config, beta=beta, betas=()), f"align-{i}"
        context.say(f"align: beta = {beta:g}, {i + 1} of {len(config.betas)}")
        decoder = learn(context, each, name, tasks, tokenizer, context.run.policy, reference)
        (run.path / KEPT).unlink(missing_ok=True)
        policies.append((decoder, JsonlLog(run.log(name))))
        lines.append({"beta": beta, **standing(context, tasks, tokenizer, decoder, reference)})
    chosen = max(range(len(policies)), key=lambda i: lines[i]["held_out"])
    of_n = best_of_n(context, tasks, tokenizer, reference)
    write_json(run.overoptimization, {"lines": lines, "best_of_n": of_n, "kept": config.betas[chosen]})
    decoder, log = policies[chosen]
    shutil.copyfile(log.path, run.log("align"))
    return decoder, log


def standing(
    context: Context, tasks: Mapping[str, Task], tokenizer: Tokenizer, decoder: Decoder, reference: Decoder
) -> dict[str, Any]:
    """Proxy and truth of a policy's answers to the test problems, its KL, and answers that fooled the proxy most."""
    recipe = context.recipe
    world = environment(context, context.recipe.align, tasks, tokenizer, decoder)
    truth = world.truth or world.reward
    found: dict[str, Any] = {}
    for split in ("valid", "test"):
        prompts = asked_of(tasks, tokenizer, split, recipe)
        engine = LocalEngine(decoder, tokenizer, kv_memory=context.recipe.kv_part(HOLDERS), tools=calls_of(tasks))
        seeds = [recipe.seed + i for i in range(len(prompts))]
        answers = draw(engine, prompts, SAMPLES, SamplingParams(max_tokens=most(recipe)), seeds)
        right = np.array(rewarded(truth, prompts, answers))
        if split == "valid":
            found["held_out"] = float(right.mean())
            continue
        proxy = np.array(rewarded(world.reward, prompts, answers))
        found |= {"proxy": bootstrap_mean(proxy)._asdict(), "truth": bootstrap_mean(right)._asdict()}
        found["kl"] = divergence(decoder, reference, prompts, answers, recipe.reward.seq_len, context.device)
        wrong = sorted(zip(*np.nonzero(right == 0), strict=True), key=lambda at: -proxy[at])
        distinct = {(prompts[i].problem, answers[i][j].text): float(proxy[i, j]) for i, j in wrong}
        found["fooled"] = [
            {"problem": problem, "answer": text, "proxy": score}
            for (problem, text), score in list(distinct.items())[:FOOLED]
        ]
    return found


def asked_of(tasks: Mapping[str, Task], tokenizer: Tokenizer, split: str, recipe: Recipe) -> list[Prompt]:
    """The problems of a split, of all tasks, that the context holds."""
    found = []
    for name, task in tasks.items():
        for problem in task.problems(split, recipe.evaluation.problems, recipe.seed):
            text = steps_prompt(problem)
            found.append(Prompt(text, tuple(prompt_tokens(tokenizer, text)), name, problem))
    return [prompt for prompt in found if len(prompt.tokens) < recipe.reward.seq_len]


def divergence(
    decoder: Decoder, reference: Decoder, prompts: Sequence[Prompt], answers: Sequence[Sequence[Answer]], length: int,
    device: torch.device,
) -> float:  # fmt: skip
    """KL(policy ‖ reference) in nats an answer, estimated from the policy's own answers."""
    documents = [
        Document(prompt.tokens, answer.tokens)
        for prompt, found in zip(prompts, answers, strict=True)
        for answer in found
    ]
    laid_out = lay_out_numbered(documents, length)
    p, q = (read_rows(model, laid_out.batch, device)["log_p"].sum() for model in (decoder, reference))
    return float(p - q) / max(1, len(documents))


def best_of_n(
    context: Context, tasks: Mapping[str, Task], tokenizer: Tokenizer, reference: Decoder
) -> list[dict[str, Any]]:
    """Proxy and truth of the answer that the proxy likes best among N of the first policy's, for several N.

    KL: log N - (N - 1) / N, a bound that is met where no two answers tie (Beirami et al. 2025).
    """
    recipe, most_n = context.recipe, max(OF_N)
    world = environment(context, context.recipe.align, tasks, tokenizer, reference)
    truth, prompts = world.truth or world.reward, asked_of(tasks, tokenizer, "test", recipe)
    engine = LocalEngine(reference, tokenizer, kv_memory=context.recipe.kv_part(HOLDERS), tools=calls_of(tasks))
    seeds = [recipe.seed + 7 + i for i in range(len(prompts))]
    answers = draw(engine, prompts, most_n, SamplingParams(max_tokens=most(recipe)), seeds)
    proxy, right = (np.array(rewarded(reward, prompts, answers)) for reward in (world.reward, truth))
    found = []
    for n in OF_N:
        parts = proxy.reshape(len(prompts), -1, n), right.reshape(len(prompts), -1, n)
        best = parts[0].argmax(-1)[..., None]
        scores = [np.take_along_axis(part, best, -1)[..., 0] for part in parts]
        kl = float(np.log(n) - (n - 1) / n)
        found.append(
            {
                "n": n,
                "kl": kl,
                **{k: bootstrap_mean(s)._asdict() for k, s in zip(("proxy", "truth"), scores, strict=True)},
            }
        )
    return found
