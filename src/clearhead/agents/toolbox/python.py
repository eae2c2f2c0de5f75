"""Python for agents: code in a process that the kernel has walled in, which ends with it.

No network, no files but Python's own, no other process, bounded memory and time: clearhead.sandbox. Nothing is kept
from one call to the next.
"""

import ast
import json
import math
from typing import Annotated

from clearhead.agents.tools import Tool, ToolError, tool
from clearhead.sandbox.process import Ended, Sandbox

PROGRAM = "clearhead.agents.toolbox.python_program"
SECONDS = 10.0
MEMORY = 2**29  # bytes
LENGTH = 100_000  # characters of code
PRELOADED = ("numpy", "scipy", "sympy")  # packages whose import needs what the walls refuse


def python_tool(*, unsafe: bool = False) -> Tool:
    """The tool. UserError: this machine cannot keep code in, and `unsafe` was not asked for."""

    def python(code: Annotated[str, "statements; the value of a last expression is shown"]) -> str:
        """Run Python code: what it prints and the value of its last expression come back. Nothing is kept for later."""
        return run(code, unsafe=unsafe)

    run("", unsafe=unsafe)
    return tool(python, seconds=math.inf)  # the sandbox has its own limit


def run(code: str, *, seconds: float = SECONDS, unsafe: bool = False) -> str:
    """What was printed, then the value. ToolError: the code failed, or it was stopped; UserError as `python_tool`."""
    if len(code) > LENGTH:
        raise ToolError(f"code of {len(code):,} characters; at most {LENGTH:,} are run")
    sandbox = Sandbox(PROGRAM, {"modules": modules(code)}, seconds, memory=MEMORY, unsafe=unsafe)
    ended, reply = "", b"{}"
    with sandbox:
        try:
            reply = sandbox.ask(json.dumps(code).encode())
        except Ended as end:
            ended = str(end)
    value, raised = _read(reply)
    failed = f"the code {ended}" if ended else raised
    parts = [part for part in (sandbox.printed.rstrip("\n"), failed or value) if part]
    if failed:
        raise ToolError("\n".join(parts))
    return "\n".join(parts) or "it ran, printed nothing, and ended with no expression"


def modules(code: str) -> list[str]:
    """What the code imports of the packages that must be imported before the walls stand.

    >>> modules("import numpy.linalg as la, os")
    ['numpy.linalg']
    """
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the process will tell
        return []
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return sorted(name for name in names if name.split(".")[0] in PRELOADED)


def _read(reply: bytes) -> tuple[str, str]:
    """(the value, the error) of a reply that the code itself may have forged: texts, or nothing."""
    try:
        found = json.loads(reply)
        value, error = found.get("value"), found.get("error")
    except (ValueError, RecursionError, AttributeError):
        return "", "the code wrote into the sandbox's own pipe"
    return value if isinstance(value, str) else "", error if isinstance(error, str) else ""
