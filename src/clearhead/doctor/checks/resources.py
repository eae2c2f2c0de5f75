"""Memory that grows, and time that is lost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clearhead.doctor.finding import Finding, Kind
from clearhead.doctor.record import Record

GRAPH = Kind(
    "graph_grows", "error", "every step's graph holds those of the steps before: time and memory grow without an end",
    "detach what is carried from step to step (hidden state, running loss)", "the number of nodes behind the loss stays the same",
    "PyTorch documentation, FAQ: my model reports out of memory",
)  # fmt: skip
LEAK = Kind(
    "loss_kept", "error", "losses of earlier steps are kept with their graphs",
    "sum up loss.item(), not loss; append floats to lists", "memory stays level",
    "PyTorch documentation, FAQ: don't accumulate history across your training loop",
)  # fmt: skip
MEMORY = Kind(
    "memory_grows", "warning", "memory grows from step to step", "look for lists of tensors, and for losses kept with their graphs",
    "memory stays level over a thousand steps", "least squares line over the second half of the log",
    follows=("graph_grows", "loss_kept"),
)  # fmt: skip
LOADER = Kind(
    "loader_bound", "warning", "the loop waits for its batches most of the time",
    "use workers and prefetching, keep the data in memory, or do its preparation once", "the wait falls below a tenth of a step",
    "PyTorch performance tuning guide, data loading",
)  # fmt: skip

WAITING = 0.5  # share of a step
LONG = 0.005  # seconds a step below which nobody waits long


def memory(record: Record) -> Iterator[Finding]:
    """Nodes behind a loss at the end over those at the start; graphs that outlive their step."""
    nodes = record.get("nodes").values
    if len(nodes) >= 4 and nodes[-1] > 3 * nodes[0] and nodes[-1] >= nodes.max():
        yield GRAPH.found("the loss", "nodes", at_start=float(nodes[0]), at_end=float(nodes[-1]))
    order = record.fact("order", default={})
    grows = len(nodes) >= 4 and nodes[-1] > 3 * nodes[0]
    if order.get("outlived", 0) >= 2 and order["outlived"] > 0.4 * order["aged"] and not grows:
        yield LEAK.found("the loop", steps_looked_at=order["aged"], with_older_graphs=order["outlived"])
    used = record.get("memory").finite.values
    if len(used) >= 40:
        half = used[len(used) // 2 :]
        rise = np.polyfit(np.arange(len(half)), half, 1)[0] * len(half)
        if rise > 0.2 * half[0] and np.mean(np.diff(half) >= 0) > 0.8:
            yield MEMORY.found("the process", "memory", rise_over_second_half=float(rise), at_end=float(half[-1]))


def waiting(record: Record) -> Iterator[Finding]:
    wait, seconds = record.get("wait").finite.values, record.get("seconds").finite.values
    if len(wait) >= 20 and len(seconds) >= 20:
        share = float(np.median(wait) / max(np.median(seconds), 1e-12))
        if share > WAITING and float(np.median(wait)) > LONG:
            yield LOADER.found("the loader", "wait", share_of_step=share, seconds=float(np.median(wait)))


KINDS = (GRAPH, LEAK, MEMORY, LOADER)
CHECKS = (memory, waiting)
