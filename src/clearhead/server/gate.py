"""What every request passes: who may ask, from which page, with a body of what size, and what ends when they leave.

One layer of ASGI around the application. It reads a body whole before anybody else sees the request, hands the client's
leaving on by canceling, and closes what the request held. Deliberately not here: what requests mean (app.py).
"""

import asyncio
import hmac
import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

from clearhead.server.errors import ApiError, answer, refused
from clearhead.server.service import Service

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/health", "/", "/page/", "/guide/")  # without a key; the last two with all below them
METHODS = "GET, POST, HEAD, OPTIONS"
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
HELD = "clearhead.held"  # in the scope: what is closed when the request is over
SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
]


class Gate:
    def __init__(self, app: App, service: Service) -> None:
        self._app, self._service, self._settings = app, service, service.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, sender = time.perf_counter(), Sender(send, self._settings.send_seconds)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._admit(scope, headers)
            sender.extra = SECURITY + self._cors(headers)
            if scope["method"] == "OPTIONS":
                await preflight(sender)
            else:
                body = await self._body(headers, receive)
                if body and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                    raise refused("the body must be JSON, with Content-Type: application/json")
                if halved(body):
                    raise refused("the body holds half of a surrogate pair, which is no character", code="invalid_json")
                await self._pass(scope, body, receive, sender)
        except ApiError as error:
            if not sender.started:
                await answer(error)(scope, receive, sender)
        finally:
            self._service.metrics.requests.labels(sender.route, str(sender.status or 499)).inc()
            self._service.metrics.seconds.labels(sender.route).observe(time.perf_counter() - started)

    def _admit(self, scope: Scope, headers: MutableMapping[str, str]) -> None:
        """ApiError for another name than the server's, for other pages, and without a key where one is needed."""
        settings, host = self._settings, headers.get("host", "")
        if settings.hosts and hostname(host) not in settings.hosts:
            raise ApiError(403, f"this server does not answer to the name {host[:80]!r}; see --host", code="wrong_host")
        origin = headers.get("origin")
        if origin is not None and not self._own(origin, host):
            raise ApiError(403, f"pages of {origin[:80]!r} may not ask here; see --origin", code="wrong_origin")
        if scope["method"] == "OPTIONS" or any(open_to_all(scope["path"], path) for path in OPEN_PATHS):
            return
        given = headers.get("authorization", "").removeprefix("Bearer ").encode("utf-8", "replace")
        if settings.keys and not any(hmac.compare_digest(given, key.encode()) for key in settings.keys):
            raise ApiError(401, "the API key is missing or wrong; send it as Authorization: Bearer KEY",
                           code="invalid_api_key")  # fmt: skip

    def _own(self, origin: str, host: str) -> bool:
        return origin in self._settings.origins or origin.partition("://")[2].lower() == host.lower() != ""

    def _cors(self, headers: MutableMapping[str, str]) -> list[tuple[bytes, bytes]]:
        """What tells a browser that a page may ask; only pages that may come this far."""
        origin = headers.get("origin")
        if origin is None:
            return []
        allowed = {"origin": origin, "methods": METHODS, "headers": "Authorization, Content-Type"}
        told = [(f"access-control-allow-{name}".encode(), value.encode("latin-1")) for name, value in allowed.items()]
        return [*told, (b"vary", b"Origin")]

    async def _body(self, headers: MutableMapping[str, str], receive: Receive) -> bytes:
        """The whole body. ApiError where it is too large, or does not arrive in time."""
        most = self._settings.max_body
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > most:
            raise _too_large(most)
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ApiError(499, "the client left")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        raise _too_large(most)
        except TimeoutError:
            told = f"the body did not arrive within {self._settings.body_seconds:g} seconds"
            raise ApiError(408, told, code="too_slow") from None
        return bytes(body)

    async def _pass(self, scope: Scope, body: bytes, receive: Receive, send: "Sender") -> None:
        """Let the application answer; when the client leaves, it is canceled wherever it is."""
        gone, given = asyncio.Event(), False

        async def replay() -> Message:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        async with AsyncExitStack() as held:
            inside = {**scope, "method": method, HELD: held}
            work = asyncio.create_task(self._answer(inside, replay, send))
            watcher = asyncio.create_task(watch())
            try:
                await asyncio.wait({work, watcher}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done() and not send.finished:
                    self._service.metrics.canceled.inc()
                    work.cancel()
                await work
            except asyncio.CancelledError:
                work.cancel()
                if not watcher.done():  # it is the server that ends
                    raise
            finally:
                gone.set()
                watcher.cancel()
                send.route = getattr(inside.get("route"), "path", send.route)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class Sender:
    """`send` with more headers, and with a limit on how long a client may not take what it is sent."""

    def __init__(self, send: Send, seconds: float) -> None:
        self._send, self._seconds = send, seconds
        self.extra = SECURITY
        self.status, self.finished = 0, False
        self.route = "other"  # for counts: paths of clients are without number

    @property
    def started(self) -> bool:
        return bool(self.status)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self.extra]}
        elif message["type"] == "http.response.body":
            self.finished = not message.get("more_body", False)
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(message)
                await asyncio.sleep(0)  # the loop may have to say that the client is gone
        except TimeoutError:
            raise ApiError(499, "the client does not read") from None


def halved(body: bytes) -> bool:
    r"""Whether a text of a body has half of a surrogate pair, which JSON can spell and no encoding can write.

    >>> halved(b'{"a": "\\ud83d"}'), halved(b'{"a": "\\ud83d\\ude00"}')
    (True, False)
    """
    if SURROGATE.search(body) is None:
        return False
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):  # no JSON, which is told elsewhere
        return False
    return False


async def preflight(send: Sender) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": [(b"access-control-max-age", b"600")]})
    await send({"type": "http.response.body", "body": b""})


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"the body has more than {most:,} bytes, which are possible", code="too_large")


def open_to_all(path: str, known: str) -> bool:
    return path.startswith(known) if known.endswith("/") and known != "/" else path == known


def hostname(host: str) -> str:
    """The name in a Host header, without the port.

    >>> hostname("localhost:8000"), hostname("[::1]:8000"), hostname("A.example")
    ('localhost', '::1', 'a.example')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
