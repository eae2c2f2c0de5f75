"""Word vectors of a text: trained, measured by sets of pairs and analogies, kept, and told as the data of a page."""

import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearhead.errors import UserError
from clearhead.formats import word2vec
from clearhead.models.vector_space import VectorSpace, spearman
from clearhead.models.word_vectors import Trained, VectorConfig, factorization, train, work
from clearhead.text.corpus import documents, python_documentation
from clearhead.text.words import Vocabulary, read

MOST_WORDS = 200_000
MAPPED = 120  # words on the map
BINS = 24
Watch = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Made:
    """Vectors, with what they came from; `ids` are the text."""

    space: VectorSpace
    config: VectorConfig
    vocabulary: Vocabulary
    ids: np.ndarray
    trained: Trained
    seconds: float

    @property
    def words_per_second(self) -> float:
        return self.config.passes * len(self.ids) / max(self.seconds, 1e-9)


def make(files: Sequence[Path], field: str, min_count: int, config: VectorConfig, watch: Watch) -> Made:
    """From files or folders of text; without any, from Python's documentation."""
    texts = documents(files, field) if files else python_documentation()
    vocabulary, ids = read(texts, min_count, MOST_WORDS)
    keep, noise = vocabulary.keep(config.sample), vocabulary.noise()
    started = time.perf_counter()
    with watch(config.method, work(ids, config)) as advance:
        trained = train(ids, keep, noise, config, advance)
    seconds = time.perf_counter() - started
    return Made(VectorSpace(vocabulary.words, trained.vectors), config, vocabulary, ids, trained, seconds)


def load(file: Path) -> VectorSpace:
    words, vectors = word2vec.read(file)
    return VectorSpace(tuple(words), vectors)


def pair_score(space: VectorSpace, file: Path) -> dict[str, Any]:
    """Spearman's correlation of cosines with people's scores, over the pairs whose words both have a vector.

    A line is two words and a number, by tabs, commas or spaces; others, as headings, begin with # or have no number.
    """
    cosines, scores, lines = list[float](), list[float](), 0
    for line in _lines(file):
        parts = re.split(r"[\t,; ]+", line.strip())
        if line.startswith("#") or len(parts) < 3 or (score := _number(parts[2])) is None:
            continue
        lines += 1
        a, b = parts[0].lower(), parts[1].lower()
        if a in space.ids and b in space.ids:
            cosines.append(space.similarity(a, b))
            scores.append(score)
    if len(scores) < 2:
        raise UserError(f"{file} has {lines} pairs, {len(scores)} of them of words with vectors; 2 are needed")
    return {
        "file": file.name,
        "pairs": lines,
        "known": len(scores),
        "spearman": spearman(*map(np.array, (cosines, scores))),
    }


def analogy_score(space: VectorSpace, file: Path) -> dict[str, Any]:
    """The share of "a b c d" solved, over the lines of which every word has a vector; ": section" lines part them."""
    questions, lines = list[list[int]](), 0
    for line in _lines(file):
        parts = line.lower().split()
        if line.startswith((":", "#")) or len(parts) != 4:
            continue
        lines += 1
        if all(word in space.ids for word in parts):
            questions.append([space.ids[word] for word in parts])
    if not questions:
        raise UserError(f"{file} has {lines} analogies, none of them of words with vectors alone; name another set")
    right = space.solved(np.array(questions))
    return {"file": file.name, "analogies": lines, "known": len(questions), "right": float(right.mean())}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}; name a file of lines") from None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def shown_words(vocabulary: Vocabulary, n: int) -> list[int]:
    """The most frequent words, those that thinning takes away last: "the" and its like stand everywhere."""
    keep = vocabulary.keep(1e-3) >= 0.9
    words = [i for i, word in enumerate(vocabulary.words) if len(word) > 2 and word.isalpha()]
    return sorted(words, key=lambda i: (not keep[i], i))[:n]


def page_data(made: Made, scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the page shows."""
    config, space = made.config, made.space
    shown = shown_words(made.vocabulary, MAPPED)
    data: dict[str, Any] = {
        "method": config.method, "words": int((made.ids >= 0).sum()), "vocabulary": len(space.words),
        "dimensions": config.dimensions, "window": config.window, "epochs": config.passes, "seconds": made.seconds,
        "words_per_second": made.words_per_second, "curve": made.trained.curve, "scores": list(scores),
        "neighbors": [(space.words[i], space.nearest(space.words[i], 5)) for i in shown[:12]],
        "map": [(space.words[i], float(x), float(y)) for i, (x, y) in zip(shown, space.plane(shown), strict=True)]
        if len(shown) > 2 else [],
    }  # fmt: skip
    if config.method == "skipgram":
        data["factorization"] = factorization_data(made)
    return data


def factorization_data(made: Made) -> dict[str, Any]:
    """The dot products beside what Levy and Goldberg predict: their correlation, and the mean in bins of equal size."""
    shifted, dots = factorization(made.ids, made.vocabulary.noise(), made.trained, made.config)
    order = np.argsort(shifted)
    bins = [part for part in np.array_split(order, min(BINS, len(order))) if len(part)]
    return {
        "pairs": len(dots), "correlation": float(np.corrcoef(shifted, dots)[0, 1]),
        "bins": [
            {
                "predicted": float(shifted[part].mean()), "dot": float(dots[part].mean()),
                "low": float(np.quantile(dots[part], 0.1)), "high": float(np.quantile(dots[part], 0.9)),
            }
            for part in bins
        ],
    }  # fmt: skip
