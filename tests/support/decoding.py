"""Logits and tokens asked of a backend or an engine directly, for tests that look below texts."""

from collections.abc import Sequence

import numpy as np
import torch

from clearhead.generation.backend import Backend
from clearhead.generation.engine import Engine
from clearhead.generation.request import Request, TokenEvent


def logits_after(backend: Backend, ids: Sequence[int]) -> torch.Tensor:
    """Of the token after a text."""
    place = backend.open(ids, 1, 0)
    assert place is not None
    at = np.array([place])
    try:
        backend.compute(at)
        return backend.logits(at)[0]
    finally:
        backend.retain([place])


def events(engine: Engine, *requests: Request) -> dict[tuple[int, int], list[TokenEvent]]:
    """What comes of requests that are added together, by request (in order) and sample."""
    order = {engine.add(request): i for i, request in enumerate(requests)}
    found: dict[tuple[int, int], list[TokenEvent]] = {}
    while engine.unfinished:
        for event in engine.step():
            found.setdefault((order[event.request], event.sample), []).append(event)
    return found
