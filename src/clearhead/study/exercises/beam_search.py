"""Beam search."""

from typing import Any

import numpy as np

from clearhead.reference.decoding import beam_search
from clearhead.reference.softmax import log_softmax
from clearhead.study.practice.exercise import Exercise

DRIVE = """
def drive(learner, table, **rest):
    def next_log_p(tokens):
        return table[len(tokens) % 2, tokens[-1] if len(tokens) else -1]
    return [(list(tokens), score) for tokens, score in learner.{name}(next_log_p, **rest)]
"""

# The text 2 3 1 is the likeliest, but 2 3 falls out of a beam of 2; a search that is wider by mistake finds it.
_ANY = [0.1, 0.49, 0.21, 0.2]
LATE = np.array([
    [_ANY, _ANY, [0.1, 0.48, 0.22, 0.2], [0.01, 0.95, 0.025, 0.015], [0.04, 0.5, 0.4, 0.06]],
    [_ANY, [0.02, 0.5, 0.45, 0.03], [0.1, 0.19, 0.21, 0.5], _ANY, _ANY],
])  # fmt: skip


def draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    """The log-probability of the next token, given whether the length is odd and the last token (last row: none)."""
    return {"table": log_softmax(1.5 * rng.normal(size=(2, n.V + 1, n.V))), "end": 0, "beam": n.K, "limit": n.L}


def _oracle(table: np.ndarray, end: int, beam: int, limit: int) -> list[Any]:
    found = beam_search(lambda y: table[len(y) % 2, y[-1] if y else -1], end, beam, limit)
    return [(list(h.tokens), h.score) for h in found]


exercise = Exercise(
    title="Beam search",
    section="Decoding",
    statement="""
next_log_p(tokens) gives the log-probability of every next token after a tuple of tokens. Begin with the empty text.
In every round extend each text of the beam by every token and keep the `beam` likeliest of all of these; those whose
last token is `end` are finished and leave the beam (which narrows), as do all that have `limit` tokens. Go on
until the beam is empty. Return the finished texts as (tokens, log-probability), the likeliest first, at most `beam`.
""",
    signature='def beam_search(next_log_p, end: int, beam: int, limit: int) -> "list[tuple[list[int], float]]":',
    sizes={"V": (3, 5), "K": (1, 5), "L": (1, 5)},
    draw=draw,
    edges=lambda rng: [{"table": np.log(LATE), "end": 0, "beam": 2, "limit": 3}],
    oracle=_oracle,
    drive=DRIVE.format(name="beam_search"),
    hints=(
        "Keep pairs (tokens, sum of log-probabilities). All extensions of all texts compete with each other.",
        "Sort all extensions together and cut to `beam` before looking at which of them are finished.",
        "grown = sorted(..., key=-score)[:beam]; finished += those ending or at the limit; live = the rest.",
    ),
    solution="""
def beam_search(next_log_p, end, beam, limit):
    live, finished = [((), 0.0)], []
    while live:
        grown = []
        for tokens, score in live:
            for v, step in enumerate(next_log_p(tokens)):
                grown.append(((*tokens, v), score + float(step)))
        grown = sorted(grown, key=lambda y: -y[1])[:beam]
        live = []
        for y in grown:
            if y[0][-1] == end or len(y[0]) == limit:
                finished.append(y)
            else:
                live.append(y)
    return sorted(finished, key=lambda y: -y[1])[:beam]
""",
    torch="""
import torch

def beam_search(next_log_p, end, beam, limit):
    live, finished = [((), torch.zeros((), dtype=torch.float64))], []
    while live:
        scores = torch.stack([score + next_log_p(tokens) for tokens, score in live])
        best = scores.flatten().topk(min(beam, scores.numel()))
        V, grown = scores.shape[1], []
        for score, place in zip(best.values, best.indices.tolist()):
            grown.append(((*live[place // V][0], place % V), score))
        done = [y[0][-1] == end or len(y[0]) == limit for y in grown]
        finished += [y for y, over in zip(grown, done) if over]
        live = [y for y, over in zip(grown, done) if not over]
    return sorted(((t, float(s)) for t, s in finished), key=lambda y: -y[1])[:beam]
""",
    wrong={
        "it is greedy: one text is kept": ("[:beam]\n        live", "[:1]\n        live"),
        "each text keeps its own best extensions, without competing with the others": (
            "            for v, step in enumerate(next_log_p(tokens)):\n                grown.append(((*tokens, v), score + float(step)))\n        grown = sorted(grown, key=lambda y: -y[1])[:beam]",
            "            own = [((*tokens, v), score + float(step)) for v, step in enumerate(next_log_p(tokens))]\n            grown += sorted(own, key=lambda y: -y[1])[:beam]",
        ),
        "finished texts go on being extended": ("y[0][-1] == end or len", "len"),
        "a text's score is that of its last token alone": ("score + float(step)", "float(step)"),
        "probabilities are added, not their logarithms": ("score + float(step)", "score + 2.718281828459045 ** float(step)"),
        "texts that reach the limit are thrown away": ("if y[0][-1] == end or len(y[0]) == limit:\n                finished.append(y)", "if y[0][-1] == end:\n                finished.append(y)\n            elif len(y[0]) == limit:\n                pass"),
        "the search ends with the first finished text": ("    while live:", "    while live and not finished:"),
        "the finished texts come in the order in which they ended": ("    return sorted(finished, key=lambda y: -y[1])[:beam]", "    return finished[:beam]"),
    },
)  # fmt: skip
