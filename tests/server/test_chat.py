"""/v1/chat/completions held to OpenAI's forms, and to the bare engine."""

import json
from typing import Any

import jsonschema
import pytest
from api_bodies import chat_body, told_by
from starlette.testclient import TestClient

from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.text_stream import generate
from clearhead.server.service import Service
from clearhead.text.control import chat_tokens

PATH = "/v1/chat/completions"
NO_END = {"300": -100, "301": -100}  # the control tokens: what follows is text
SCHEMA = {
    "type": "object", "required": ["name", "age"], "additionalProperties": False,
    "properties": {"name": {"type": "string", "maxLength": 4}, "age": {"enum": [1, 22, 333]}},
}  # fmt: skip
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": NOTHING}}


def ask(client: TestClient, **more: Any) -> Any:
    reply = client.post(PATH, json=chat_body(**more))
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_an_answer_has_the_form_of_openai(client: TestClient) -> None:
    found = ask(client, n=3)
    assert found["id"].startswith("chatcmpl") and found["object"] == "chat.completion" and found["model"] == "tiny"
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2]
    assert {choice["message"]["role"] for choice in found["choices"]} == {"assistant"}
    assert {choice["finish_reason"] for choice in found["choices"]} <= {"stop", "length"}
    used = found["usage"]
    assert used["prompt_tokens"] + used["completion_tokens"] == used["total_tokens"]


def test_the_text_is_the_bare_engines(client: TestClient, service: Service) -> None:
    loaded = service.models.by_name["tiny"].loaded
    assert loaded.template is not None
    engine = Engine(backend_for(loaded.model, 8), loaded.tokenizer)
    ids, _ = chat_tokens(loaded.tokenizer, loaded.template, chat_body()["messages"], own=True)
    sampling = SamplingParams(0.8, top_p=0.9, top_k=40, max_tokens=30)
    texts = generate(engine, Request(ids, sampling, seed=7, stop=("ent",), n=3))
    found = ask(client, seed=7, temperature=0.8, top_p=0.9, top_k=40, max_tokens=30, stop="ent", n=3)
    told = [choice["message"]["content"] for choice in found["choices"]]
    assert [text.encode() for text in told] == [text.text.removeprefix(" ").encode() for text in texts]
    assert found["usage"]["prompt_tokens"] == len(ids)


@pytest.mark.parametrize("more", [{"n": 2, "stop": ["e", "assist"]}, {"logprobs": True, "top_logprobs": 2}])
def test_a_stream_is_the_answer_in_chunks(client: TestClient, more: dict[str, Any]) -> None:
    whole = ask(client, **more, max_tokens=24)
    reply = client.post(PATH, json=chat_body(**more, max_tokens=24, stream=True))
    assert reply.headers["content-type"].startswith("text/event-stream")
    found = told_by(reply.text)
    assert len({(chunk["id"], chunk["created"]) for chunk in found}) == 1
    assert all("usage" not in chunk and chunk["object"] == "chat.completion.chunk" for chunk in found)
    for choice in whole["choices"]:
        own = [one for chunk in found for one in chunk["choices"] if one["index"] == choice["index"]]
        assert own[0]["delta"]["role"] == "assistant" and own[0]["delta"]["content"] == ""
        assert all("role" not in one["delta"] for one in own[1:])
        assert own[-1]["delta"] == {} and own[-1]["finish_reason"] == choice["finish_reason"]
        assert all(one["finish_reason"] is None for one in own[:-1])
        assert "".join(one["delta"].get("content", "") for one in own) == choice["message"]["content"]
        if choice["logprobs"]:
            told = [entry for one in own if one["logprobs"] for entry in one["logprobs"]["content"]]
            assert told == choice["logprobs"]["content"]


def test_usage_comes_last_where_it_is_wanted(client: TestClient) -> None:
    reply = client.post(PATH, json=chat_body(stream=True, stream_options={"include_usage": True}))
    *others, last = told_by(reply.text)
    assert last["choices"] == [] and last["usage"] == ask(client)["usage"]
    assert all(chunk["usage"] is None for chunk in others)


def test_no_stop_string_leaks_and_no_character_is_split(client: TestClient) -> None:
    for seed in range(2):
        free = ask(client, seed=seed, max_tokens=24, logit_bias=NO_END)["choices"][0]["message"]["content"]
        stop = next(free[i : i + 2] for i in range(5, 20) if "�" not in free[i : i + 2])
        reply = client.post(PATH, json=chat_body(seed=seed, max_tokens=24, logit_bias=NO_END, stop=stop, stream=True))
        found = told_by(reply.text)
        texts = [chunk["choices"][0]["delta"].get("content", "") for chunk in found]
        assert "".join(texts) == free[: free.index(stop)]
        assert found[-1]["choices"][0]["finish_reason"] == "stop"


def test_tokens_joined_give_the_content(client: TestClient) -> None:
    for stop in ([], ["ent", "s"]):
        for seed in range(2):
            found = ask(client, seed=seed, max_tokens=30, logprobs=True, top_logprobs=3, stop=stop)["choices"][0]
            told, text = found["logprobs"]["content"], found["message"]["content"]
            assert "".join(entry["token"] for entry in told) == text
            assert bytes(byte for entry in told for byte in entry["bytes"]).decode("utf-8", "replace") == text
            for entry in told:
                top = [one["logprob"] for one in entry["top_logprobs"]]
                assert len(top) == 3 and top == sorted(top, reverse=True) and entry["logprob"] <= top[0]


def test_a_ban_and_penalties_are_heard(client: TestClient, service: Service) -> None:
    tokenizer = service.models.by_name["tiny"].loaded.tokenizer
    (e,) = tokenizer.encode("e")
    with_it = ask(client, temperature=0, max_tokens=20, logit_bias={**NO_END, str(e): 100})
    assert with_it["choices"][0]["message"]["content"] == "e" * 20
    without = ask(client, max_tokens=24, seed=3, logit_bias={str(e): -100}, logprobs=True)
    assert "e" not in [entry["token"] for entry in without["choices"][0]["logprobs"]["content"]]
    few = ask(client, temperature=0, max_tokens=24, frequency_penalty=2, presence_penalty=2, logit_bias=NO_END)
    many = ask(client, temperature=0, max_tokens=24, logit_bias=NO_END)
    distinct = [len(set(one["choices"][0]["message"]["content"])) for one in (few, many)]
    assert distinct[0] > distinct[1]


def test_the_seed_decides(client: TestClient) -> None:
    texts = [ask(client, seed=seed, max_tokens=20)["choices"][0]["message"]["content"] for seed in (5, 5, 6)]
    assert texts[0] == texts[1] != texts[2]
    body = chat_body(max_tokens=20)
    del body["seed"]
    assert len({client.post(PATH, json=body).json()["choices"][0]["message"]["content"] for _ in range(3)}) > 1


@pytest.mark.parametrize(("most", "temperature"), [(24, 0.0), (26, 2.0), (60, 1.0)])
def test_a_schema_holds_however_it_ends(client: TestClient, most: int, temperature: float) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
    found = ask(client, response_format=form, max_tokens=most, temperature=temperature, n=2)
    for choice in found["choices"]:
        jsonschema.validate(json.loads(choice["message"]["content"]), SCHEMA)
    streamed = told_by(
        client.post(
            PATH, json=chat_body(response_format=form, max_tokens=most, temperature=temperature, stream=True)
        ).text
    )
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in streamed)
    assert text == found["choices"][0]["message"]["content"]


def test_a_json_object_is_one(client: TestClient) -> None:
    found = ask(client, response_format={"type": "json_object"}, max_tokens=16, n=3)
    assert all(isinstance(json.loads(choice["message"]["content"]), dict) for choice in found["choices"])


@pytest.mark.parametrize(
    ("choice", "parallel"),
    [("required", True), ("required", False), ({"type": "function", "function": {"name": "weather"}}, True)],
)
def test_calls_fit_their_schema(client: TestClient, choice: Any, parallel: bool) -> None:
    more = {"tools": [TOOL, CLOCK], "tool_choice": choice, "max_tokens": 120, "parallel_tool_calls": parallel}
    found = ask(client, **more)["choices"][0]
    calls = found["message"]["tool_calls"]
    assert found["finish_reason"] == "tool_calls" and found["message"]["content"] is None
    assert len(calls) == 1 or (parallel and choice == "required")
    for call in calls:
        arguments = json.loads(call["function"]["arguments"])
        assert call["type"] == "function" and call["id"].startswith("call_")
        if call["function"]["name"] == "weather":
            jsonschema.validate(arguments, SCHEMA)
    if choice != "required":
        assert {call["function"]["name"] for call in calls} == {"weather"}
    streamed = told_by(client.post(PATH, json=chat_body(**more, stream=True)).text)
    deltas = [call for chunk in streamed for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert [(one["index"], one["function"]) for one in deltas] == [
        (i, call["function"]) for i, call in enumerate(calls)
    ]
    assert streamed[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_with_auto_a_model_may_write_text(client: TestClient) -> None:
    found = ask(client, tools=[TOOL], tool_choice="auto", max_tokens=20)
    assert found["choices"][0]["message"]["content"] and "tool_calls" not in found["choices"][0]["message"]
    assert found["choices"][0]["finish_reason"] == "length"
    streamed = told_by(client.post(PATH, json=chat_body(tools=[TOOL], max_tokens=20, stream=True)).text)
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in streamed)
    assert text == found["choices"][0]["message"]["content"]


def test_calls_and_results_are_read_back(client: TestClient) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"name": "x"}'}}
    messages = [
        {"role": "developer", "content": "Be short."}, {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]  # fmt: skip
    with_results = ask(client, messages=messages, tools=[TOOL], tool_choice="none")["usage"]["prompt_tokens"]
    without = ask(client, messages=messages[:2])["usage"]["prompt_tokens"]
    assert with_results > without


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "needs a content"),
        ({"messages": [{"role": "user", "content": None}]}, "needs a content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "image_url"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "tool_call_id"),
        ({"messages": "hi"}, "messages"),
        ({"n": 0}, "n"), ({"n": 200}, "n"), ({"n": 17}, "16 are possible"), ({"n": True}, "n"), ({"n": "2"}, "n"),
        ({"temperature": -1}, "temperature"), ({"temperature": 3}, "temperature"), ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": 5, "max_completion_tokens": 6}, "the same"),
        ({"top_logprobs": 3}, "logprobs"), ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream"), ({"stop": ""}, "empty"),
        ({"stop": ["a", ""]}, "empty"),
        ({"logit_bias": {"99999": 1}}, "99999"), ({"logit_bias": {"x": 1}}, "no token"),
        ({"logit_bias": {"5": 101}}, "logit_bias"), ({"seed": 1 << 70}, "seed"),
        ({"response_format": {"type": "json_schema"}}, "schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "strin"}}}}, "schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": []}}}}, "schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}, "max_tokens": 3}, "shortest"),
        ({"tools": [TOOL, TOOL]}, "one name"), ({"tool_choice": "required"}, "needs tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "no tool"),
        ({"modalities": ["audio"]}, "modalities"), ({"audio": {}}, "audio"), ({"nonsense": 1}, "nonsense"),
        ({"messages": [{"role": "user", "content": "red " * 2000}]}, "context"),
    ],
)  # fmt: skip
def test_what_cannot_be_honored_is_refused_in_a_line(client: TestClient, more: dict[str, Any], told: str) -> None:
    reply = client.post(PATH, json=chat_body(**more))
    error = reply.json()["error"]
    assert reply.status_code == 400 and set(error) == {"message", "type", "param", "code"}
    assert told in error["message"] + str(error["param"]) and "\n" not in error["message"]


def test_what_changes_nothing_is_taken(client: TestClient) -> None:
    more = {"user": "a", "store": True, "metadata": {"a": "b"}, "service_tier": "auto", "modalities": ["text"]}
    found = ask(client, **more, presence_penalty=0, stop=None, max_completion_tokens=12)
    assert found["choices"] == ask(client)["choices"]
