"""Run a learner's file in a sandbox, or a solution of our own here, and come back with the outcomes of its cases.

A reply from the sandbox is what the learner's process says, so all of it is checked: its values by whoever compares
them with what was wanted, which never gets there, its shape here, and its memory against what the kernel counted.
"""

import contextlib
import importlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clearhead.errors import UserError
from clearhead.sandbox.codec import pack, unpack
from clearhead.sandbox.process import FORGED, Ended, Sandbox
from clearhead.study.practice import child

UNCOUNTED = {"numpy": 2**21, "torch": 2**22}  # bytes by which the kernel's count may exceed that of the arrays


@dataclass
class Outcome:
    """What came back, case by case, and how the process ended."""

    cases: dict[int, dict[str, Any]] = field(default_factory=dict)
    broken: list[str] | None = None  # the file could not be loaded: [kind, message, line]
    called: list[str] = field(default_factory=list)  # of what is forbidden
    printed: str = ""
    ended: str = ""  # why the process ended before it was done
    begun: int | None = None  # the case it was in
    missing: list[str] = field(default_factory=list)  # walls that there were not


def run_apart(request: dict[str, Any], seconds: float, unsafe: bool = False) -> Outcome:
    """Run the request in a sandbox. UserError: this machine has none, and it is not to be run `unsafe`."""
    outcome = Outcome()
    setup = {key: request[key] for key in ("framework", "measure", "modules", "forbidden")}
    sandbox = Sandbox(child.__name__, setup, seconds, unsafe=unsafe)
    try:
        with sandbox:
            outcome.missing = sandbox.missing
            _take(outcome, sandbox.ask(pack({key: x for key, x in request.items() if key != "cases"})), None, request)
            for place, case in request["cases"]:
                if outcome.called or outcome.broken is not None:
                    break
                outcome.begun = place
                before = sandbox.memory(anew=True) if case["measure"] else (0, 0)
                _take(outcome, sandbox.ask(pack(case)), place, request)
                found = outcome.cases.get(place, {})
                if case["measure"] and "value" in found:
                    counted = sandbox.memory()[1] - before[0] if before[0] else 0
                    found["peak"] = max(found["peak"], counted - UNCOUNTED[request["framework"]])
    except Ended as error:
        outcome.ended = str(error)
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        outcome.ended = FORGED
    outcome.printed = sandbox.printed
    return outcome


def run_here(request: dict[str, Any], seconds: float) -> Outcome:
    """The same without a process: for solutions of our own, which need no guard."""
    outcome = Outcome()
    with contextlib.ExitStack() as stack:
        if request["framework"] == "torch":  # before what may not be called is replaced
            torch = importlib.import_module("torch")
            stack.enter_context(child.default_dtype(torch, torch.float64))
        stack.enter_context(child.forbidding(request["forbidden"], outcome.called.append))
        try:
            module = child.compiled(request["source"], child.FILE)
            getattr(module, request["name"])
        except Exception as error:
            outcome.broken = child.told(error)
            return outcome
        for place, case in request["cases"]:
            outcome.cases[place] = unpack(pack(child.call(module, request, case, outcome.called.append)))
    return outcome


def _take(outcome: Outcome, reply: bytes, place: int | None, request: dict[str, Any]) -> None:
    """Note the reply to a case, or to the source. ValueError: it is not of the shape that our side gives it."""
    found = unpack(reply)
    shape = {
        "called": lambda x: isinstance(x, str) and x in request["forbidden"],
        "broken": lambda x: place is None and _is_list(x, 3),
        "error": lambda x: place is not None and _is_list(x, 3),
        "value": lambda x: place is not None,
        "changed": lambda x: _is_list(x),
        "peak": lambda x: type(x) is int,
        "gradient": lambda x: isinstance(x, dict) and all(isinstance(g, np.ndarray) for g in x.values()),
    }
    if not isinstance(found, dict) or not all(key in shape and shape[key](x) for key, x in found.items()):
        raise ValueError("no reply of ours")
    if "called" in found:
        outcome.called = [found["called"]]
    elif "broken" in found:
        outcome.broken = found["broken"]
    elif place is not None:
        measured = dict(request["cases"])[place]["measure"]
        if "error" not in found and not {"value", "changed", *(["peak"] if measured else [])} <= found.keys():
            raise ValueError("no reply of ours")
        outcome.cases[place] = found


def _is_list(value: Any, length: int | None = None) -> bool:
    return isinstance(value, list) and all(isinstance(x, str) for x in value) and length in (None, len(value))
