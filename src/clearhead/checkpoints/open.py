"""A `LanguageModel` by its name, whether it runs here or behind an address: what search and agents are handed."""

import torch

from clearhead.checkpoints.load import load_model
from clearhead.errors import UserError
from clearhead.generation.language_model import LanguageModel
from clearhead.generation.local import LocalEngine
from clearhead.generation.remote import RemoteModel, is_address
from clearhead.models.decoder import Decoder


def open_model(name: str, device: torch.device, kv_memory: int | None = None) -> LanguageModel:
    """A name of `load_model`, or the address of an OpenAI-compatible endpoint: http://host:8000/v1, or with #MODEL."""
    if is_address(name):
        return RemoteModel.at(name)
    model = load_model(name, device)
    if not isinstance(model.model, Decoder):
        raise UserError(f"{name} is a recurrent model, which keeps no tree of texts; name a decoder")
    return LocalEngine(model.model, model.tokenizer, dtype=model.model.dtype, kv_memory=kv_memory)
