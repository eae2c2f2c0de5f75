"""The backend for encoder-decoders: the prompt is the source, which is encoded once, and what is written is its target.

A target begins with the model's own start token, which is not part of the text. Of a text the decoder's state is kept,
which never changes, so texts that part share it, and how much of each source token was looked at so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clearhead.generation.backend import LEAST_ROWS, Computed, at_least, memory_limit, refuse
from clearhead.generation.language_model import UNLIMITED
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.models.seq2seq import Seq2Seq

ROOM = 16  # sources are padded to a multiple of it: rows of about one length are computed together


class Source(NamedTuple):
    """An encoded source, alone in its row and padded, and the state of a target without tokens."""

    memory: tuple[Tensor, ...]
    mask: Bool[Tensor, "1 S"]
    state: tuple[Tensor, ...]


@dataclass
class _Text:
    """Tokens that are not read yet, and the state before them; the last hidden state once all are read."""

    prompt: list[int]
    unread: list[int]
    refcount: int
    length: int = 0  # of the target
    source: Source | None = None
    state: tuple[Tensor, ...] = ()
    hidden: Float[Tensor, "D"] | None = None
    looked: Float[Tensor, "S"] | None = None


class EncoderDecoderBackend:
    """An encoder-decoder, recurrent or transformer, and its texts."""

    def __init__(self, model: EncoderDecoder | Seq2Seq, kv_memory: int | None = None) -> None:
        self.model = model.eval()
        config, weight = model.config, model.embed.weight
        self.vocab, self.device = config.vocab, weight.device
        self.max_positions = getattr(config, "max_positions", 0) or UNLIMITED
        self.limit = memory_limit(self.device, kv_memory)
        if isinstance(model, Seq2Seq):
            numbers = (2 * model.config.d_model, 3 * model.config.d_model, 0)
        else:
            layers = 2 * model.config.decoder_layers * model.config.n_heads * model.config.dim_per_head
            numbers = (layers, model.config.d_model, layers)
        self._bytes = tuple(weight.itemsize * n for n in numbers)  # a token of a source, a text, a token of a text
        self._texts: dict[int, _Text] = {}
        self._opened = 0

    def room(self, prompt: int) -> int:
        return self.max_positions if prompt <= self.max_positions else self.max_positions - prompt + 1

    def check(self, length: int, n: int, new: int) -> None:
        of_source, of_text, of_token = self._bytes
        needed = of_source * (length + ROOM) + 2 * n * (of_text + of_token * (new + 1))
        if needed > self.limit:
            raise refuse(n, length + new, needed, self.limit)

    def open(self, ids: Sequence[int], n: int, room: int, at: int | None = None) -> int | None:
        """A step holds the texts before it and those after it."""
        assert at is None
        of_source, of_text, of_token = self._bytes
        prompts = {id(text.prompt): len(text.prompt) for text in self._texts.values()}
        sources = of_source * (len(ids) + ROOM + sum(length + ROOM for length in prompts.values()))
        written = sum(of_text + of_token * (text.length + 1) for text in self._texts.values())
        if self._texts and sources + 2 * (written + n * of_text + of_token * room) > self.limit:
            return None
        return self._add(_Text(list(ids), [self.model.config.start], n))

    @torch.inference_mode()
    def compute(self, seqs: Int[np.ndarray, "N"]) -> Computed:
        """Sources are encoded one by one, and tokens read together where all shapes agree: no row's bits depend on its
        company.
        """
        texts = [self._texts[seq] for seq in seqs.tolist()]
        reads = [(0 if text.source else len(text.prompt) - 1) + len(text.unread) for text in texts]
        for text in texts:
            if text.source is None:
                text.source = self._encoded(text.prompt)
                text.state = text.source.state
        kinds: dict[tuple[int, ...], list[_Text]] = {}
        for text in texts:
            if text.unread:
                assert text.source is not None
                shape = (text.source.mask.shape[1], text.state[0].shape[1], len(text.unread))
                kinds.setdefault(shape, []).append(text)
        for alike in kinds.values():
            self._read(alike)
        by = np.repeat(np.arange(len(texts)), reads)
        return Computed(by, np.ones(len(by), bool))

    def _encoded(self, ids: Sequence[int]) -> Source:
        source = torch.tensor([list(ids)], device=self.device)
        memory, state = self.model.encode(source, torch.ones_like(source, dtype=torch.bool))
        more = -len(ids) % ROOM
        padded = tuple(F.pad(part, (0, 0) * (part.ndim - 2) + (0, more)) for part in memory)
        mask = torch.arange(len(ids) + more, device=self.device)[None] < len(ids)
        return Source(padded, mask, state)

    def _read(self, texts: Sequence[_Text]) -> None:
        """The unread tokens of texts whose shapes agree."""
        full = [*texts, *[texts[-1]] * (LEAST_ROWS - len(texts))]
        sources = [text.source for text in full if text.source]
        tokens = torch.tensor([text.unread for text in full], device=self.device)
        state = _stacked([text.state for text in full])
        memory = _stacked([source.memory for source in sources])
        found = self.model.read(tokens, state, memory, torch.cat([source.mask for source in sources]))
        for row, text in enumerate(texts):
            text.state = tuple(part[row : row + 1].clone() for part in found.state)
            text.hidden, text.unread = found.hidden[row, -1].clone(), []
            if found.weights is not None:
                seen = found.weights[row].sum(0)
                text.looked = seen if text.looked is None else text.looked + seen

    @torch.inference_mode()
    def logits(self, seqs: Int[np.ndarray, "N"]) -> Float[Tensor, "N V"]:
        rows = [self._texts[seq].hidden for seq in at_least(LEAST_ROWS, seqs).tolist()]
        logits = self.model.logits(torch.stack([row for row in rows if row is not None]))[: len(seqs)]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def coverage(self, seq: int) -> Float[Tensor, "S"]:
        """How much each token of the source was looked at until the last token of this text was written."""
        text = self._texts[seq]
        assert text.looked is not None
        return text.looked[: len(text.prompt)]

    def advance(
        self, seqs: Int[np.ndarray, "N"], tokens: Int[np.ndarray, "N"]
    ) -> tuple[Int[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
        """Equal samples stay one text."""
        made: dict[tuple[int, int], int] = {}
        at, new = [], []
        for key in zip(seqs.tolist(), tokens.tolist(), strict=True):
            new.append(key not in made)
            if key not in made:
                before = self._texts[key[0]]
                made[key] = self._add(
                    _Text(
                        before.prompt, [key[1]], 0, before.length + 1, before.source, before.state, None, before.looked
                    )
                )
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

    def _add(self, text: _Text) -> int:
        self._opened += 1
        self._texts[self._opened] = text
        return self._opened


def _stacked(rows: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))
