"""Programs of the clinic, healthy or with a fault, run under the doctor's eyes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clearhead.doctor.clinic.faults import BY_NAME, FAULTS, Fault, Patch
from clearhead.doctor.watching import Watch, watch
from clearhead.errors import UserError

HERE = Path(__file__).parent
PROGRAMS = ("mlp", "regression", "decoder", "rnn", "policy")


def source(program: str, patch: Patch = ()) -> str:
    """The text of a program, with lines exchanged; each of them must be there."""
    text = (HERE / f"{program}.py").read_text(encoding="utf-8")
    for old, _ in patch:
        assert old in text, f"{program} has no {old!r}"
    exchange = dict(patch)
    return re.sub("|".join(map(re.escape, exchange)), lambda found: exchange[found.group()], text) if patch else text


def run(text: str, seed: int, name: str = "a run") -> Watch:
    """Run such a text: only ever the programs of this folder."""
    space: dict[str, Any] = {"__name__": "clearhead.doctor.clinic.run"}
    exec(compile(text, name, "exec"), space)
    found = space["train"](seed, watch)
    assert isinstance(found, Watch)
    return found


def fault_named(name: str) -> Fault:
    if name not in BY_NAME:
        raise UserError(f"no fault {name!r}; `clearhead clinic list` names the {len(FAULTS)} that there are")
    return BY_NAME[name]


def cases(names: Sequence[str] = ()) -> list[tuple[Fault, str]]:
    """Every fault with every program that it is put into."""
    return [(fault, program) for fault in FAULTS if not names or fault.name in names for program in fault.patches]
