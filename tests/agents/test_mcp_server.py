"""Our tools by the official client, over pipes and over HTTP."""

import asyncio
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mcp
import pytest
from mcp.client.stdio import StdioServerParameters

from clearhead.agents import mcp_server
from clearhead.agents.mcp_server import serve
from clearhead.agents.toolbox.spec import make_tools
from clearhead.agents.tools import Tool
from clearhead.errors import UserError

CODE = """
import sys
from clearhead.agents.mcp_server import serve
from clearhead.agents.toolbox.spec import make_tools
port = int(sys.argv[2]) if sys.argv[2:] else None
serve(make_tools(sys.argv[1]), port=port, ready=lambda address: print(address, flush=True))
"""
SOURCE = str(Path(mcp_server.__file__).parents[2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("in a file")
    return tmp_path


async def ask(server: Any, folder: Path) -> None:
    """What is listed and what is answered, whichever way the server is reached."""
    async with mcp.Client(server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == ["calculator", "clock", "list_files", "read_file"]  # and nothing that writes
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())
        assert tools["calculator"].input_schema["required"] == ["expression"]
        assert await answer(client, "calculator", expression="0.1 + 0.2") == ("0.3", False)
        assert await answer(client, "read_file", path="a.txt") == ("in a file", False)
        text, failed = await answer(client, "calculator", expression="1/0")
        assert failed and "division by zero" in text
        text, failed = await answer(client, "calculator", wrong=1)
        assert failed and text.startswith("wrong arguments for calculator")
        text, failed = await answer(client, "write_file", path="b.txt", text="x")
        assert failed and "there is no tool write_file" in text and not (folder / "b.txt").exists()
        text, failed = await answer(client, "read_file", path="../../etc/passwd")
        assert failed and "leads out" in text
        many = await asyncio.gather(*(answer(client, "calculator", expression=f"{i} * 2") for i in range(20)))
        assert many == [(str(2 * i), False) for i in range(20)]


async def answer(client: Any, name: str, **arguments: Any) -> tuple[str, bool]:
    result = await client.call_tool(name, arguments)
    return result.content[0].text, result.is_error


def test_over_pipes(folder: Path) -> None:
    args = ["-c", CODE, f"calculator,clock,files:{folder}"]
    asyncio.run(ask(StdioServerParameters(command=sys.executable, args=args, env={"PYTHONPATH": SOURCE}), folder))


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-c", CODE, f"calculator,clock,files:{folder}", "0"]
    env = os.environ | {"PYTHONPATH": SOURCE}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None and process.stderr is not None
        yield process.stdout.readline().strip()
        process.terminate()
        assert "Traceback" not in process.stderr.read()


def test_over_http_on_this_machine_alone(folder: Path, address: str) -> None:
    assert address.startswith("http://127.0.0.1:") and address.endswith("/mcp")
    asyncio.run(ask(address, folder))
    for header, value in (("Host", "evil.example"), ("Origin", "http://evil.example")):  # a page of another's
        body = urllib.request.Request(address, b"{}", {"Content-Type": "application/json", header: value})
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(body, timeout=60)
        assert error.value.code in (403, 421)
        error.value.close()


def test_what_cannot_be_served_is_told() -> None:
    writing = {"w": Tool("w", "", {"type": "object"}, print, writes=True)}
    with pytest.raises(UserError, match="all of them write; --yes serves them"):
        serve(writing)
    with pytest.raises(UserError, match="there is no tool to serve"):
        serve({})
    tools = make_tools("clock")
    said = r"port \d+ of 127.0.0.1 cannot be had"
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match=said):
        serve(tools, port=taken.getsockname()[1])
    with pytest.raises(UserError, match=r"port 99999 of 127.0.0.1 cannot be had"):
        serve(tools, port=99999)


def test_without_the_package_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(UserError, match="pip install 'clearhead\\[agents\\]'"):
        serve(make_tools("clock"))
