"""The tokenizer inside a GGUF file: byte-level BPE, SentencePiece's BPE with scores, or WordPiece.

The file names the expression that cuts text into pieces (`tokenizer.ggml.pre`) and does not hold it: an unknown name is
an error, because a wrong one gives wrong ids without a word. Tokens of the types control and unknown are special, those
of type user-defined are found in text before anything else (llama.cpp, llama_token_type).
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from clearhead.errors import UserError, warn
from clearhead.formats.gguf import read_metadata
from clearhead.text.ends import named
from clearhead.text.patterns import pattern
from clearhead.text.subword import UNKNOWN_TOKEN, SubwordTokenizer
from clearhead.text.training import cut_to_bytes

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED = 1, 2, 3, 4, 5  # types of tokens
WORD_START = "▁"
PREFIX, TEMPLATE = "tokenizer.ggml.", "tokenizer.chat_template"
KNOWN = {  # used here, or of no effect on the ids of a text
    "model", "pre", "tokens", "token_type", "scores", "merges", "bos_token_id", "eos_token_id", "eot_token_id",
    "eom_token_id", "unknown_token_id", "padding_token_id", "add_bos_token", "add_eos_token", "add_space_prefix",
    "token_type_count", "seperator_token_id", "cls_token_id", "mask_token_id", "fim_pre_token_id", "fim_suf_token_id",
    "fim_mid_token_id", "fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id", "prefix_token_id",
    "suffix_token_id", "middle_token_id", "normalizer.lowercase", "normalizer.strip_accents",
}  # fmt: skip
# As llama.cpp has it, all of these end a text, and so does a token with the name of an end.
ENDS = ("eot", "eom", "fim_pad", "fim_rep", "fim_sep")
# What llama.cpp takes where a file names none; byte-level vocabularies have no such numbers that mean anything.
USUAL_IDS = {"llama": {"bos": 1, "eos": 2, "unknown": 0}, "bert": {"bos": 101, "eos": 102, "unknown": 100}}
LLAMA3 = ("llama3", "llama-v3", "llama-bpe", "falcon3")  # a piece that is a token is that token; texts begin with one


def load_gguf(path: Path) -> SubwordTokenizer:
    """The tokenizer of a GGUF file."""
    metadata = read_metadata(path)
    try:
        return from_metadata(metadata)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def chat_templates(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The templates by their names; the one without a name is the default."""
    found = {k.removeprefix(TEMPLATE).lstrip("."): v for k, v in metadata.items() if k.startswith(TEMPLATE)}
    return {name or "default": source for name, source in found.items() if isinstance(source, str)}


def special_tokens(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The tokens that a chat template may name."""
    tokens, metadata = _list(metadata, "tokens", str), _with_usual_ids(metadata)
    named = {name: _token_id(metadata, f"{name}_token_id", tokens) for name in ("bos", "eos")}
    return {f"{name}_token": tokens[i] for name, i in named.items() if i is not None}


def _with_usual_ids(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    tokens, usual = metadata.get(PREFIX + "tokens"), USUAL_IDS.get(str(metadata.get(PREFIX + "model")), {})
    size = len(tokens) if isinstance(tokens, list) else 0
    return {f"{PREFIX}{name}_token_id": i for name, i in usual.items() if i < size} | dict(metadata)


def from_metadata(metadata: Mapping[str, Any]) -> SubwordTokenizer:
    """The tokenizer that the metadata describes."""
    model = metadata.get(PREFIX + "model")
    metadata = _with_usual_ids(metadata)
    builders = {"gpt2": _byte_level, "llama": _sentencepiece, "bert": _wordpiece}
    if model is None:
        raise UserError("there is no tokenizer in it; take a file that has one")
    if not isinstance(model, str) or model not in builders:
        raise UserError(f"its tokenizer is of the kind {model!r:.60}; known are {', '.join(sorted(builders))}")
    tokens = _list(metadata, "tokens", str)
    if not tokens or len(set(tokens)) != len(tokens):
        raise UserError(f"its {len(tokens)} tokens are none or not all different")
    types = _list(metadata, "token_type", int) if PREFIX + "token_type" in metadata else [1] * len(tokens)
    if len(types) != len(tokens):
        raise UserError(f"it has {len(tokens)} tokens and {len(types)} types of tokens; there must be as many")
    if (broken := next((i for i, token in enumerate(tokens) if not _is_text(token)), None)) is not None:
        raise UserError(f"its token {broken} is no UTF-8 text; the file is broken")
    backend = builders[model](metadata, tokens)
    for token, kind in zip(tokens, types, strict=True):
        if kind in (UNKNOWN, CONTROL):
            backend.add_special_tokens([AddedToken(token, special=True, normalized=False)])
        elif kind == USER_DEFINED:
            backend.add_tokens([AddedToken(token, special=False, normalized=False)])
    _frame(backend, metadata, tokens)
    end, padding, *more = (_token_id(metadata, f"{name}_token_id", tokens) for name in ("eos", "padding", *ENDS))
    ends = named(found := SubwordTokenizer(backend, end, padding))
    if end is not None:
        ends = {**ends, end: tokens[end]}  # special, whatever its type says
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ends.values()])
    given = {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}
    if unknown := [k for k, v in given.items() if k not in KNOWN and v not in (False, 0, "", [])]:
        warn(f"its tokenizer's {', '.join(map(repr, unknown[:5]))} cannot be read here; ignored")
    return dataclasses.replace(found, more_ends=frozenset({*(i for i in more if i is not None), *ends}))


def _is_text(token: str) -> bool:
    """Whether the file's bytes were UTF-8; others are read as lone surrogates."""
    try:
        token.encode()
    except UnicodeEncodeError:
        return False
    return True


def _byte_level(metadata: Mapping[str, Any], tokens: list[str]) -> Tokenizer:
    known = set(tokens)
    pairs = []
    for merge in _list(metadata, "merges", str):
        left, space, right = merge.partition(" ")
        if not space or not {left, right, left + right} <= known:
            raise UserError(f"the merge {merge[:60]!r} is not one of two of its tokens into a third")
        pairs.append((left, right))
    if PREFIX + "pre" not in metadata:
        warn(
            f"{PREFIX}pre is missing, so text is cut as llama.cpp cuts it by default; a file that has it may be better"
        )
    name = metadata.get(PREFIX + "pre", "default")
    if not isinstance(name, str):
        raise UserError(f"{PREFIX}pre is {name!r:.60}; it must be a name")
    backend = Tokenizer(
        models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=pairs, ignore_merges=name in LLAMA3)
    )
    backend.pre_tokenizer = cut_to_bytes(pattern(name))
    backend.decoder = decoders.ByteLevel()
    return backend


def _sentencepiece(metadata: Mapping[str, Any], tokens: list[str]) -> Tokenizer:
    """Merges by score: the pair whose whole has the highest score comes first."""
    scores = _list(metadata, "scores", float)
    if len(scores) != len(tokens):
        raise UserError(f"it has {len(tokens)} tokens and {len(scores)} scores; there must be as many")
    ids = {token: i for i, token in enumerate(tokens)}
    pairs: list[tuple[float, str, str]] = []
    for token, score in zip(tokens, scores, strict=True):
        for i in range(1, min(len(token), 256)):
            if token[:i] in ids and token[i:] in ids:
                pairs.append((-score, token[:i], token[i:]))
    pairs.sort(key=lambda pair: pair[0])
    unknown = _token_id(metadata, "unknown_token_id", tokens)
    backend = Tokenizer(
        models.BPE(
            vocab=ids,
            merges=[pair[1:] for pair in pairs],
            unk_token=UNKNOWN_TOKEN if unknown is None else tokens[unknown],  # without any it would be left out
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    spaced = metadata.get(PREFIX + "add_space_prefix", True)
    replace = normalizers.Replace(" ", WORD_START)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend(WORD_START), replace]) if spaced else replace
    steps = [decoders.Replace(WORD_START, " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if spaced else steps)
    return backend


def _wordpiece(metadata: Mapping[str, Any], tokens: list[str]) -> Tokenizer:
    """llama.cpp marks the beginning of a word, BERT what goes on after it."""
    unknown = _token_id(metadata, "unknown_token_id", tokens)
    special = {token for token in tokens if token.startswith("[") and token.endswith("]")}
    spelled = [
        token if token in special else token[1:] if token.startswith(WORD_START) else "##" + token for token in tokens
    ]
    vocabulary = {token: i for i, token in enumerate(spelled)}
    if unknown is None or len(vocabulary) != len(tokens):
        raise UserError("its WordPiece vocabulary has no unknown token, or names a token twice")
    backend = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token=spelled[unknown]))
    folded = all(token == token.lower() for token in spelled if token not in special)
    lower, bare = (metadata.get(f"{PREFIX}normalizer.{name}") for name in ("lowercase", "strip_accents"))
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=folded if lower is None else bool(lower), strip_accents=bare
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend


def _frame(backend: Tokenizer, metadata: Mapping[str, Any], tokens: list[str]) -> None:
    """What the file asks to put around every text; llama.cpp begins some kinds without being asked."""
    kind = metadata[PREFIX + "model"]
    begins = metadata.get(PREFIX + "add_bos_token", kind != "gpt2" or metadata.get(PREFIX + "pre") in LLAMA3)
    ends = metadata.get(PREFIX + "add_eos_token", kind == "bert")
    first = _token_id(metadata, "bos_token_id", tokens) if begins else None
    last = _token_id(metadata, "eos_token_id", tokens) if ends else None
    for name, asked, found in (("bos", begins, first), ("eos", ends, last)):
        if asked and found is None and metadata.get(f"{PREFIX}add_{name}_token"):
            raise UserError(f"{PREFIX}add_{name}_token is true, and there is no {name}_token_id to add; name one")
    around = [(f"<{i}>", i) for i in (first, last) if i is not None]  # ids are enough: the names may hold any sign
    if around:
        template = [
            *([f"<{first}>:0"] if first is not None else []),
            "$A:0",
            *([f"<{last}>:0"] if last is not None else []),
        ]
        backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=around)


def _list(metadata: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    values = metadata.get(PREFIX + name)
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values[:1]):
        raise UserError(f"{PREFIX}{name} is missing or no list of {kind.__name__}; the file is broken")
    return values


def _token_id(metadata: Mapping[str, Any], name: str, tokens: list[str]) -> int | None:
    value = metadata.get(PREFIX + name)
    if value is None:
        return None
    if not isinstance(value, int) or not 0 <= value < len(tokens):
        raise UserError(f"{PREFIX}{name} is {value!r:.60}; its tokens are 0 to {len(tokens) - 1}")
    return value
