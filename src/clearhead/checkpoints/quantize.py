"""A model in whole numbers of 8 or 4 bits as a GGUF file, and what that cost: size and perplexity before and after.

Deliberately not here: the blocks (the gguf package makes them) and how they are multiplied (kernels.quantized).
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from clearhead.checkpoints.convert import Progress, convert
from clearhead.checkpoints.inspect import inspect
from clearhead.checkpoints.load import LoadedModel, load_model
from clearhead.errors import UserError

KINDS = {8: "q8_0", 4: "q4_1"}  # Q4_1 has a least for each group: a third of the error of Q4_0, for half a bit more
WINDOW = 512  # tokens that are read together
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Quantized:
    """What was written, and how well both models predict `tokens` tokens of a text."""

    path: Path
    kind: str
    bytes_before: int
    bytes_after: int
    perplexity_before: float
    perplexity_after: float
    tokens: int


def quantize(source: str, target: Path, bits: int, text: str, force: bool, progress: Progress) -> Quantized:
    """Write the model `source` to the GGUF file `target`; the perplexity after is of the file as it is multiplied."""
    if target.suffix != ".gguf":
        raise UserError(f"{target} must be a GGUF file: let its name end in .gguf")
    before = inspect(source)
    done = convert(source, target, KINDS[bits], force, progress)
    measured = []
    with progress("perplexity", 2) as advance:
        for model in (load_model(source, CPU), load_model(str(target), CPU, weights="auto")):
            measured.append(perplexity(model, text))
            advance(1)
    (first, tokens), (second, _) = measured
    return Quantized(done.path, done.dtype, before.stored_bytes, done.nbytes, first, second, tokens)


@torch.inference_mode()
def perplexity(loaded: LoadedModel, text: str) -> tuple[float, int]:
    """exp of the mean of -log p, over all tokens of the text but the first of each window; and how many those are."""
    ids, size = loaded.tokenizer.encode(text), min(WINDOW, loaded.decoder.config.max_positions)
    windows = [torch.tensor(ids[i : i + size]) for i in range(0, len(ids), size)]
    nats, count = 0.0, 0
    for window in windows:
        log_p = loaded.decoder.logits(loaded.decoder(window[None])[0, :-1]).float().log_softmax(-1)
        nats -= float(log_p.gather(1, window[1:, None]).double().sum())
        count += len(window) - 1
    if not count:
        raise UserError("the text is too short to measure perplexity; give --text a longer one")
    return math.exp(nats / count), count
