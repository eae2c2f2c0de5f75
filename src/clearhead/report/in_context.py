"""The section about searching within one text: how the model learned it, and what such a search looks like."""

from __future__ import annotations

from clearhead.charts.markup import Html, tag
from clearhead.charts.wording import count
from clearhead.report.alignment import round_figures
from clearhead.report.data import Report
from clearhead.report.learning import samples_figure, training_figures
from clearhead.report.parts import notes, section


def in_context_section(report: Report) -> Html | None:
    found, paid = report.in_context, report.in_context_align
    if found is None:
        return None
    lead = (
        "A copy of the model learned to search by itself, within one text: it writes steps, goes back with a line such "
        "as ⇒1 to the state after so many of them, and ends with the steps that it answers with. It learned from "
        "searches through what the rollouts had explored"
    )
    if paid and paid.rounds:
        lead += f", then in {count(len(paid.rounds))} rounds of {paid.method} from searches of its own"
    drawn = training_figures(found, report, "learning to search")
    if paid:
        drawn += round_figures(paid, ", in one text")
    own = bool(paid and paid.samples)
    samples = paid.samples if paid and own else found.samples
    return section(
        "in-context",
        "How it learned to search in one text",
        tag("p", f"{lead}.", cls="lead"),
        notes([("bad", line) for line in paid.health]) if paid and paid.health else None,
        tag("div", *drawn, cls="pair") if drawn else None,
        samples_figure(samples, "round" if own else "step", "A search that it wrote at that moment."),
    )
