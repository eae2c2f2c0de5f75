"""What a model makes of a text that is there already: log p of its tokens, and its hidden states as one vector.

Called between two steps of the engine, whose texts it shares.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from clearhead.generation.backend import full
from clearhead.generation.engine import Engine, finite
from clearhead.generation.sampling import Token, with_logprob
from clearhead.generation.trie import ROOT
from clearhead.generation.trie_backend import TrieBackend
from clearhead.server.errors import ApiError, refused

AT_ONCE = 256  # rows of logits


def _path(engine: Engine, ids: Sequence[int]) -> tuple[TrieBackend, Int[np.ndarray, "T"]]:
    """The slots of a text, which are kept as long as nothing else needs them. ApiError where there is no room now."""
    backend = engine.backend
    if not isinstance(backend, TrieBackend):
        raise refused("this model is recurrent, and this needs a transformer", "model")
    if not backend.make_room(len(ids) + engine.promised):
        told = full(backend.trie.used, backend.trie.most, len(ids), backend.limit)
        raise ApiError(429, str(told), code="queue_full")
    (end,) = backend.trie.insert(np.array([ROOT]), [ids])
    backend.trie.acquire(np.array([end]))
    backend.compute(np.array([end]))
    backend.retain([int(end)])
    return backend, backend.trie.paths[end, : len(ids)]


@torch.inference_mode()
def prompt_logprobs(engine: Engine, ids: Sequence[int], top: int) -> list[Token | None]:
    """Each token of a text with its log p after those before it; of the first there is none."""
    backend, slots = _path(engine, ids)
    found: list[Token | None] = [None]
    for start in range(0, len(ids) - 1, AT_ONCE):
        some = slots[: len(ids) - 1][start : start + AT_ONCE]
        log_p = finite(backend.logits(some)).log_softmax(-1)
        found += [with_logprob(row, ids[start + 1 + i], top) for i, row in enumerate(log_p)]
    return found


@torch.inference_mode()
def embedding(engine: Engine, ids: Sequence[int]) -> Float[np.ndarray, "D"]:
    """The mean of the hidden states after the last norm over all tokens, at length 1, as clients expect vectors."""
    backend, slots = _path(engine, ids)
    mean = backend.cache.hidden(slots).double().mean(0)
    return torch.nn.functional.normalize(mean, dim=0).float().cpu().numpy()
