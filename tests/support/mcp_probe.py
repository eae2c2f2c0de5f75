"""A small MCP server, made with the official package: `python mcp_probe.py`, or with a port over HTTP.

Its tools are what a client must cope with: names that no function of ours has, images, failures, hangs, a death.
"""

import os
import sys
import time

import mcp.types as types
from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("probe", log_level="CRITICAL")
READS = types.ToolAnnotations(read_only_hint=True)


@server.tool(annotations=READS)
def add(a: int, b: int = 1) -> int:
    """Add two numbers.\x1b[2J"""
    return a + b


@server.tool(name="get-picture.now", annotations=READS)
def picture() -> Image:
    return Image(data=b"x" * 30, format="png")


@server.tool(name="get_picture_now", annotations=types.ToolAnnotations(read_only_hint=False))
def same_name() -> str:
    return "another"


@server.tool(annotations=READS)
def fail() -> str:
    raise ToolError("no such row")


@server.tool(annotations=READS)
async def hang() -> str:
    time.sleep(3600)
    return ""


@server.tool(annotations=READS)
def environment() -> str:
    return " ".join(os.environ)


@server.tool()
def die() -> str:
    print("last words", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool(annotations=READS)
def process() -> int:
    return os.getpid()


if __name__ == "__main__":
    if sys.argv[1:]:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
