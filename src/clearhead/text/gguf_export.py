"""A tokenizer as GGUF metadata: the inverse of text.gguf_vocab, byte-level BPE and SentencePiece's BPE.

A file can only name the way that text is cut, and says nothing of most other steps. So what is written is read again
and tried on texts in many languages; a tokenizer that comes out another one is refused. One step is left out knowingly:
GGUF has no word for composing characters (NFC), and the tokenizers of Qwen that llama.cpp reads do without.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from clearhead.errors import UserError, warn
from clearhead.text.chat import ChatTemplate
from clearhead.text.ends import named
from clearhead.text.gguf_vocab import (
    CONTROL,
    LLAMA3,
    NORMAL,
    PREFIX,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    WORD_START,
    from_metadata,
)
from clearhead.text.patterns import pattern
from clearhead.text.samples import SAMPLES
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.training import cut_to_bytes

BYTE = 6  # the type of a token that is one byte
CUTS = {"gpt-2": "gpt2", "smollm": "smollm", "qwen2": "qwen2", "llama-bpe": "llama3", "gpt-4o": "o200k"}
TRIED = (
    *SAMPLES.values(),
    "Hello, world! It's 1234567 o'clock; WE'RE  here.\n\n\tdef f(x):\n        return x ** 2  # naïve café\r\n",
    "a  b   c \n \n\n  d ", " leading", "trailing ", "x\n", "½ ² ３ 12345.678e-9 100%",
    "👩‍👩‍👧 🇪🇺 e\u0301 \u200b\ufeff",
    "ABCdef GHIjkl camelCase don't DON'T I'll", "//path/to/file?q=1&r=[2]{3}", "",
)  # fmt: skip


def to_metadata(tokenizer: SubwordTokenizer, template: ChatTemplate | None, vocab: int) -> dict[str, Any]:
    """What a file says of the tokenizer of a model with `vocab` tokens. UserError for one that it has no words for."""
    told = read_part(json.loads(tokenizer.to_json()), vocab)
    if told["model"]["type"] != "BPE":
        raise UserError(f"a {told['model']['type']} tokenizer has no form in a decoder's GGUF file; only BPE has one")
    composed = normalizers(told["normalizer"]) == ["NFC"]
    body = _byte_level(tokenizer, told) if tokenizer.is_byte_level else _sentencepiece(tokenizer, told, vocab)
    found = {**_tokens(tokenizer, told, vocab), **body, **_frame(tokenizer, told, template)}
    again = from_metadata(found)
    first = prepends(told) and "Prepend" not in normalizers(told["normalizer"])
    if first:
        warn("in a GGUF file a space is put before a text that begins with one as well, and after control tokens")
    for given in TRIED:
        if first and given.startswith(" "):
            continue
        text = _spelled(tokenizer, told, unicodedata.normalize("NFC", given) if composed else given)
        if any(
            again.encode(text, add_special_tokens=add_special_tokens)
            != tokenizer.encode(text, add_special_tokens=add_special_tokens)
            for add_special_tokens in (False, True)
        ):
            raise UserError(f"a GGUF file has no words for this tokenizer: {text!r:.40} would have other tokens in it")
    if template is not None:
        found["tokenizer.chat_template"] = template.source
        if template.tool_use is not None:
            found["tokenizer.chat_template.tool_use"] = template.tool_use
    return found


def read_part(told: dict[str, Any], vocab: int) -> dict[str, Any]:
    """A tokenizer.json without the tokens that a model with `vocab` of them does not read."""
    if told["model"]["type"] != "BPE":
        return told
    known = {token: i for token, i in told["model"]["vocab"].items() if i < vocab}
    merges = [pair for pair in map(_pair, told["model"]["merges"]) if {*pair, "".join(pair)} <= known.keys()]
    added = [token for token in told["added_tokens"] if token["id"] < vocab]
    return {**told, "model": {**told["model"], "vocab": known, "merges": merges}, "added_tokens": added}


def _pair(merge: str | list[str]) -> list[str]:
    return merge.split(" ") if isinstance(merge, str) else merge


def prepends(told: Mapping[str, Any]) -> bool:
    """Whether a space is put before a text; a Metaspace does so only where the text does not begin with one."""
    cut = told["pre_tokenizer"] or {}
    if cut.get("type") == "Metaspace":
        return bool(cut["prepend_scheme"] != "never")
    return "Prepend" in normalizers(told["normalizer"])


def normalizers(told: Any) -> list[str]:
    """The kinds of the steps that change characters, in order."""
    if told is None:
        return []
    parts: Sequence[Any] = told["normalizers"] if told["type"] == "Sequence" else [told]
    return [part["type"] for part in parts]


def _tokens(tokenizer: SubwordTokenizer, told: dict[str, Any], vocab: int) -> dict[str, Any]:
    """Every token with its type; a place of the model's that no token has gets one that is never used."""
    tokens = [f"[PAD{i}]" for i in range(vocab)]
    kinds = [UNUSED] * len(tokens)
    unknown = tokenizer.unk_id
    for token, i in told["model"]["vocab"].items():
        is_byte = bool(told["model"].get("byte_fallback")) and len(token) == 6 and token.startswith("<0x")
        tokens[i], kinds[i] = token, BYTE if is_byte else NORMAL
    for added in told["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    if unknown is not None:
        kinds[unknown] = UNKNOWN
    return {PREFIX + "tokens": tokens, PREFIX + "token_type": kinds}


def _byte_level(tokenizer: SubwordTokenizer, told: dict[str, Any]) -> dict[str, Any]:
    merges = [" ".join(pair) for pair in told["model"]["merges"]]
    theirs = [tokenizer.cut(text) for text in TRIED]
    for name, cut in CUTS.items():
        ours = cut_to_bytes(pattern(cut))
        same_merging = (name in LLAMA3) == bool(told["model"].get("ignore_merges"))
        if same_merging and theirs == [ours.pre_tokenize_str(text) for text in TRIED]:
            return {PREFIX + "model": "gpt2", PREFIX + "pre": name, PREFIX + "merges": merges}
    raise UserError(f"this tokenizer cuts text in a way that GGUF has no name for; {', '.join(CUTS)} have one")


def _sentencepiece(tokenizer: SubwordTokenizer, told: dict[str, Any], vocab: int) -> dict[str, Any]:
    """Scores in the order of the merges; what no merge makes comes after all of them."""
    merges = told["model"]["merges"]
    rank: dict[str, int] = {}
    for i, (left, right) in enumerate(merges):
        rank.setdefault(left + right, i)
    scores = [-float(len(merges))] * vocab
    for token, i in told["model"]["vocab"].items():
        scores[i] = -float(rank.get(token, len(merges)))
    spaced = prepends(told)
    return {PREFIX + "model": "llama", PREFIX + "scores": scores, PREFIX + "add_space_prefix": spaced}


def _spelled(tokenizer: SubwordTokenizer, told: dict[str, Any], text: str) -> str:
    """The text without the characters that a vocabulary without bytes and without an unknown token cannot spell."""
    known = told["model"]["vocab"]
    if tokenizer.is_byte_level or tokenizer.unk_id is not None or "<0x00>" in known:
        return text
    return "".join(char for char in text if char.replace(" ", WORD_START) in known)


def _frame(tokenizer: SubwordTokenizer, told: dict[str, Any], template: ChatTemplate | None) -> dict[str, Any]:
    """Which tokens begin, end and fill, and whether they are put around every text."""
    text = next(filter(None, (_spelled(tokenizer, told, char) for char in ("a", *told["model"]["vocab"]))))
    plain, framed = tokenizer.encode(text), tokenizer.encode(text, add_special_tokens=True)
    start = next((i for i in range(len(framed)) if framed[i : i + len(plain)] == plain), 0)
    before, after = framed[:start], framed[start + len(plain) :]
    if len(before) > 1 or len(after) > 1:
        raise UserError("this tokenizer puts several tokens around every text; a GGUF file can ask for one")
    bos = (template.tokens if template else {}).get("bos_token")
    first = before[0] if before else tokenizer.backend.token_to_id(bos) if bos else None
    known = named(tokenizer)
    ids = {
        "bos": first, "eos": after[0] if after else tokenizer.end_id, "padding": tokenizer.pad_id,
        "unknown": tokenizer.unk_id,
    }  # fmt: skip
    more = sorted(
        tokenizer.end_ids - {ids["eos"]}, key=lambda i: (i in known, i)
    )  # room for two; names tell the others
    if untold := [i for i in more[2:] if i not in known]:
        warn(
            f"a GGUF file has room for three ends; {tokenizer.backend.id_to_token(untold[0])!r:.60} will be none in it"
        )
    ids |= zip(("eot", "eom"), more, strict=False)
    return {
        **{f"{PREFIX}{name}_token_id": i for name, i in ids.items() if i is not None},
        PREFIX + "add_bos_token": bool(before), PREFIX + "add_eos_token": bool(after),
    }  # fmt: skip
