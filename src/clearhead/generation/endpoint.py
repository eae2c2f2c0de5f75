"""An OpenAI-compatible endpoint: JSON goes there and comes back, in time, within limits, or one line says why not.

Deliberately not here: what is asked (remote.py). The key goes into one header, and into no message.
"""

import importlib
import json
import os
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from clearhead.errors import UserError

PACKAGE = "httpx2"
KEYS = ("CLEARHEAD_API_KEY", "OPENAI_API_KEY")  # environment variables: for any address, and for OpenAI's or one here
AGAIN = {408, 425, 429, 500, 502, 503, 504}  # what passes
LONGEST_WAIT = 60.0  # seconds between two attempts
LARGEST = 1 << 26  # bytes of an answer
SHOWN = 300  # characters of what a server says


class Refused(UserError):
    """The server understood and declined: a parameter it does not know, a path it does not have."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


def key_for(host: str) -> str | None:
    """The key in the environment that a host may see: OpenAI's goes to nobody else on the network."""
    own, of_openai = (os.environ.get(name) for name in KEYS)
    trusted = host == "openai.com" or host.endswith(".openai.com") or host in ("localhost", "127.0.0.1", "::1")
    return own or (of_openai if trusted else None) or None


@dataclass
class Endpoint:
    """`url` is what the paths of the API follow, as in http://localhost:8000/v1.

    `timeout`: seconds for one answer; `attempts`: how often a request is made that fails in a way which passes, waiting
    `backoff` seconds after the first, twice that after the second, or as long as the server asks.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 300.0
    attempts: int = 5
    backoff: float = 0.5
    _stopped: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"{self.url!r:.80} is no address of an endpoint; give one such as http://localhost:8000/v1")
        if parts.username is not None or parts.query:
            raise UserError(f"an endpoint's address holds no key; put it into the environment variable {KEYS[0]}")
        self.url = self.url.rstrip("/")
        self.key = self.key or key_for(parts.hostname)
        if self.key and not (self.key.isascii() and self.key.isprintable()):
            raise UserError(f"the key in {' or '.join(KEYS)} holds characters that no key has; copy it again")
        self._http = _library()
        self._clients = [self._new_client()]
        weakref.finalize(self, _close, self._clients)

    def _new_client(self) -> Any:
        return self._http.Client(timeout=self._http.Timeout(self.timeout, connect=min(10.0, self.timeout)))

    def get(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, body)

    def stop(self) -> None:
        """End the requests that other threads have under way; later ones are made again as ever."""
        stopped, self._stopped = self._stopped, threading.Event()
        stopped.set()
        self._clients.append(self._new_client())
        self._clients.pop(0).close()

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        stopped = self._stopped
        for attempt in range(1, self.attempts + 1):
            wait = min(self.backoff * 2 ** (attempt - 1), LONGEST_WAIT)
            try:
                status, headers, data = self._once(method, path, body)
            except (self._http.ConnectError, self._http.ConnectTimeout) as error:
                raise self._error(
                    f"cannot be reached ({error}); is the server running, and the address right?"
                ) from None
            except self._http.TimeoutException:
                raise self._error(
                    f"gave no answer within {self.timeout:g} s; ask for fewer tokens, or wait longer"
                ) from None
            except self._http.RequestError as error:
                failed = f"broke off its answer ({error})"
            else:
                if status == 200:
                    return self._object(data)
                failed = self._declined(status, path, headers, data)
                wait = max(wait, self._asked_to_wait(headers))
            if attempt < self.attempts and (stopped.wait(wait) or stopped.is_set()):
                break
        raise self._error(f"{failed}, {self.attempts} times; try again later")

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        until, data = time.monotonic() + self.timeout, bytearray()
        with self._clients[-1].stream(method, f"{self.url}/{path}", json=body, headers=headers) as answer:
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > LARGEST:
                    raise self._error(f"gave an answer of more than {LARGEST >> 20} MiB; ask for fewer samples at once")
                if time.monotonic() > until:
                    raise self._http.ReadTimeout("too slow")
            return answer.status_code, dict(answer.headers), bytes(data)

    def _object(self, data: bytes) -> dict[str, Any]:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._error(f"answers with {_line(data)!r:.80} and not with a JSON object; is it OpenAI-compatible?")
        return found

    def _declined(self, status: int, path: str, headers: Mapping[str, str], data: bytes) -> str:
        """What went wrong, if it may pass; else a UserError."""
        said = _said(data)
        if status in AGAIN:
            return f"answers {status} ({said})"
        if status in (401, 403):
            told = "does not take the key" if self.key else "wants a key"
            raise self._error(f"{told} ({status}: {said}); put the right one into the environment variable {KEYS[0]}")
        if 300 <= status < 400:
            place = _line(headers.get("location", "nowhere").encode())
            raise self._error(f"sends requests on to {place!r:.100}; if you trust that address, give it instead")
        raise Refused(status, str(self._error(f"refuses /{path} ({status}: {said})")))

    def _asked_to_wait(self, headers: Mapping[str, str]) -> float:
        seconds = retry_after(headers.get("retry-after", ""))
        if seconds > LONGEST_WAIT:
            raise self._error(f"is at its limit and asks to wait {seconds:.0f} s; try again then")
        return seconds

    def _error(self, told: str) -> UserError:
        line = f"the endpoint {self.url} {told}"
        return UserError(line.replace(self.key, "***") if self.key else line)


def retry_after(value: str) -> float:
    """Seconds, from a number of them or a date; 0 for neither.

    >>> retry_after("1.5"), retry_after("soon"), retry_after("Wed, 21 Oct 2015 07:28:00 GMT")
    (1.5, 0.0, 0.0)
    """
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _said(data: bytes) -> str:
    """What a server says of an error, wherever it says so."""
    try:
        found = json.loads(data)
        error = found.get("error", found)
        told = error.get("message", error.get("detail", error)) if isinstance(error, dict) else error
        return _line(str(told).encode()) or "no reason given"
    except (ValueError, AttributeError, RecursionError):
        return _line(data) or "no reason given"


def _line(data: bytes) -> str:
    return " ".join(data[: 4 * SHOWN].decode("utf-8", "replace").split())[:SHOWN]


def _close(clients: list[Any]) -> None:
    for client in clients:
        client.close()


def _library() -> ModuleType:
    try:
        return importlib.import_module(PACKAGE)
    except ImportError:
        raise UserError(
            f"a model behind an address needs the package {PACKAGE}: pip install 'clearhead[agents]'"
        ) from None
