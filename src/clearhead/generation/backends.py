"""Which backend serves which model."""

from clearhead.generation.backend import Backend
from clearhead.generation.contiguous import ContiguousBackend
from clearhead.generation.recurrent import RecurrentBackend
from clearhead.generation.trie_backend import TrieBackend
from clearhead.models.decoder import Decoder
from clearhead.models.recurrent import Recurrent


def backend_for(model: Decoder | Recurrent, texts: int = 1, kv_memory: int | None = None) -> Backend:
    """For so many texts at once, in the model's own type; at most `kv_memory` bytes of keys and values."""
    if isinstance(model, Recurrent):
        return RecurrentBackend(model, kv_memory)
    if texts == 1:
        return ContiguousBackend(model, kv_memory=kv_memory)
    return TrieBackend(model, model.dtype, kv_memory)
