"""Who may ask, and with what: errors in the API's form with the right status, and nothing held afterwards."""

from collections.abc import Iterator
from typing import Any

import pytest
from api_bodies import chat_body
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from clearhead.server.app import make_app
from clearhead.server.errors import ApiError
from clearhead.server.gate import hostname
from clearhead.server.service import Service, Settings

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


def error_of(reply: Any, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"] and "\n" not in error["message"]
    assert "Traceback" not in reply.text
    found: dict[str, Any] = error
    return found


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[1, 2]", b"null", b'"x"', b"\xff\xfe", b"{" * 5000, b"[" * 200_000, b"9" * 10_000,
        b'{"model": NaN}', b'{"model": "\\ud800", "messages": [{"role": "user", "content": "hi"}]}',
        b'{"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "temperature": NaN}',
        b'{"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "temperature": 1e999}',
        b'{"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "seed": 1.5}',
        b'{"model": "tiny", "messages": {"role": "user"}}', b'{"model": 1, "messages": []}',
        b'{"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "\\ud800": 1}',
    ],
)  # fmt: skip
def test_a_broken_body_is_400(client: TestClient, body: bytes) -> None:
    error_of(client.post(CHAT, content=body, headers=JSON), 400)


def test_a_deep_schema_is_400(client: TestClient) -> None:
    deep: dict[str, Any] = {"type": "integer"}
    for _ in range(150):
        deep = {"type": "array", "items": deep, "minItems": 1}
    form = {"type": "json_schema", "json_schema": {"schema": deep}}
    error_of(client.post(CHAT, json=chat_body(response_format=form, max_tokens=50)), 400)


def test_another_type_than_json_is_refused(client: TestClient) -> None:
    error = error_of(client.post(CHAT, content=b"{}", headers={"Content-Type": "text/plain"}), 400)
    assert "Content-Type" in error["message"]


def test_half_of_a_character_is_no_reason_to_fail(client: TestClient) -> None:
    body = b'{"model": "tiny", "max_tokens": 2, "prompt": "a\\ud83d%s"}'
    assert "surrogate" in error_of(client.post("/v1/completions", content=body % b"", headers=JSON), 400)["message"]
    assert client.post("/v1/completions", content=body % b"\\ude00", headers=JSON).status_code == 200


def test_too_large_whether_it_says_so_or_not(client: TestClient) -> None:
    large = b" " * ((1 << 20) + 1)
    assert error_of(client.post(CHAT, content=large, headers=JSON), 413)["code"] == "too_large"

    def parts() -> Iterator[bytes]:
        for _ in range(1025):
            yield b" " * 1024

    assert error_of(client.post(CHAT, content=parts(), headers=JSON), 413)["code"] == "too_large"


def test_unknown_models_paths_and_methods(client: TestClient) -> None:
    assert error_of(client.post(CHAT, json=chat_body(model="other")), 404)["code"] == "model_not_found"
    assert error_of(client.get("/v1/models/other"), 404)["code"] == "model_not_found"
    assert error_of(client.get("/v1/nothing"), 404)["code"] == "not_found"
    assert error_of(client.get(CHAT), 405)["code"] == "method_not_allowed"
    for path in (
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/app.py",
        "/guide/..%2f..%2fetc%2fpasswd",
    ):
        error_of(client.get(path), 404)
    assert client.get("/v1/models/tiny").json()["id"] == "tiny"


def test_head_and_health(client: TestClient) -> None:
    assert client.head("/v1/models").status_code == 200 and client.head("/v1/models").content == b""
    assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "", "127.0.0.2", "[bad"]
)
def test_another_name_is_refused(client: TestClient, host: str) -> None:
    """A page of somebody's who lets his name stand for this address reaches nothing."""
    assert error_of(client.get("/v1/models", headers={"Host": host}), 403)["code"] == "wrong_host"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:9000", "http://localhost", "bad["]
)
def test_pages_of_others_are_refused(client: TestClient, origin: str) -> None:
    reply = client.post(CHAT, json=chat_body(), headers={"Origin": origin})
    assert error_of(reply, 403)["code"] == "wrong_origin" and "access-control-allow-origin" not in reply.headers
    error_of(client.options(CHAT, headers={"Origin": origin}), 403)


def test_the_own_page_may_ask(client: TestClient) -> None:
    reply = client.options(CHAT, headers={"Origin": "http://localhost:8000", "Access-Control-Request-Method": "POST"})
    assert reply.status_code == 204 and reply.headers["access-control-allow-origin"] == "http://localhost:8000"
    assert "POST" in reply.headers["access-control-allow-methods"]
    reply = client.post(CHAT, json=chat_body(), headers={"Origin": "http://localhost:8000"})
    assert reply.status_code == 200 and reply.headers["access-control-allow-origin"] == "http://localhost:8000"


@pytest.fixture
def locked() -> Iterator[TestClient]:
    """With keys and a page of another's, whose models are still being loaded."""
    service = Service(Settings(keys=("secret", "andère"), origins=("https://good.example",)))
    with TestClient(make_app(service), base_url="http://anything") as found:
        yield found


@pytest.mark.parametrize(
    "given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret2"}, {"Authorization": ""}]
)
def test_without_a_key_nothing(locked: TestClient, given: dict[str, str]) -> None:
    for path in ("/v1/models", "/metrics", "/api/runs", "/openapi.json", "/v1/nothing"):
        assert error_of(locked.get(path, headers=given), 401)["code"] == "invalid_api_key"
    assert locked.get("/", headers=given).status_code == 200
    assert locked.get("/page/page.js", headers=given).status_code == 200
    assert locked.get("/health", headers=given).status_code == 503


def test_with_a_key_and_while_models_are_loaded(locked: TestClient) -> None:
    key = {"Authorization": "Bearer secret"}
    assert locked.get("/v1/models", headers=key).status_code == 200
    reply = locked.post(CHAT, json=chat_body(), headers=key)
    assert error_of(reply, 503)["code"] == "loading" and reply.headers["Retry-After"]
    assert locked.options(CHAT, headers={"Origin": "https://good.example"}).status_code == 204


def test_a_full_queue_is_429(client: TestClient, service: Service) -> None:
    service._hold(10)
    try:
        reply = client.post(CHAT, json=chat_body(n=7))
        assert error_of(reply, 429)["code"] == "queue_full" and reply.headers["Retry-After"]
        assert client.post(CHAT, json=chat_body(n=6)).status_code == 200
    finally:
        service._hold(-10)


def test_metrics_are_prometheus(client: TestClient) -> None:
    client.post(CHAT, json=chat_body())
    client.get("/no/such/path")
    found = {one.name: one for one in text_string_to_metric_families(client.get("/metrics").text)}
    assert found["clearhead_samples"].samples[0].value == 0
    assert found["clearhead_generated_tokens"].samples[0].value > 0
    paths = {sample.labels["path"] for sample in found["clearhead_requests"].samples}
    assert CHAT in paths and "other" in paths and "/no/such/path" not in paths
    assert found["clearhead_time_to_first_token_seconds"].type == "histogram"


def test_nothing_is_held(client: TestClient, service: Service) -> None:
    for more in ({}, {"stream": True}, {"n": 200}, {"stop": ""}, {"model": "other"}):
        client.post(CHAT, json=chat_body(**more))
    engine = service.models.by_name["tiny"].engine
    assert engine.unfinished == 0 and service.stepper.held == 0


def test_names_of_hosts() -> None:
    assert [hostname(host) for host in ("a:1", "[::1]:1", "[", "a@b:1")] == ["a", "::1", "", "b"]
    assert ApiError(400, "a\n b").message == "a b"
