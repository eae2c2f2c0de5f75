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
    going = {key: text for key, text in texts.items() if not text.done and not text.truncated}
    while going:
        again: dict[tuple[int, int], Row] = {}
        for key, text in going.items():
            before = engine.written(text.node)
            if not before.endswith(calls.end):
                continue  # at a stop of its own
            row, result = rows[key[0]], calls.respond(before)
            if result is not None:
                behind = engine.append(text.node, result + line_end)
                if behind is None:
                    texts[key] = replace(text, text=text.text + calls.end, truncated=True)
                    continue
                engine.release([text.node])
                text = replace(
                    text, node=behind[0], tokens=text.tokens + behind[1], text=f"{text.text}{calls.end}{result}"
                )
                if line_end in stop:
                    texts[key] = text
                    continue
                text = replace(text, text=text.text + line_end)
            else:
                text = replace(text, text=text.text + calls.end)
            left = row.sampling.max_tokens - text.tokens
            texts[key] = replace(text, truncated=left < 1)
            if left >= 1:
                seed = zlib.crc32(repr((row.seed, key[1], text.tokens)).encode())
                again[key] = Row(text.node, replace(row.sampling, max_tokens=left), seed)
        longer = engine.draw(list(again.values()), 1, stops) if again else []
        going = {}
        for (key, row), (more,) in zip(again.items(), longer, strict=True):
            text = texts[key]
            engine.release([row.node])
            texts[key] = going[key] = replace(
                more, text=text.text + more.text, logprob=text.logprob + more.logprob, tokens=text.tokens + more.tokens
            )
            if more.done or more.truncated:
                del going[key]
    return [[texts[i, sample] for sample in range(n)] for i in range(len(rows))]
