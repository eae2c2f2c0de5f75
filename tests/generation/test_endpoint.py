"""An endpoint that fails in every way: a retried success, or one line that names no key; nothing hangs."""

import threading
import time

import pytest
from scripted_endpoint import Reply, served, text

from clearhead.errors import Ignored, UserError
from clearhead.generation import endpoint
from clearhead.generation.language_model import Constraint, SamplingParams, choices, json_schema
from clearhead.generation.remote import RemoteModel

KEY = "sk-very-secret"
GOOD = text("fine")


def said(url: str, stop: str | None = None, constraint: Constraint | None = None, **more: float) -> list[str]:
    model = RemoteModel(url, "tiny", KEY, backoff=0.01, **{"timeout": 5.0, **more})  # type: ignore[arg-type]
    (texts,) = model.extend(model.open(["once"]), 2, SamplingParams(max_tokens=9), [0], stop, constraint)
    return [text.text for text in texts]


PASSING = {
    "rate limit": Reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.05"}),
    "overload": Reply(b"<html>busy</html>", 503),
    "failure": Reply(None, 500),
    "dies in mid-answer": Reply({"choices": [{"text": "fine" * 99}]}, cut=100),
}


@pytest.mark.parametrize("trouble", PASSING)
def test_what_passes_is_tried_again(trouble: str) -> None:
    replies = iter([PASSING[trouble]] * 3)
    with served(lambda path, body: next(replies, GOOD)) as server:
        started = time.monotonic()
        assert said(server.url) == ["fine", "fine"]
        assert len(server.asked) == 5 and set(server.keys) == {f"Bearer {KEY}"}
        if trouble == "rate limit":
            assert time.monotonic() - started >= 0.15, "the server said how long"


LASTING: dict[str, tuple[Reply, int, str]] = {  # the reply, how often it is asked for, and the line
    "rate limit": (PASSING["rate limit"], 5, r"answers 429 \(slow down\), 5 times"),
    "death": (PASSING["dies in mid-answer"], 5, "broke off its answer"),
    "long limit": (Reply(None, 429, {"Retry-After": "3600"}), 1, "asks to wait 3600 s"),
    "wrong key": (Reply({"error": {"message": f"no such key: {KEY}"}}, 401), 1, r"does not take the key.*\*\*\*"),
    "garbage": (Reply(b"{{{"), 1, "not with a JSON object"),
    "a list": (Reply([1]), 1, "not with a JSON object"),
    "depth": (Reply(b"[" * 100_000), 1, "not with a JSON object"),
    "no choices": (Reply({"choices": []}), 1, "without choices"),
    "strange choices": (Reply({"choices": ["a"]}), 1, "without choices"),
    "no text": (Reply({"choices": [{"text": 7}]}), 1, "holds no text"),
    "a redirect": (Reply(b"", 307, {"Location": "http://elsewhere/v1"}), 1, "on to 'http://elsewhere/v1'"),
    "a parameter": (Reply({"error": "max_tokens is too large"}, 400), 2, "max_tokens is too large"),
    "too large": (Reply(b" " * 3000), 1, "more than 0 MiB"),
}


@pytest.mark.parametrize("trouble", LASTING)
def test_what_lasts_is_told_in_a_line(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reply, times, line = LASTING[trouble]
    if trouble == "too large":
        monkeypatch.setattr(endpoint, "LARGEST", 2000)
    with served(lambda path, body: reply) as server:
        with pytest.raises(UserError, match=line) as error:
            said(server.url)
        assert len(server.asked) == times
    assert "\n" not in str(error.value) and KEY not in str(error.value)
    assert len(str(error.value)) < 500


def test_one_that_hangs_is_left() -> None:
    over = threading.Event()
    with served(lambda path, body: Reply(wait=over)) as server:
        with pytest.raises(UserError, match=r"gave no answer within 0\.2 s"):
            said(server.url, timeout=0.2)
        over.set()


def test_the_others_do_not_wait_for_one_that_failed() -> None:
    over = threading.Event()

    def answer(path: str, body: dict) -> Reply:
        return {"good": GOOD, "bad": Reply([]), "slow": Reply(wait=over)}[body["prompt"]]

    with served(answer) as server:
        model = RemoteModel(server.url, "tiny", timeout=20)
        nodes = model.open(["good", "bad", "slow"])
        started = time.monotonic()
        with pytest.raises(UserError, match="not with a JSON object"):
            model.extend(nodes, 1, SamplingParams(), [0, 0, 0], None)
        assert time.monotonic() - started < 15, "and not 20 s, the time of the one that is slow"
        assert model.extend(nodes[:1], 1, SamplingParams(), [0], None)[0][0].text == "fine"
        over.set()


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("http://127.0.0.1:9/v1", "cannot be reached"),
        ("http://", "is no address"),
        ("ftp://host/v1", "is no address"),
        (f"http://user:{KEY}@host/v1", "holds no key"),
        (f"http://host/v1?key={KEY}", "holds no key"),
    ],
)
def test_an_address_that_is_none(url: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        said(url)
    assert KEY not in str(error.value)


def test_the_key_is_the_environments_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEARHEAD_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with served(lambda path, body: GOOD) as server:
        model = RemoteModel(server.url)
        model.extend(model.open(["a"]), 1, SamplingParams(), [0], None)
        assert server.asked[0][1]["model"] == "tiny" and server.keys == [f"Bearer {KEY}"]
        assert KEY not in repr(model.endpoint) + str(vars(model).get("endpoint"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\n")
    with pytest.raises(UserError, match="characters that no key has"):
        RemoteModel("http://127.0.0.1:9/v1", "tiny")


def test_a_server_that_does_not_tell_a_stop_string_is_not_asked_to_stop() -> None:
    with served(lambda path, body: text("one") if "stop" in body else text("one\ntwo\n")) as server:
        model = RemoteModel(server.url, "tiny")
        ((found,),) = model.extend(model.open(["a"]), 1, SamplingParams(), [0], "\n")
        assert (found.text, found.done, model.text(found.node)) == ("one", False, "aone\n")
        assert ["stop" in body for _, body in server.asked] == [True, False]


@pytest.mark.parametrize(("reason", "done"), [("\n", False), (None, True), (128001, True)])
def test_a_server_that_tells(reason: str | int | None, done: bool) -> None:
    with served(lambda path, body: text("one", stop_reason=reason)) as server:
        model = RemoteModel(server.url, "tiny")
        ((found,),) = model.extend(model.open(["a"]), 1, SamplingParams(), [0], "\n")
        assert (found.text, found.done, model.text(found.node)) == ("one", done, "aone" if done else "aone\n")
        if done:
            with pytest.raises(UserError, match="has ended"):
                model.extend([found.node], 1, SamplingParams(), [0])


def test_without_completions_it_is_a_chat_and_told() -> None:
    def answer(path: str, body: dict) -> Reply:
        if path == "completions":
            return Reply({"detail": "Not Found"}, 404)
        return Reply({"choices": [{"message": {"content": " more"}, "finish_reason": "length"}]})

    with served(answer) as server:
        model = RemoteModel(server.url, "tiny")
        with pytest.warns(Ignored, match="sent as chats"):
            ((first,),) = model.extend(model.open(["Say"]), 1, SamplingParams(), [0], None)
        ((second,),) = model.extend([first.node], 1, SamplingParams(), [0], None)
        assert model.text(second.node) == "Say more more" and second.truncated
        assert server.asked[-1][1]["messages"] == [
            {"role": "user", "content": "Say"}, {"role": "assistant", "content": " more"}
        ]  # fmt: skip


def test_what_only_some_servers_know_is_left_out_where_it_changes_nothing() -> None:
    def answer(path: str, body: dict) -> Reply:
        return Reply({"error": {"message": "unknown parameter: top_k"}}, 400) if "top_k" in body else GOOD

    with served(answer) as server:
        model = RemoteModel(server.url, "tiny")
        (node,) = model.open(["a"])
        assert model.extend([node], 1, SamplingParams(), [0], None)[0][0].text == "fine"
        with pytest.raises(UserError, match="unknown parameter: top_k"):
            model.extend([node], 1, SamplingParams(top_k=5), [0], None)


SCHEMA = json_schema({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})


@pytest.mark.parametrize(
    ("constraint", "form", "given", "kept"),
    [
        (SCHEMA, "response_format", '{"a":7}', '{"a": 7}'),
        (SCHEMA, "guided_json", ' {"a": 7}', '{"a": 7}'),
        (SCHEMA, "json_schema", '{"a": 7}', '{"a": 7}'),
        (choices(["yes", "no"]), "guided_regex", "no", "no"),
        (choices(["yes", "no"]), "grammar", "yes", "yes"),
        (Constraint("regex", "[0-9]+"), "structured_outputs", "12", "12"),
        (Constraint("lark", 'start: "a"+'), "grammar", "aaa", "aaa"),
    ],
)
@pytest.mark.parametrize("others", [text("I would say"), Reply({"error": "unknown field"}, 422)])
def test_the_form_of_a_constraint_is_found_out(
    constraint: Constraint, form: str, given: str, kept: str, others: Reply
) -> None:
    def answer(path: str, body: dict) -> Reply:
        return text(given) if form in body or not {"max_tokens"} <= body.keys() else others

    with served(answer) as server:
        model = RemoteModel(server.url, "tiny")
        (node,) = model.open(["a"])
        for _ in range(2):
            assert model.extend([node], 1, SamplingParams(), [0], None, constraint)[0][0].text == kept
        assert form in server.asked[-1][1] and form in server.asked[-2][1], "once found, it is not looked for again"


def test_a_constraint_that_no_form_of_is_kept_is_refused() -> None:
    with (
        served(lambda path, body: text("I would say")) as server,
        pytest.raises(UserError, match="does not keep to a json-schema constraint"),
    ):
        said(server.url, constraint=SCHEMA)


def test_scores_need_an_echo() -> None:
    with served(lambda path, body: text(" b")) as server:
        model = RemoteModel(server.url, "tiny")
        with pytest.raises(UserError, match="no log-probabilities of a prompt"):
            model.score(model.open(["a"]), [" b"])


def test_nodes_are_counted_as_those_of_the_local_engine() -> None:
    with served(lambda path, body: GOOD) as server:
        model = RemoteModel(server.url, "tiny")
        a, b = model.open(["a", "b"])
        (texts,) = model.extend([a], 2, SamplingParams(), [0], None)
        assert texts[0].node == texts[1].node
        model.release([a, texts[0].node, texts[1].node])
        with pytest.raises(UserError, match="not open"):
            model.text(a)
        model.close([b])
        assert model._texts.of == {} and model._texts._slots == {}
        assert model.usage().computed == 6


def test_openais_key_goes_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEARHEAD_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    hosts = ["api.openai.com", "localhost", "127.0.0.1", "example.com", "openai.com.example.com", "notopenai.com"]
    assert [endpoint.key_for(host) for host in hosts] == ["theirs", "theirs", "theirs", None, None, None]
    monkeypatch.setenv("CLEARHEAD_API_KEY", "mine")
    assert {endpoint.key_for(host) for host in hosts} == {"mine"}
