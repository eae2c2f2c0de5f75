"""Speculative decoding from end to end."""

from typing import Any

import numpy as np

from clearhead.reference.softmax import softmax
from clearhead.reference.speculative import accept_probability, residual
from clearhead.study.practice.exercise import Exercise


def _first(p: np.ndarray, u: float) -> int:
    return int((p.cumsum() <= u * p.sum()).sum())


def _oracle(
    p: np.ndarray, q: np.ndarray, prompt: list[int], n: int, gamma: int, u: np.ndarray
) -> tuple[list[int], int]:
    drawn = iter(u.tolist())
    tokens, calls = list(prompt), 0
    while len(tokens) < len(prompt) + n:
        drafted = list(tokens)
        for _ in range(gamma):
            drafted.append(_first(q[drafted[-1]], next(drawn)))
        calls += 1
        for place in range(len(tokens), len(drafted)):
            last, v = drafted[place - 1], drafted[place]
            if next(drawn) >= accept_probability(p[last], q[last])[v]:
                tokens = [*drafted[:place], _first(residual(p[last], q[last]), next(drawn))]
                break
        else:
            tokens = [*drafted, _first(p[drafted[-1]], next(drawn))]
    return tokens[len(prompt) : len(prompt) + n], calls


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    p, q = softmax(2 * rng.normal(size=(n.V, n.V))), softmax(1.5 * rng.normal(size=(n.V, n.V)))
    return {
        "p": p, "q": (p + q) / 2 if rng.random() < 0.5 else q, "prompt": [int(v) for v in rng.integers(0, n.V, 2)], "n": n.N,
        "gamma": n.L, "u": rng.random(200),
    }  # fmt: skip


exercise = Exercise(
    title="Speculative decoding",
    section="Decoding",
    statement="""
Generate n tokens after the prompt. target(tokens) gives an array: row i is the target's distribution of the token after
tokens[0..i]; draft(tokens) gives the draft's distribution after all tokens. u() gives the next uniform number. A round:
draft gamma tokens one by one, each with one u(); ask the target once; then for each drafted token in order take one u()
and accept if u < p/q. At the first refusal draw a token from max(0, p - q), normalized, with one u(), and the round is
over; if all are accepted, draw one more from the target. Rounds go on until there are n tokens or more; return the
first n. To draw from a distribution take the first token whose cumulative sum exceeds u.
""",
    signature='def speculative_decoding(target, draft, prompt: "list[int]", n: int, gamma: int, u) -> "list[int]":',
    sizes={"V": (3, 5), "N": (3, 12), "L": (1, 3)},
    draw=_draw,
    oracle=_oracle,
    outputs=("tokens", "calls of target"),
    drive="""
def drive(learner, p, q, prompt, n, gamma, u):
    calls, drawn = [], iter(u.tolist())
    def target(tokens):
        calls.append(1)
        return p[[int(v) for v in tokens]]
    found = learner.speculative_decoding(
        target, lambda tokens: q[int(tokens[-1])], list(prompt), n, gamma, lambda: next(drawn)
    )
    return [int(v) for v in found], len(calls)
""",
    hints=(
        "One round gives 1 to gamma + 1 tokens, whatever happens: a refusal costs no token, it makes one.",
        "After one call the target's row len(tokens) - 1 + i judges drafted token i; its last row is for the token after all.",
        "for i, v in enumerate(drafted): if u() >= p[i][v] / q[i][v]: draw from maximum(p[i] - q[i], 0) and break; else: one more.",
    ),
    solution="""
import numpy as np

def pick(p, u):
    return int((np.cumsum(p) <= u).sum())

def speculative_decoding(target, draft, prompt, n, gamma, u):
    tokens = list(prompt)
    while len(tokens) < len(prompt) + n:
        drafted, q = [], []
        for _ in range(gamma):
            q.append(np.asarray(draft(tokens + drafted)))
            drafted.append(pick(q[-1], u()))
        p = np.asarray(target(tokens + drafted))[len(tokens) - 1 :]
        for i, v in enumerate(drafted):
            if u() < p[i][v] / q[i][v]:
                tokens.append(v)
                continue
            r = np.maximum(p[i] - q[i], 0)
            tokens.append(pick(r / r.sum(), u()))
            break
        else:
            tokens.append(pick(p[gamma], u()))
    return tokens[len(prompt) : len(prompt) + n]
""",
    torch="""
import torch

def speculative_decoding(target, draft, prompt, n, gamma, u):
    draw = lambda weights: int(((weights / weights.sum()).cumsum(0) <= u()).sum())
    new = []
    while len(new) < n:
        start, guesses, texts = len(prompt) + len(new), [], prompt + new
        for _ in range(gamma):
            q = draft(texts)
            guesses.append((q, draw(q)))
            texts = texts + [guesses[-1][1]]
        rows = target(texts)[start - 1 :]
        left = None
        for p, (q, v) in zip(rows, guesses):
            if u() * q[v] >= p[v]:
                left = (p - q).clamp(min=0)
                break
            new.append(v)
        new.append(draw(rows[-1] if left is None else left))
    return new[:n]
""",
    wrong={
        "the replacement is drawn from the target, not from what the draft left over": ("r = np.maximum(p[i] - q[i], 0)", "r = p[i]"),
        "p and q have changed places in the ratio": ("p[i][v] / q[i][v]", "q[i][v] / p[i][v]"),
        "no token follows when all are accepted": ("            tokens.append(pick(p[gamma], u()))", "            pass"),
        "tokens after the refused one are kept: the round does not end": ("            tokens.append(pick(r / r.sum(), u()))\n            break\n", "            tokens.append(pick(r / r.sum(), u()))\n"),
        "the target's rows are one late: it judges a token by what comes after it": ("[len(tokens) - 1 :]", "[len(tokens) :]", "pick(p[gamma], u())", "pick(p[gamma - 1], u())"),
        "a refused token is dropped and nothing takes its place": ("            r = np.maximum(p[i] - q[i], 0)\n            tokens.append(pick(r / r.sum(), u()))\n            break\n", "            u()\n            if i == 0:\n                tokens.append(pick(p[0], 0.5))\n            break\n"),
        "the target is asked for every token: nothing is gained": (
            "        for i, v in enumerate(drafted):\n            if", "        for i, v in enumerate(drafted):\n            target(tokens)\n            if"
        ),
        "more than n tokens come back": ("tokens[len(prompt) : len(prompt) + n]", "tokens[len(prompt) :]"),
        "a token is accepted where the target likes it at least as much, without a draw": ("if u() < p[i][v] / q[i][v]", "if p[i][v] >= q[i][v]"),
        "the replacement's weights are not normalized": ("pick(r / r.sum(), u())", "pick(r, u())"),
    },
)  # fmt: skip
