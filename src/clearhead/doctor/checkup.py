"""The findings about the trainings of a run as plain data, for its report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clearhead.doctor.finding import alarms
from clearhead.doctor.record import Record, from_events, of_run
from clearhead.doctor.table import findings, judged
from clearhead.doctor.telling import evidence, summary
from clearhead.errors import UserError


def run_health(directory: Path) -> list[dict[str, Any]]:
    """A row for every training of the run; none before the first."""
    try:
        return [health(record) for record in of_run(directory)]
    except UserError:
        return []


def health(record: Record) -> dict[str, Any]:
    found = findings(record)
    loss = record.get("loss").values
    keys = ("name", "severity", "told", "where", "change", "proof", "because")
    return {
        "log": record.name.removesuffix(".jsonl"), "summary": summary(found), "well": not alarms(found),
        "steps": len(loss), "judged": judged(record),
        "first": float(loss[0]) if len(loss) else None, "last": float(loss[-1]) if len(loss) else None,
        "findings": [{key: getattr(f, key) for key in keys} | {"evidence": evidence(f)} for f in found],
    }  # fmt: skip


def events_health(name: str, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The same of the events of one log."""
    return health(from_events(name, list(events)))


def round_lines(rounds: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What is wrong with a policy that learns from rewards, a line by each finding's name, from events "round"."""
    found = alarms(findings(from_events("rounds", list(rounds))))
    return {f.name: f"{f.told} ({evidence(f)}): {f.change}" for f in found}
