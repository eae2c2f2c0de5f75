"""Control tokens that somebody spells in a message stay text: only the template may begin and end a turn.

Each spelling in a message goes between two marks that no text holds by chance, the template writes them along, and what
comes out between them is encoded as characters. As in transformers (`sanitize_control_tokens`), control tokens are the
special ones and those added ones that the template writes itself, such as <think>, or that the tokenizer's
configuration lists. What the model wrote itself, or is to write, holds the latter as tokens.
"""

import re
import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from clearhead.errors import UserError
from clearhead.text.chat import ChatTemplate
from clearhead.text.subword import SubwordTokenizer, TokenSpan

MARK = 24  # letters, which templates write as they are, in JSON too
BEFORE = "\n"  # what a stretch in the middle is encoded behind, so that nothing is put before its first word


class ControlReading(NamedTuple):
    """A rendered chat without marks, its tokens, and how many control tokens in its messages are text in it."""

    text: str
    pieces: list[TokenSpan]
    spelled: int


@dataclass(frozen=True)
class Control:
    """The control tokens of a model, those that are special, and the marks around their spellings."""

    tokenizer: SubwordTokenizer
    names: frozenset[str]
    special: frozenset[str]
    opened: str
    closed: str

    @classmethod
    def of(cls, tokenizer: SubwordTokenizer, template: ChatTemplate) -> "Control":
        added = [token.content for token in tokenizer.backend.get_added_tokens_decoder().values()]
        special, written = frozenset(tokenizer.specials.values()), template.source + (template.tool_use or "")
        others = (
            (name for name in added if name in written and not name.isspace())
            if template.control_tokens is None
            else set(added).intersection(template.control_tokens)
        )
        opened, closed = ("".join(secrets.choice(string.ascii_letters) for _ in range(MARK)) for _ in range(2))
        return cls(tokenizer, special.union(others), special, opened, closed)

    def marked(self, value: Any, names: frozenset[str] | None = None) -> Any:
        """The same texts, tables and lists with marks around what spells a control token."""
        if isinstance(value, str):
            put = f"{self.opened}\\g<0>{self.closed}"
            return re.sub(_any_of(self.names if names is None else names), put, value)
        if isinstance(value, Mapping):
            return {key: self.marked(one, names) for key, one in value.items()}
        return [self.marked(one, names) for one in value] if isinstance(value, list | tuple) else value

    def message(self, message: Mapping[str, Any], own: bool = True) -> dict[str, Any]:
        """A message with marks: around special tokens alone where it is the assistant's and `own`, the model's."""
        mine = own and message.get("role") == "assistant"
        marked: dict[str, Any] = self.marked(message, self.special if mine else None)
        return marked

    def unmarked(self, text: str) -> str:
        return text.replace(self.opened, "").replace(self.closed, "")

    def read(self, rendered: str) -> ControlReading:
        """Marked spellings as characters, all else with its control tokens; marks that a template parted only part."""
        parts = re.split(f"{self.opened}({_any_of(self.names)}){self.closed}|{self.opened}|{self.closed}", rendered)
        pieces: list[TokenSpan] = []
        text, spelled = "", 0
        for i, part in enumerate(parts):
            if part:
                pieces += self._spelled(part, len(text)) if i % 2 else self._written(part, len(text), i > 0)
                text, spelled = text + part, spelled + i % 2
        return ControlReading(text, pieces, spelled)

    def _written(self, part: str, start: int, inside: bool) -> list[TokenSpan]:
        found, before = self.tokenizer.pieces(BEFORE + part, special=True) if inside else [], self._before
        if not inside or [piece.id for piece in found[: len(before)]] != before:
            return [piece.moved(start) for piece in self.tokenizer.pieces(part, special=True)]
        return [piece.moved(start - len(BEFORE)) for piece in found[len(before) :]]

    def _spelled(self, part: str, start: int) -> list[TokenSpan]:
        ids, before = self.tokenizer.encode_spelled(BEFORE + part), self._before
        ids = ids[len(before) :] if ids[: len(before)] == before else self.tokenizer.encode_spelled(part)
        if self.tokenizer.backend.token_to_id(part) in ids:
            raise UserError(f"the tokenizer makes a control token of the plain text {part!r:.60}; leave it out")
        return [TokenSpan(i, part, start, start + len(part)) for i in ids]

    @property
    def _before(self) -> list[int]:
        return self.tokenizer.encode(BEFORE)


def _any_of(names: Iterable[str]) -> str:
    """A pattern for any of them, the longest first; for none, one that nothing fits."""
    return "|".join(map(re.escape, sorted(names, key=len, reverse=True))) or r"(?!)"


def chat_read(
    tokenizer: SubwordTokenizer,
    template: ChatTemplate,
    messages: Iterable[Mapping[str, Any]],
    own: bool = False,
    **variables: Any,
) -> ControlReading:
    """A chat as it is rendered for an answer. `own`: what the assistant says there is this model's writing."""
    control = Control.of(tokenizer, template)
    told = {name: control.marked(value) for name, value in variables.items()}
    marked = [control.message(message, own) for message in messages]
    return control.read(template.render(marked, add_generation_prompt=True, **told).text)


def chat_tokens(
    tokenizer: SubwordTokenizer,
    template: ChatTemplate,
    messages: Iterable[Mapping[str, Any]],
    own: bool = False,
    **variables: Any,
) -> tuple[list[int], int]:
    """The tokens of `chat_read`, and how many control tokens in the messages were read as text."""
    read = chat_read(tokenizer, template, messages, own, **variables)
    return [piece.id for piece in read.pieces], read.spelled
