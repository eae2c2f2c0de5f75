"""Applying the merges of byte-pair encoding."""

from typing import Any

import numpy as np

from clearhead.reference.tokenization import byte_vocabulary, encode_byte_pairs, train_byte_pairs
from clearhead.study.practice.exercise import Exercise


def _oracle(word: str, merges: list[tuple[str, str]]) -> list[str]:
    pairs = [(left.encode(), right.encode()) for left, right in merges]
    vocab = byte_vocabulary(pairs)
    return [vocab[i].decode() for i in encode_byte_pairs(word, pairs)]


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    text = "\n".join("".join(rng.choice(list("abc"), 6)) for _ in range(20))
    merges = [(left.decode(), right.decode()) for left, right in train_byte_pairs(text, n.K)]
    return {"word": "".join(rng.choice(list("abc"), n.N)), "merges": merges}


exercise = Exercise(
    title="Byte-pair encoding: encoding",
    section="Tokens",
    statement="""
Cut a word into letters; then, as long as some pair of neighbors is among the merges, join the pair that was learned
first (stands first in merges), wherever it stands, from the left. Return the tokens.
""",
    signature='def encode_bpe(word: str, merges: "list[tuple[str, str]]") -> "list[str]":',
    sizes={"N": (1, 14), "K": (2, 12)},
    draw=_draw,
    edges=lambda rng: [
        {"word": "abc", "merges": [("b", "c"), ("a", "b"), ("a", "bc")]}, {"word": "aaaaa", "merges": [("a", "a"), ("aa", "a")]},
        {"word": "", "merges": []}, {"word": "abcabd", "merges": [("a", "b"), ("ab", "c"), ("ab", "d"), ("c", "ab")]},
        {"word": "aab", "merges": [("a", "b"), ("a", "a"), ("a", "ab")]}, {"word": "abab", "merges": [("b", "a"), ("a", "b"), ("ab", "ab")]},
    ],
    oracle=_oracle,
    hints=(
        "It is not the longest token that wins, and not the leftmost pair: it is the merge learned first.",
        "In each round look at all neighboring pairs, and choose the one of smallest rank.",
        "rank = {pair: i}; while some pair has a rank: best = min(pairs, key=rank); join it from the left.",
    ),
    solution="""
def encode_bpe(word, merges):
    rank = {tuple(pair): i for i, pair in enumerate(merges)}
    tokens = list(word)
    while True:
        known = [pair for pair in zip(tokens, tokens[1:]) if pair in rank]
        if not known:
            return tokens
        best = min(known, key=rank.get)
        out, i = [], 0
        while i < len(tokens):
            n = 2 if tuple(tokens[i : i + 2]) == best else 1
            out.append("".join(tokens[i : i + n]))
            i += n
        tokens = out
""",
    torch="""
import torch

def encode_bpe(word, merges):
    tokens = list(word)
    for left, right in merges:  # in the order in which they were learned
        i = 0
        while i < len(tokens) - 1:
            if (tokens[i], tokens[i + 1]) == (left, right):
                tokens[i : i + 2] = [left + right]
            i += 1
    return tokens
""",
    wrong={
        "pairs are joined from the right, not from the left": (
            "        out, i = [], 0\n", "        tokens, best = tokens[::-1], best[::-1]\n        out, i = [], 0\n",
            'out.append("".join(tokens[i : i + n]))', 'out.append("".join(tokens[i : i + n][::-1]))', "        tokens = out", "        tokens = out[::-1]",
        ),
        "the leftmost known pair is joined, not the one learned first": ("min(known, key=rank.get)", "known[0]"),
        "the pair learned last is joined first": ("min(known, key=rank.get)", "max(known, key=rank.get)"),
        "the longest known token is taken from the left, as in another algorithm": '''
def encode_bpe(word, merges):
    vocab = {"".join(pair) for pair in merges} | set(word)
    tokens, i = [], 0
    while i < len(word):
        j = max(k for k in range(i + 1, len(word) + 1) if word[i:k] in vocab)
        tokens.append(word[i:j])
        i = j
    return tokens
''',
        "one round only: tokens made by a merge are not joined any further": ("        tokens = out", "        return out"),
        "only the first place of a pair is joined before it looks for another": (
            "            i += n\n        tokens = out", "            i += n\n            if n == 2:\n                return out + tokens[i:]\n        tokens = out"
        ),
    },
)  # fmt: skip
