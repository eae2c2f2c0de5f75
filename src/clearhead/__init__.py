"""Clearhead: a complete transformer system that one person can read.

    >>> import clearhead
    >>> model = clearhead.load("smollm2")  # doctest: +SKIP
    >>> model.generate("The capital of France is", max_tokens=3)  # doctest: +SKIP
    ' Paris.'

What can be imported from here is listed in docs/python.md. It is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearhead import doctor
    from clearhead.api import Model, Tokenizer, load, train
    from clearhead.errors import UserError
    from clearhead.models.decoder import Decoder, DecoderConfig
    from clearhead.nn.lora import LoraConfig, add_lora
    from clearhead.reasoning.lockstep import Proposal
    from clearhead.reasoning.single import search

__version__ = "0.1.0"
__all__ = (
    "Decoder", "DecoderConfig", "LoraConfig", "Model", "Proposal", "Tokenizer", "UserError",
    "add_lora", "doctor", "load", "search", "train",
)  # fmt: skip

_HOME = {
    **dict.fromkeys(("Model", "Tokenizer", "load", "train"), "clearhead.api"),
    **dict.fromkeys(("Decoder", "DecoderConfig"), "clearhead.models.decoder"),
    **dict.fromkeys(("LoraConfig", "add_lora"), "clearhead.nn.lora"),
    "Proposal": "clearhead.reasoning.lockstep",
    "UserError": "clearhead.errors",
    "search": "clearhead.reasoning.single",
}
_MODULES = ("doctor",)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'clearhead' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})
