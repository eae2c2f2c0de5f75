"""A `LanguageModel` behind an OpenAI-compatible endpoint: vLLM, SGLang, llama.cpp, or a hosted one.

Texts are kept here and sent whole; that a server remembers their beginnings is its own affair. What a server does not
tell of is made up for where that is exact, and refused in one line where it is not. Where there is no /completions, a
prompt is sent as a chat with the answer begun, which is an approximation, and told.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Int

from clearhead.errors import UserError, warn
from clearhead.generation.endpoint import Endpoint, Refused
from clearhead.generation.language_model import Constraint, Continuation, SamplingParams
from clearhead.generation.nodes import NodeRef, Opened
from clearhead.generation.remote_constraint import Form, forms, held
from clearhead.generation.usage import UsageCounter

SEEDS = (1 << 31) - 1  # servers take 32 bits
ONE = SamplingParams(temperature=0.0, max_tokens=1)
NEUTRAL = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0}  # no API of OpenAI's has them
NO_PATH = {404, 405, 501}
SURELY = 1024  # bytes that fit in any context; a token has at least one
CONTEXT_OF = (
    "max_model_len",
    "context_length",
    "max_context_length",
    "n_ctx_train",
)  # vLLM's, SGLang's, ..., llama.cpp's
TOO_LONG = re.compile(
    r"context.?(length|size|window)|maximum (model|allowed) length|too long|exceeds? the", re.IGNORECASE
)
T = TypeVar("T")


def is_address(name: str) -> bool:
    """Is it an endpoint and no file?"""
    return name.startswith(("http://", "https://"))


def at_once(asked: Sequence[Callable[[], T]], workers: int) -> list[T]:
    """What all of them give, in order. A failure, or Ctrl-C, is raised without waiting for those that are under way."""
    waiting, done = SimpleQueue[tuple[int, Callable[[], T]]](), SimpleQueue[tuple[int, T | BaseException]]()
    for job in enumerate(asked):
        waiting.put(job)

    def work() -> None:
        with suppress(Empty):
            while True:
                i, ask = waiting.get_nowait()
                try:
                    done.put((i, ask()))
                except BaseException as error:
                    done.put((i, error))

    for _ in range(min(workers, len(asked))):
        Thread(target=work, daemon=True).start()
    found: dict[int, T] = {}
    try:
        while len(found) < len(asked):
            i, result = done.get()
            if isinstance(result, BaseException):
                raise result
            found[i] = result
    finally:
        with suppress(Empty):
            while True:
                waiting.get_nowait()
    return [found[i] for i in range(len(asked))]


class Written(NamedTuple):
    """One text as a server gives it.

    `hit`: the stop string that ended it, "" if none did, None if the server does not tell. `complete`: its constraint
    leaves nothing to write, so that it did not end by itself.
    """

    text: str
    logprobs: tuple[tuple[str, float], ...]
    length: bool
    hit: str | None
    complete: bool = False


class RemoteModel(Opened):
    """`model` is its name at the endpoint, None for the first that is served there.

    `concurrency`: requests under way at once. `most`: tokens of a continuation where a caller sets no limit. A sample
    depends on its node, seed and index as far as the server keeps to seeds. `usage` counts what the server reports.
    """

    def __init__(
        self, url: str, model: str | None = None, key: str | None = None, *, concurrency: int = 8, most: int = 2048,
        timeout: float = 300.0, attempts: int = 5, backoff: float = 0.5,
    ) -> None:  # fmt: skip
        self.endpoint = Endpoint(url, key, timeout, attempts, backoff)
        self.model, self.most, self._concurrency = model or self._served(), most, concurrency
        self._texts = _Texts()
        super().__init__(self._texts, UsageCounter())
        self._chat = self._plain = False  # what the server has turned out to be: without /completions, OpenAI's own
        self._tells_stop, self._met = True, False
        self._form: dict[str, Form] = {}  # of constraints, by their kind

    @classmethod
    def at(cls, name: str) -> "RemoteModel":
        """By an address that may say which model: http://localhost:8000/v1#qwen."""
        url, _, model = name.partition("#")
        return cls(url, model or None)

    @cached_property
    def context(self) -> int | None:
        """Tokens that the server holds of one text, None where it does not tell."""
        try:
            rows = self._models()
        except UserError:  # what lasts is told when a text is asked for
            return None
        row = next((row for row in rows if row.get("id") == self.model), {})
        meta = row.get("meta")
        told = {**row, **(meta if isinstance(meta, dict) else {})}
        sizes = (told.get(name) for name in CONTEXT_OF)
        return next((size for size in sizes if isinstance(size, int) and size > 0), None)

    def fits(self, prompt: str) -> bool:
        """Does the context hold the prompt and a token more? Where its bytes do not tell, the server is asked."""
        most = self.context
        if len(prompt.encode()) < (SURELY if most is None else most):
            return True
        try:
            data = self._asked(_Text(prompt, len(prompt)), {**_sampled(ONE, 1), "n": 1}, None)
        except Refused as error:
            if too_long(error):
                return False
            raise
        return most is None or _spent(data, []).prompt < most  # some servers cut a long prompt, and say nothing

    def open(self, prompts: Sequence[str]) -> list[int]:
        if "" in prompts:
            raise UserError("an empty prompt has nothing to continue; give at least one character")
        slots = [self._texts.slot(_Text(prompt, len(prompt))) for prompt in prompts]
        return self._nodes.acquire(slots, [self._usage.open() for _ in prompts])

    def text(self, node: int) -> str:
        """The whole text of a node, prompt included."""
        return self._texts.of[self._nodes.find([node])[0].slot].text

    def extend(
        self, nodes: Sequence[int], n: int, sampling: SamplingParams, seeds: Sequence[int], stop: str | None = "\n",
        constraint: Constraint | None = None,
    ) -> list[list[Continuation]]:  # fmt: skip
        if n < 1:
            raise UserError(f"n = {n} samples cannot be drawn; n must be at least 1")
        if len(seeds) != len(nodes):
            raise UserError(f"{len(nodes)} nodes need as many seeds, not {len(seeds)}")
        refs = self._unfinished(nodes)
        asked = [
            partial(self._written, self._texts.of[ref.slot], n, sampling, seed, stop, constraint)
            for ref, seed in zip(refs, seeds, strict=True)
        ]
        found = self._together(asked)
        return [
            [self._continuation(ref, text, stop) for text in self._paid(ref, texts, spent)]
            for ref, (texts, spent) in zip(refs, found, strict=True)
        ]

    def score(self, nodes: Sequence[int], texts: Sequence[str]) -> list[float]:
        """log p(text | node), where the server echoes a prompt with its log-probabilities; else a UserError."""
        refs = self._unfinished(nodes)
        asked = [partial(self._scored, self._texts.of[ref.slot], text) for ref, text in zip(refs, texts, strict=True)]
        found = self._together(asked)
        for ref, (_, spent) in zip(refs, found, strict=True):
            self._pay(ref, spent._replace(generated=0))
        return [log_p for log_p, _ in found]

    def _models(self) -> list[dict[str, Any]]:
        found = self.endpoint.get("models").get("data")
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def _served(self) -> str:
        names = [row.get("id") for row in self._models()]
        if not names or not isinstance(names[0], str):
            raise UserError(f"the endpoint {self.endpoint.url} names no model; say which one, as in URL#MODEL")
        return names[0]

    def _together(self, asked: Sequence[Callable[[], T]]) -> list[T]:
        """All answers, in order. The very first request, alone, finds out what the server can do."""
        try:
            first = [ask() for ask in asked[: 0 if self._met else 1]]
            self._met = self._met or bool(first)
            return [*first, *at_once(asked[len(first) :], self._concurrency)]
        except BaseException:
            self.endpoint.stop()
            raise

    def _written(
        self, at: "_Text", n: int, sampling: SamplingParams, seed: int, stop: str | None, constraint: Constraint | None
    ) -> tuple[list[Written], "Spent"]:
        """n texts after one, each of which the constraint allows, and what they cost."""
        if constraint is None:
            return self._samples(at, n, sampling, seed, stop, {})
        known, spent = self._form.get(constraint.kind), Spent()
        for form in [known] if known else forms(constraint):
            try:
                texts, cost = self._samples(at, n, sampling, seed, stop, form.fields(constraint))
            except Refused as error:
                if error.status in NO_PATH:
                    raise
                continue
            spent += cost
            kept = [obeyed(constraint, text) for text in texts]
            if None not in kept:
                self._form[constraint.kind] = form
                return [text for text in kept if text is not None], spent
        raise UserError(
            f"the endpoint {self.endpoint.url} does not keep to a {constraint.kind} constraint in any form that is "
            "known (vLLM's, SGLang's, llama.cpp's, OpenAI's); take another server, or a local model"
        )

    def _samples(
        self, at: "_Text", n: int, sampling: SamplingParams, seed: int, stop: str | None, more: Mapping[str, Any]
    ) -> tuple[list[Written], "Spent"]:
        """n texts of one request, or of several where the server gives one at a time."""
        texts, spent = list[Written](), Spent()
        wanted = 1 if sampling.greedy else n
        while len(texts) < wanted:
            body = {
                "n": wanted - len(texts),
                "seed": (seed + len(texts)) % SEEDS,
                **_sampled(sampling, self.most),
                **more,
            }
            data = self._asked(at, body, stop)
            some = [_read(choice, self._chat, stop) for choice in _choices(data, self.endpoint.url)]
            spent += _spent(data, some)
            if self._tells_stop and any(text.hit is None for text in some):
                self._tells_stop = False  # from now on texts are cut here, and the end of a text is its end
                continue
            texts += some
        return (texts * n if sampling.greedy else texts)[:n], spent

    def _asked(self, at: "_Text", body: Mapping[str, Any], stop: str | None) -> dict[str, Any]:
        """The answer to a request in the words of this server; where its context has no room, for fewer tokens."""
        stops = {"stop": [stop]} if stop is not None and self._tells_stop else {}
        while True:
            extras = {} if self._plain else NEUTRAL
            path, where = ("chat/completions", at.as_chat()) if self._chat else ("completions", {"prompt": at.text})
            logprobs: Any = True if self._chat else 1
            request = {"model": self.model, **where, "logprobs": logprobs, **stops, **extras, **body}
            try:
                return self.endpoint.post(path, request)
            except Refused as error:
                if error.status in NO_PATH and not self._chat:
                    warn(f"{self.endpoint.url} has no /completions: prompts are sent as chats, an approximation")
                    self._chat = True
                elif too_long(error):
                    if body["max_tokens"] < 2:
                        raise
                    body = {**body, "max_tokens": body["max_tokens"] // 2}
                elif error.status in (400, 422) and not self._plain:
                    self._plain = True
                else:
                    raise

    def _scored(self, at: "_Text", text: str) -> tuple[float, "Spent"]:
        body = {"prompt": at.text + text, "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0.0}
        try:
            data = self.endpoint.post("completions", {"model": self.model, **body})
        except Refused as error:
            raise UserError(f"{error}; texts cannot be scored there, only written") from None
        written = _read(_choices(data, self.endpoint.url)[0], False, None)
        total, end, found = 0.0, 0, len(at.text)
        for token, log_p in written.logprobs:
            end += len(token)
            if found < end <= found + len(text):
                total += log_p
        if end < found + len(text) or not written.text.startswith(at.text + text) or math.isnan(total):
            raise UserError(
                f"the endpoint {self.endpoint.url} gives no log-probabilities of a prompt (echo); texts cannot be "
                "scored there, only written"
            )
        return total, _spent(data, [])

    def _paid(self, ref: NodeRef, texts: list[Written], spent: "Spent") -> list[Written]:
        self._pay(ref, spent)
        return texts

    def _pay(self, ref: NodeRef, spent: "Spent") -> None:
        computed = spent.prompt - spent.cached + spent.generated
        tree = np.array([ref.tree])
        self._usage.add(tree, generated=spent.generated, computed=computed, unique=computed, reused=spent.cached)

    def _continuation(self, ref: NodeRef, written: Written, stop: str | None) -> Continuation:
        at = self._texts.of[ref.slot]
        kept, end = written.text, written.text.find(stop) if stop else -1
        if end >= 0:  # the server gave more than was asked for
            kept = kept[:end]
        stopped = end >= 0 or bool(written.hit)
        done = not (stopped or written.length or written.complete)
        through = kept + (stop or "") if stopped else kept
        tokens = _until(written.logprobs, len(through)) if end >= 0 else written.logprobs
        slot = self._texts.slot(_Text(at.text + through, at.prompt, done))
        return Continuation(
            node=self._nodes.acquire([slot], [ref.tree])[0],
            text=kept,
            logprob=sum(log_p for _, log_p in tokens),
            tokens=len(tokens),
            done=done,
            truncated=written.length and not stopped,
        )

    def _unfinished(self, nodes: Sequence[int]) -> list[NodeRef]:
        refs = self._nodes.find(nodes)
        for node, ref in zip(nodes, refs, strict=True):
            if self._texts.of[ref.slot].done:
                raise UserError(f"the text of node {node} has ended; only a continuation that is not done can go on")
        return refs


class _Text(NamedTuple):
    """A text whose first `prompt` characters were opened; `done`: the model ended it."""

    text: str
    prompt: int
    done: bool = False

    def as_chat(self) -> dict[str, Any]:
        begun = [{"role": "assistant", "content": self.text[self.prompt :]}] if len(self.text) > self.prompt else []
        going_on = {"continue_final_message": True, "add_generation_prompt": False} if begun else {}
        return {"messages": [{"role": "user", "content": self.text[: self.prompt]}, *begun], **going_on}


class _Texts:
    """Numbers for texts; one that nobody holds any more is forgotten."""

    def __init__(self) -> None:
        self.of: dict[int, _Text] = {}
        self._slots: dict[_Text, int] = {}
        self._held: Counter[int] = Counter()
        self._given = 0

    def slot(self, text: _Text) -> int:
        if text not in self._slots:
            self.of[self._given], self._slots[text] = text, self._given
            self._given += 1
        return self._slots[text]

    def acquire(self, slots: Int[np.ndarray, "N"]) -> None:
        self._held.update(slots.tolist())

    def release(self, slots: Int[np.ndarray, "N"]) -> None:
        for slot in slots.tolist():
            self._held[slot] -= 1
            if not self._held[slot]:
                del self._held[slot], self._slots[self.of.pop(slot)]


class Spent(NamedTuple):
    """Tokens, as the server counts them."""

    prompt: int = 0
    cached: int = 0
    generated: int = 0

    def __add__(self, other: Any) -> "Spent":
        return Spent(*map(sum, zip(self, other, strict=True)))


def too_long(error: Refused) -> bool:
    """Is it the context that has no room for a request? Servers say so in words alone."""
    return error.status in (400, 413, 422) and TOO_LONG.search(str(error)) is not None


def _sampled(sampling: SamplingParams, most: int) -> dict[str, Any]:
    """Settings in the words of the API; those that only some servers know only where they change anything."""
    found = {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": min(sampling.max_tokens, most)}
    penalty = sampling.repetition_penalty
    own = {"top_k": sampling.top_k, "min_p": sampling.min_p, "repetition_penalty": penalty, "repeat_penalty": penalty}
    return found | {name: value for name, value in own.items() if value != NEUTRAL[name]}


def _choices(data: Mapping[str, Any], url: str) -> list[dict[str, Any]]:
    found = data.get("choices")
    if not isinstance(found, list) or not found or not all(isinstance(choice, dict) for choice in found):
        raise UserError(f"the endpoint {url} answers without choices ({str(data)!r:.80}); is it OpenAI-compatible?")
    return found


def _read(choice: Mapping[str, Any], chat: bool, stop: str | None) -> Written:
    """One choice of an answer. UserError if it holds no text."""
    message = choice.get("message") if chat else choice
    text = message.get("content" if chat else "text") if isinstance(message, dict) else None
    if not isinstance(text, str):
        raise UserError(f"an endpoint's answer holds no text ({str(choice)!r:.80}); is it OpenAI-compatible?")
    reason, hit = choice.get("finish_reason"), None
    if reason == "length" or stop is None:
        hit = ""
    elif stop in text:
        hit = stop
    else:
        for name in ("stop_reason", "matched_stop", "stopping_word"):  # vLLM's, SGLang's and llama.cpp's
            if name in choice:
                hit = stop if choice[name] == stop else ""
    return Written(text, tuple(_logprobs(choice.get("logprobs"))), reason == "length", hit)


def _logprobs(told: Any) -> list[tuple[str, float]]:
    """Tokens and their log p, in either form; none where a server gives none."""
    if not isinstance(told, dict):
        return []
    try:
        if isinstance(told.get("content"), list):
            return [(str(row["token"]), float(row["logprob"])) for row in told["content"]]
        pairs = zip(told["tokens"], told["token_logprobs"], strict=True)
        return [(str(token), math.nan if log_p is None else float(log_p)) for token, log_p in pairs]
    except (KeyError, TypeError, ValueError):
        return []


def obeyed(constraint: Constraint, written: Written) -> Written | None:
    """The text as the constraint has it, None if it is none of its."""
    found = held(constraint, written.text, whole=not (written.length or written.hit))
    return written._replace(text=found[0], complete=found[1]) if found else None


def _spent(data: Mapping[str, Any], texts: Sequence[Written]) -> Spent:
    """What the server counted, or the tokens that it showed."""
    told = data.get("usage")
    told = told if isinstance(told, dict) else {}
    details = told.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    counts = [told.get("prompt_tokens"), cached, told.get("completion_tokens")]
    prompt, cached, generated = (count if isinstance(count, int) else 0 for count in counts)
    return Spent(prompt, cached, generated or sum(len(text.logprobs) for text in texts))


def _until(tokens: Sequence[tuple[str, float]], characters: int) -> Sequence[tuple[str, float]]:
    """The first tokens, which hold so many characters."""
    end = 0
    for i, (token, _) in enumerate(tokens):
        end += len(token)
        if end >= characters:
            return tokens[: i + 1]
    return tokens
