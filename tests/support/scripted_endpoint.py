"""A server on the loopback for a test: a function answers, and every request is kept."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS = {"object": "list", "data": [{"id": "tiny", "object": "model"}]}


@dataclass
class Reply:
    """`cut`: so many bytes fewer are sent than the header promises, and the connection is closed."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    wait: threading.Event | None = None


Answer = Callable[[str, dict[str, Any]], Reply]


@dataclass
class Server:
    url: str
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


@contextmanager
def served(answer: Answer, models: Reply | None = None) -> Iterator[Server]:
    told = Server("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send((models or Reply(MODELS)) if self.path == "/v1/models" else answer(self.path, {}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.asked.append((self.path.removeprefix("/v1/"), body))
            told.keys.append(self.headers.get("Authorization"))
            self._send(answer(self.path.removeprefix("/v1/"), body))

        def _send(self, reply: Reply) -> None:
            if reply.wait is not None:
                reply.wait.wait(30)
            data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(data)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(data[: len(data) - reply.cut])
            except OSError:
                return
            self.close_connection = bool(reply.cut)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


def text(said: str, finish: str = "stop", **more: Any) -> Reply:
    """What /completions gives for one text."""
    return Reply({"choices": [{"text": said, "finish_reason": finish, **more}], "usage": {"prompt_tokens": 3}})
