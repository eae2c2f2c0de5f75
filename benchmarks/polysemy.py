"""One vector for "bank" against one for each place where it stands: do they tell senses apart?

Pairs of example sentences of WordNet (the files data.noun and data.verb, such as Debian's wordnet-base has) that hold
the same word in the same sense or in two. A word's own vector is the same in both, so that its cosine of 1 tells
nothing (AUC 0.5); MiniLM's states at the word depend on the sentence. `make models` installs it. For comparison the
cosine of the whole sentences.
"""

import argparse
import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from clearhead.checkpoints.embedder import load_embedder
from clearhead.checkpoints.load import MINILM

Place = tuple[str, int, int]  # a sentence and where in it the word stands
EXAMPLE = re.compile(r'"([^"]{20,200})"')


def senses(folder: Path) -> dict[str, list[list[Place]]]:
    """Of each word the examples of each of its senses in which it stands as it is."""
    found: dict[str, list[list[Place]]] = defaultdict(list)
    for name in ("data.noun", "data.verb"):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue
            head, _, gloss = line.partition(" | ")
            fields, examples = head.split(), EXAMPLE.findall(gloss)
            for word in {fields[4 + 2 * i].lower() for i in range(int(fields[3], 16))}:
                at = [(e, m.start(), m.end()) for e in examples if (m := re.search(rf"\b{re.escape(word)}\b", e))]
                if at:
                    found[f"{word}/{name}"].append(at)
    return {word: listed for word, listed in found.items() if len(listed) > 1}


def pairs(listed: dict[str, list[list[Place]]], n: int) -> tuple[list[tuple[Place, Place]], np.ndarray]:
    """n pairs of the same sense and n of different ones, drawn from words that have both."""
    rng, same, other = np.random.default_rng(0), list[tuple[Place, Place]](), list[tuple[Place, Place]]()
    for word in sorted(listed):
        within = [pair for sense in listed[word] for pair in combinations(sense, 2)]
        across = [(a, b) for one, two in combinations(listed[word], 2) for a in one for b in two]
        k = min(len(within), len(across), 2)
        same += [within[i] for i in rng.permutation(len(within))[:k]]
        other += [across[i] for i in rng.permutation(len(across))[:k]]
    order = rng.permutation(len(same))[:n]
    return [same[i] for i in order] + [other[i] for i in order], np.repeat([1, 0], len(order))


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """The probability that a pair of one sense scores above a pair of two; ties count half."""
    above = scores[truth == 1][:, None] - scores[truth == 0]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Of neighbors: rows 0 and 1, 2 and 3, ..."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return (unit[::2] * unit[1::2]).sum(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, required=True, help="the folder of data.noun")
    parser.add_argument("--pairs", type=int, default=1000, help="of each kind")
    given = parser.parse_args()
    chosen, truth = pairs(senses(given.wordnet), given.pairs)
    model, places = load_embedder(MINILM, torch.device("cpu")), [place for pair in chosen for place in pair]
    rng = np.random.default_rng(1)
    for name, vectors in (
        ("one vector a word", np.ones((len(places), 1))),
        ("the whole sentence", model.embed([text for text, _, _ in places])),
        ("the word in its sentence", model.in_context(places)),
    ):
        scores = cosines(vectors)
        drawn = [auc(scores[i], truth[i]) for i in rng.integers(0, len(truth), (200, len(truth)))]
        low, high = np.quantile(drawn, [0.025, 0.975])
        print(f"{name:>25}: AUC {auc(scores, truth):.3f} ({low:.3f} to {high:.3f}) over {len(truth)} pairs")


if __name__ == "__main__":
    main()
