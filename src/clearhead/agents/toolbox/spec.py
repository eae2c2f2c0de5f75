"""The tools that a person names, as in `--tools calculator,python,docs:FOLDER,files:FOLDER,mcp:COMMAND`."""

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from clearhead.agents.mcp_client import mcp_tools
from clearhead.agents.toolbox.calculator import calculator
from clearhead.agents.toolbox.clock import clock
from clearhead.agents.toolbox.documents import documents
from clearhead.agents.toolbox.files import files
from clearhead.agents.toolbox.python import python_tool
from clearhead.agents.toolbox.table import table
from clearhead.agents.tools import Tool, tool
from clearhead.errors import UserError

SPEC = "calculator, python, clock, table:FILE, docs:FOLDER, files:FOLDER, mcp:COMMAND, mcp:http://HOST:PORT/mcp"
NAMES = ("calculator", "python", "clock", "table", "docs", "files", "mcp")


def make_tools(spec: str, *, unsafe: bool = False) -> dict[str, Tool]:
    """The tools by their names. UserError: a name that there is not, a folder that is none, a server that is none.

    `unsafe`: the Python tool may run where the kernel has no walls to keep its code in.
    """
    return by_name(found for entry in entries(spec) for found in _made(entry, unsafe))


def entries(spec: str) -> list[str]:
    """The parts of a list, which may have a comma in the command of an MCP server.

    >>> entries("clock, mcp:serve --only a,b,docs:notes")
    ['clock', 'mcp:serve --only a,b', 'docs:notes']
    """
    parts = list[str]()
    for part in spec.split(","):
        known = re.match(rf"\s*(?:{'|'.join(NAMES)})(?::|\s*$)", part)
        if parts and parts[-1].startswith("mcp:") and not known:
            parts[-1] += f",{part}"
        else:
            parts.append(part.strip())
    return [part.strip() for part in parts]


def by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Each under its own name; a second one of a name is called name_2."""
    found = dict[str, Tool]()
    for each in tools:
        name, number = each.name, 1
        while name in found:
            number += 1
            name = f"{each.name}_{number}"
        found[name] = replace(each, name=name)
    return found


def _made(entry: str, unsafe: bool) -> list[Tool]:
    match entry.partition(":"):
        case "calculator", "", "":
            return [tool(calculator, seconds=math.inf)]
        case "clock", "", "":
            return [tool(clock, seconds=math.inf)]
        case "python", "", "":
            return [python_tool(unsafe=unsafe)]
        case "table", ":", file if file.strip():
            return [table(Path(file.strip()).expanduser())]
        case "docs", ":", folder:
            return documents(_folder(entry, folder))
        case "files", ":", folder:
            return files(_folder(entry, folder))
        case "mcp", ":", where if where.strip():
            return mcp_tools(where.strip())
        case ("calculator" | "clock" | "python") as name, _, _:
            raise UserError(f"tools: {entry!r:.80}: {name} takes nothing behind it; write {name}")
        case ("docs" | "files") as name, _, _:
            raise UserError(f"tools: {entry!r:.80} names no folder; write {name}:FOLDER")
        case "table", _, _:
            raise UserError(f"tools: {entry!r:.80} names no file; write table:FILE")
        case "mcp", _, _:
            raise UserError(f"tools: {entry!r:.80} names no server; write mcp:COMMAND or mcp:http://HOST:PORT/mcp")
    raise UserError(f"tools: there is no tool {entry!r:.80}; there are {SPEC}")


def _folder(entry: str, folder: str) -> Path:
    if not folder.strip():
        raise UserError(f"tools: {entry!r:.80} names no folder; write {entry.partition(':')[0]}:FOLDER")
    path = Path(folder.strip()).expanduser()
    if not path.is_dir():
        raise UserError(f"tools: {folder.strip()!r:.200} is no folder")
    return path.resolve()
