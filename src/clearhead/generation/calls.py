"""Tools inside a text: the model writes a call, what the tool gives is put behind it, and the model goes on.

So rollouts, search and learning from rewards, which all extend texts by one engine, call tools without knowing it.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from clearhead.generation.language_model import Continuation, SamplingParams


@dataclass(frozen=True)
class Calls:
    """A call ends with `end`; `respond(whole text so far)` gives what stands behind it in the line, None: no call."""

    end: str
    respond: Callable[[str], str | None]


class Row(NamedTuple):
    """A text to go on with: from which node, in how many tokens at most, by which seed."""

    node: int
    sampling: SamplingParams
    seed: int


class Extends(Protocol):
    """What the engine does for it."""

    def draw(self, rows: Sequence[Row], n: int, stops: tuple[str, ...]) -> list[list[Continuation]]:
        """n samples of each row."""
        ...

    def append(self, node: int, text: str) -> tuple[int, int] | None:
        """The node behind a text that goes on the node's, and its tokens; None where the context has no room."""
        ...

    def written(self, node: int) -> str:
        """The whole text of a node."""
        ...

    def release(self, nodes: Sequence[int]) -> None: ...


def extend(
    engine: Extends, calls: Calls, rows: Sequence[Row], n: int, stop: tuple[str, ...], line_end: str = "\n"
) -> list[list[Continuation]]:
    """n samples of each row, as without tools; what the tools give counts as written, and is not in `logprob`.

    A line that is a call is a whole step: where `stop` holds the end of a line, a text stops behind it.
    """
    stops = (calls.end, *stop)
    drawn = engine.draw(rows, n, stops)
    texts = {(i, sample): text for i, group in enumerate(drawn) for sample, text in enumerate(group)}
    going = list(texts)
    while going:
        again: dict[tuple[int, int], Row] = {}
        for key in going:
            row, (text, goes_on) = rows[key[0]], answered(engine, calls, texts[key], line_end, line_end in stop)
            left = row.sampling.max_tokens - text.tokens
            texts[key] = replace(text, truncated=True) if goes_on and left < 1 else text
            if goes_on and left >= 1:
                seed = zlib.crc32(repr((row.seed, key[1], text.tokens)).encode())
                again[key] = Row(text.node, replace(row.sampling, max_tokens=left), seed)
        longer = engine.draw(list(again.values()), 1, stops) if again else []
        for (key, row), (more,) in zip(again.items(), longer, strict=True):
            text = texts[key]
            engine.release([row.node])
            texts[key] = replace(
                more, text=text.text + more.text, logprob=text.logprob + more.logprob, tokens=text.tokens + more.tokens
            )
        going = list(again)
    return [[texts[i, sample] for sample in range(n)] for i in range(len(rows))]


def answered(
    engine: Extends, calls: Calls, text: Continuation, line_end: str, stops: bool
) -> tuple[Continuation, bool]:
    """The text with what the tool gives, if it ends in a call; and whether it goes on, as it does not where it `stops`
    at the end of a line.
    """
    if text.done or text.truncated or not (before := engine.written(text.node)).endswith(calls.end):
        return text, False
    called, result = text.text + calls.end, calls.respond(before)
    if result is None:
        return replace(text, text=called), True
    behind = engine.append(text.node, result + line_end)
    if behind is None:
        return replace(text, text=called, truncated=True), False
    engine.release([text.node])
    written = called + result + ("" if stops else line_end)
    return replace(text, node=behind[0], tokens=text.tokens + behind[1], text=written), not stops
