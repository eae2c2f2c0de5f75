"""The models that a server holds, and a body's settings as a request to the engine of one."""

import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from clearhead.checkpoints.load import LoadedModel
from clearhead.errors import UserError
from clearhead.generation.engine import Engine
from clearhead.generation.language_model import Constraint, SamplingParams
from clearhead.generation.request import Bias, Request
from clearhead.server.bodies import Sampled
from clearhead.server.errors import ApiError, refused

FIELDS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")


@dataclass(frozen=True, eq=False)
class Served:
    """A model under the name that clients use."""

    name: str
    loaded: LoadedModel
    engine: Engine
    created: int = field(default_factory=lambda: int(time.time()))
    lock: threading.Lock = field(default_factory=threading.Lock)  # of the chat template's process

    @property
    def context(self) -> int:
        return self.engine.backend.max_positions

    def plain(self) -> dict[str, Any]:
        return {"id": self.name, "object": "model", "created": self.created, "owned_by": "clearhead",
                "context_length": self.context, "chat": self.loaded.template is not None}  # fmt: skip

    def request(
        self, body: Sampled, ids: Sequence[int], most: int, n: int, top_logprobs: int = 0,
        constraint: Constraint | None = None,
    ) -> Request:  # fmt: skip
        """What the engine is asked. Without a seed, one that nobody has had; settings not given are the model's own."""
        check_prompt(self, ids)
        given = {name: getattr(body, name) for name in FIELDS if getattr(body, name) is not None}
        own: dict[str, Any] = {**self.loaded.sampling, **given}
        stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
        if "" in stop:
            raise refused("stop: an empty string would end every text at once; leave it out", "stop")
        return Request(
            ids, SamplingParams(**own, max_tokens=min(most, self.context - len(ids))),
            seed=secrets.randbits(63) if body.seed is None else body.seed, stop=stop, n=n, top_logprobs=top_logprobs,
            constraint=constraint, bias=self.bias(body),
        )  # fmt: skip

    def bias(self, body: Sampled) -> Bias | None:
        added = []
        for key, value in (body.logit_bias or {}).items():
            if not key.isascii() or not key.isdigit() or int(key) >= self.engine.tokenizer.vocab_size:
                raise refused(
                    f"logit_bias: {key[:20]!r} is no token of this model, which has {self.engine.tokenizer.vocab_size}",
                    "logit_bias",
                )
            added.append((int(key), value))
        found = Bias(tuple(added), body.presence_penalty or 0.0, body.frequency_penalty or 0.0)
        return None if found == Bias() else found


def check_prompt(served: Served, ids: Sequence[int]) -> None:
    """ApiError for what is empty or leaves no room for a token, and for ids that are none."""
    if not ids:
        raise refused("the prompt is empty; give at least one character", "prompt")
    if len(ids) >= served.context:
        raise refused(
            f"the prompt is {len(ids)} tokens long, but the model's context is {served.context}, and what it writes "
            "must fit too; shorten it", "prompt", "context_length_exceeded",
        )  # fmt: skip
    if max(ids) >= served.engine.tokenizer.vocab_size:
        raise refused(f"token {max(ids)} is none of this model's {served.engine.tokenizer.vocab_size}", "prompt")


class Models:
    """Those that are served, by name; none before they are loaded."""

    def __init__(self) -> None:
        self.by_name: dict[str, Served] = {}
        self.ready = False

    def find(self, name: str) -> Served:
        if not self.ready:
            raise ApiError(503, "the models are being loaded; try again in a moment", code="loading")
        if name not in self.by_name:
            known = ", ".join(self.by_name)
            raise ApiError(404, f"there is no model {name[:80]!r} here; there is {known}", param="model",
                           code="model_not_found")  # fmt: skip
        return self.by_name[name]


def served_names(given: Sequence[str]) -> dict[str, str]:
    """NAME=MODEL, or a model that is called by the last part of its path, as {name: model}.

    >>> served_names(["runs/demo", "tiny=models/a.gguf", "org/model"])
    {'demo': 'runs/demo', 'tiny': 'models/a.gguf', 'model': 'org/model'}
    """
    found: dict[str, str] = {}
    for one in given:
        name, equals, model = one.partition("=")
        if not equals:
            name, model = one.rstrip("/").rpartition("/")[2].removesuffix(".gguf"), one
        if not name or not model:
            raise UserError(f"{one!r} names no model; write MODEL or NAME=MODEL")
        if name in found:
            raise UserError(f"two models are called {name!r}; give one another name: NAME={model}")
        found[name] = model
    return found
