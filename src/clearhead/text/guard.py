"""Which tokenizers are made of known parts, and those that are not at work in a process with limits.

Known parts take time and memory in proportion to the text. A stranger's own expression or replacement may not, so
nothing of such a tokenizer is tried here: it is parsed there first, and texts are encoded there (tokenizer_worker).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from clearhead.errors import UserError
from clearhead.text import tokenizer_worker
from clearhead.text.bounded import Bounded
from clearhead.text.patterns import COMMON

SECONDS, CHARS_A_SECOND = 20.0, 20_000  # for one request: so long, and longer for long texts
BATCH = 1 << 20  # characters of texts in one request, or one text
FEW = 16  # parts of a pipeline, special tokens around a text, characters of a mark
STEADY = {
    "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "BertNormalizer", "Nmt", "Prepend", "ByteLevel",
    "Whitespace", "WhitespaceSplit", "BertPreTokenizer", "Metaspace", "Digits", "Punctuation", "CharDelimiterSplit",
    "UnicodeScripts", "ByteFallback", "Fuse", "WordPiece", "BPEDecoder", "CTC", "BertProcessing", "RobertaProcessing",
}  # fmt: skip
LONGEST_WORD = 1000  # characters, to which WordPiece is quadratic
MODELS = {"BPE", "WordPiece", "WordLevel", "Unigram"}


class Encoded(NamedTuple):
    """What the library's own encoding has."""

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]


def is_known(told: Mapping[str, Any]) -> bool:
    """Whether all parts of a tokenizer.json are such that its time and memory are in proportion to the text."""
    model = told.get("model")
    if not isinstance(model, Mapping) or str(model.get("type")) not in MODELS:
        return False
    longest = model.get("max_input_chars_per_word", 0)
    parts = [told.get(name) for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder")]
    return isinstance(longest, int) and longest <= LONGEST_WORD and all(map(_is_steady, parts))


def _is_steady(part: Any, depth: int = 0) -> bool:
    if part is None:
        return True
    if not isinstance(part, Mapping) or depth > 2:
        return False
    kind, pattern, content = str(part.get("type")), part.get("pattern"), part.get("content")
    if kind == "Sequence":
        several = [value for key, value in part.items() if key != "type"]
        inside = several[0] if len(several) == 1 and isinstance(several[0], list) else [0]
        return len(inside) <= FEW and all(_is_steady(each, depth + 1) for each in inside)
    if kind in ("Replace", "Split"):
        if not isinstance(pattern, Mapping) or len(pattern) != 1:
            return False
        plain, expression = pattern.get("String"), pattern.get("Regex")
        at_least = len(plain) if isinstance(plain, str) else int(isinstance(expression, str) and expression in COMMON)
        return at_least > 0 and (kind == "Split" or (isinstance(content, str) and len(content) <= at_least))
    if kind == "TemplateProcessing":
        named = part.get("special_tokens")
        framed = named.values() if isinstance(named, Mapping) else [{}]
        ids = [each["ids"] if isinstance(each, Mapping) and "ids" in each else 0 for each in framed]
        return all(isinstance(each, list) and len(each) <= FEW for each in [part.get("single"), part.get("pair"), *ids])
    return kind in STEADY and all(len(value) <= FEW for value in part.values() if isinstance(value, (str, list)))


@dataclass(eq=False)
class Guarded:
    """The tokenizer of a tokenizer.json in a process with limits; UserError for all that goes wrong there."""

    source: str = field(repr=False)
    _process: Bounded = field(default_factory=lambda: Bounded(tokenizer_worker.__file__), init=False, repr=False)

    def start(self, name: str = "this") -> None:
        """Parse it. The process that has done so waits for texts."""
        if not self._process.running:
            failing = f"{name} is no tokenizer.json that can be read"
            self._ask({"tokenizer": self.source}, failing, len(self.source) // 10)

    def encode(self, texts: Sequence[str], special: bool, add_special_tokens: bool, whole: bool) -> list[Encoded]:
        """Of each text its ids, and with `whole` its tokens and where they are, which take longer to hand over."""
        found: list[Encoded] = []
        batch: list[str] = []
        chars = 0
        for i, text in enumerate(texts):
            batch.append(text)
            chars += len(text)
            if i == len(texts) - 1 or chars >= BATCH:
                self.start()
                asked = {"texts": batch, "special": special, "add_special_tokens": add_special_tokens, "whole": whole}
                told = self._ask(asked, "the tokenizer cannot read this text", chars)
                if whole:
                    found += [Encoded(ids, tokens, [(a, b) for a, b in offsets]) for ids, tokens, offsets in told]
                else:
                    found += [Encoded(ids, [], []) for ids in told]
                batch, chars = [], 0
        return found

    def decode(self, ids: Sequence[int], special: bool) -> str:
        self.start()
        text: str = self._ask(
            {"ids": list(ids), "special": special}, "the tokenizer cannot write these tokens", len(ids)
        )
        return text

    def spelled(self, text: str) -> list[int]:
        """The ids of a text without added tokens."""
        self.start()
        ids: list[int] = self._ask({"spelled": text}, "the tokenizer cannot read this text", len(text))
        return ids

    def cut(self, text: str) -> list[tuple[str, tuple[int, int]]] | None:
        """The pieces in which a text is encoded, None where it is not cut."""
        self.start()
        told = self._ask({"cut": text}, "the tokenizer cannot cut this text", len(text))
        return None if told is None else [(piece, (a, b)) for piece, (a, b) in told]

    def _ask(self, request: dict[str, Any], failing: str, chars: int) -> Any:
        seconds = SECONDS + chars / CHARS_A_SECOND
        reply = self._process.ask(json.dumps({**request, "seconds": seconds}).encode(), seconds)
        if reply is None:
            raise UserError(
                f"{failing}: that takes more than {seconds:.0f} seconds or {tokenizer_worker.MEMORY >> 20} MB, or "
                "breaks down; it is broken or hostile, use another"
            )
        told = json.loads(reply)
        if "error" in told:
            raise UserError(f"{failing}: {' '.join(told['error'].split())}; use another")
        return told["told"]
