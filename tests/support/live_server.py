"""A server on loopback in a thread of this process, and raw connections to it."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from uvicorn import Server

from clearhead.server.run import bind, config_of, load
from clearhead.server.service import Service

LIMIT = 120.0  # seconds: what takes longer hangs


@contextlib.contextmanager
def serving(service: Service, model: Path) -> Iterator[tuple[str, int]]:
    """The address at which the service answers with this model, called tiny."""
    load(service, {"tiny": str(model)}, torch.device("cpu"), None, 1 << 24, lambda line: None)
    listening = bind("127.0.0.1", 0)
    server = Server(config_of(service, 1))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = True
        thread.join(LIMIT)
        assert not thread.is_alive()


def connected(address: tuple[str, int]) -> socket.socket:
    made = socket.create_connection(address, LIMIT)
    made.settimeout(LIMIT)
    return made


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    if not headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def until_closed(connection: socket.socket) -> bytes:
    found = b""
    while part := connection.recv(1 << 16):
        found += part
    return found


def one_reply(connection: socket.socket) -> bytes:
    """Status line, headers and as much body as they promise."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(1 << 16)
    head, _, body = found.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert length, head
    while len(body) < int(length[1]):
        body += connection.recv(1 << 16)
    return head + b"\r\n\r\n" + body


def wait_until(true: object) -> None:
    """Until a function says so; fails when it never does."""
    assert callable(true)
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)
