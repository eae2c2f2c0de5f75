"""A smaller model whose likeliest tokens are the guesses of a larger one."""

from collections.abc import Sequence

import numpy as np
import torch

from clearhead.errors import UserError
from clearhead.generation.contiguous import ContiguousBackend
from clearhead.models.decoder import Decoder
from clearhead.text.protocol import Tokenizer


class ModelDraft:
    """The tokens that a decoder would write greedily; what it read of a text before is not read again."""

    def __init__(self, decoder: Decoder, kv_memory: int | None = None) -> None:
        self.backend = ContiguousBackend(decoder, kv_memory=kv_memory)

    @torch.inference_mode()
    def propose(self, text: Sequence[int], most: int) -> list[int]:
        most = min(most, self.backend.max_positions - len(text))
        if most < 1:
            return []
        seq = np.array([self.backend.open(text, 1, most)])
        guess: list[int] = []
        while len(guess) < most:
            self.backend.compute(seq)
            guess.append(int(self.backend.logits(seq).argmax()))
            self.backend.advance(seq, np.array(guess[-1:]))
            self.backend.release([0])
        self.backend.release([0])
        return guess


def check_tokens(target: Tokenizer, draft: Tokenizer) -> None:
    """UserError unless both mean the same by every id."""
    differs = next((i for i in range(target.vocab_size) if not same(target, draft, i)), None)
    if target.vocab_size != draft.vocab_size or differs is not None:
        raise UserError(
            f"the draft has {draft.vocab_size:,} tokens and the model {target.vocab_size:,}, which must be the "
            "same ones; take a draft of the same family"
        )


def same(target: Tokenizer, draft: Tokenizer, token: int) -> bool:
    return token < draft.vocab_size and target.decode([token]) == draft.decode([token])
