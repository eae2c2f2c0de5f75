"""Every detector, and what they find in a record together."""

from __future__ import annotations

from clearhead.doctor.checks import curves
from clearhead.doctor.finding import Finding, Kind, ranked
from clearhead.doctor.record import Record

FAMILIES = (curves,)
KINDS: dict[str, Kind] = {kind.name: kind for family in FAMILIES for kind in family.KINDS}

UNJUDGED = Kind(
    "not_judged", "note", "something of this run could not be judged", "log it too: loss, val_loss, grad_norm and lr by step",
    "the remark is gone", "the log itself",
)  # fmt: skip


def findings(record: Record) -> list[Finding]:
    """What is wrong with a run, causes before symptoms; none of a healthy one but notes."""
    found = [finding for family in FAMILIES for check in family.CHECKS for finding in check(record)]
    remarks = [UNJUDGED.found(remark) for remark in (*record.remarks, *_too_little(record))]
    return ranked(found, {name: kind.follows for name, kind in KINDS.items()}) + remarks


def _too_little(record: Record) -> list[str]:
    loss = record.get("loss")
    told = [] if len(loss) else ["the log holds no training loss"]
    if 0 < len(loss) < curves.ENOUGH:
        told.append(f"{len(loss)} steps are too few to tell learning from noise; {curves.ENOUGH} are needed")
    return told
