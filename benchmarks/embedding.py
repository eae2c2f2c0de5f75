"""Sentences a second as vectors of all-MiniLM-L6-v2, against `transformers` in batches of 32 sorted by length.

The sentences are Python's documentation; each contender embeds all of them in turn. Cosines must be equal to 1e-6.
`make models` installs the model. Told are seconds by the clock and of the processor.
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import transformers

from clearhead.checkpoints.embedder import load_embedder
from clearhead.checkpoints.load import MINILM, packaged
from clearhead.text.corpus import default_corpus

BATCH = 32


def sentences(n: int) -> list[str]:
    text = " ".join(" ".join(default_corpus()).split())
    found = [part for part in re.split(r"(?<=[.!?])\s+", text) if 20 < len(part) < 400]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))[:n]]


def peer() -> Callable[[list[str]], np.ndarray]:
    path = packaged(MINILM)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModel.from_pretrained(path).eval()

    @torch.no_grad()
    def embed(texts: list[str]) -> np.ndarray:
        found = np.zeros((len(texts), 384), np.float32)
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        for start in range(0, len(order), BATCH):
            at = order[start : start + BATCH]
            batch = tokenizer(
                [texts[i] for i in at], padding=True, truncation=True, max_length=256, return_tensors="pt"
            )
            mask = batch["attention_mask"][..., None].float()
            mean = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
            found[at] = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return found

    return embed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = load_embedder(MINILM, torch.device("cpu"))
    contenders = {"clearhead": model.embed, "transformers": peer()}
    texts = sentences(given.sentences)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    vectors = {name: embed(texts[:64]) for name, embed in contenders.items()}  # warm
    cosines = [found @ found.T for found in vectors.values()]
    print(f"cosines differ by {np.abs(cosines[0] - cosines[1]).max():.1e} at most")
    for _ in range(given.rounds):
        for name, embed in contenders.items():
            started, used = time.perf_counter(), time.process_time()
            embed(texts)
            taken[name].append((time.perf_counter() - started, time.process_time() - used))
            print(f"  {name:>12} {taken[name][-1][0]:.2f} s, {taken[name][-1][1]:.2f} s of the processor", flush=True)
    for i, clock in enumerate(("by the clock", "of the processor")):
        mine, theirs = (statistics.median(one[i] for one in taken[name]) for name in contenders)
        print(f"{len(texts)} sentences {clock}: {mine:.2f} s and {theirs:.2f} s, {theirs / mine:.2f} times")


if __name__ == "__main__":
    main()
