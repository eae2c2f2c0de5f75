"""Skip-gram or CBOW on one thread against gensim: words a second, and Spearman's correlation with people's scores.

The same words, window, dimensions, negatives, thinning and epochs. gensim lies in an environment of its own, named by
--python, and brings WordSim-353 and SimLex-999; give a text of 5 MB or more. The two take turns; counted are the
seconds of training alone, by the clock and of the processor.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clearhead.models.vector_space import VectorSpace
from clearhead.models.word_vectors import VectorConfig, train
from clearhead.pipeline.vectors import pair_score
from clearhead.text.corpus import documents
from clearhead.text.words import read, words_of

PEER = """
import json, sys, time
from gensim.models import Word2Vec
lines, settings, sets = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
texts = [line.split() for line in open(lines, encoding="utf-8")]
model = Word2Vec(workers=1, **settings)
model.build_vocab(texts)
started, used = time.perf_counter(), time.process_time()
model.train(texts, total_examples=model.corpus_count, epochs=model.epochs)
seconds, used = time.perf_counter() - started, time.process_time() - used
scores = {name: model.wv.evaluate_word_pairs(path, dummy4unknown=False)[1][0] for name, path in sets.items()}
print(json.dumps({"seconds": seconds, "cpu": used, "scores": scores, "vocabulary": len(model.wv)}))
"""
SETS = """
import gensim.test.utils, json
print(json.dumps({name: gensim.test.utils.datapath(name) for name in ("wordsim353.tsv", "simlex999.txt")}))
"""


def ours(texts: list[str], config: VectorConfig, min_count: int, sets: dict[str, str]) -> dict:
    vocabulary, ids = read(texts, min_count, 1 << 30)
    started, used = time.perf_counter(), time.process_time()
    found = train(ids, vocabulary.keep(config.sample), vocabulary.noise(), config)
    seconds, used = time.perf_counter() - started, time.process_time() - used
    space = VectorSpace(vocabulary.words, found.vectors)
    scores = {name: pair_score(space, Path(path))["spearman"] for name, path in sets.items()}
    return {"seconds": seconds, "cpu": used, "scores": scores, "vocabulary": len(vocabulary.words)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="a Python with gensim")
    parser.add_argument("--text", type=Path, nargs="+", required=True)
    parser.add_argument("--method", choices=["skipgram", "cbow"], default="skipgram")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--dimensions", type=int, default=100)
    parser.add_argument("--characters", type=int, default=0, help="take so much of the text alone")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    sets = json.loads(subprocess.run([given.python, "-c", SETS], check=True, capture_output=True, text=True).stdout)
    whole = "\n\n".join(documents(given.text))
    texts = [text for text in whole[: given.characters or None].split("\n\n") if words_of(text)]
    words = sum(len(words_of(text)) for text in texts)
    print(f"{sum(map(len, texts)):,} characters, {words:,} words, {given.epochs} epochs, D = {given.dimensions}")
    config = VectorConfig(given.method, given.dimensions, epochs=given.epochs)
    ours(texts[:5], config, 1, {})  # the compiler's time is not counted
    found: dict[str, list[dict]] = {"clearhead": [], "gensim": []}
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as lines:
        lines.writelines(" ".join(words_of(text)) + "\n" for text in texts)
        lines.flush()
        for seed in range(given.rounds):
            settings = {
                "sg": int(given.method == "skipgram"), "vector_size": given.dimensions, "window": config.window,
                "negative": config.k, "sample": config.sample, "epochs": given.epochs, "min_count": 5, "seed": seed,
                "alpha": config.rate,
            }  # fmt: skip
            told = [json.dumps(settings), json.dumps(sets)]
            peer = subprocess.run([given.python, "-c", PEER, lines.name, *told], capture_output=True, text=True)
            if peer.returncode:
                sys.exit(peer.stderr)
            found["gensim"].append(json.loads(peer.stdout))
            mine = VectorConfig(given.method, given.dimensions, epochs=given.epochs, seed=seed)
            found["clearhead"].append(ours(texts, mine, 5, sets))
            for name, rounds in found.items():
                print(f"  {name:>9} {rounds[-1]}", flush=True)
    for key in ("seconds", "cpu"):
        rate = {
            name: words * given.epochs / statistics.median(one[key] for one in all_) for name, all_ in found.items()
        }
        told = ", ".join(f"{name} {per:,.0f}" for name, per in rate.items())
        print(f"words a second ({key}): {told}; {rate['clearhead'] / rate['gensim']:.2f} times")
    for name in sets:
        told = ", ".join(
            f"{who} {statistics.mean(one['scores'][name] for one in all_):.3f}" for who, all_ in found.items()
        )
        print(f"{name}: {told}")


if __name__ == "__main__":
    main()
