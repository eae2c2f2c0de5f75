"""A tokenizer from a path: a tokenizer.json, a tiktoken rank file, a GGUF file, or a folder that holds one; and the
chat template that lies beside it.

What a file is is decided by what is in it and not by its name.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, models

from clearhead.errors import UserError, warn
from clearhead.formats import gguf
from clearhead.text import gguf_vocab
from clearhead.text.chat import ChatTemplate
from clearhead.text.classes import CLASSES, DEFAULT_TOKENS, FILL_IN, as_class, class_of
from clearhead.text.guard import Guarded, is_known
from clearhead.text.subword import END_TOKEN, PAD_TOKEN, SubwordTokenizer, readable, refused
from clearhead.text.tiktoken import from_ranks, read_ranks
from clearhead.text.tokenizer import CharTokenizer

MAX_TOKENIZER_BYTES = 1 << 26  # bytes of a tokenizer's file; the largest in use have 40 million
MOST_IDS = 1 << 24
NAMES = ("tokenizer.json", "tokenizer.model", "*.gguf", "*.tiktoken")  # looked for in a folder, in this order
PAIR = ("vocab.json", "merges.txt")  # where there is none of them
CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS, ADDED_TOKENS = "special_tokens_map.json", "added_tokens.json"
TEMPLATE, MORE_TEMPLATES = "chat_template.jinja", "additional_chat_templates"
DEFAULT, TOOL_USE = "default", "tool_use"  # names of templates
# In this order.
ATTRIBUTES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
KNOWN = {  # of tokenizer_config.json: used, or of no effect on the ids of a text
    "tokenizer_class", "added_tokens_decoder", "additional_special_tokens", "extra_special_tokens", "chat_template",
    "add_bos_token", "add_eos_token", "add_prefix_space", "model_max_length", "max_length", "max_len", "padding_side",
    "truncation_side", "truncation_strategy", "stride", "pad_to_multiple_of", "pad_token_type_id", "legacy",
    "clean_up_tokenization_spaces", "sp_model_kwargs", "use_default_system_prompt", "spaces_between_special_tokens",
    "use_fast", "name_or_path", "special_tokens_map_file", "tokenizer_file", "processor_class", "errors", "backend",
    "is_local", "local_files_only", "model_input_names", "model_specific_special_tokens", "from_slow", "device_map",
    "trust_remote_code", "tokenize_chinese_chars", "do_lower_case", "do_basic_tokenize", "strip_accents", "never_split",
    "unk_id", "vocab_size", "response_schema", "fix_mistral_regex", "image_processor_type",
    "chat_control_tokens",
}  # fmt: skip
BPE_SAYS = (
    "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback",
    "ignore_merges",
)  # fmt: skip
SHOWN = 5  # keys in a warning
ENDS = (END_TOKEN, "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]")
PADS = (PAD_TOKEN, "[PAD]", "<|pad|>")


def load_tokenizer(path: Path, cut: str | None = None) -> SubwordTokenizer | CharTokenizer:
    """The tokenizer at `path`; `cut` names the pattern of a rank file that is not known here."""
    if path.is_dir() and not has_tokenizer(path) and all((path / name).is_file() for name in PAIR):
        _refuse_cut(cut, path)
        return from_pair(path)
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
        if not (path / CONFIG).is_file() and not (path / TEMPLATE).is_file() and (files := sorted(path.glob("*.gguf"))):
            return load_chat_template(files[0])
        told = settings(path)
        named = _named_templates(told.get("chat_template"))
        if (path / TEMPLATE).is_file() or (path / MORE_TEMPLATES).is_dir():
            alone = {file.stem: readable(_read(file)) for file in sorted((path / MORE_TEMPLATES).glob("*.jinja"))}
            named = alone | ({DEFAULT: readable(_read(path / TEMPLATE))} if (path / TEMPLATE).is_file() else {})
        found, listed = chat_template_from(named, named_tokens(told), path), told.get("chat_control_tokens")
        if found is not None and isinstance(listed, list):
            found.control_tokens = tuple(token for token in listed if isinstance(token, str))
        return found
    if _begins(path, len(gguf.MAGIC)) == gguf.MAGIC:
        return chat_template_of(gguf.read_metadata(path))
    return load_chat_template(path.parent) if path.name == NAMES[0] else None


def chat_template_of(metadata: Mapping[str, Any]) -> ChatTemplate | None:
    """The chat template in the metadata of a GGUF file."""
    named = gguf_vocab.chat_templates(metadata)
    return chat_template_from(named, gguf_vocab.special_tokens(metadata), None) if named else None


def chat_template_from(named: Mapping[str, str], tokens: Mapping[str, str], where: Path | None) -> ChatTemplate | None:
    """The template by default, and that for tools; UserError where there are some and none is by default."""
    if not named:
        return None
    if DEFAULT not in named:
        place = f"{where}: " if where else ""
        raise UserError(
            f"{place}its chat templates are {', '.join(sorted(named))}, and none is the default; name one so"
        )
    return ChatTemplate(named[DEFAULT], tokens, named.get(TOOL_USE))


def _named_templates(told: Any) -> dict[str, str]:
    """A configuration holds one template, or several with names."""
    if isinstance(told, list):
        items = [item for item in told if isinstance(item, dict)]
        told = {item.get("name"): item.get("template") for item in items}
    found = told if isinstance(told, dict) else {DEFAULT: told}
    return {name: source for name, source in found.items() if isinstance(name, str) and isinstance(source, str)}


def _content(told: Any) -> str | None:
    """A token is written as its text, or as a table that has it."""
    name = told.get("content") if isinstance(told, Mapping) else told
    return name if isinstance(name, str) else None


def settings(folder: Path) -> dict[str, Any]:
    """What tokenizer_config.json says, and the files of earlier years that are merged into it as in transformers.

    Those count only where it has no `added_tokens_decoder` itself.
    """
    told = _beside(folder / CONFIG)
    if "additional_special_tokens" in told:
        told.setdefault("extra_special_tokens", told["additional_special_tokens"])
    told["tokenizer_class"] = name = _class(folder, told)
    told = DEFAULT_TOKENS.get(name, {}) | told
    if "added_tokens_decoder" in told:
        return told
    for key, value in _beside(folder / SPECIAL_TOKENS).items():
        told["extra_special_tokens" if key == "additional_special_tokens" else key] = value
    special = {*named_tokens(told).values(), *extra_tokens(told)}
    added = _beside(folder / ADDED_TOKENS)
    if not all(isinstance(i, int) for i in added.values()):
        raise UserError(f"{folder / ADDED_TOKENS} does not give each token its number; get it again")
    told["added_tokens_decoder"] = {
        str(i): {"content": token, "normalized": token not in special, "special": token in special}
        for token, i in added.items()
    }
    return told


def _class(folder: Path, told: Mapping[str, Any]) -> str:
    """The class of transformers that reads this folder's tokenizer."""
    config, file = _beside(folder / "config.json"), folder / NAMES[0]
    family, named = config.get("model_type"), told.get("tokenizer_class") or config.get("tokenizer_class")
    byte_level = file.is_file() and b'"ByteLevel"' in _read(file)
    return class_of(str(family or ""), str(named or ""), byte_level)


def _beside(file: Path) -> dict[str, Any]:
    return _object(_read(file), file) if file.is_file() else {}


def named_tokens(told: Mapping[str, Any]) -> dict[str, str]:
    """bos_token and the like."""
    more = told.get("extra_special_tokens")
    given = {**told, **(more if isinstance(more, Mapping) else {})}
    found = {name: _content(value) for name, value in given.items() if name.endswith("_token")}
    return {name: token for name, token in found.items() if token}


def extra_tokens(told: Mapping[str, Any]) -> list[str]:
    more = told.get("extra_special_tokens")
    listed = [token for item in more if (token := _content(item))] if isinstance(more, list) else []
    return [*listed, *(FILL_IN if told.get("tokenizer_class") == "CodeLlamaTokenizer" else ())]


def add_tokens(backend: tokenizers.Tokenizer, told: Mapping[str, Any], where: Path) -> None:
    """The tokens that only the configuration names, in the order of transformers. UserError for another number."""
    given = told.get("added_tokens_decoder")
    if not isinstance(given, Mapping) and given is not None:
        raise UserError(f"{where}: added_tokens_decoder is no table; get it again")
    try:
        numbered = sorted((int(i), dict(token)) for i, token in (given or {}).items())
        listed = [(i, AddedToken(**{k: v for k, v in token.items() if k != "__type"})) for i, token in numbered]
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: added_tokens_decoder cannot be read: {error}; get it again") from None
    known = backend.get_added_tokens_decoder()
    if new := [token for i, token in listed if known.get(i) != token]:
        backend.add_tokens(new)
    for i, token in listed:
        if (got := backend.token_to_id(token.content)) != i:
            raise UserError(
                f"{where} says that the token {token.content!r:.60} is number {i}, but it is {got} there; "
                "take both from one place"
            )
    more = told.get("extra_special_tokens")
    given = {**told, **(more if isinstance(more, Mapping) else {})}
    order = [*ATTRIBUTES, *(name for name in given if name not in ATTRIBUTES)]
    said = {text: given[name] for name in order if name.endswith("_token") and (text := _content(given.get(name)))}
    special = [_added(text, flags) for text, flags in said.items()] + [
        _added(text, text) for text in extra_tokens(told)
    ]
    there = _specials(backend)
    if new := [token for token in special if token.content not in there]:
        backend.add_special_tokens(new)


def _specials(backend: tokenizers.Tokenizer) -> set[str]:
    return {token.content for token in backend.get_added_tokens_decoder().values() if token.special}


def _added(token: str, said: Any) -> AddedToken:
    flags = {k: bool(said[k]) for k in ("lstrip", "rstrip", "single_word") if isinstance(said, Mapping) and k in said}
    return AddedToken(token, special=True, normalized=False, **flags)


def check_settings(tokenizer: SubwordTokenizer, told: Mapping[str, Any], where: Path) -> None:
    """A warning for what a configuration says and tokenizer.json does not do, which decides, as in transformers.

    UserError for what would make special tokens text, in chats too.
    """
    if told.get("split_special_tokens"):
        raise UserError(f"{where}: split_special_tokens = true cannot be honored; only false can")
    ignored = [
        key for key, value in told.items()
        if key not in KNOWN and not key.endswith("_token") and value not in (None, False, "", [], {})
    ]  # fmt: skip
    cut = repr(tokenizer.backend.pre_tokenizer)
    if told.get("add_prefix_space") and "ByteLevel" in cut and "add_prefix_space=True" not in cut:
        ignored.append("add_prefix_space")
    if asked := [key for key in ("add_bos_token", "add_eos_token") if isinstance(told.get(key), bool)]:
        plain, framed = (tokenizer.encode("a", add_special_tokens=added) for added in (False, True))
        around = {"add_bos_token": framed[:1] != plain[:1], "add_eos_token": framed[-1:] != plain[-1:]}
        ignored += [key for key in asked if told[key] != around[key]]
    if ignored:
        names = ", ".join(map(repr, ignored[:SHOWN]))
        warn(f"{where}: {names} {'says' if len(ignored) == 1 else 'say'} what tokenizer.json does not do; ignored")


def from_json(data: bytes, file: Path) -> SubwordTokenizer | CharTokenizer:
    """The tokenizer of a tokenizer.json, with what the tokenizer_config.json beside it says of its ends."""
    fields = _object(data, file)
    if fields.get("kind") == "char":
        if not isinstance(fields.get("alphabet"), str):
            raise UserError(f"{file} has no alphabet; it is no tokenizer of a run")
        return CharTokenizer(fields["alphabet"], fields.get("bytes") is True)
    told = settings(file.parent) if file.name == NAMES[0] else {}
    with refused(f"{file} is no tokenizer.json that can be read", "it is broken or too new"):
        listed = _beside(file.with_name(CONFIG)).get("added_tokens_decoder") if told else None
        read = as_class(str(told.get("tokenizer_class")), fields, told, listed, str(file))
        guarded = not is_known(read)
        backend = _built(read, data if read is fields else json.dumps(read).encode(), file, guarded)
    found = _finished(backend, told, file.with_name(CONFIG), guarded)
    if not 0 < found.vocab_size <= MOST_IDS:
        raise UserError(f"{file} has ids up to {found.vocab_size - 1}; 0 to {MOST_IDS - 1} are possible")
    return found


def _built(fields: Mapping[str, Any], data: bytes, file: Path, guarded: bool) -> tokenizers.Tokenizer:
    """The library's object: its parser makes the small parts, its constructor the merges, which is twice as fast."""
    model = fields.get("model")
    parts, by_hand = data.decode("utf-8"), False
    if isinstance(model, dict) and model.get("type") == "BPE":
        bare = {**model, "vocab": {}, "merges": [], "unk_token": None}
        parts, by_hand = json.dumps({**fields, "model": bare, "added_tokens": []}), True
    if guarded:
        Guarded(parts).start(str(file))  # what is read there in time and memory is read here in the same
    backend = tokenizers.Tokenizer.from_str(parts)
    backend.no_truncation()  # a property of one use of it, and a file must not set how much memory that takes
    backend.no_padding()
    if isinstance(model, dict) and model.get("dropout"):
        warn(f"{file}: its dropout of {model['dropout']} is for learning, and draws other tokens each time; left out")
        model = {**model, "dropout": None}
    if isinstance(model, dict) and by_hand:
        said = {name: model[name] for name in BPE_SAYS if model.get(name) is not None}
        merges = [_pair(merge) for merge in model["merges"]]
        backend.model = models.BPE(vocab=dict(model["vocab"]), merges=merges, **said)  # a name would be that of a file
        tokens = fields.get("added_tokens") or []
        backend.add_tokens([AddedToken(**{k: v for k, v in token.items() if k != "id"}) for token in tokens])
    return backend


def _pair(merge: Any) -> tuple[str, str]:
    """A merge is two tokens, or as it was in earlier years, both in one text with a space between."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _finished(
    backend: tokenizers.Tokenizer, told: Mapping[str, Any], where: Path, guarded: bool = False
) -> SubwordTokenizer:
    """With what the files beside it say of tokens and ends."""
    add_tokens(backend, told, where)
    names = named_tokens(told)
    found = SubwordTokenizer(
        backend,
        end_id=_token_id(backend, names.get("eos_token"), ENDS),
        pad_id=_token_id(backend, told.get("pad_token"), PADS),
        guarded=guarded,
    )
    check_settings(found, told, where)
    return found


def _token_id(backend: tokenizers.Tokenizer, told: Any, usual: Iterable[str]) -> int | None:
    """The token that the configuration names, else the first usual one that there is."""
    name = _content(told)
    names = usual if name is None else [name]
    found = (backend.token_to_id(name) for name in names)
    return next((i for i in found if i is not None), None)


def from_pair(folder: Path) -> SubwordTokenizer:
    """GPT-2's own files, as the classes for it and for Qwen 2 read them: a vocabulary, and its merges one a line."""
    vocabulary, merges = (folder / name for name in PAIR)
    told = settings(folder)
    name = "Qwen2Tokenizer" if told["tokenizer_class"] == "Qwen2Tokenizer" else "GPT2Tokenizer"
    told = DEFAULT_TOKENS[name] | told
    lines = [line for line in readable(_read(merges)).split("\n") if line and not line.startswith("#version")]
    with refused(f"{vocabulary} and {merges.name} are no vocabulary with its merges", "get both"):
        pairs = [(left, right) for left, right in (line.rstrip("\r").split(" ") for line in lines)]
        ids = _object(_read(vocabulary), vocabulary)
        fields = CLASSES[name](ids, told)
        model = {**fields["model"], "vocab": ids, "merges": pairs}
        backend = _built({**fields, "model": model}, b"", vocabulary, guarded=False)
    return _finished(backend, told, folder / CONFIG)


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has one of its own."""
    return any(any(folder.glob(name)) for name in NAMES)


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
        if size > MAX_TOKENIZER_BYTES:
            raise UserError(f"{file} has {size:,} bytes; a tokenizer's file has at most {MAX_TOKENIZER_BYTES:,}")
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
