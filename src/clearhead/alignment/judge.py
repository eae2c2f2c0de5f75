"""A reward model at work: verdicts on drafts, every beginning of a text read once however many drafts share it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float

from clearhead.alignment.reward import RewardModel, chances, step_tokens
from clearhead.generation.cache import KVCache, frozen_copy
from clearhead.generation.trie import ROOT, TokenTrie
from clearhead.text.tokenizer import CharTokenizer

TOO_LONG = -1  # no slot


class Draft(Protocol):
    """What is judged: a problem and its solution as far as it is written."""

    @property
    def problem(self) -> str: ...
    @property
    def steps(self) -> tuple[str, ...]: ...
    @property
    def done(self) -> bool: ...


class LocalJudge:
    """Verdicts of a reward model on this machine, read from the hidden state at the end of a draft's last step.

    Draft by draft the text grows by a step, so a draft's slot is found from that of the draft one step shorter.
    """

    def __init__(self, model: RewardModel, tokenizer: CharTokenizer, dtype: torch.dtype | None = None) -> None:
        self.tokenizer = tokenizer
        self.head = model.head
        self.max_positions = model.decoder.config.max_positions
        self.trie = TokenTrie(tokenizer.vocab_size)
        self.cache = KVCache(frozen_copy(model.decoder, dtype), self.trie)
        self._slots: dict[str, dict[tuple[tuple[str, ...], bool], int]] = defaultdict(dict)
        self._tokens: dict[str, int] = defaultdict(int)

    @torch.inference_mode()
    def verdicts(self, drafts: Sequence[Draft]) -> Float[np.ndarray, "N 2"]:
        """The chances (outcome, process) of each draft; 0 for one too long for the model's context: it cannot end."""
        slots = np.array([self._slot(draft) for draft in drafts], np.int32)
        fits = np.flatnonzero(slots != TOO_LONG)
        verdicts = np.zeros((len(drafts), 2))
        if len(fits):
            for row in self.cache.compute(slots[fits]).by.tolist():
                self._tokens[drafts[fits[row]].problem] += 1
            verdicts[fits] = chances(self.head(self.cache.hidden(slots[fits]).float())).double().cpu().numpy()
        return verdicts

    def tokens(self, problem: str) -> int:
        """Tokens of this problem read since it was last forgotten."""
        return self._tokens[problem]

    def forget(self, problems: Sequence[str]) -> None:
        for problem in problems:
            self.trie.release(np.array(list(self._slots.pop(problem, {}).values()), np.int32))
            self._tokens.pop(problem, None)

    def _slot(self, draft: Draft) -> int:
        known = self._slots[draft.problem]
        key = (draft.steps, draft.done)
        if key not in known:
            shorter = known.get((draft.steps[:-1], False), TOO_LONG) if draft.steps else TOO_LONG
            pieces = step_tokens(self.tokenizer, draft.problem, draft.steps, draft.done)
            if sum(map(len, pieces)) > self.max_positions:
                return TOO_LONG
            parent, text = (shorter, pieces[-1]) if shorter != TOO_LONG else (ROOT, [t for p in pieces for t in p])
            slots = self.trie.insert(np.array([parent], np.int32), [text])
            self.trie.hold(slots)
            known[key] = int(slots[0])
        return known[key]
