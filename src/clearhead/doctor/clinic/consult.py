"""One case of the clinic: a program with a fault, the curves of its run, causes to choose from, and the evidence."""

from __future__ import annotations

import difflib
import random
from dataclasses import dataclass
from typing import Any

from clearhead.doctor.clinic.faults import FAULTS, Fault
from clearhead.doctor.clinic.runs import fault_named, run, source
from clearhead.doctor.finding import Finding, alarms
from clearhead.doctor.telling import as_data as findings_as_data
from clearhead.doctor.telling import evidence, sparkline
from clearhead.errors import UserError

CHOICES = 5
SHOWN = ("loss", "val_loss", "grad_norm", "reward", "truth", "kl", "entropy")


@dataclass(frozen=True)
class Case:
    fault: Fault
    program: str
    seed: int
    text: str
    choices: tuple[str, ...]
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """Curves in words, the findings, and the gravest of them in words."""

    curves: list[str]
    findings: list[Finding]
    told: list[str]


def case(name: str | None, program: str | None, seed: int) -> Case:
    """The fault of that name, or the one that the seed draws."""
    rng = random.Random(f"clinic/{seed}")
    fault = fault_named(name) if name else rng.choice(FAULTS)
    fits = list(fault.patches)
    if program is not None and program not in fits:
        raise UserError(f"{fault.name} cannot be put into {program}; it fits {', '.join(fits)}")
    chosen = program or rng.choice(fits)
    others = [f.name for f in FAULTS if f is not fault and chosen in f.patches and not set(f.names) & set(fault.names)]
    choices = [fault.name, *rng.sample(others, min(CHOICES - 1, len(others)))]
    rng.shuffle(choices)
    text = source(chosen, fault.patches[chosen])
    lines = difflib.unified_diff(source(chosen).splitlines(), text.splitlines(), lineterm="", n=0)
    changes = tuple(line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---"))
    return Case(fault, chosen, seed, text, tuple(choices), changes)


def examine(found: Case) -> Seen:
    """Run it under the doctor's eyes. A run that breaks down has the curves until then."""
    watched = run(found.text, found.seed, f"{found.program}.py")
    record, told = watched.record(), watched.findings()
    curves = [
        f"{name:>9} {sparkline(curve)} {curve.values[0]:.4g} to {curve.values[-1]:.4g}"
        for name in SHOWN
        if len(curve := record.get(name)) > 1
    ]
    words = [f"{f.told} [{f.name}] {evidence(f)}; {f.change}" for f in alarms(told)] or ["nothing was found"]
    return Seen(curves, told, words)


def as_data(found: Case, seen: Seen, answer: str | None) -> dict[str, Any]:
    """For a program. What it is stands there only with an answer."""
    told: dict[str, Any] = {"program": found.program, "seed": found.seed, "code": found.text, "curves": seen.curves}
    if answer is None:
        return told | {"choices": list(found.choices)}
    right = answer == found.fault.name
    return told | {
        "answer": answer, "right": right, "fault": found.fault.name, "changes": list(found.changes),
        "findings": findings_as_data(seen.findings),
    }  # fmt: skip
