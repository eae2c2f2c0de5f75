"""What a doctor says: the kinds of findings, and one finding with its evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

Severity = Literal["error", "warning", "note"]
Evidence = dict[str, float | str]


@dataclass(frozen=True)
class Kind:
    """A kind of finding. A symptom is told as a note where one of its causes was found; "*" is any cause."""

    name: str
    severity: Severity
    told: str
    change: str
    proof: str
    source: str
    follows: tuple[str, ...] = ()

    def found(self, where: str = "", plot: str = "", **evidence: float | str) -> Finding:
        numbers = {key: value if isinstance(value, str) else float(value) for key, value in evidence.items()}
        return Finding(self.name, self.severity, self.told, numbers, where, self.change, self.proof, self.source, plot)


@dataclass(frozen=True)
class Finding:
    """`where` is a place in the run or the code, `plot` the name of the series that shows it, `because` a cause."""

    name: str
    severity: Severity
    told: str
    evidence: Evidence = field(default_factory=dict)
    where: str = ""
    change: str = ""
    proof: str = ""
    source: str = ""
    plot: str = ""
    because: str = ""


ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


def ranked(findings: Iterable[Finding], follows: dict[str, tuple[str, ...]]) -> list[Finding]:
    """The gravest first, and symptoms as notes behind the causes that explain them."""
    found = list(findings)
    grave = [f.name for f in found if f.severity != "note"]
    causes = [name for name in grave if "*" not in follows.get(name, ())]
    told = []
    for finding in found:
        explained = follows.get(finding.name, ())
        named = [name for name in grave if name in explained]
        why = [name for name in (*named, *(causes if "*" in explained else ())) if name != finding.name]
        told.append(replace(finding, severity="note", because=why[0]) if why else finding)
    return sorted(told, key=lambda f: ORDER[f.severity])


def alarms(findings: Iterable[Finding]) -> list[Finding]:
    """Those that call for a change; notes do not."""
    return [f for f in findings if f.severity != "note"]
