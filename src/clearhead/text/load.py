"""A tokenizer from a path: a tokenizer.json, a tiktoken rank file, a GGUF file, or a folder that holds one; and the
chat template that lies beside it.

What a file is is decided by what is in it and not by its name.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tokenizers

from clearhead.errors import UserError
from clearhead.formats import gguf
from clearhead.text import gguf_vocab
from clearhead.text.chat import ChatTemplate
from clearhead.text.ranks import from_ranks, read_ranks
from clearhead.text.subword import END_TOKEN, PAD_TOKEN, SubwordTokenizer, readable
from clearhead.text.tokenizer import CharTokenizer

LARGEST = 1 << 28  # bytes of a tokenizer's file; the largest in use have 40 million
MOST_IDS = 1 << 24
NAMES = ("tokenizer.json", "tokenizer.model", "*.gguf", "*.tiktoken")  # looked for in a folder, in this order
CONFIG = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
ENDS = (END_TOKEN, "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]")
PADS = (PAD_TOKEN, "[PAD]", "<|pad|>")


def load_tokenizer(path: Path, cut: str | None = None) -> SubwordTokenizer | CharTokenizer:
    """The tokenizer at `path`; `cut` names the pattern of a rank file that is not known here."""
    file = _in_folder(path) if path.is_dir() else path
    if file.exists() and not file.is_file():  # a pipe is read once, and a device has no end
        raise UserError(f"{file} is no regular file; name a tokenizer's file or folder")
    if _begins(file, len(gguf.MAGIC)) == gguf.MAGIC:
        _refuse_cut(cut, file)
        return gguf_vocab.load_gguf(file)
    data = _read(file)
    if data.lstrip()[:1] == b"{":
        _refuse_cut(cut, file)
        return from_json(data, file)
    if _looks_like_ranks(data):
        return from_ranks(read_ranks(data, file), cut, file)
    raise UserError(
        f"{file} is no tokenizer that can be read: neither a tokenizer.json, nor a tiktoken rank file, nor GGUF"
    )


def load_chat_template(path: Path) -> ChatTemplate | None:
    """The chat template of a folder or of a GGUF file, None where there is none."""
    if path.is_dir():
        beside = path / CONFIG
        if not beside.is_file() and (files := sorted(path.glob("*.gguf"))):
            return load_chat_template(files[0])
        told = _object(_read(beside), beside) if beside.is_file() else {}
        alone = path / TEMPLATE
        source = readable(_read(alone)) if alone.is_file() else _default_template(told.get("chat_template"))
        tokens = {name: _content(value) for name, value in told.items() if name.endswith("_token")}
        told_tokens = {name: token for name, token in tokens.items() if token is not None}
        return None if source is None else ChatTemplate(source, told_tokens)
    if _begins(path, len(gguf.MAGIC)) == gguf.MAGIC:
        return chat_template_of(gguf.read_metadata(path))
    return load_chat_template(path.parent) if path.name == NAMES[0] else None


def chat_template_of(metadata: Mapping[str, Any]) -> ChatTemplate | None:
    """The chat template in the metadata of a GGUF file."""
    source = gguf_vocab.chat_template(metadata)
    return None if source is None else ChatTemplate(source, gguf_vocab.special_tokens(metadata))


def _default_template(told: Any) -> str | None:
    """A configuration holds one template, or several of which one is the default."""
    if isinstance(told, list):
        told = next(
            (item.get("template") for item in told if isinstance(item, dict) and item.get("name") == "default"), None
        )
    return told if isinstance(told, str) else None


def _content(told: Any) -> str | None:
    """A token is written as its text, or as a table that has it."""
    name = told.get("content") if isinstance(told, Mapping) else told
    return name if isinstance(name, str) else None


def from_json(data: bytes, file: Path) -> SubwordTokenizer | CharTokenizer:
    """The tokenizer of a tokenizer.json, with what the tokenizer_config.json beside it says of its ends."""
    fields = _object(data, file)
    if fields.get("kind") == "char":
        if not isinstance(fields.get("alphabet"), str):
            raise UserError(f"{file} has no alphabet; it is no tokenizer of a run")
        return CharTokenizer(fields["alphabet"], fields.get("bytes") is True)
    try:
        backend = tokenizers.Tokenizer.from_str(data.decode("utf-8"))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"{file} is no tokenizer.json that can be read: {error}; it is broken or too new") from None
    backend.no_truncation()  # a property of one use of it, and a file must not set how much memory that takes
    backend.no_padding()
    tokenizer = SubwordTokenizer(backend)
    if not 0 < tokenizer.vocab_size <= MOST_IDS:
        raise UserError(f"{file} has ids up to {tokenizer.vocab_size - 1}; 0 to {MOST_IDS - 1} are possible")
    beside = file.with_name(CONFIG)
    told = _object(_read(beside), beside) if beside.is_file() else {}
    return dataclasses.replace(
        tokenizer,
        end_id=_token_id(backend, told.get("eos_token"), ENDS),
        pad_id=_token_id(backend, told.get("pad_token"), PADS),
    )


def _token_id(backend: tokenizers.Tokenizer, told: Any, usual: Iterable[str]) -> int | None:
    """The token that the configuration names, else the first usual one that there is."""
    name = _content(told)
    names = usual if name is None else [name]
    found = (backend.token_to_id(name) for name in names)
    return next((i for i in found if i is not None), None)


def _in_folder(folder: Path) -> Path:
    for name in NAMES:
        found = sorted(folder.glob(name))
        if len(found) > 1:
            raise UserError(f"{folder} has {len(found)} files {name}; name one of them")
        if found:
            return found[0]
    raise UserError(f"{folder} has no tokenizer in it; looked for {', '.join(NAMES)}")


def _begins(file: Path, count: int) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read(count)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; name a tokenizer's file or folder") from None


def _read(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise UserError(f"{file} has {size:,} bytes; a tokenizer's file has at most {LARGEST:,}")
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; name a tokenizer's file or folder") from None
    if not data.strip():
        raise UserError(f"{file} is empty; name a tokenizer's file or folder")
    return data


def _object(data: bytes, file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{file} is not JSON: {told}; it is cut off or broken") from None
    if not isinstance(fields, dict):
        raise UserError(f"{file} is no JSON object; it is no tokenizer")
    return fields


def _looks_like_ranks(data: bytes) -> bool:
    """A first line of two words, the second a number."""
    words = data[:2000].splitlines()[0].split()
    return len(words) == 2 and words[1].isdigit()


def _refuse_cut(cut: str | None, file: Path) -> None:
    if cut is not None:
        raise UserError(f"the pattern {cut!r} is only for a rank file; {file} says how it cuts text")
