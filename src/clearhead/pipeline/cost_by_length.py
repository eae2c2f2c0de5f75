"""What a token costs as the text before it grows: seconds to learn from it and to write it, and the memory kept."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from clearhead.generation.engine import backend_for
from clearhead.models.decoder import DecoderConfig
from clearhead.pipeline.text_models import TextModel
from clearhead.text.packing import Batch
from clearhead.training.step import language_model_loss, to_tensors

READ = 4096  # tokens of one pass, in rows of the length that is measured
WRITTEN = 16  # tokens of a text that is timed
TIMES = 3  # of which the fastest counts: whatever else the machine does only slows it down


def measure(model: TextModel, length: int) -> dict[str, Any]:
    """Seconds a token of a training pass (forward and backward, neither compiled nor with the update) and of writing
    one text, and the bytes kept of its past. The model's weights do not matter for any of them.
    """
    model.requires_grad_(True)
    return {
        "length": length, "read": read_seconds(model, length), "write": write_seconds(model, length),
        "kept": kept(model, length),
    }  # fmt: skip


def read_seconds(model: TextModel, length: int) -> float:
    device = next(model.parameters()).device
    rng = np.random.default_rng(length)
    shape = (max(1, READ // length), length)
    tokens = rng.integers(model.config.vocab, size=shape)
    positions = np.broadcast_to(np.arange(length), shape).copy()
    batch = to_tensors(Batch(tokens, positions, np.ones_like(tokens), np.roll(tokens, -1, 1)), device)

    def read() -> None:
        language_model_loss(model, batch).backward()
        model.zero_grad(set_to_none=True)

    return _fastest(read) / tokens.size


def write_seconds(model: TextModel, length: int) -> float:
    """After the text has been read, which is not counted."""
    prompt = np.random.default_rng(length).integers(model.config.vocab, size=length).tolist()
    backend = backend_for(model)
    opened = backend.open(prompt, 1, WRITTEN)
    assert opened is not None
    seqs = np.array([opened])
    backend.compute(seqs)

    def write() -> None:
        nonlocal seqs
        backend.logits(seqs)
        after, _ = backend.advance(seqs, np.array([prompt[0]]))
        backend.retain(seqs.tolist())
        backend.compute(seqs := after)

    return min(_fastest(write) for _ in range(WRITTEN // (1 + TIMES)))


def kept(model: TextModel, length: int) -> int:
    """Bytes that stand for a text of that length: keys and values of all its tokens, or a state."""
    weight = next(model.parameters())
    config = model.config
    if isinstance(config, DecoderConfig):
        return 2 * config.n_layers * config.n_kv_heads * config.dim_per_head * length * weight.itemsize
    return config.state_numbers * weight.itemsize


def _fastest(work: Callable[[], None]) -> float:
    found = []
    for _ in range(1 + TIMES):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found[1:])
