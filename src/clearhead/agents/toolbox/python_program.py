"""What runs a model's code in the sandbox: one text of code, and the value of its last expression back.

The sandbox starts it as `clearhead.sandbox.worker` says. It imports nothing of ours, and little at all, so that it
starts at once.
"""

import ast
import builtins
import importlib
import json
import linecache
import sys
import traceback
from collections.abc import Callable
from typing import Any

FILE = "<code>"
MOST_VALUE = 20_000  # characters of the value that are told
MOST_ERROR = 2_000


def prepare(setup: dict[str, Any]) -> list[str]:
    """Import what could not be imported behind the walls."""
    for name in setup["modules"]:
        try:
            importlib.import_module(name)
        except ImportError:  # which the code's own import then tells
            continue
    return []


def begin(message: bytes, send: Callable[[bytes], None]) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Run the code; the reply is JSON with `value` or `error`. It is the only question that is answered."""
    code = json.loads(message)
    linecache.cache[FILE] = len(code), None, code.splitlines(keepends=True), FILE
    sys.argv = [FILE]
    try:
        reply = {"value": run(code)}
    except BaseException as error:
        reply = {"error": told(error)[-MOST_ERROR:]}
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the code may have put anything there
            continue
    return json.dumps(reply).encode(), lambda _: b"{}"


def run(code: str) -> str | None:
    """The text of the last expression's value; None where the last statement is none, or its value is None."""
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    tree = ast.parse(code, FILE)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, FILE, "exec", dont_inherit=True), names)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    value = eval(compile(ast.Expression(last.value), FILE, "eval", dont_inherit=True), names)
    return None if value is None else str.__str__(repr(value))[:MOST_VALUE]


def told(error: BaseException) -> str:
    """The error and the lines of the code that led to it, without ours."""
    try:
        at = error.__traceback__
        while at is not None and at.tb_frame.f_code.co_filename != FILE:
            at = at.tb_next
        return "".join(traceback.format_exception(type(error), error, at, limit=-3, chain=False)).strip()
    except BaseException:  # what the code raised has a message that raises, too
        return f"{type(error).__name__}"
