"""On-policy batches: in every round the policy as it is now answers prompts, and the steps after it learn from that.

The one training loop asks for its batches one after the other (training.loop, prefetch 0). What a round holds depends
on its number, the weights at its start and the settings alone, so a run that was killed goes on to the same bits.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from clearhead.alignment.answers import Answer, Group, Prompt, lay_out_numbered
from clearhead.alignment.dpo import DpoLoss, PairBatch, of_pairs, reference_logprobs
from clearhead.alignment.environment import Environment, draw_groups, rewarded
from clearhead.alignment.lessons import FindsLoss, Readings, dealt, documents, finds, lessons, pair_of, policy_batch
from clearhead.alignment.methods import AlignConfig, adapted
from clearhead.alignment.policy_gradient import PolicyBatch, PolicyLoss, policy_of, read_rows, read_values
from clearhead.errors import UserError
from clearhead.files import write_bytes
from clearhead.generation.local import LocalEngine
from clearhead.text.packing import Batch
from clearhead.text.protocol import Tokenizer
from clearhead.training.jsonl_log import JsonlLog, read
from clearhead.training.step import working_copy

READ_LOGITS = 1 << 25  # of policy and reference at once
KINDS: Mapping[str, Any] = {"policy": PolicyBatch, "pairs": PairBatch, "finds": Batch}


def loss_of(config: AlignConfig) -> PolicyLoss | DpoLoss | FindsLoss:
    """What the method's batches are learned by. A β that adapts counts in the reward alone."""
    if config.learns.learns == "pairs":
        return DpoLoss(config.starting_beta)
    if config.learns.learns == "finds":
        return FindsLoss()
    beta = config.starting_beta if config.kl_in == "loss" else 0.0
    return PolicyLoss(config.clip_low, config.high, beta, config.temperature, config.value)


@dataclass
class Rounds:
    """The micro-batches of a run. `model` is what is trained, `reference` the policy as it was at first.

    `length`: tokens of a row; `config` says in how many parts a step is computed. Each round is told in `log`; one that
    takes several steps is kept in the file `kept`.
    """

    config: AlignConfig
    environment: Environment
    tokenizer: Tokenizer
    model: Any
    reference: Any
    length: int
    seed: int
    dtype: torch.dtype
    log: JsonlLog
    kept: Path
    kv_memory: int | None = None
    _number: int = field(default=-1, init=False)
    _batches: list[Any] = field(default_factory=list, init=False)

    @property
    def parts(self) -> int:
        """Micro-batches of a round."""
        return self.config.updates * self.config.accumulate

    @cached_property
    def fixed(self) -> Any:
        """The reference in the type that the policy is computed in, so that they differ by what was learned alone."""
        return working_copy(self.reference, self.dtype)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def batch(self, i: int) -> Any:
        """The i-th micro-batch of the run."""
        number, part = divmod(i, self.parts)
        if number != self._number:
            self._batches = self._read() if part else self._make(number)
            self._number = number
        return self._batches[part]

    def _read(self) -> list[Any]:
        """The round that an earlier process was in the middle of: a policy that is gone wrote its answers."""
        kind = KINDS[self.config.learns.learns]
        try:
            arrays = load_file(self.kept)
            return [kind(*(arrays[f"{i}/{key}"] for key in kind._fields)) for i in range(self.parts)]
        except (OSError, KeyError, ValueError) as error:
            raise UserError(f"{self.kept} cannot be read ({error}); restore it, or begin anew") from None

    def _make(self, number: int) -> list[Any]:
        config, beta = self.config, self.beta()
        policy = policy_of(self.model)
        engine = LocalEngine(
            policy, self.tokenizer, dtype=self.dtype, kv_memory=self.kv_memory, tools=self.environment.calls
        )
        drawn = draw_groups(engine, self.environment, config, number, self.seed)
        read, numbers = self._readings(working_copy(policy, self.dtype), drawn.groups)
        if config.shaping and self.environment.potential:
            asked = [group.prompt for group in drawn.groups for _ in group.answers]
            answers = [answer for group in drawn.groups for answer in group.answers]
            values = self.environment.potential(asked, answers)
            read = read._replace(potentials=[config.shaping * value for value in values])
        rng = random.Random(f"{self.seed}/{number}")
        batches: list[Any]
        if config.learns.learns == "policy":
            items = lessons(drawn.groups, read, config, beta if config.kl_in == "reward" else 0.0)
            most = min(self.environment.max_tokens, self.length)
            batches = dealt(items, config, rng, lambda part, step: policy_batch(part, step, config, self.length, most))
        elif config.learns.learns == "pairs":
            found = self._searched(drawn.groups, number)
            pairs = [pair for g in drawn.groups if (pair := pair_of(g, rng, found.get(g.prompt, ())))]
            log_ref = dict(zip(pairs, reference_logprobs(pairs, self.length, self.fixed, self.device), strict=True))
            batches = dealt(pairs, config, rng, lambda part, _: of_pairs(part, log_ref, self.length))
        else:
            right = finds(drawn.groups, self._searched(drawn.groups, number), config.keep)
            numbers["finds"] = len(right)
            batches = dealt(right, config, rng, lambda part, _: lay_out_numbered(part, self.length).batch)
        if self.parts > 1:
            named = {f"{i}/{key}": value for i, batch in enumerate(batches) for key, value in batch._asdict().items()}
            write_bytes(self.kept, to_bytes(named))
        step = number * config.updates + 1
        self.log.emit("round", step=step, round=number, beta=beta, **drawn.numbers, **numbers)
        return batches

    def beta(self) -> float:
        """What the KL counts now: with a target it follows from the KL of every round so far."""
        beta = self.config.starting_beta
        if self.config.target_kl and self.log.path.is_file():
            for event in read(self.log.path):
                if event["kind"] == "round":
                    beta = adapted(beta, self.config.target_kl, event["kl"])
        return beta

    def _readings(self, work: Any, groups: Sequence[Group]) -> tuple[Readings, dict[str, float]]:
        """What policy, reference and value head make of every answer, and the numbers that are told of it."""
        every, config = documents(groups), self.config
        laid_out = lay_out_numbered(every, self.length)
        size = max(1, READ_LOGITS // (policy_of(self.model).config.vocab * self.length))
        starts = range(0, len(laid_out.batch.tokens), size)
        rows: dict[str, list[np.ndarray]] = {"log_p": [], "entropy": [], "log_ref": [], "values": []}
        for start in starts:
            some = Batch(*(array[start : start + size] for array in laid_out.batch))
            for name, value in read_rows(work, some, self.device, config.temperature).items():
                rows[name].append(value)
            rows["log_ref"].append(read_rows(self.fixed, some, self.device, config.temperature)["log_p"])
            if config.critic:
                rows["values"].append(read_values(self.model, some, self.device))
        each = {name: laid_out.by_document(np.concatenate(found), every) for name, found in rows.items() if found}
        gaps = [q - p for p, q in zip(each["log_p"], each["log_ref"], strict=True)]
        kl = float(sum((np.expm1(gap) - gap).sum() for gap in gaps))  # k3: never negative, and on average the KL
        answers, tokens = max(1, len(every)), max(1, sum(document.learned for document in every))
        entropy = float(sum(found.sum() for found in each["entropy"])) / tokens
        numbers = {"kl": kl / answers, "kl_token": kl / tokens, "entropy": entropy}
        return Readings(each["log_p"], each["log_ref"], each.get("values", [])), numbers

    def _searched(self, groups: Sequence[Group], number: int) -> dict[Prompt, list[Answer]]:
        """What search finds, and the reward calls right, of the prompts that no sample solves."""
        search = self.environment.search
        unsolved = [group.prompt for group in groups if group.rewards.max() <= 0]
        if search is None or not unsolved:
            return {}
        answers = search(unsolved, self.seed + number)
        rewards = rewarded(self.environment.reward, unsolved, answers)
        return {
            prompt: [answer for answer, reward in zip(found, paid, strict=True) if reward > 0]
            for prompt, found, paid in zip(unsolved, answers, rewards, strict=True)
        }
