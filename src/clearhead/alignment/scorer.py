"""A reward model at work: values of partial solutions, every beginning of a text read once however many share it."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Float

from clearhead.alignment.calibration import Calibration
from clearhead.alignment.reward import OUTCOME, PROCESS, RewardModel
from clearhead.generation.backend import full, memory_limit
from clearhead.generation.cache import KVCache, frozen_copy, slot_bytes
from clearhead.generation.trie import ROOT, TokenTrie
from clearhead.text.begin import prompt_tokens
from clearhead.text.prompt_format import step_tokens, steps_prompt
from clearhead.text.protocol import Tokenizer


class Scorable(Protocol):
    """What is scored: a problem and its solution as far as it is written."""

    @property
    def problem(self) -> str: ...
    @property
    def steps(self) -> tuple[str, ...]: ...
    @property
    def done(self) -> bool: ...
    @property
    def logprob(self) -> float: ...  # log p of the steps under the policy


class Reading(NamedTuple):
    """What a reward model makes of N solutions: the logits of its heads, and log p of the steps as its own."""

    z: Float[np.ndarray, "N 2"]
    likelihood: Float[np.ndarray, "N"]


@dataclass
class _Node:
    """Where a partial solution ends in the trie, and how likely its steps are; NaN until that is asked for."""

    slot: int
    likelihood: float


class LocalScorer:
    """Values of a reward model on this machine, read from the hidden state at the end of a solution's last step.

    Keys, values and hidden states never take more than `kv_memory` bytes: NoRoom where more would be needed.
    The text grows step by step, so a solution's slot is found from that of the solution one step shorter.
    """

    def __init__(
        self, model: RewardModel, tokenizer: Tokenizer, dtype: torch.dtype | None = None, kv_memory: int | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.head = model.head
        self.max_positions = model.decoder.config.max_positions
        frozen = frozen_copy(model.decoder, dtype)
        self.limit = memory_limit(frozen.embed.weight.device, kv_memory)
        most = self.limit // slot_bytes(frozen.config, frozen.dtype)
        self.trie = TokenTrie(model.decoder.config.vocab, most=max(2, most))
        self.cache = KVCache(frozen, self.trie)
        self._nodes: dict[str, dict[tuple[tuple[str, ...], bool], _Node]] = defaultdict(dict)
        self._tokens: dict[str, set[int]] = defaultdict(set)  # slots: what other problems have read is charged again

    def values(self, solutions: Sequence[Scorable]) -> Float[np.ndarray, "N 2"]:
        """The model's own probabilities (outcome, process) of each partial solution, as it was trained."""
        return sigmoid(self.read(solutions).z)

    @torch.inference_mode()
    def read(self, solutions: Sequence[Scorable]) -> Reading:
        """Every solution, each token once; minus infinity for one too long for the model's context: it cannot end."""
        found = [self._node(solution) for solution in solutions]
        reading = Reading(np.full((len(solutions), 2), -np.inf), np.full(len(solutions), -np.inf))
        fits = [row for row, node in enumerate(found) if node is not None]
        nodes = [node for node in found if node is not None]
        if fits:
            slots = np.array([node.slot for node in nodes], np.int32)
            self.cache.compute(slots)
            for row, slot in zip(fits, slots.tolist(), strict=True):
                self._tokens[solutions[row].problem].update(self.trie.paths[slot, : self.trie.depth[slot] + 1].tolist())
            reading.z[fits] = self.head(self.cache.hidden(slots).float()).double().cpu().numpy()
            self._weigh([solutions[row] for row in fits], nodes)
            reading.likelihood[fits] = [node.likelihood for node in nodes]
        return reading

    def tokens(self, problem: str) -> int:
        """Tokens of this problem read since it was last forgotten, whatever other problems are read beside it."""
        return len(self._tokens[problem])

    def forget(self, problems: Sequence[str]) -> None:
        for problem in problems:
            slots = [node.slot for node in self._nodes.pop(problem, {}).values()]
            self.trie.release(np.array(slots, np.int32))
            self._tokens.pop(problem, None)

    def _node(self, solution: Scorable) -> _Node | None:
        known = self._nodes[solution.problem]
        key = (solution.steps, solution.done)
        if key not in known:
            shorter = known.get((solution.steps[:-1], False)) if solution.steps else None
            pieces = step_tokens(self.tokenizer, solution.problem, solution.steps, solution.done)
            if sum(map(len, pieces)) > self.max_positions:
                return None
            parent, text = (ROOT, [t for p in pieces for t in p]) if shorter is None else (shorter.slot, pieces[-1])
            if self.trie.used + len(text) > self.trie.most:
                raise full(self.trie.used, self.trie.most, len(text), self.limit)
            slots = self.trie.insert(np.array([parent], np.int32), [text])
            self.trie.acquire(slots)
            known[key] = _Node(int(slots[0]), math.nan if solution.steps else 0.0)
        return known[key]

    def _weigh(self, solutions: Sequence[Scorable], nodes: Sequence[_Node]) -> None:
        """Σ log p(token | tokens before it) over the steps of the nodes that do not know it yet."""
        new = {
            node.slot: (solution, node)
            for solution, node in zip(solutions, nodes, strict=True)
            if math.isnan(node.likelihood)
        }
        if not new:
            return
        asked = {
            solution.problem: len(prompt_tokens(self.tokenizer, steps_prompt(solution.problem)))
            for solution, _ in new.values()
        }
        paths = [
            self.trie.paths[slot, asked[solution.problem] - 1 : self.trie.depth[slot] + 1]
            for slot, (solution, _) in new.items()
        ]
        after = np.unique(np.concatenate([path[1:] for path in paths]))  # every token once, though many share it
        before = self.trie.parent[after]
        rows, where = np.unique(before, return_inverse=True)
        log_p = self.cache.decoder.logits(self.cache.hidden(rows)).float().log_softmax(-1)
        token = torch.from_numpy(self.trie.token[after]).long().to(log_p.device)
        each = log_p[torch.from_numpy(where).to(log_p.device), token].double().cpu().numpy()
        for path, (_, node) in zip(paths, new.values(), strict=True):
            node.likelihood = float(each[np.searchsorted(after, path[1:])].sum())


@dataclass(frozen=True)
class CalibratedScorer:
    """A scorer whose probabilities hold on new problems of one task (calibration.py)."""

    scorer: LocalScorer
    calibration: Calibration

    def values(self, solutions: Sequence[Scorable]) -> Float[np.ndarray, "N 2"]:
        z, likelihood = self.scorer.read(solutions)
        fits = np.flatnonzero(~np.isneginf(likelihood)).tolist()
        logprob = np.array([solutions[row].logprob for row in fits], float)
        done = np.array([solutions[row].done for row in fits], bool)
        heads, values = self.calibration, np.zeros_like(z)
        outcome, process, likelihood = z[fits, OUTCOME], z[fits, PROCESS], likelihood[fits]
        values[fits, OUTCOME] = sigmoid(heads.outcome.logit(outcome, likelihood, logprob))
        finished = heads.process.logit(process, likelihood, logprob)
        values[fits, PROCESS] = sigmoid(np.where(done, finished, heads.step.logit(process, likelihood, logprob)))
        return values

    def tokens(self, problem: str) -> int:
        return self.scorer.tokens(problem)

    def forget(self, problems: Sequence[str]) -> None:
        self.scorer.forget(problems)


def sigmoid(logits: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
    """1 / (1 + e^{-z}) without overflow."""
    return np.exp(-np.logaddexp(0.0, -logits))
