"""Many requests together against one after the other, and a thousand of them in little memory.

A real checkpoint answers 64 requests of mixed prompts, lengths and settings: through one engine over the trie; one
after the other, each as if it were alone, over the same backend, whose texts must be the same bits; and one after the
other over the contiguous backend, the fastest there is for one text. Then a model of SmolLM2's kind, but tiny, answers
a thousand requests with a limit on keys and values: the most bytes that were there at once are reported.
"""

import argparse
import math
import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch

from clearhead.checkpoints.load import load_model
from clearhead.generation.contiguous import ContiguousBackend
from clearhead.generation.engine import Engine
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request, TokenEvent
from clearhead.generation.trie_backend import TrieBackend
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.text.subword import SubwordTokenizer

TEXT = (
    "The old man walked down to the harbor, where the boats came in every morning with the tide. Nobody had told him "
    "about the letter, and he did not ask. In the kitchen a pot of coffee stood on the stove; the radio spoke of rain. "
)
SETTINGS = [
    SamplingParams(temperature=0.0), SamplingParams(0.8), SamplingParams(0.7, top_p=0.95),
    SamplingParams(1.0, top_k=40),
    SamplingParams(0.9, min_p=0.05), SamplingParams(0.8, top_p=0.9, repetition_penalty=1.1),
]  # fmt: skip


def requests(ids: list[int], n: int, longest_prompt: int, longest_text: int, seed: int = 0) -> list[Request]:
    """Prompts cut from one text, from 4 tokens on; texts from an eighth of the longest on."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        start, length = rng.integers(len(ids) - longest_prompt), rng.integers(4, longest_prompt + 1)
        sampling = replace(
            SETTINGS[i % len(SETTINGS)], max_tokens=int(rng.integers(longest_text // 8, longest_text + 1))
        )
        found.append(Request(ids[start : start + length], sampling, seed=i))
    return found


class Together:
    """Requests in one engine, stepped when asked, with the time that it took."""

    def __init__(self, engine: Engine, asked: Iterable[Request]) -> None:
        self.engine, self.found, self.seconds = engine, dict[tuple[int, int], list[TokenEvent]](), 0.0
        self._order = {engine.add(request): i for i, request in enumerate(asked)}

    def step(self) -> None:
        started = time.perf_counter()
        events = self.engine.step()
        self.seconds += time.perf_counter() - started
        for event in events:
            self.found.setdefault((self._order[event.request], event.sample), []).append(event)


def rate_of(some: list[Together]) -> float:
    """Tokens a second."""
    return sum(len(events) for one in some for events in one.found.values()) / sum(one.seconds for one in some)


def told(events: list[TokenEvent]) -> list[object]:
    """All that they say of a text, every bit."""
    return [(event.token, event.finish) for event in events]


def all_steps(engine: Engine, asked: Iterable[Request]) -> Together:
    together = Together(engine, asked)
    while engine.unfinished:
        together.step()
    return together


def forget(engine: Engine) -> None:
    """So that the next request is as alone as the first."""
    engine.flush()
    if isinstance(engine.backend, TrieBackend):
        engine.backend.forget()
    elif isinstance(engine.backend, ContiguousBackend):
        engine.backend.tokens = []


def compare(model: str, n: int, prompt: int, text: int, tried: int) -> None:
    """The three take turns, so that whatever else the machine does falls on all of them."""
    loaded = load_model(model, torch.device("cpu"), torch.float32)
    decoder, tokenizer = loaded.decoder, loaded.tokenizer
    assert isinstance(tokenizer, SubwordTokenizer)
    tokenizer = replace(tokenizer, end_id=None, more_ends=frozenset())  # texts of the lengths asked for
    asked = requests(tokenizer.encode(TEXT * 4), n, prompt, text)
    backends = TrieBackend(decoder, torch.float32), TrieBackend(decoder, torch.float32), ContiguousBackend(decoder)
    engine, trie, contiguous = (Engine(backend, tokenizer) for backend in backends)
    for one in (engine, trie, contiguous):  # what happens only the first time
        all_steps(one, [replace(asked[0], seed=99)])
        forget(one)
    together, some = Together(engine, asked), list(range(0, n, max(1, n // tried)))
    alone: dict[Engine, list[Together]] = {trie: [], contiguous: []}
    for i in some:
        for one, answers in alone.items():
            answers.append(all_steps(one, [asked[i]]))
            forget(one)
        for _ in range(math.ceil(text / len(some))):
            together.step()
    same = sum(told(together.found[i, 0]) == told(one.found[0, 0]) for i, one in zip(some, alone[trie], strict=True))
    rate, of_trie, of_contiguous = rate_of([together]), rate_of(alone[trie]), rate_of(alone[contiguous])
    print(f"{n} requests, prompts of 4 to {prompt} tokens, texts of {text // 8} to {text}, {len(some)} also alone")
    print(f"  together                    {rate:7.1f} tokens/s")
    print(f"  alone, same backend         {of_trie:7.1f} tokens/s: {rate / of_trie:.1f} times, {same} the same bits")
    print(f"  alone, contiguous backend   {of_contiguous:7.1f} tokens/s: {rate / of_contiguous:.1f} times", flush=True)


class Ids:
    """A tokenizer of numbers; no text ends."""

    vocab_size, end_id, end_ids, pad_id = 512, None, frozenset[int](), None

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def decode(self, ids: Iterable[int]) -> str:
        return " ".join(map(str, ids))


def in_little_memory(n: int, limit: int) -> None:
    config = DecoderConfig(vocab=512, d_model=256, n_layers=8, n_heads=4, n_kv_heads=4, d_ff=512, max_positions=512)
    decoder = Decoder(config)
    torch.nn.init.normal_(decoder.head.weight, std=0.5, generator=torch.Generator().manual_seed(0))  # type: ignore[union-attr]
    backend = TrieBackend(decoder, torch.float32, limit)
    cache, most = backend.cache, 0

    engine, ids = Engine(backend, Ids()), np.random.default_rng(0).integers(512, size=4000).tolist()
    together = Together(engine, requests(ids, n, 300, 64))
    while engine.unfinished:
        together.step()
        most = max(most, sum(pool.nbytes for pool in (*cache._keys, *cache._values, cache._hidden)))
    ended = sum(events[-1].finish is not None for events in together.found.values())
    print(f"{n} requests with a limit of {limit / 2**20:.0f} MiB of keys and values")
    print(f"  {most / 2**20:.2f} MiB at most, {ended} answered, {rate_of([together]):.0f} tokens/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=48)
    parser.add_argument("--text", type=int, default=96)
    parser.add_argument("--alone", type=int, default=16, help="how many are also tried alone")
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--limit", type=int, default=64 << 20)
    options = parser.parse_args()
    compare(options.model, options.requests, options.prompt, options.text, options.alone)
    in_little_memory(options.many, options.limit)


if __name__ == "__main__":
    main()
