"""The backend for recurrent models: of a text nothing is kept but the states that its last token left behind."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clearhead.generation.backend import LEAST_ROWS, Computed, at_least, memory_limit, refuse
from clearhead.generation.language_model import UNLIMITED
from clearhead.models.recurrent import Recurrent
from clearhead.nn.recurrent import RecurrentState


@dataclass
class _Text:
    """Tokens that are not read yet and the states before them; the last hidden state once all are read."""

    unread: list[int]
    refcount: int
    states: list[RecurrentState] | None = None
    hidden: Float[Tensor, "D"] | None = None


class RecurrentBackend:
    """A recurrent model and its texts, of any length. A state is never changed, so texts that part share theirs."""

    def __init__(self, model: Recurrent, kv_memory: int | None = None) -> None:
        config, weight = model.config, model.head.weight
        self.model = model
        self.vocab, self.max_positions, self.device = config.vocab, UNLIMITED, weight.device
        self._text_bytes = (config.state_numbers + config.d_model) * weight.itemsize
        self.limit = memory_limit(self.device, kv_memory)
        self._texts: dict[int, _Text] = {}
        self._opened = 0

    def room(self, prompt: int) -> int:
        return self.max_positions - prompt

    def check(self, length: int, n: int, new: int) -> None:
        if 2 * n > self._most:
            raise refuse(n, length + new, 2 * n * self._text_bytes, self.limit)

    def open(self, ids: Sequence[int], n: int, room: int, at: int | None = None) -> int | None:
        assert at is None
        if 2 * (sum(text.refcount for text in self._texts.values()) + n) > self._most:
            return None
        return self._add(_Text(list(ids), n))

    @torch.inference_mode()
    def compute(self, seqs: Int[np.ndarray, "N"]) -> Computed:
        """Prompts are read one by one and single tokens as one batch, so that no row's bits depend on its company."""
        texts = [self._texts[seq] for seq in seqs.tolist()]
        by = np.repeat(np.arange(len(texts)), [len(text.unread) for text in texts])
        for text in texts:
            if text.states is None:
                hidden, states = self.model.read(torch.tensor([text.unread], device=self.device), None)
                text.states, text.hidden, text.unread = states, hidden[0, -1], []
        going = [text for text in texts if text.unread]
        if going:
            full = [*going, *going[-1:] * (LEAST_ROWS - len(going))]
            before = [
                [torch.cat(part) for part in zip(*layer, strict=True)]
                for layer in zip(*map(_states, full), strict=True)
            ]
            hidden, after = self.model.read(
                torch.tensor([text.unread for text in full], device=self.device), [tuple(layer) for layer in before]
            )
            for row, text in enumerate(going):
                text.states = [tuple(part[row : row + 1].clone() for part in layer) for layer in after]
                text.hidden, text.unread = hidden[row, -1].clone(), []
        return Computed(by, np.ones(len(by), bool))

    @torch.inference_mode()
    def logits(self, seqs: Int[np.ndarray, "N"]) -> Float[Tensor, "N V"]:
        rows = [self._texts[seq].hidden for seq in at_least(LEAST_ROWS, seqs).tolist()]
        logits = self.model.logits(torch.stack([row for row in rows if row is not None]))[: len(seqs)]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def advance(
        self, seqs: Int[np.ndarray, "N"], tokens: Int[np.ndarray, "N"]
    ) -> tuple[Int[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
        """Equal samples stay one text."""
        made: dict[tuple[int, int], int] = {}
        at, new = [], []
        for key in zip(seqs.tolist(), tokens.tolist(), strict=True):
            new.append(key not in made)
            if key not in made:
                made[key] = self._add(_Text([key[1]], 0, self._texts[key[0]].states))
            self._texts[made[key]].refcount += 1
            at.append(made[key])
        return np.array(at, np.int64), np.array(new)

    def release(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            self._texts[seq].refcount -= 1
            if not self._texts[seq].refcount:
                del self._texts[seq]

    def retain(self, seqs: Sequence[int]) -> None:
        self.release(seqs)

    @property
    def _most(self) -> int:
        """Texts within the limit; a step holds those before it and those after it."""
        return self.limit // self._text_bytes

    def _add(self, text: _Text) -> int:
        self._opened += 1
        self._texts[self._opened] = text
        return self._opened


def _states(text: _Text) -> list[RecurrentState]:
    assert text.states is not None
    return text.states
