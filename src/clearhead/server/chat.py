"""/v1/chat/completions."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from clearhead.generation.request import Request
from clearhead.server.bodies import ChatBody, Function, NamedTool
from clearhead.server.drawing import Piece, Written
from clearhead.server.errors import Json, refused
from clearhead.server.forms import events, finish_reason, logprob_entry, new_id, now, usage
from clearhead.server.prompts import plain_messages, prompt_of
from clearhead.server.served import Served
from clearhead.server.service import Counted, Service
from clearhead.server.tools import (
    CALLS,
    Called,
    CallForm,
    call_grammar,
    form_of,
    format_constraint,
    in_words,
    knows_tools,
    plain_tool,
    read_calls,
)
from clearhead.text.subword import SubwordTokenizer


@dataclass(frozen=True)
class Asked:
    """A chat as the engine is asked, and how calls of tools stand in its answer, if it may have some."""

    request: Request
    form: CallForm | None
    tokenizer: Any

    @property
    def most(self) -> int:
        return self.request.sampling.max_tokens

    def calls(self, written: Written) -> list[Called] | None:
        if self.form is None:
            return None
        return read_calls(self.form, self.spelled(written))

    def spelled(self, written: Written) -> str:
        """The text with its special tokens, which calls may begin with, and without the end."""
        if self.form is None or not isinstance(self.tokenizer, SubwordTokenizer):
            return written.text
        return self.tokenizer.decode_after(written.ids[: len(written.ids) - (written.finish == "end")], special=True)

    def reason(self, written: Written) -> str:
        constrained = self.request.constraint is not None
        return finish_reason(written.finish, len(written.ids), self.most, constrained)


def asked(service: Service, served: Served, body: ChatBody) -> Asked:
    """The body as a request. ApiError for what cannot be honored."""
    if body.max_tokens and body.max_completion_tokens and body.max_tokens != body.max_completion_tokens:
        raise refused("max_tokens and max_completion_tokens are the same; give one of them", "max_tokens")
    if body.top_logprobs and not body.logprobs:
        raise refused("top_logprobs needs logprobs: true", "top_logprobs")
    if body.stream_options and not body.stream:
        raise refused("stream_options needs stream: true", "stream_options")
    messages = plain_messages(body.messages)
    functions = chosen_functions(body)
    kind = body.response_format
    text = format_constraint(kind.type, kind.json_schema) if kind else None
    variables = dict(body.chat_template_kwargs or {})
    if reserved := {"messages", "tools", "add_generation_prompt"} & variables.keys():
        raise refused(f"chat_template_kwargs may not set {', '.join(sorted(reserved))}", "chat_template_kwargs")
    form, constraint = None, text
    template, tokenizer = served.loaded.template, served.loaded.tokenizer
    tools = [plain_tool(tool.function) for tool in body.tools or ()] if body.tool_choice != "none" else []
    with served.lock:
        if template is not None and knows_tools(template):
            variables |= {"tools": tools} if tools else {}
        else:
            messages = in_words(messages, tools)
        ids = prompt_of(served, messages, **variables)
        if functions:
            assert template is not None
            form = form_of(template, tokenizer, tools)
            forced = body.tool_choice not in (None, "auto")
            calls = 1 if body.parallel_tool_calls is False or isinstance(body.tool_choice, NamedTool) else CALLS
            constraint = call_grammar(
                form, functions, tokenizer, calls, None if forced else text, not forced and text is None
            )
    most = body.max_completion_tokens or body.max_tokens or service.settings.max_tokens
    top = body.top_logprobs or 0
    return Asked(served.request(body, ids, most, body.n or 1, top, constraint), form, tokenizer)


def chosen_functions(body: ChatBody) -> list[Function]:
    """Those that may be called."""
    functions = [tool.function for tool in body.tools or ()]
    names = [function.name for function in functions]
    if len(set(names)) < len(names):
        raise refused("two tools have one name; give each its own", "tools")
    choice = body.tool_choice
    if isinstance(choice, NamedTool):
        if choice.function.name not in names:
            raise refused(f"tool_choice: there is no tool {choice.function.name[:80]!r} among tools", "tool_choice")
        return [function for function in functions if function.name == choice.function.name]
    if choice == "required" and not functions:
        raise refused("tool_choice: required needs tools", "tool_choice")
    return [] if choice == "none" else functions


async def create(service: Service, body: ChatBody, held: AsyncExitStack) -> Response:
    """`held` is closed when the request is over."""
    served = service.models.find(body.model)
    ready = await service.read(lambda: asked(service, served, body))
    drawing = await held.enter_async_context(service.drawing(served, [ready.request], after=False))
    answer = Answer(served, body, ready)
    if body.stream:
        return events(answer.chunks(drawing))
    whole = await drawing.whole()
    return Json(answer.whole([whole[0, i] for i in range(ready.request.n)]))


@dataclass
class Answer:
    """An answer in OpenAI's forms: one object, or chunks."""

    served: Served
    body: ChatBody
    asked: Asked
    id: str = field(default_factory=lambda: new_id("chatcmpl-"))
    created: int = field(default_factory=now)

    def _frame(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.served.name,
                "system_fingerprint": None}  # fmt: skip

    def whole(self, samples: list[Written]) -> dict[str, Any]:
        used = usage(len(self.asked.request.prompt_ids), sum(len(one.ids) for one in samples))
        choices = [self._choice(i, one) for i, one in enumerate(samples)]
        return {**self._frame("chat.completion"), "choices": choices, "usage": used}

    def _choice(self, index: int, written: Written) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": written.text, "refusal": None}
        reason, calls = self.asked.reason(written), self.asked.calls(written)
        if calls is not None:
            message |= {"content": None, "tool_calls": [call_plain(call) for call in calls]}
            reason = "tool_calls"
        return {"index": index, "message": message, "logprobs": self._logprobs(written.tokens),
                "finish_reason": reason}  # fmt: skip

    def _logprobs(self, tokens: Any) -> dict[str, Any] | None:
        if not self.body.logprobs:
            return None
        return {"content": [logprob_entry(one, self.asked.tokenizer) for one in tokens], "refusal": None}

    async def chunks(self, drawing: Counted) -> AsyncIterator[dict[str, Any]]:
        n = self.asked.request.n
        samples = [Written() for _ in range(n)]
        held = [Held(self.asked) for _ in range(n)]
        options = self.body.stream_options
        more = {"usage": None} if options and options.include_usage else {}
        for i in range(n):
            yield self._chunk(i, {"role": "assistant", "content": "", "refusal": None}) | more
        async for piece, event in drawing.events():
            written = samples[piece.sample]
            written.add(piece, event)
            for delta, tokens, reason in held[piece.sample].push(piece, written):
                yield self._chunk(piece.sample, delta, tokens, reason) | more
        if options and options.include_usage:
            used = usage(len(self.asked.request.prompt_ids), sum(len(one.ids) for one in samples))
            yield {**self._frame("chat.completion.chunk"), "choices": [], "usage": used}

    def _chunk(self, index: int, delta: dict[str, Any], tokens: Any = (), reason: str | None = None) -> dict[str, Any]:
        logprobs = self._logprobs(tokens) if tokens else None
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return {**self._frame("chat.completion.chunk"), "choices": [choice]}


class Held:
    """The deltas of one sample: text as it comes, but what may be calls of tools only when they are whole."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self._calls = asked, asked.form is not None
        self._text, self._tokens = "", list[Any]()

    def push(self, piece: Piece, written: Written) -> list[tuple[dict[str, Any], Any, str | None]]:
        found: list[tuple[dict[str, Any], Any, str | None]] = []
        self._text += piece.text
        self._tokens += piece.tokens
        over = piece.finish is not None
        calls = self._asked.calls(written) if over and self._calls else None
        if calls is not None:
            deltas = [call_plain(call) | {"index": i} for i, call in enumerate(calls)]
            found += [({"tool_calls": [delta]}, (), None) for delta in deltas]
        elif (self._text or self._tokens) and (over or not self._may_call(written)):
            found.append(({"content": self._text}, self._tokens, None))
            self._text, self._tokens = "", []
        if over:
            found.append(({}, (), "tool_calls" if calls is not None else self._asked.reason(written)))
        return found

    def _may_call(self, written: Written) -> bool:
        """Whether what there is may be the beginning of a call; once it is not, the rest is text."""
        if self._calls and self._asked.form is not None:
            text, before = self._asked.spelled(written), self._asked.form.before
            self._calls = text.startswith(before) or before.startswith(text)
        return self._calls


def call_plain(call: Called) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
