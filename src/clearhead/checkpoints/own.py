"""A model as a run of ours leaves it: a folder with weights that say their own configuration, and a tokenizer.

policy.safetensors    a decoder, of which this is the name in every run
aligned.safetensors   what it became by learning from its own answers, where it did: then this is the run's model
lstm.safetensors      a recurrent model, beside it or alone; rnn.safetensors and conv.safetensors the same
tokenizer.json        what all of them read
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clearhead.config import build, renamed, to_dict
from clearhead.errors import UserError
from clearhead.files import write_text
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.recurrent import Recurrent, RecurrentConfig
from clearhead.text import load as text
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.training import checkpoint

TOKENIZER = "tokenizer.json"
ALIGNED = "aligned.safetensors"
TRANSLATORS = "models"  # the folder with those of a run that translates
FILES = {
    "decoder": "policy.safetensors",
    "lstm": "lstm.safetensors",
    "rnn": "rnn.safetensors",
    "conv": "conv.safetensors",
}


def models_in(folder: Path) -> dict[str, Path]:
    """The files of the language models that are there, by their kinds."""
    found = {kind: folder / name for kind, name in FILES.items() if (folder / name).is_file()}
    return found | ({"decoder": folder / ALIGNED} if (folder / ALIGNED).is_file() else {})


def is_own(folder: Path) -> bool:
    """Whether a run of ours has left its model here, or has begun to."""
    return (folder / "config.toml").is_file() or bool(models_in(folder))


def load_tokenizer(folder: Path) -> CharTokenizer | SubwordTokenizer:
    if not (folder / TOKENIZER).is_file():
        raise UserError(f"{folder} has no {TOKENIZER}; the run stopped before it was trained, go on with --resume")
    return text.load_tokenizer(folder / TOKENIZER)


def save_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """The tokenizer's file and, where it cannot say itself what ends a text, that beside it."""
    if isinstance(tokenizer, SubwordTokenizer) and tokenizer.end_id is not None:
        ends = {"eos_token": tokenizer.backend.id_to_token(tokenizer.end_id)}
        write_text(folder / text.CONFIG, json.dumps(ends))
    write_text(folder / TOKENIZER, tokenizer.to_json())


def save(folder: Path, decoder: Decoder, tokenizer: Tokenizer) -> None:
    """A decoder and its tokenizer as a run leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(folder, tokenizer)
    checkpoint.save(folder / FILES["decoder"], dict(decoder.state_dict()), {"model": to_dict(decoder.config)})


def decoder_config(file: Path, described: dict[str, Any]) -> DecoderConfig:
    """The configuration that a file of weights states."""
    return build(DecoderConfig, stated(file, described), f"{file}: model")


def stated(file: Path, described: dict[str, Any]) -> dict[str, Any]:
    """The settings of its model that a file of weights states; UserError where it states none."""
    found = described.get("model")
    if not isinstance(found, dict):
        raise UserError(f"{file} does not say what model it holds; restore the file that the run wrote")
    return renamed(found)


def found_in(path: Path) -> dict[str, Path]:
    """`models_in` for whoever needs a language model; UserError for a run that has other ones."""
    found = models_in(path)
    if not found and (path / TRANSLATORS).is_dir():
        raise UserError(f"{path} is a run that translates; ask it with: clearhead translate {path} TEXT")
    return found


def load_decoder(folder: Path, device: torch.device) -> Decoder:
    """The folder's decoder; UserError where it has none."""
    found = found_in(folder)
    if "decoder" not in found and found:
        raise UserError(f"{folder} has trained recurrent models alone; this needs a run whose model.kind has decoder")
    return load_file(found.get("decoder", folder / FILES["decoder"])).to(device)


def load_model(path: Path, device: torch.device) -> Decoder | Recurrent:
    """The model of a folder: its decoder, or the recurrent one that is alone there; or that of one of its files."""
    found = found_in(path)
    if path.is_dir() and "decoder" not in found and len(found) > 1:
        files = ", ".join(str(file) for file in found.values())
        raise UserError(f"{path} has several recurrent models and no decoder; name one of the files: {files}")
    file = path if path.is_file() else next(iter(found.values()), path / FILES["decoder"])
    return (load_file(file) if file.name in (FILES["decoder"], ALIGNED) else load_recurrent(file)).to(device)


def load_recurrent(file: Path) -> Recurrent:
    """The recurrent model in a file of weights."""
    tensors, described = checkpoint.load(file)
    with torch.device("meta"):
        model = Recurrent(build(RecurrentConfig, stated(file, described), f"{file}: model"))
    fill(model, tensors, file)
    return model.eval()


def load_file(file: Path) -> Decoder:
    """The decoder in a file of weights."""
    tensors, described = checkpoint.load(file)
    with torch.device("meta"):  # no memory for what the tensors may not be
        decoder = Decoder(decoder_config(file, described))
    fill(decoder, tensors, file)
    return decoder


def fill(model: nn.Module, tensors: dict[str, torch.Tensor], file: Path) -> None:
    """Make the tensors of a file the weights of `model`; UserError where they are not of such a model."""
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if expected != found:
        wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        raise UserError(
            f"{file} does not fit the model that it is for: {wrong[0]} is {found.get(wrong[0], 'missing')}, "
            f"expected {expected.get(wrong[0], 'nothing')}; restore the file from the same run"
        )
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise UserError(f"{file} holds weights that are not finite numbers; restore an older file or train again")
    model.load_state_dict(tensors, assign=True)
