"""A prompt and what a model makes of it: one text shown while it is written, or several at once.

Deliberately not here: loading (pipeline) and printing (cli).
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from clearhead.errors import UserError
from clearhead.generation.beam import beam_search
from clearhead.generation.decode import Writer
from clearhead.generation.engine import LocalEngine, textless
from clearhead.generation.language_model import SampleConfig
from clearhead.generation.sampling import Token
from clearhead.generation.stopping import StopRule
from clearhead.generation.streaming import Detokenizer, StopStrings, decoder_after
from clearhead.models.decoder import Decoder
from clearhead.text.protocol import Tokenizer

Ended = Literal["end", "stop", "tokens", "context"]
"""The model's own end, a stop string, the number of tokens asked for, or the model's context."""


@dataclass(frozen=True)
class Text:
    """What was written: the text before a stop string, and every token that was drawn for it."""

    text: str
    tokens: tuple[Token, ...]
    ended: Ended

    @property
    def logprob(self) -> float:
        """The sum of log p of its tokens at temperature 1 without filters, a stop string's and the end included."""
        return sum(token.logprob for token in self.tokens)


def check_room(prompt: Sequence[int], decoder: Decoder) -> None:
    """UserError unless the context has room for the prompt and a token."""
    room = decoder.config.max_positions
    if len(prompt) >= room:
        raise UserError(
            f"the prompt is {len(prompt)} tokens long, but the model's context is {room}, and what it writes must fit "
            f"too; shorten the prompt by {len(prompt) - room + 1} tokens or more"
        )


def check_memory(rows: int, tokens: int, decoder: Decoder, memory: int | None = None) -> None:
    """UserError if so many texts, written together, could need more bytes than there are; None: all of the machine's.

    Counted are the keys and values of every token, and three numbers for each word of the vocabulary.
    """
    config, weight = decoder.config, decoder.embed.weight
    if memory is None:
        on_gpu = weight.device.type == "cuda"
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        memory = torch.cuda.mem_get_info(weight.device)[1] if on_gpu else machine
    kept = 2 * config.n_layers * config.n_kv_heads * config.channels * weight.itemsize
    needed = rows * (kept * min(tokens, config.max_positions) + 3 * 4 * config.vocab)
    if needed > memory:
        raise UserError(
            f"{rows:,} texts of {tokens:,} tokens, written together, need {needed / 2**30:,.1f} GiB, and there are "
            f"{memory / 2**30:,.1f}; ask for fewer or for shorter ones"
        )


class Writing:
    """One text in pieces: go through it once, then ask for `text`. Stopped half-way, it is the part until then."""

    def __init__(
        self,
        writer: Writer,
        tokenizer: Tokenizer,
        prompt: Sequence[int],
        sampling: SampleConfig,
        seed: int,
        stop: Sequence[str] = (),
        show: int = 0,
        after: bool = True,
    ) -> None:
        """`after`: what is written goes on the prompt's text, and keeps the space before its first word."""
        check_room(prompt, writer.decoder)
        never = textless(tokenizer, writer.config.vocab).to(writer.device)
        self._drawn = writer.write(prompt, sampling, seed, never, tokenizer.end_ids, show=show)
        self._stops = StopStrings(stop)
        self._words = Detokenizer(tokenizer, after)
        self._ends = tokenizer.end_ids
        self._limit = sampling.max_tokens
        self._pieces: list[str] = []
        self.tokens: list[Token] = []

    def __iter__(self) -> Iterator[str]:
        for token in self._drawn:
            self.tokens.append(token)
            if token.id not in self._ends:
                yield from self._out(self._stops.push(self._words.push(token.id)))
            if self._stops.found is not None:
                return
        yield from self._out(self._stops.push(self._words.finish()) + self._stops.finish())

    def _out(self, piece: str) -> Iterator[str]:
        if piece:
            self._pieces.append(piece)
            yield piece

    @property
    def text(self) -> Text:
        return Text("".join(self._pieces), tuple(self.tokens), self._ended)

    @property
    def _ended(self) -> Ended:
        if self._stops.found is not None:
            return "stop"
        if self.tokens and self.tokens[-1].id in self._ends:
            return "end"
        return "tokens" if len(self.tokens) == self._limit else "context"


def by_beams(
    decoder: Decoder,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    beams: int,
    limit: int,
    alpha: float,
    n: int,
    stop: Sequence[str] = (),
    show: int = 0,
) -> list[Text]:
    """The n best of the texts that beam search finds."""
    check_room(prompt, decoder)
    check_memory(beams, limit, decoder)
    engine = LocalEngine(decoder, tokenizer, dtype=decoder.dtype)
    (root,) = engine.open_tokens([prompt])
    rule = StopRule(tokenizer, stop)
    texts = []
    for found in beam_search(engine, root, beams, limit, alpha, stop)[:n]:
        tokens = engine.described(found.node, found.tokens, show)
        is_end = tokens[-1].id in tokenizer.end_ids
        text = decoder_after(tokenizer)([token.id for token in tokens[: len(tokens) - is_end]])
        ended: Ended = "end" if is_end else "stop"
        if not found.ended:
            ended = "tokens" if len(tokens) == limit else "context"
        texts.append(Text(text[: rule.find(text)], tuple(tokens), ended))
    return texts


def several(
    decoder: Decoder,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    sampling: SampleConfig,
    seed: int,
    n: int,
    stop: Sequence[str] = (),
    show: int = 0,
) -> list[Text]:
    """n samples, all written together; the first is the one that `Writing` writes."""
    check_room(prompt, decoder)
    check_memory(n, sampling.max_tokens, decoder)
    engine = LocalEngine(decoder, tokenizer, dtype=decoder.dtype)
    (drawn,) = engine.extend(engine.open_tokens([prompt]), n, sampling, [seed], stop=tuple(stop) or None)
    texts = []
    for one in drawn:
        ended: Ended = "end" if one.done else "stop"
        if one.truncated:
            ended = "tokens" if one.tokens == sampling.max_tokens else "context"
        texts.append(Text(one.text, tuple(engine.described(one.node, one.tokens, show)), ended))
    return texts
