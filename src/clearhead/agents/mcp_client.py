"""The tools of any MCP server as tools of ours: over the pipes of a process that we start, or over HTTP.

The protocol is the package mcp's (modelcontextprotocol.io), and runs in a thread with a loop of its own. A server is
believed in little: what it says is text, its schemas are checked, and a tool that it does not call read-only needs
approval. Its process ends with the last of its tools, or with ours.
"""

import asyncio
import contextlib
import importlib
import json
import keyword
import logging
import os
import re
import shlex
import threading
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import Future
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

from clearhead.agents.tools import SECONDS, Tool, ToolError
from clearhead.errors import UserError, warn
from clearhead.terminal import one_line, spelled

PACKAGE, STDIO, VALIDATORS = "mcp", "mcp.client.stdio", "jsonschema.validators"
START_SECONDS = 60.0  # one that is fetched first takes its time
GRACE = 8.0  # seconds that a server has to end, which the protocol tells it first
PAGES = 50  # of the list of tools
MOST_TOOLS = 200
DESCRIPTION, NAME = 1000, 48  # characters that are kept
COMPLAINT = 2000  # bytes of what a server wrote last to its standard error


class _Link(NamedTuple):
    """What the thread of a connection hands to the others."""

    loop: asyncio.AbstractEventLoop
    client: Any
    closing: asyncio.Event
    tools: list[Any]


class Connection:
    """A server at work. UserError: there is none, or it does not answer as an MCP server."""

    def __init__(self, where: str) -> None:
        self.where = where
        _library()  # importing it is no part of a server's time
        ready: Future[_Link] = Future()
        thread = threading.Thread(target=_run, args=(where, ready), name="mcp", daemon=True)
        thread.start()
        try:
            link = ready.result(START_SECONDS + GRACE)
        except TimeoutError:
            raise UserError(_silent(where)) from None
        self._link, self._thread = link, thread
        self.tools = link.tools
        self.close = weakref.finalize(self, _close, link, thread)  # at the program's end, too

    def call(self, name: str, arguments: dict[str, Any], seconds: float) -> str:
        """The result as text. ToolError: there is none, or it says that the call failed."""
        if not self._thread.is_alive() or not self.close.alive:
            raise ToolError(f"{name}: the server {self.where:.80} has ended")
        asked = asyncio.run_coroutine_threadsafe(_called(self._link, name, arguments, seconds), self._link.loop)
        try:
            result = asked.result(seconds + 1)
        except TimeoutError:
            asked.cancel()
            raise ToolError(f"{name}: the server did not answer within {seconds:g} seconds") from None
        except Exception as error:  # of the protocol, of the network, of what the server sent
            raise ToolError(f"{name}: {_leaf(error)}") from None
        if result.is_error:
            raise ToolError(text_of(result) or f"{name} failed")
        return text_of(result)


def mcp_tools(where: str) -> list[Tool]:
    """The tools of the server that is reached by `where`, an http address or a command to run."""
    connection = Connection(where)
    found = list[Tool]()
    for remote in connection.tools:
        if said := _unusable(remote.input_schema):
            warn(f"{where:.80}: its tool {one_line(remote.name):.40} is left out: {said}")
        else:
            call = partial(_call, connection, remote.name)
            hints = remote.annotations
            reads = hints is not None and hints.read_only_hint is True
            told = spelled(remote.description or remote.title or remote.name)[:DESCRIPTION]
            found.append(Tool(identifier(remote.name), told, remote.input_schema, call, not reads, SECONDS + 5))
    return found


def text_of(result: Any) -> str:
    """What came back as text; an image and whatever else is none is told."""
    parts = [_block(block) for block in result.content]
    if not parts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(parts)


def identifier(name: str) -> str:
    """A tool's name as ours may be: letters, digits and _.

    >>> identifier("get-weather.now"), identifier("2d"), identifier("")
    ('get_weather_now', 'tool_2d', 'tool_')
    """
    found = re.sub(r"\W", "_", name)[:NAME]
    return found if found.isidentifier() and not keyword.iskeyword(found) else f"tool_{found}"


def _block(block: Any) -> str:
    match block.type:
        case "text":
            return str(block.text)
        case "image" | "audio":
            return f"[{block.type}, {block.mime_type}, {len(block.data) * 3 // 4:,} bytes, which is not shown]"
        case "resource" if getattr(block.resource, "text", None) is not None:
            return str(block.resource.text)
        case "resource":
            return f"[{block.resource.uri}, {block.resource.mime_type or 'no text'}, which is not shown]"
        case "resource_link":
            return f"[link to {block.uri}]"
    return f"[{block.type}, which is not shown]"


def _call(connection: Connection, name: str, /, **arguments: Any) -> str:
    return connection.call(name, arguments, SECONDS)


def _unusable(schema: Any) -> str:
    """Why the arguments' schema is none; "" where it is one."""
    try:
        importlib.import_module(VALIDATORS).validator_for(schema).check_schema(schema)
    except Exception as error:
        return f"its arguments have no JSON schema ({_leaf(error):.100})"
    return "" if schema.get("type") == "object" else "its arguments are no object"


def _run(where: str, ready: "Future[_Link]") -> None:
    """The thread of a connection, from its start to its end."""
    complaint = bytearray()
    try:
        asyncio.run(_serve(where, ready, complaint))
    except BaseException as error:
        if not ready.done():
            last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
            said = _silent(where) if isinstance(error, TimeoutError) else f"mcp:{where:.200}: {_leaf(error)}"
            if isinstance(error, UserError):
                said = str(error)
            ready.set_exception(UserError(one_line(said + (f" ({last[:200]})" if last else ""))))


async def _serve(where: str, ready: "Future[_Link]", complaint: bytearray) -> None:
    mcp = _library()
    async with contextlib.AsyncExitStack() as stack:
        async with asyncio.timeout(START_SECONDS):
            server = where
            if not where.startswith(("http://", "https://")):
                server = await stack.enter_async_context(_process(where, complaint))
            client = await stack.enter_async_context(mcp.Client(server, client_info=_ourselves(mcp)))
            tools = await _listed(client)
        closing = asyncio.Event()
        ready.set_result(_Link(asyncio.get_running_loop(), client, closing, tools))
        await closing.wait()


@contextlib.asynccontextmanager
async def _process(command: str, complaint: bytearray) -> AsyncIterator[Any]:
    """The transport to a process that the command starts. What it writes to standard error fills `complaint`."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"mcp:{command:.200} is no command: {error}") from None
    if not words:
        raise UserError("mcp: names no server; write mcp:COMMAND or mcp:http://HOST:PORT/mcp")
    source, sink = os.pipe()
    threading.Thread(target=_drain, args=(source, complaint), daemon=True).start()
    stdio = importlib.import_module(STDIO)
    with os.fdopen(sink, "w") as errors:
        yield stdio.stdio_client(stdio.StdioServerParameters(command=words[0], args=words[1:]), errlog=errors)


def _drain(source: int, complaint: bytearray) -> None:
    """Read until nobody writes any more, and keep the end."""
    with os.fdopen(source, "rb", buffering=0) as file:
        while part := file.read(2**16):
            complaint += part
            del complaint[:-COMPLAINT]


async def _listed(client: Any) -> list[Any]:
    tools, cursor = list[Any](), None
    for _ in range(PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None or len(tools) >= MOST_TOOLS:
            break
    return tools[:MOST_TOOLS]


async def _called(link: _Link, name: str, arguments: dict[str, Any], seconds: float) -> Any:
    return await link.client.call_tool(name, arguments, read_timeout_seconds=seconds)


def _close(link: _Link, thread: threading.Thread) -> None:
    with contextlib.suppress(RuntimeError):  # its loop has ended
        link.loop.call_soon_threadsafe(link.closing.set)
    if thread is not threading.current_thread():
        thread.join(GRACE)


def _silent(where: str) -> str:
    return f"mcp:{where:.200} did not answer as an MCP server within {START_SECONDS:g} seconds"


def _leaf(error: BaseException) -> str:
    """What went wrong, where a group of tasks has wrapped it."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return f"{str(error) or type(error).__name__}"[:500]


def _ourselves(mcp: ModuleType) -> Any:
    return mcp.types.Implementation(name="clearhead", version="1")


def _library() -> ModuleType:
    try:
        mcp = importlib.import_module(PACKAGE)
    except ImportError:
        raise UserError("MCP servers need the package mcp: pip install 'clearhead[agents]'") from None
    for name in ("mcp", "client"):  # what they log is told by us, or is nobody's concern
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    return mcp
