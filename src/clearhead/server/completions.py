"""/v1/completions: prompts that go on, one or many, as text or as tokens."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.responses import Response

from clearhead.generation.request import Request
from clearhead.generation.sampling import Token
from clearhead.generation.streaming import Detokenizer
from clearhead.server.bodies import CompletionBody
from clearhead.server.drawing import TokenText, Written
from clearhead.server.errors import Json, refused
from clearhead.server.forms import alone, events, finish_reason, finite, likeliest, new_id, now, usage
from clearhead.server.reading import prompt_logprobs
from clearhead.server.served import Served, check_prompt
from clearhead.server.service import Counted, Service
from clearhead.text.begin import prompt_tokens
from clearhead.text.protocol import Tokenizer

NO_TOKEN = Token(-1, 0.0, ())


def prompts(given: Any) -> list[str] | list[list[int]]:
    """One prompt or several, as a list of them."""
    if isinstance(given, str):
        return [given]
    return [given] if isinstance(given[0], int) else given


def ids_of(served: Served, prompt: str | Sequence[int]) -> list[int]:
    found = prompt_tokens(served.loaded.tokenizer, prompt) if isinstance(prompt, str) else list(prompt)
    check_prompt(served, found)
    return found


def asked(served: Served, body: CompletionBody) -> list[Request]:
    """A request for each prompt. ApiError for what cannot be honored."""
    n, best_of = body.n or 1, body.best_of or body.n or 1
    if body.suffix:
        raise refused("suffix: this server cannot write into the middle of a text; leave it out", "suffix")
    if best_of < n:
        raise refused(f"best_of = {best_of} must be at least n = {n}", "best_of")
    if best_of > n and body.stream:
        raise refused("best_of cannot be streamed: the best are known at the end alone", "best_of")
    if body.max_tokens == 0 and (not body.echo or body.stream):
        raise refused("max_tokens = 0 is for echo: true without a stream", "max_tokens")
    if body.stream_options and not body.stream:
        raise refused("stream_options needs stream: true", "stream_options")
    most = served.context if body.max_tokens is None else max(1, body.max_tokens)
    return [
        served.request(body, ids_of(served, one), most, best_of, body.logprobs or 0) for one in prompts(body.prompt)
    ]


async def create(service: Service, body: CompletionBody, held: AsyncExitStack) -> Response:
    served = service.models.find(body.model)
    requests = await service.read(lambda: asked(served, body))
    answer = Answer(served, body, requests)
    if body.echo:
        for request in requests:
            tokens = await service.stepper.run(
                partial(prompt_logprobs, served.engine, request.prompt_ids, body.logprobs or 0)
            ) if body.logprobs is not None else []  # fmt: skip
            answer.echoes.append(Echo(served.loaded.tokenizer, request.prompt_ids, tokens))
    if body.max_tokens == 0:
        return Json(answer.whole([[Written(finish="tokens")] * (body.n or 1) for _ in requests]))
    drawing = await held.enter_async_context(service.drawing(served, requests, after=True))
    if body.stream:
        return events(answer.chunks(drawing))
    whole = await drawing.whole()
    return Json(answer.whole([[whole[i, k] for k in range(one.n)] for i, one in enumerate(requests)]))


class Echo:
    """A prompt that is told again: its text, and its tokens with their log p."""

    def __init__(self, tokenizer: Tokenizer, ids: Sequence[int], tokens: Sequence[Token | None]) -> None:
        words, pieces = Detokenizer(tokenizer), list[str]()
        for i in ids:
            pieces.append(words.push(i))
        pieces[-1] += words.finish()
        self.text = "".join(pieces)
        self.tokens = [
            (TokenText(token or NO_TOKEN, piece, piece.encode("utf-8", "replace")), token is not None)
            for piece, token in zip(pieces, tokens, strict=bool(tokens))
        ]


@dataclass
class Answer:
    """The answer in OpenAI's older form."""

    served: Served
    body: CompletionBody
    requests: Sequence[Request]
    echoes: list[Echo] = field(default_factory=list)
    id: str = field(default_factory=lambda: new_id("cmpl-"))
    created: int = field(default_factory=now)

    @property
    def _prompt_tokens(self) -> int:
        return sum(len(request.prompt_ids) for request in self.requests)

    def _frame(self) -> dict[str, Any]:
        return {"id": self.id, "object": "text_completion", "created": self.created, "model": self.served.name,
                "system_fingerprint": None}  # fmt: skip

    def whole(self, texts: Sequence[Sequence[Written]]) -> dict[str, Any]:
        """Of each prompt the `n` likeliest per token of those that were drawn."""
        n, choices = self.body.n or 1, list[dict[str, Any]]()
        for i, samples in enumerate(texts):
            best = sorted(samples, key=lambda one: -one.logprob / max(1, len(one.ids))) if len(samples) > n else samples
            choices += [self._choice(i * n + k, i, one) for k, one in enumerate(best[:n])]
        used = usage(self._prompt_tokens, sum(len(one.ids) for samples in texts for one in samples))
        return {**self._frame(), "choices": choices, "usage": used}

    def _choice(self, index: int, prompt: int, written: Written) -> dict[str, Any]:
        echo = self.echoes[prompt] if self.echoes else None
        before = echo.text if echo else ""
        tokens = [*(echo.tokens if echo else ()), *((one, True) for one in written.tokens)]
        return {"index": index, "text": before + written.text, "logprobs": self._logprobs(tokens, 0),
                "finish_reason": self._reason(prompt, written)}  # fmt: skip

    def _reason(self, prompt: int, written: Written) -> str:
        return finish_reason(written.finish, len(written.ids), self.requests[prompt].sampling.max_tokens, False)

    def _logprobs(self, tokens: Iterable[tuple[TokenText, bool]], start: int) -> dict[str, Any] | None:
        """`start`: characters of the text before these tokens."""
        if self.body.logprobs is None:
            return None
        told: dict[str, Any] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for one, known in tokens:
            told["tokens"].append(one.text)
            told["token_logprobs"].append(finite(one.token.logprob) if known else None)
            told["top_logprobs"].append(self._top(one.token) if known else None)
            told["text_offset"].append(start)
            start += len(one.text)
        return told

    def _top(self, token: Token) -> dict[str, float]:
        """The likeliest with the token itself, by what they spell."""
        tokenizer = self.served.loaded.tokenizer
        return likeliest(token, tokenizer) | {alone(tokenizer, token.id)[0]: finite(token.logprob)}

    async def chunks(self, drawing: Counted) -> AsyncIterator[dict[str, Any]]:
        n, options = self.body.n or 1, self.body.stream_options
        more = {"usage": None} if options and options.include_usage else {}
        out = {(i, k): 0 for i in range(len(self.requests)) for k in range(n)}
        written = {key: Written() for key in out}
        for i, echo in enumerate(self.echoes):
            for k in range(n):
                yield self._chunk(i * n + k, echo.text, self._logprobs(echo.tokens, 0), None) | more
                out[i, k] = len(echo.text)
        async for piece, event in drawing.events():
            key = piece.request, piece.sample
            written[key].add(piece, event)
            if piece.text or piece.tokens or piece.finish:
                logprobs = self._logprobs(((one, True) for one in piece.tokens), out[key])
                reason = self._reason(piece.request, written[key]) if piece.finish else None
                yield self._chunk(piece.request * n + piece.sample, piece.text, logprobs, reason) | more
            out[key] += len(piece.text)
        if options and options.include_usage:
            used = usage(self._prompt_tokens, sum(len(one.ids) for one in written.values()))
            yield {**self._frame(), "choices": [], "usage": used}

    def _chunk(self, index: int, text: str, logprobs: Any, reason: str | None) -> dict[str, Any]:
        choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
        return {**self._frame(), "choices": [choice]}
