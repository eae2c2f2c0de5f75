"""Control tokens that somebody spells in a message stay text: only the template may begin and end a turn.

Each spelling in a message gets a mark that no text holds by chance, the template writes it along, and where it comes
out the characters are encoded as characters.
"""

import re
import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any

from clearhead.text.chat import ChatTemplate
from clearhead.text.subword import SubwordTokenizer

MARK = 24  # letters, which templates write as they are, in JSON too


def chat_tokens(
    tokenizer: SubwordTokenizer, template: ChatTemplate, messages: Iterable[Mapping[str, Any]], **variables: Any
) -> tuple[list[int], int]:
    """The tokens of a rendered chat, and how many control tokens in its messages were read as text."""
    names = sorted(tokenizer.specials.values(), key=len, reverse=True)
    control = re.compile("|".join(map(re.escape, names)) or r"(?!)")
    mark = "".join(secrets.choice(string.ascii_letters) for _ in range(MARK))

    def broken(value: Any) -> Any:
        return control.sub(lambda found: found[0][0] + mark + found[0][1:], value) if isinstance(value, str) else value

    marked = [{k: v if k == "role" else broken(v) for k, v in message.items()} for message in messages]
    parts = template.render(marked, add_generation_prompt=True, **variables).text.split(mark)
    if len(parts) == 1:
        return tokenizer.encode(parts[0], special=True), 0
    spelled, end = set(), 0
    for part in parts[:-1]:
        end += len(part)
        spelled.add(end - 1)
    text = "".join(parts)
    real = [found for found in control.finditer(text) if found.start() not in spelled]
    return _encoded(tokenizer, text, real), len(spelled)


def _encoded(tokenizer: SubwordTokenizer, text: str, real: list[re.Match[str]]) -> list[int]:
    """The text with these stretches as control tokens, and everything between them as text."""
    added = {token.content: (i, token) for i, token in tokenizer.backend.get_added_tokens_decoder().items()}
    strips, start = False, 0
    ids: list[int] = []
    after = False  # whether the text goes on another for the encoder, too

    def encode(part: str) -> list[int]:
        return tokenizer.encode_after(part) if after else tokenizer.encode(part)

    for found in real:
        i, token = added[found[0]]
        between = text[start : found.start()]
        between = between.lstrip() if strips else between
        ids += [*encode(between.rstrip() if token.lstrip else between), i]
        strips, start = token.rstrip, found.end()
        joined = tokenizer.encode(found[0] + "a", special=True)[1:]
        after = joined != tokenizer.encode("a")
    return ids + encode(text[start:].lstrip() if strips else text[start:])
