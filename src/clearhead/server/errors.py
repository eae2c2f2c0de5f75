"""What a client is told when it cannot be served: a status and {"error": {message, type, param, code}}."""

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from clearhead.errors import UserError

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
CODES = {404: "not_found", 405: "method_not_allowed"}
REASONS = {404: "there is nothing at this path", 405: "this path does not take this method"}
RETRY_AFTER = {"Retry-After": "1"}  # seconds


class ApiError(Exception):
    """One line for the client, the field it is about, and a code for programs."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, " ".join(message.split()), param, code

    @property
    def headers(self) -> Mapping[str, str]:
        return RETRY_AFTER if self.status in (429, 503) else {}

    def plain(self) -> dict[str, Any]:
        kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def refused(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """400: the request asks for what cannot be had."""
    return ApiError(400, message, param=param, code=code)


class Json(Response):
    """JSON in UTF-8. Half of a surrogate pair, which some strings of others hold, becomes a question mark."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dumps(content).encode("utf-8", "replace")


def dumps(content: Any) -> str:
    """JSON without spaces; no NaN, which is none."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def answer(error: ApiError) -> Json:
    return Json(error.plain(), error.status, error.headers)


async def api_error(request: Request, error: Exception) -> Json:
    assert isinstance(error, ApiError)
    return answer(error)


async def user_error(request: Request, error: Exception) -> Json:
    """What a lower layer says about a value is about one of the request."""
    return answer(refused(str(error)))


async def http_error(request: Request, error: Exception) -> Json:
    assert isinstance(error, HTTPException)
    told = REASONS.get(error.status_code, str(error.detail))
    return answer(ApiError(error.status_code, told, code=CODES.get(error.status_code)))


async def defect(request: Request, error: Exception) -> Json:
    """A mistake of ours: what it was stands in the log."""
    return answer(ApiError(500, "the server failed at this request; its log says how"))


async def invalid(request: Request, error: Exception) -> Json:
    """The first thing that is wrong with a body, by its path in it."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()[0]
    place = [str(part) for part in found["loc"] if part != "body" and "[" not in str(part)]
    param = ".".join(place)[:80] or None
    if found["type"] == "extra_forbidden":
        return answer(refused(f"{param} is no field that this server knows; leave it out", param, "unknown_field"))
    if found["type"] == "json_invalid":
        return answer(refused("the body is no JSON", code="invalid_json"))
    told = str(found["msg"]).removeprefix("Value error, ")
    return answer(refused(f"{param}: {told}" if param else f"the body: {told}", param))


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    ApiError: api_error, UserError: user_error, HTTPException: http_error, RequestValidationError: invalid,
    Exception: defect,
}  # fmt: skip
