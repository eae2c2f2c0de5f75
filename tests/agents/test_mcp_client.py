"""A real server of the official package, over pipes and over HTTP, and whatever is no server."""

import gc
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clearhead.agents import mcp_client
from clearhead.agents.calls import allow, carry_out, deny
from clearhead.agents.mcp_client import identifier, mcp_tools, text_of
from clearhead.agents.steps import Action, Observation
from clearhead.agents.toolbox.spec import by_name, make_tools
from clearhead.agents.tools import Tool
from clearhead.errors import Ignored, UserError

PROBE = str(Path(__file__).parents[1] / "support" / "mcp_probe.py")
COMMAND = shlex.join([sys.executable, PROBE])
LIMIT = 300.0  # for what takes a second where nothing else is at work


@pytest.fixture(scope="module")
def tools() -> dict[str, Tool]:
    os.environ["OPENAI_API_KEY"] = "sk-secret"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mcp_client, "START_SECONDS", LIMIT)
        return by_name(mcp_tools(COMMAND))


def call(tools: dict[str, Tool], name: str, **arguments: Any) -> Observation:
    [found] = carry_out([Action(name, arguments, 1)], tools, allow)
    return found


def test_the_tools_of_a_server(tools: dict[str, Tool]) -> None:
    assert list(tools) == [
        "add", "get_picture_now", "get_picture_now_2", "fail", "hang", "environment", "die", "process",
    ]  # fmt: skip
    assert [name for name, tool in tools.items() if tool.writes] == ["get_picture_now_2", "die"]
    assert tools["add"].description == "Add two numbers.\\x1b[2J"
    assert tools["add"].schema["properties"]["a"]["type"] == "integer"


def test_results_are_text(tools: dict[str, Tool]) -> None:
    assert call(tools, "add", a=2) == Observation("3", 1)
    assert call(tools, "get_picture_now") == Observation("[image, image/png, 30 bytes, which is not shown]", 1)
    assert call(tools, "get_picture_now_2").text == "another"
    found = carry_out([Action("add", {"a": i, "b": i}, i) for i in range(20)], tools, deny)
    assert [(seen.text, seen.id) for seen in found] == [(str(2 * i), i) for i in range(20)]


def test_failures_are_observations(tools: dict[str, Tool]) -> None:
    found = call(tools, "fail")
    assert not found.ok and "no such row" in found.text
    found = call(tools, "add", a="x")
    assert not found.ok and found.text == "wrong arguments for add: a: 'x' is not of type 'integer'"
    [found] = carry_out([Action("die", {})], tools, deny)
    assert not found.ok and "was not allowed" in found.text


def test_a_server_s_process_gets_no_key(tools: dict[str, Tool]) -> None:
    found = call(tools, "environment")
    assert found.ok and "PATH" in found.text and "OPENAI" not in found.text


def test_a_server_that_hangs_is_told_and_ends_with_the_last_of_its_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_client, "START_SECONDS", LIMIT)
    tools = by_name(mcp_tools(COMMAND))
    process = int(call(tools, "process").text)
    monkeypatch.setattr(mcp_client, "SECONDS", 0.5)
    found = call(tools, "hang")
    assert not found.ok and ("timed out" in found.text or "did not answer within 0.5" in found.text)
    assert _alive(process)
    del tools
    gc.collect()
    until = time.monotonic() + 60
    while _alive(process) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _alive(process)


def test_a_server_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_client, "START_SECONDS", LIMIT)
    tools = make_tools(f"mcp:{COMMAND}")
    for seen in (call(tools, "die"), call(tools, "add", a=1)):
        assert not seen.ok and "\n" not in seen.text


def test_the_process_ends_with_ours() -> None:
    code = f"""
from clearhead.agents import mcp_client
mcp_client.START_SECONDS = {LIMIT}
tools = {{tool.name: tool for tool in mcp_client.mcp_tools({COMMAND!r})}}
print(tools["process"].call())
"""
    env = os.environ | {"PYTHONPATH": str(Path(mcp_client.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=LIMIT)
    assert done.returncode == 0 and not done.stderr and not _alive(int(done.stdout))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with subprocess.Popen([sys.executable, PROBE, str(port)], stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
        process.kill()


def test_a_server_over_http(address: str) -> None:
    tools = make_tools(f"clock,mcp:{address},calculator")
    assert list(tools)[:2] == ["clock", "add"] and call(tools, "add", a=2).text == "3"
    assert call(tools, "calculator", expression="1/4").text == "0.25"
    assert not call(tools, "fail").ok


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("no-such-command-here", "mcp:no-such-command-here: "),
        ("true", "mcp:true: "),
        ("cat", "mcp:cat: "),
        ("sh -c 'echo broken pieces >&2; exit 3'", "(broken pieces)"),
        ("sh -c 'while true; do echo {}; done'", "mcp:sh -c"),
        ("'", "is no command: No closing quotation"),
        ("http://127.0.0.1:9/mcp", "mcp:http://127.0.0.1:9/mcp: "),
        ("sleep 1000", "did not answer as an MCP server within 2 seconds"),
    ],
)
def test_what_is_no_server_is_told_in_one_line(where: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_client, "START_SECONDS", 2.0 if "seconds" in said or "while" in where else LIMIT)
    with pytest.raises(UserError) as error:
        mcp_tools(where)
    assert said in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 1000


def block(kind: str, **fields: Any) -> SimpleNamespace:
    return SimpleNamespace(type=kind, **fields)


@pytest.mark.parametrize(
    ("blocks", "structured", "text"),
    [
        ([block("text", text="a"), block("text", text="b")], None, "a\nb"),
        ([], {"a": 1}, '{"a": 1}'),
        ([], None, ""),
        ([block("audio", mime_type="audio/wav", data="AAAA")], None, "[audio, audio/wav, 3 bytes, which is not shown]"),
        ([block("resource", resource=SimpleNamespace(text="in it", uri="u", mime_type=None))], None, "in it"),
        (
            [block("resource", resource=SimpleNamespace(blob="AA", uri="u", mime_type=None))],
            None,
            "[u, no text, which is",
        ),
        ([block("resource_link", uri="file:///a")], None, "[link to file:///a]"),
        ([block("hologram")], None, "[hologram, which is not shown]"),
    ],
)
def test_every_kind_of_content_is_text(blocks: list[Any], structured: Any, text: str) -> None:
    assert text_of(SimpleNamespace(content=blocks, structured_content=structured)).startswith(text)


def test_a_tool_whose_schema_is_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(name: str, schema: Any) -> SimpleNamespace:
        return SimpleNamespace(name=name, description=None, title=None, annotations=None, input_schema=schema)

    remote = [listed("a", {"type": "object"}), listed("b\n", {"type": "thing"}), listed("c", {"type": "string"})]
    monkeypatch.setattr(mcp_client, "Connection", lambda where: SimpleNamespace(tools=remote))
    with pytest.warns(Ignored) as warned:
        assert [(tool.name, tool.writes) for tool in mcp_tools("x")] == [("a", True)]
    assert [str(found.message).partition(": ")[2][:12] for found in warned] == ["its tool b i", "its tool c i"]


@pytest.mark.parametrize("name", ["a-b", "1", "", "class", "é", "a b\n", "x" * 500, "日本"])
def test_every_name_becomes_an_identifier(name: str) -> None:
    assert identifier(name).isidentifier() and len(identifier(name)) < 60


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
