"""Learning the merges of byte-pair encoding."""

from typing import Any

import numpy as np

from clearhead.reference.tokenization import train_byte_pairs
from clearhead.study.practice.exercise import Exercise


def _oracle(words: list[str], n: int) -> list[tuple[str, str]]:
    return [(left.decode(), right.decode()) for left, right in train_byte_pairs("\n".join(words), n)]


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    return {"words": ["".join(rng.choice(list("abc"), rng.integers(1, 7))) for _ in range(n.N)], "n": n.K}


exercise = Exercise(
    title="Byte-pair encoding: training",
    section="Tokens",
    statement="""
Words are cut into letters. Join the most frequent pair of neighboring tokens wherever it stands, from the left, and
repeat: return the first n pairs, or fewer where no pair is left. A word that occurs twice counts twice, pairs never
reach across words, and 'aaa' holds the pair ('a', 'a') twice when counting. Among equally frequent pairs take the one
whose left token is older, then whose right token is: letters are oldest, in alphabetical order, then come the tokens in
the order in which they were made.
""",
    signature='def train_bpe(words: "list[str]", n: int) -> "list[tuple[str, str]]":',
    sizes={"N": (2, 8), "K": (1, 6)},
    draw=_draw,
    edges=lambda rng: [
        {"words": ["aaaa", "aaa", "ab"], "n": 3}, {"words": ["low", "low", "lower", "newest", "newest", "widest"], "n": 6},
        {"words": ["ab"], "n": 4}, {"words": ["ba", "ab"], "n": 1},
    ],
    oracle=_oracle,
    hints=(
        "Keep a count for every distinct word; the pairs of a word count as often as the word does.",
        "Each round: count all pairs, choose the best by (-count, age of left, age of right), join it in every word.",
        "age = {letter: i for i, letter in enumerate(sorted letters)}, and every new token gets the age len(age).",
    ),
    solution="""
from collections import Counter

def join(tokens, pair):
    out, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            out.append(pair[0] + pair[1])
            i += 2
        else:
            out.append(tokens[i])
            i += 1
    return tuple(out)

def train_bpe(words, n):
    texts = Counter(tuple(word) for word in words)
    age = {letter: i for i, letter in enumerate(sorted(set("".join(words))))}
    merges = []
    while len(merges) < n:
        pairs = Counter()
        for tokens, times in texts.items():
            for pair in zip(tokens, tokens[1:]):
                pairs[pair] += times
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], age[pair[0]], age[pair[1]]))
        merges.append(best)
        age[best[0] + best[1]] = len(age)
        joined = Counter()
        for tokens, times in texts.items():
            joined[join(tokens, best)] += times
        texts = joined
    return merges
""",
    torch="""
import torch

def train_bpe(words, n):
    letters = sorted(set("".join(words)))
    names, texts, merges = list(letters), [[letters.index(c) for c in word] for word in words], []
    while len(merges) < n:
        pairs = [pair for text in texts for pair in zip(text, text[1:])]
        if not pairs:
            break
        kinds, counts = torch.tensor(pairs).unique(dim=0, return_counts=True)
        _, older = max(zip(counts.tolist(), (-kinds).tolist()))
        left, right = -older[0], -older[1]
        merges.append((names[left], names[right]))
        names.append(names[left] + names[right])
        for text in texts:
            i = 0
            while i < len(text) - 1:
                if text[i] == left and text[i + 1] == right:
                    text[i : i + 2] = [len(names) - 1]
                i += 1
    return merges
""",
    wrong={
        "ties go to the pair met first, not to the older tokens": (
            "min(pairs, key=lambda pair: (-pairs[pair], age[pair[0]], age[pair[1]]))", "max(pairs, key=pairs.get)"
        ),
        "ties go by the alphabet, not by the age of the tokens": ("age[pair[0]], age[pair[1]]", "pair"),
        "a word that occurs twice is counted once": ("pairs[pair] += times", "pairs[pair] += 1"),
        "the rarest pair is joined": ("(-pairs[pair],", "(pairs[pair],"),
        "the pairs are counted once and never again after a merge": (
            "    merges = []\n    while len(merges) < n:\n        pairs = Counter()\n",
            "    merges, pairs = [], Counter()\n    while len(merges) < n:\n        pairs = pairs if merges else Counter()\n",
            "        joined = Counter()", "        del pairs[best]\n        joined = Counter()", "            for pair in zip(tokens, tokens[1:]):",
            "            for pair in zip(tokens, tokens[1:]) if not merges else ():",
        ),
        "the new token is not joined in the words": ("        texts = joined", "        del pairs[best]\n        texts = texts"),
    },
)  # fmt: skip
