"""Requests handed to the engine by one client, as pieces of text while they are written.

Deliberately not here: the forms in which an API tells them (chat.py, completions.py, responses.py).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

from clearhead.errors import UserError
from clearhead.generation.engine import Engine
from clearhead.generation.request import Request, TokenEvent
from clearhead.generation.sampling import Token
from clearhead.generation.stopping import FinishReason
from clearhead.generation.streaming import Detokenizer, StopStrings
from clearhead.server.errors import ApiError
from clearhead.server.stepper import Stepper, Ticket, Told
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer


class TokenText(NamedTuple):
    """A token, and what it added to the text."""

    token: Token
    text: str
    data: bytes  # of a token that is a part of a character, its own


class Piece(NamedTuple):
    """What a sample of a request was continued by, and with the last one why it ended."""

    request: int
    sample: int
    text: str
    tokens: tuple[TokenText, ...]
    finish: FinishReason | None


@dataclass
class Written:
    """A whole sample: its text, the tokens of that text, and every id that was drawn."""

    text: str = ""
    tokens: list[TokenText] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    finish: FinishReason | None = None
    logprob: float = 0.0

    def add(self, piece: Piece, event: TokenEvent) -> None:
        self.text += piece.text
        self.tokens += piece.tokens
        self.ids.append(event.token.id)
        self.logprob += event.token.logprob
        self.finish = piece.finish


class Reader:
    """The tokens of one sample into text: whole characters, no stop string, and which tokens stand in what is out."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str], after: bool) -> None:
        self._tokenizer, self._words, self._stops = tokenizer, Detokenizer(tokenizer, after), StopStrings(stop)
        self._waiting: list[tuple[TokenText, int]] = []  # with the length of the text up to their end
        self._read = self._out = 0

    def push(self, event: TokenEvent) -> tuple[str, tuple[TokenText, ...]]:
        text = ""
        if event.finish != "end":
            piece = self._words.push(event.token.id)
            self._wait(event.token, piece)
            text = self._stops.push(piece)
        if event.finish is not None and self._stops.found is None:
            rest = self._words.finish()
            if rest and self._waiting:
                last, end = self._waiting[-1]
                self._waiting[-1] = last._replace(text=last.text + rest), end + len(rest)
            text += self._stops.push(rest) + self._stops.finish()
        self._out += len(text)
        return text, tuple(self._ready(event.finish is not None))

    def _wait(self, token: Token, piece: str) -> None:
        data = piece.encode("utf-8", "replace")
        if isinstance(self._tokenizer, SubwordTokenizer) and self._tokenizer.is_byte_level:
            data = self._tokenizer.decode_bytes([token.id])
        self._read += len(piece)
        self._waiting.append((TokenText(token, piece, data), self._read))

    def _ready(self, over: bool) -> list[TokenText]:
        found = []
        while self._waiting and (self._waiting[0][1] <= self._out or over):
            one, end = self._waiting.pop(0)
            if end > self._out:  # a stop string begins in it, or before it
                kept = one.text[: max(0, len(one.text) - (end - self._out))]
                if not kept:
                    continue
                one = one._replace(text=kept, data=kept.encode())
            found.append(one)
        return found


class Drawing:
    """The samples of some requests to one engine: go through it once, within `async with`, which frees their places."""

    def __init__(self, stepper: Stepper, engine: Engine, requests: Sequence[Request], after: bool) -> None:
        self._stepper, self._queue = stepper, asyncio.Queue[tuple[int, Told]]()
        self._tickets = [
            Ticket(engine, request, partial(self._tell, number)) for number, request in enumerate(requests)
        ]
        self._readers = {
            (number, sample): Reader(engine.tokenizer, request.stop, after)
            for number, request in enumerate(requests)
            for sample in range(request.n)
        }
        self.tokens = 0  # that were drawn

    def _tell(self, number: int, told: Told) -> None:
        self._queue.put_nowait((number, told))

    async def __aenter__(self) -> Self:
        for ticket in self._tickets:
            self._stepper.add(ticket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for ticket in self._tickets:
            self._stepper.cancel(ticket)

    async def events(self) -> AsyncGenerator[tuple[Piece, TokenEvent]]:
        """Every token as it is drawn, with the piece of text that became sure by it."""
        left = len(self._readers)
        while left:
            await asyncio.sleep(0)  # a queue that is full lets nobody else have a turn
            number, told = await self._queue.get()
            if isinstance(told, UserError):
                raise told
            if isinstance(told, Exception):
                raise ApiError(500, "the engine failed at this request; it is told in the server's log")
            for event in told:
                self.tokens += 1
                text, tokens = self._readers[number, event.sample].push(event)
                left -= event.finish is not None
                yield Piece(number, event.sample, text, tokens, event.finish), event

    async def whole(self, events: AsyncIterator[tuple[Piece, TokenEvent]]) -> dict[tuple[int, int], Written]:
        """Every sample when all have ended, by request and number."""
        found = {key: Written() for key in self._readers}
        async for piece, event in events:
            found[piece.request, piece.sample].add(piece, event)
        return found
