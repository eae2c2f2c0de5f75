"""/v1/responses: a chat in OpenAI's newer form. Nothing is kept between calls, so none goes on another."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from clearhead.server.bodies import (
    CalledFunction,
    ChatBody,
    FlatNamedTool,
    Function,
    FunctionName,
    InputCall,
    InputResult,
    JsonSchema,
    Message,
    NamedTool,
    ResponseBody,
    ResponseFormat,
    Tool,
    ToolCall,
)
from clearhead.server.chat import Asked, Held, asked
from clearhead.server.drawing import TokenText, Written
from clearhead.server.errors import Json
from clearhead.server.forms import events, logprob_entry, new_id, now
from clearhead.server.served import Served
from clearhead.server.service import Counted, Service
from clearhead.server.tools import Called


def as_chat(body: ResponseBody) -> ChatBody:
    """The same as a chat completion is asked for."""
    form = body.text.format if body.text else None
    choice = body.tool_choice
    named = NamedTool(type="function", function=FunctionName(name=choice.name)) if isinstance(
        choice, FlatNamedTool) else choice  # fmt: skip
    schema = JsonSchema.model_validate({"name": form.name, "schema": form.schema_}) if form else None
    return ChatBody(
        model=body.model, messages=messages_of(body), max_tokens=body.max_output_tokens, temperature=body.temperature,
        top_p=body.top_p, seed=body.seed, stream=body.stream, logprobs=bool(body.include or body.top_logprobs),
        top_logprobs=body.top_logprobs, parallel_tool_calls=body.parallel_tool_calls, tool_choice=named,
        response_format=ResponseFormat(type=form.type, json_schema=schema) if form else None,
        tools=[
            Tool(type="function", function=Function(**tool.model_dump(exclude={"type"}))) for tool in body.tools
        ] if body.tools else None,
    )  # fmt: skip


def messages_of(body: ResponseBody) -> list[Message]:
    """Instructions and input as the messages of a chat; calls of one answer stand in one message."""
    found = [Message(role="system", content=body.instructions)] if body.instructions else []
    if isinstance(body.input, str):
        return [*found, Message(role="user", content=body.input)]
    for item in body.input:
        if isinstance(item, InputCall):
            call = ToolCall(id=item.call_id, function=CalledFunction(name=item.name, arguments=item.arguments))
            if not found or found[-1].role != "assistant":
                found.append(Message(role="assistant"))
            found[-1] = found[-1].model_copy(update={"tool_calls": [*(found[-1].tool_calls or []), call]})
        elif isinstance(item, InputResult):
            found.append(Message(role="tool", content=item.output, tool_call_id=item.call_id))
        else:
            found.append(Message(role=item.role, content=item.content))
    return found


async def create(service: Service, body: ResponseBody, held: AsyncExitStack) -> Response:
    served = service.models.find(body.model)
    ready = await service.read(lambda: asked(service, served, as_chat(body)))
    drawing = await held.enter_async_context(service.drawing(served, [ready.request], after=False))
    answer = Answer(served, body, ready)
    if body.stream:
        return events(answer.events(drawing), done=False, named=True)
    whole = await drawing.whole()
    return Json(answer.completed(whole[0, 0]))


@dataclass
class Answer:
    """An answer in the form of this API: one object, or events."""

    served: Served
    body: ResponseBody
    asked: Asked
    id: str = field(default_factory=lambda: new_id("resp_"))
    message_id: str = field(default_factory=lambda: new_id("msg_"))
    created: int = field(default_factory=now)

    def _plain(self, status: str, output: list[Any], **more: Any) -> dict[str, Any]:
        body, text = self.body, {"format": {"type": "text"}}
        told = body.model_dump(include={"instructions", "max_output_tokens", "metadata", "temperature", "top_p",
                                        "tools", "user", "parallel_tool_calls"}, by_alias=True)  # fmt: skip
        return {
            "id": self.id, "object": "response", "created_at": self.created, "status": status, "error": None,
            "incomplete_details": None, "model": self.served.name, "output": output, "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None}, "store": False, "truncation": "disabled", "usage": None,
            **told, "tools": told["tools"] or [], "metadata": told["metadata"] or {},
            "text": body.text.model_dump(by_alias=True, exclude_none=True) if body.text else text,
            "tool_choice": body.model_dump(include={"tool_choice"})["tool_choice"] or "auto", **more,
        }  # fmt: skip

    def completed(self, written: Written) -> dict[str, Any]:
        calls = self.asked.calls(written)
        cut = calls is None and self.asked.reason(written) == "length"
        output = [call_item(call) for call in calls] if calls is not None else [self._message(written, cut)]
        prompt, drawn = len(self.asked.request.prompt_ids), len(written.ids)
        used = {
            "input_tokens": prompt, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": drawn,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": prompt + drawn,
        }  # fmt: skip
        why = {"reason": "max_output_tokens"} if cut else None
        return self._plain("incomplete" if cut else "completed", output, usage=used, incomplete_details=why)

    def _message(self, written: Written, cut: bool) -> dict[str, Any]:
        content = [self._part(written.text, written.tokens)]
        return {"type": "message", "id": self.message_id, "status": "incomplete" if cut else "completed",
                "role": "assistant", "content": content}  # fmt: skip

    def _part(self, text: str, tokens: list[TokenText]) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self._logprobs(tokens)}

    def _logprobs(self, tokens: list[TokenText]) -> list[Any]:
        if not (self.body.include or self.body.top_logprobs):
            return []
        return [logprob_entry(one, self.asked.tokenizer) for one in tokens]

    async def events(self, drawing: Counted) -> AsyncIterator[dict[str, Any]]:
        """The events in their order, each with its number."""
        number = 0
        async for event in self._events(drawing):
            yield event | {"sequence_number": number}
            number += 1

    async def _events(self, drawing: Counted) -> AsyncIterator[dict[str, Any]]:
        yield {"type": "response.created", "response": self._plain("in_progress", [])}
        yield {"type": "response.in_progress", "response": self._plain("in_progress", [])}
        written, held, begun = Written(), Held(self.asked), False
        place = {"item_id": self.message_id, "output_index": 0, "content_index": 0}
        async for piece, event in drawing.events():
            written.add(piece, event)
            for delta, tokens, _ in held.push(piece, written):
                if "content" not in delta:
                    continue
                if not begun:
                    begun = True
                    item = {"type": "message", "id": self.message_id, "status": "in_progress", "role": "assistant",
                            "content": []}  # fmt: skip
                    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
                    yield {"type": "response.content_part.added", **place, "part": self._part("", [])}
                told = {"delta": delta["content"], "logprobs": self._logprobs(tokens)}
                yield {"type": "response.output_text.delta", **place, **told}
        whole = self.completed(written)
        for index, item in enumerate(whole["output"]):
            if item["type"] == "function_call":
                ref = {"item_id": item["id"], "output_index": index}
                empty = item | {"arguments": "", "status": "in_progress"}
                yield {"type": "response.output_item.added", "output_index": index, "item": empty}
                yield {"type": "response.function_call_arguments.delta", **ref, "delta": item["arguments"]}
                done = {"arguments": item["arguments"], "name": item["name"]}
                yield {"type": "response.function_call_arguments.done", **ref, **done}
            elif begun:
                part = item["content"][0]
                done = {"text": part["text"], "logprobs": part["logprobs"]}
                yield {"type": "response.output_text.done", **place, **done}
                yield {"type": "response.content_part.done", **place, "part": part}
            else:
                yield {"type": "response.output_item.added", "output_index": index, "item": item | {"content": []}}
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": f"response.{whole['status']}", "response": whole}


def call_item(call: Called) -> dict[str, Any]:
    return {"type": "function_call", "id": new_id("fc_"), "call_id": call.id, "name": call.name,
            "arguments": call.arguments, "status": "completed"}  # fmt: skip
