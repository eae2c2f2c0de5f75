"""A prompt and what a model makes of it: one text shown while it is written, or all texts of a request at once.

Deliberately not here: loading (pipeline), printing (cli), and tokens (engine.py).
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from clearhead.generation.engine import Engine
from clearhead.generation.request import Request
from clearhead.generation.sampling import Token
from clearhead.generation.stopping import FinishReason
from clearhead.generation.streaming import Detokenizer, StopStrings


@dataclass(frozen=True)
class Text:
    """What was written: the text before a stop string, and every token of it. `ended` None: it was stopped half-way."""

    text: str
    tokens: tuple[Token, ...]
    ended: FinishReason | None

    @property
    def logprob(self) -> float:
        """The sum of log p of its tokens at temperature 1 without filters, a stop string's and the end included."""
        return sum(token.logprob for token in self.tokens)


class TextStream:
    """One sample in pieces: go through it once, then ask for `text`. Stopped half-way, it is the part until then.

    Nobody else may step the engine meanwhile.
    """

    def __init__(self, engine: Engine, request: Request, after: bool = True) -> None:
        """UserError if the request can never run. `after`: the text goes on the prompt's, and keeps its first space."""
        engine.check(request)
        self._engine, self._request = engine, request
        self._stops = StopStrings(request.stop)
        self._words = Detokenizer(engine.tokenizer, after and engine.goes_on)
        self._pieces: list[str] = []
        self._finish: FinishReason | None = None
        self.tokens: list[Token] = []

    def __iter__(self) -> Iterator[str]:
        own = self._engine.add(self._request)
        try:
            while self._finish is None:
                for event in self._engine.step():
                    self.tokens.append(event.token)
                    self._finish = event.finish
                    if event.finish != "end":
                        yield from self._out(self._stops.push(self._words.push(event.token.id)))
            yield from self._out(self._stops.push(self._words.finish()) + self._stops.finish())
        finally:
            self._engine.cancel(own)

    def _out(self, piece: str) -> Iterator[str]:
        if piece:
            self._pieces.append(piece)
            yield piece

    @property
    def text(self) -> Text:
        return Text("".join(self._pieces), tuple(self.tokens), self._finish)


def generate(engine: Engine, request: Request) -> list[Text]:
    """Every text of a request: the samples, of which the first is `TextStream`'s, or the best that its beams find."""
    own = engine.add(request)
    tokens: defaultdict[int, list[Token]] = defaultdict(list)
    finish: dict[int, FinishReason] = {}
    try:
        while engine.unfinished:
            for event in engine.step():
                tokens[event.sample].append(event.token)
                if event.finish is not None:
                    finish[event.sample] = event.finish
    finally:
        engine.cancel(own)
    ids = {sample: [token.id for token in found] for sample, found in tokens.items()}
    return [
        Text(engine.text(ids[sample], finish[sample], request.stop), tuple(tokens[sample]), finish[sample])
        for sample in sorted(finish)
    ]
