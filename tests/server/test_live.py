"""A server on loopback as real clients meet it: OpenAI's own, those that leave, and those that dawdle."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import openai
import pytest
import schemathesis
from api_bodies import chat_body
from live_server import connected, one_reply, post, serving, until_closed, wait_until

from clearhead.server import run
from clearhead.server.service import Service, Settings

CHAT = "/v1/chat/completions"
SCHEMA = {"type": "object", "properties": {"n": {"enum": [1, 22]}}, "required": ["n"], "additionalProperties": False}
REQUIRED: Any = {"tool_choice": "required", "parallel_tool_calls": False}
PER_OPERATION = 13  # cases, of eight operations


@pytest.fixture(scope="module")
def live(model: Path) -> Iterator[tuple[Service, tuple[str, int]]]:
    patch = pytest.MonkeyPatch()
    patch.setattr(run, "HEADER_SECONDS", 0.5)
    service = Service(Settings(body_seconds=0.5, max_body=1 << 16, hosts=("localhost", "127.0.0.1")))
    with serving(service, model) as address:
        yield service, address
    patch.undo()


@pytest.fixture(scope="module")
def api(live: Any) -> Iterator[openai.OpenAI]:
    host, port = live[1]
    with openai.OpenAI(base_url=f"http://{host}:{port}/v1", api_key="none", max_retries=0) as found:
        yield found


def test_openais_client_reads_every_answer(api: openai.OpenAI) -> None:
    assert [one.id for one in api.models.list()] == ["tiny"] and api.models.retrieve("tiny").id == "tiny"
    chat = api.chat.completions.create(**chat_body(n=2, logprobs=True, top_logprobs=2))
    assert len(chat.choices) == 2 and chat.usage is not None and chat.choices[0].logprobs is not None
    stream = api.chat.completions.create(**chat_body(), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == chat.choices[0].message.content
    text = api.completions.create(model="tiny", prompt=["say red", "say"], max_tokens=4, logprobs=1, echo=True)
    assert text.choices[1].text.startswith("say")
    pieces = api.completions.create(model="tiny", prompt="say", max_tokens=4, stream=True)
    assert all(piece.object == "text_completion" for piece in pieces)
    vectors = api.embeddings.create(model="tiny", input=["red", "blue"])
    assert len(vectors.data) == 2 and len(vectors.data[0].embedding) == 32


def test_openais_client_calls_tools_and_gets_forms(api: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "count", "parameters": SCHEMA}}
    chat = api.chat.completions.create(**chat_body(tools=[tool], max_tokens=100, **REQUIRED))
    (call, *_) = chat.choices[0].message.tool_calls or []
    assert call.type == "function" and isinstance(json.loads(call.function.arguments)["n"], int)
    with api.chat.completions.stream(**chat_body(tools=[tool], max_tokens=100, **REQUIRED)) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls or []
    assert [one.function.arguments for one in streamed] == [
        one.function.arguments for one in chat.choices[0].message.tool_calls or [] if one.type == "function"
    ]
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    chat = api.chat.completions.create(**chat_body(response_format=form, max_tokens=60))
    assert isinstance(json.loads(chat.choices[0].message.content or "")["n"], int)


def test_openais_client_gets_responses(api: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "name": "count", "parameters": SCHEMA, "strict": True}
    text = api.responses.create(model="tiny", input="say red", max_output_tokens=8, instructions="Be short.")
    assert text.status in ("completed", "incomplete") and text.usage is not None
    assert text.usage.input_tokens + text.usage.output_tokens == text.usage.total_tokens
    form: Any = {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}
    told = api.responses.create(model="tiny", input="say red", text=form, max_output_tokens=60)
    assert isinstance(json.loads(told.output_text)["n"], int)
    called = api.responses.create(
        model="tiny",
        input="say red",
        tools=[tool],
        tool_choice="required",
        max_output_tokens=100,
        parallel_tool_calls=False,
    )
    call: Any = called.output[0]
    assert call.type == "function_call" and call.name == "count"
    items: Any = [{"role": "user", "content": "say"}, call.model_dump(exclude_none=True)]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "7"})
    assert api.responses.create(model="tiny", input=items, max_output_tokens=4).output


@pytest.mark.parametrize("tools", [False, True])
def test_events_of_a_response(api: openai.OpenAI, tools: bool) -> None:
    tool: Any = {"type": "function", "name": "count", "parameters": SCHEMA, "strict": True}
    more: Any = (
        {"tools": [tool], "tool_choice": "required", "max_output_tokens": 100, "parallel_tool_calls": False}
        if tools
        else {}
    )
    events = list(
        api.responses.create(**{"model": "tiny", "input": "say red", "max_output_tokens": 12} | more, stream=True)
    )
    names = [event.type for event in events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert names[:2] == ["response.created", "response.in_progress"]
    last: Any = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    deltas = "".join(event.delta for event in events if "delta" in event.type)
    assert deltas == (last.response.output[0].arguments if tools else last.response.output_text)
    done = [event.type.rpartition(".")[2] for event in events if event.type.startswith("response.output_item")]
    assert done == ["added", "done"] * len(last.response.output)


def test_errors_as_openais_client_knows_them(api: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        api.chat.completions.create(**chat_body(model="other"))
    with pytest.raises(openai.BadRequestError) as caught:
        api.chat.completions.create(**chat_body(temperature=9))
    assert caught.value.param == "temperature"


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_frees_the_place(live: tuple[Service, tuple[str, int]], stream: bool) -> None:
    service, address = live
    engine = service.models.by_name["tiny"].engine
    ends = {"300": -100, "301": -100}
    body = json.dumps(chat_body(max_tokens=900, n=4, stream=stream, logit_bias=ends)).encode()
    connection = connected(address)
    connection.sendall(post(CHAT, body))
    wait_until(lambda: engine.unfinished)
    if stream:
        assert connection.recv(100)
    connection.close()
    wait_until(lambda: service.stepper.held == 0 and service._samples == 0)
    assert engine.unfinished == 0 and engine.promised == 0


def test_a_connection_is_kept_and_a_body_may_come_in_parts(live: tuple[Service, tuple[str, int]]) -> None:
    connection, body = connected(live[1]), json.dumps(chat_body(max_tokens=2)).encode()
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    for request in (post(CHAT, parts, "Transfer-Encoding: chunked"), post(CHAT, body)):
        connection.sendall(request)
        assert one_reply(connection).startswith(b"HTTP/1.1 200")
    connection.close()


@pytest.mark.parametrize("sent", [b"", b"POST /v1/chat/comp", b"POST /v1 HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_who_sends_no_head_is_let_go(live: tuple[Service, tuple[str, int]], sent: bytes) -> None:
    with connected(live[1]) as connection:
        connection.sendall(sent)
        assert until_closed(connection) == b""


def test_who_sends_no_body_is_told(live: tuple[Service, tuple[str, int]]) -> None:
    with connected(live[1]) as connection:
        connection.sendall(post(CHAT, b"{", "Content-Length: 100", "Connection: close"))
        told = until_closed(connection)
    assert told.startswith(b"HTTP/1.1 408") and b'"code":"too_slow"' in told


def test_a_head_that_is_none_is_refused(live: tuple[Service, tuple[str, int]]) -> None:
    for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000):
        with connected(live[1]) as connection:
            connection.sendall(sent)
            assert until_closed(connection).startswith(b"HTTP/1.1 400")


@pytest.mark.filterwarnings("default")
def test_whatever_the_schema_allows_is_answered(live: tuple[Service, tuple[str, int]]) -> None:
    host, port = live[1]
    schema = schemathesis.openapi.from_url(f"http://{host}:{port}/openapi.json")
    settings = hypothesis.settings(
        max_examples=PER_OPERATION, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    count = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings
        @hypothesis.given(case=operation.as_strategy())
        def answered(case: Any) -> None:
            nonlocal count
            count += 1
            reply = case.call()
            assert reply.status_code < 500, (case.body, reply.text)
            if reply.status_code >= 400:
                assert set(reply.json()["error"]) == {"message", "type", "param", "code"}

        answered()
    assert count >= 80
