"""The section about searching within one text: how the model learned it, and what such a search looks like."""

from __future__ import annotations

from clearhead.charts.markup import Html, tag
from clearhead.charts.wording import count
from clearhead.report.alignment import reward_figure
from clearhead.report.data import Report
from clearhead.report.learning import accuracy_figure, loss_figure, samples_figure
from clearhead.report.parts import notes, section


def in_context_section(report: Report) -> Html | None:
    found, paid = report.in_context, report.in_context_align
    if found is None:
        return None
    lead = (
        "A copy of the model learned to search by itself, within one text: it writes steps, goes back with a line such "
        "as ⇒1 to where they still were promising, and ends with the steps that it answers with. It learned from "
        "searches through what the rollouts had explored"
    )
    if paid and paid.rounds:
        lead += f", then in {count(len(paid.rounds))} rounds of {paid.method} from searches of its own"
    drawn = [loss_figure(found), accuracy_figure(found, report), reward_figure(paid) if paid and paid.rounds else None]
    samples = paid.samples if paid and paid.samples else found.samples
    unit = "round" if paid and paid.samples else "step"
    return section(
        "in-context",
        "How it learned to search in one text",
        tag("p", f"{lead}.", cls="lead"),
        notes([("bad", line) for line in paid.health]) if paid and paid.health else None,
        tag("div", *(figure for figure in drawn if figure), cls="pair"),
        samples_figure(samples, unit, "A search that it wrote at that moment."),
    )
