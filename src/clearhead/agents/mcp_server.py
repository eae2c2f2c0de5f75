"""Our tools for other programs: an MCP server over standard input and output, or over HTTP on this machine alone.

A call goes the way that an agent's goes (`calls.carry_out`), so limits and errors are the same. Tools that write are
offered only where whoever starts the server says so, since nobody can be asked here.
"""

import importlib
import itertools
import socket
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

from clearhead.agents.calls import allow, carry_out
from clearhead.agents.steps import Action
from clearhead.agents.tools import Tool
from clearhead.errors import UserError
from clearhead.terminal import echo

MCP, SERVER, STDIO, ANYIO, UVICORN = "mcp", "mcp.server", "mcp.server.stdio", "anyio", "uvicorn"
HOST = "127.0.0.1"


def serve(
    tools: Mapping[str, Tool], *, port: int | None = None, writes: bool = False, ready: Callable[[str], None] = echo
) -> None:
    """Serve until the client leaves, or with a port (0: any that is free) until Ctrl-C; `ready` is told the address.

    Without `writes` the tools that write are left out. UserError: no tool is left, or the port is taken.
    """
    offered = {name: tool for name, tool in tools.items() if writes or not tool.writes}
    if not offered:
        raise UserError(
            f"there is no tool to serve{'' if writes or not tools else ': all of them write; --yes serves them'}"
        )
    server = make_server(offered)
    if port is None:
        _library(ANYIO).run(_over_pipes, server)
        return
    with _listening(port) as listening:
        uvicorn = _library(UVICORN)
        config = uvicorn.Config(server.streamable_http_app(host=HOST), log_level="error", lifespan="on")
        ready(f"http://{HOST}:{listening.getsockname()[1]}/mcp")
        uvicorn.Server(config).run(sockets=[listening])


def make_server(tools: Mapping[str, Tool]) -> Any:
    """The server of the package mcp that lists and calls these tools."""
    types, numbers = _library(MCP).types, itertools.count(1)
    listed = types.ListToolsResult(
        tools=[
            types.Tool(
                name=tool.name,
                description=tool.description,
                input_schema=dict(tool.schema),
                annotations=types.ToolAnnotations(read_only_hint=not tool.writes),
            )
            for tool in tools.values()
        ]
    )

    async def list_tools(context: Any, params: Any) -> Any:
        return listed

    async def call_tool(context: Any, params: Any) -> Any:
        action = Action(params.name, params.arguments or {}, next(numbers))
        work = partial(carry_out, [action], tools, allow)
        [seen] = await _library(ANYIO).to_thread.run_sync(work)
        return types.CallToolResult(content=[types.TextContent(text=seen.text)], is_error=not seen.ok)

    return _library(SERVER).Server("clearhead", on_list_tools=list_tools, on_call_tool=call_tool)


async def _over_pipes(server: Any) -> None:
    async with _library(STDIO).stdio_server() as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())


def _listening(port: int) -> socket.socket:
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()  # who comes before the server is ready waits
        return listening
    except (OSError, OverflowError) as error:
        listening.close()
        raise UserError(f"port {port} of {HOST} cannot be had: {error}; take another, or 0 for any") from None


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError("serving tools needs the package mcp: pip install 'clearhead[agents]'") from None
