"""Findings in words: lines for a terminal, plain data for a program, a curve as a row of blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from clearhead.doctor.finding import Finding
from clearhead.doctor.record import Record, Series

BLOCKS = "▁▂▃▄▅▆▇█"
WIDE = 48  # of a drawn curve
SIGNS = {"error": "✗", "warning": "!", "note": "·"}


def sparkline(series: Series, width: int = WIDE) -> str:
    """Means of equal stretches as blocks; × where a value is no number.

    >>> sparkline(Series(np.arange(4), np.array([0.0, 1.0, float("nan"), 2.0])), 4)
    '▁▅×█'
    """
    parts = [part for part in np.array_split(series.values, min(width, len(series.values))) if len(part)]
    levels = [float(part.mean()) if np.isfinite(part).all() else math.nan for part in parts]
    known = [level for level in levels if math.isfinite(level)]
    low, span = min(known, default=0.0), (max(known, default=0.0) - min(known, default=0.0)) or 1.0
    marks = (
        BLOCKS[round((level - low) / span * (len(BLOCKS) - 1))] if math.isfinite(level) else "×" for level in levels
    )
    return "".join(marks)


def evidence(finding: Finding) -> str:
    """
    >>> evidence(Finding("a", "note", "", {"step": 3.0, "loss_at_start": 2.34567}))
    'step 3, loss at start 2.346'
    """
    numbers = (
        f"{k.replace('_', ' ')} {v:.4g}" if not isinstance(v, str) else f"{k.replace('_', ' ')} {v}"
        for k, v in finding.evidence.items()
    )
    return ", ".join(numbers)


def lines(finding: Finding, record: Record) -> Iterator[tuple[str, str]]:
    """(what the line is, the line) of one finding; the first has no name."""
    yield "", f"{SIGNS[finding.severity]} {finding.told} [{finding.name}]"
    if finding.where:
        yield "where", finding.where
    if finding.evidence:
        yield "evidence", evidence(finding)
    if finding.plot and len(curve := record.get(finding.plot)) > 1:
        yield finding.plot, f"{sparkline(curve)} {curve.values[0]:.4g} to {curve.values[-1]:.4g}"
    if finding.because:
        yield "follows", f"probably from {finding.because}: mend that first"
        return
    yield "change", finding.change
    yield "proof", finding.proof


def summary(findings: Sequence[Finding]) -> str:
    """The whole in a few words."""
    counts = {kind: sum(f.severity == kind for f in findings) for kind in SIGNS}
    told = [f"{n} {kind}{'s' * (n > 1)}" for kind, n in counts.items() if n]
    return ", ".join(told) if counts["error"] + counts["warning"] else "healthy" + (f"; {told[0]}" if told else "")


def as_data(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """For a program; numbers that are none as text, which JSON has no words for."""
    return [
        {
            **{
                key: getattr(f, key)
                for key in ("name", "severity", "told", "where", "change", "proof", "source", "because")
            },
            "evidence": {k: v if isinstance(v, str) or math.isfinite(v) else str(v) for k, v in f.evidence.items()},
        }
        for f in findings
    ]
