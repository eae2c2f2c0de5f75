"""One file that a run can be continued from: named tensors and a JSON description, in the safetensors format.

Deliberately not here: what is saved (loop.py), and other people's checkpoints.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from clearhead.errors import UserError
from clearhead.files import write_whole

META = (
    "clearhead"  # the one metadata key; safetensors writes several in random order, and equal states give equal bytes
)

WEIGHTS = "model/"  # what the names of a model's weights begin with
BEST = "best/"  # and those of the weights that an evaluation found best so far


def save(path: Path | str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """There whole or not at all, on the disk, when this returns."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.part"):  # by a run that was killed
        left.unlink(missing_ok=True)
    own: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():  # the format has no word for two names of one memory, such as tied weights
        place = tensor.untyped_storage().data_ptr()
        own[name] = tensor.contiguous().clone() if place in seen else tensor.contiguous()
        seen.add(place)
    data = to_bytes(own, {META: json.dumps(meta, ensure_ascii=False)})
    write_whole(path, data)


def load(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the description; a missing, torn or foreign file is a UserError."""
    with _opened(Path(path)) as file:
        tensors = {_renamed(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        return tensors, _description(file, path)


def _renamed(name: str) -> str:
    """The name of today of a tensor that an older version saved."""
    return re.sub(r"\bplace\.weight$", "pos_embed.weight", name)


def describe(path: Path | str) -> dict[str, Any]:
    """The description alone: no tensor is read."""
    with _opened(Path(path)) as file:
        return _description(file, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise UserError(f"there is no checkpoint at {path}; check the path, or train first")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise UserError(
            f"{path} is not a whole safetensors file ({error}); delete it, or restore an older one"
        ) from None


def _description(file: Any, path: Path | str) -> dict[str, Any]:
    try:
        described = json.loads((file.metadata() or {})[META])
    except (KeyError, ValueError, RecursionError):
        described = None
    if not isinstance(described, dict):
        raise UserError(f"{path} holds tensors but no description by clearhead; it was not saved by a clearhead run")
    return described


def weights(tensors: Mapping[str, Tensor], kind: str = WEIGHTS) -> dict[str, Tensor]:
    """The model's part, the last weights or the best, under the names of its `state_dict`."""
    return {name.removeprefix(kind): t for name, t in tensors.items() if name.startswith(kind)}
