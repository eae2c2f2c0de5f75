"""A checkpoint as the start of a run on tasks: loaded, made trainable, and asked what it knows before it is taught.

Its weights, its shape and its tokens are taken as they are; from the first trained policy on, the run needs it no more.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from clearhead.alignment.sft import answer_loss
from clearhead.checkpoints.load import LoadedModel, load_model
from clearhead.config import renamed
from clearhead.errors import UserError
from clearhead.generation.backend import in_halves
from clearhead.generation.language_model import Continuation, SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import Decoder
from clearhead.nn.lora import add_lora
from clearhead.pipeline import layout
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.tasks.task import Task
from clearhead.text.begin import prompt_tokens
from clearhead.text.control import chat_tokens
from clearhead.text.prompt_format import steps_prompt
from clearhead.text.subword import SubwordTokenizer
from clearhead.training.step import LossFn, language_model_loss

ROOM = 128  # tokens of an untaught answer, which is often a sentence
WORD = re.compile(r"[^\s*:=,;.\"'`$()]+(?:[.,:][^\s*:=,;.\"'`$()]+)*")  # without what a sentence puts around it
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def load(name: str, device: torch.device | None = None) -> LoadedModel:
    """The checkpoint in float32, which is what training updates."""
    return load_model(name, device or torch.device("cpu"), torch.float32)


def load_as_noted(name: str, run: RunDir, device: torch.device) -> LoadedModel:
    """The same; UserError where it is no longer what the run has measured its data with."""
    loaded = load(name, device)
    if asdict(loaded.decoder.config) != renamed(read_json(run.base, layout.BASE)["model"]):
        raise UserError(f"{name} is another model than when {run.path} was begun; put the old one back")
    return loaded


def make_trainable(decoder: Decoder, recipe: Recipe, seed: int) -> None:
    """All of it, or low-rank updates beside it."""
    if recipe.full:
        decoder.requires_grad_(True)
    else:
        add_lora(decoder, recipe.lora, seed)


def loss_of(recipe: Recipe) -> LossFn:
    """What a language model of the run learns by; of a checkpoint's many tokens no logit is computed in vain."""
    return answer_loss if recipe.base else language_model_loss


def answers(loaded: LoadedModel, task: Task, recipe: Recipe) -> dict[str, Any]:
    """How many of the task's test problems the checkpoint answers when it is asked as it is used to, and one answer.

    It is asked in a chat where it has a template, else by the bare problem, and always says what is likeliest. It does
    not know how an answer is written here: the whole answer may be right, its last line, its last word or number.
    """
    problems = task.problems("test", recipe.evaluation.problems, recipe.seed)
    engine = LocalEngine(loaded.decoder, loaded.tokenizer, kv_memory=recipe.kv_bytes)
    prompts = [(problem, _asked(loaded, problem)) for problem in problems]
    asked = {problem: ids for problem, ids in prompts if len(ids) < engine.max_positions}  # the others stay unanswered
    limit = SamplingParams(temperature=0.0, max_tokens=max(ROOM, recipe.search.solution_tokens))

    def greedy(prompts: Sequence[list[int]]) -> list[Continuation]:
        nodes = engine.open_tokens(prompts)
        try:
            return [text for (text,) in engine.extend(nodes, 1, limit, [0] * len(nodes), stop=None)]
        finally:
            engine.close(nodes)

    started = time.perf_counter()
    written = in_halves(greedy, list(asked.values()))
    seconds = time.perf_counter() - started
    right = sum(
        any(task.check(problem, found) for found in readings(answer.text))
        for problem, answer in zip(asked, written, strict=True)
    )
    return {
        "right": right, "asked": len(problems), "tokens": sum(answer.tokens for answer in written) / len(problems),
        "seconds": seconds / len(problems), "cut": sum(answer.truncated for answer in written),
        "sample": f"{next(iter(asked))}\n{written[0].text}" if asked else "",
    }  # fmt: skip


def _asked(loaded: LoadedModel, problem: str) -> list[int]:
    if loaded.template is None or not isinstance(loaded.tokenizer, SubwordTokenizer):
        return prompt_tokens(loaded.tokenizer, steps_prompt(problem))
    return chat_tokens(loaded.tokenizer, loaded.template, [{"role": "user", "content": problem}])[0]


def readings(text: str) -> list[str]:
    """What an answer in words may mean.

    >>> readings("The sum is:\\n12 + 5 = **17**.")
    ['The sum is:\\n12 + 5 = **17**.', '12 + 5 = **17**.', '17', '17']
    """
    whole = text.strip()
    words, numbers = WORD.findall(whole), NUMBER.findall(whole)
    return [whole, whole.rpartition("\n")[2].strip(), *words[-1:], *numbers[-1:]]
