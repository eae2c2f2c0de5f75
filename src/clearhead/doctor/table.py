"""Every detector, and what they find in a record together."""

from __future__ import annotations

from clearhead.doctor.checks import before, curves, data, gradients, loop, losses, policy, resources, settings
from clearhead.doctor.finding import Finding, Kind, ranked
from clearhead.doctor.record import Record

FAMILIES = (before, loop, losses, data, settings, gradients, resources, policy, curves)
KINDS: dict[str, Kind] = {kind.name: kind for family in FAMILIES for kind in family.KINDS}
CHECKS = tuple(check for family in FAMILIES for check in family.CHECKS)
BEFORE = (
    before.before, loop.owners, losses.activations, losses.linear, losses.sign, data.inputs, data.shifts, data.probes,
    data.padding, settings.initialization, settings.told, settings.dropout,
)  # fmt: skip
FOLLOWS = {name: kind.follows for name, kind in KINDS.items()}

UNJUDGED = Kind(
    "not_judged", "note", "something of this run could not be judged",
    "log it too: loss, val_loss, grad_norm and lr by step", "the remark is gone", "the log itself",
)  # fmt: skip


def findings(record: Record) -> list[Finding]:
    """What is wrong with a run, causes before symptoms; none of a healthy one but notes."""
    found = [finding for check in CHECKS for finding in check(record)]
    return ranked(found, FOLLOWS) + [UNJUDGED.found(remark) for remark in (*record.remarks, *_too_little(record))]


def before_training(record: Record) -> list[Finding]:
    """The same of what a preflight can know."""
    return ranked((finding for check in BEFORE for finding in check(record)), FOLLOWS)


def judged(record: Record) -> list[str]:
    """What of a record there is to judge, in words."""
    told = {
        "loss": "course of the loss", "val_loss": "held-out loss against it", "grad_norm": "gradient norms",
        "lr": "rates", "update_ratio": "updates", "reward": "rewards", "kl": "KL", "entropy": "entropy",
        "length": "length of answers",
    }  # fmt: skip
    return [words for name, words in told.items() if len(record.get(name))]


def _too_little(record: Record) -> list[str]:
    loss = record.get("loss")
    told = [] if len(loss) else ["the log holds no training loss"]
    if 0 < len(loss) < curves.ENOUGH:
        told.append(f"{len(loss)} steps are too few to tell learning from noise; {curves.ENOUGH} are needed")
    return told
