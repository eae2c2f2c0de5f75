"""The section about the health of the trainings: what the doctor found, and what it looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clearhead.charts.markup import Html, tag
from clearhead.charts.wording import count, known, number, plural
from clearhead.doctor.checkup import events_health
from clearhead.report.data import Checked, Flaw, read
from clearhead.report.parts import Column, fold, notes, section, table

KINDS = {"error": "bad", "warning": "bad", "note": "plain"}


def training_health(name: str, events: Sequence[Mapping[str, Any]]) -> Html | None:
    """The section for a page of one training, from its events."""
    return health_section(read({"health": [events_health(name, events)]}).health)


def health_section(trainings: Sequence[Checked]) -> Html | None:
    if not trainings:
        return None
    ill = [checked for checked in trainings if not checked.well]
    named = plural(len(trainings), "training")
    lead = (
        f"{named} of this run {'were' if len(trainings) > 1 else 'was'} looked at by the doctor. It judges the "
        "record by thresholds that are the same for every run, and are measured on runs with known faults and on "
        "healthy ones. It never changes a run."
    )
    told = notes([item for checked in trainings for item in _told(checked)])
    columns = [
        Column("training", numeric=False),
        Column("steps"),
        Column("first loss"),
        Column("last loss"),
        Column("looked at", numeric=False),
    ]
    rows = [[c.log, count(c.steps), number(c.first), number(c.last), ", ".join(c.judged)] for c in trainings]
    return section(
        "health",
        "Health" if not ill else "Health: something calls for a change",
        tag("p", lead, cls="lead"), told,
        fold("What was looked at", table("what was looked at", columns, rows, stacked=True)),
    )  # fmt: skip


def _told(checked: Checked) -> list[tuple[str, str]]:
    if checked.well:
        steps = f"over {plural(int(checked.steps), 'step')}" if known(checked.steps) else ""
        first = [("good", f"{checked.log}: none of the faults that are looked for shows {steps}.")]
    else:
        first = []
    return first + [
        (KINDS.get(flaw.severity, "plain"), f"{checked.log}: {_sentence(flaw)}") for flaw in checked.findings
    ]


def _sentence(flaw: Flaw) -> str:
    where = f", at {flaw.where}" if flaw.where else ""
    evidence = f" ({flaw.evidence})" if flaw.evidence else ""
    change = (
        f" It probably follows from {flaw.because}."
        if flaw.because
        else f" Change: {flaw.change}. Proof: {flaw.proof}."
    )
    return f"{flaw.told}{where}{evidence}.{change}"
