"""The engine as a server would use it: requests that come and go, in little memory, each as if it were alone."""

import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from decoding import events

from clearhead.errors import UserError
from clearhead.generation.backend import Backend
from clearhead.generation.cache import KVCache, slot_bytes
from clearhead.generation.contiguous import ContiguousBackend
from clearhead.generation.engine import Engine
from clearhead.generation.language_model import GREEDY, SamplingParams
from clearhead.generation.recurrent import RecurrentBackend
from clearhead.generation.request import Request, TokenEvent
from clearhead.generation.trie import ROOT, TokenTrie
from clearhead.generation.trie_backend import TrieBackend
from clearhead.models.decoder import Decoder
from clearhead.models.recurrent import Recurrent, RecurrentConfig
from clearhead.text.tokenizer import CharTokenizer

MakeDecoder = Callable[..., Decoder]
SAMPLINGS = [
    GREEDY, SamplingParams(), SamplingParams(0.7, top_k=3), SamplingParams(2.0, top_p=0.8), SamplingParams(min_p=0.3),
    SamplingParams(repetition_penalty=1.5), replace(GREEDY, repetition_penalty=2.0),
]  # fmt: skip


def recurrent(cell: str) -> Recurrent:
    model = Recurrent(RecurrentConfig(12, cell, 16, 2))  # type: ignore[arg-type]
    with torch.no_grad():
        model.head.weight.normal_(std=0.7, generator=torch.Generator().manual_seed(1))
    return model


@pytest.fixture(scope="module")
def make_backend(make_decoder: MakeDecoder) -> Callable[..., Backend]:
    def make(kind: str, kv_memory: int | None = None) -> Backend:
        if kind == "trie":
            return TrieBackend(make_decoder(n_heads=4, n_kv_heads=2), torch.float32, kv_memory)
        if kind == "contiguous":
            return ContiguousBackend(make_decoder(n_heads=4, n_kv_heads=2), kv_memory=kv_memory)
        return RecurrentBackend(recurrent(kind), kv_memory)

    return make


def random_requests(rng: np.random.Generator, n: int, most: int = 4, letters: int = 3) -> list[Request]:
    """Of every kind: prompts that often begin alike, settings, lengths, stop strings, samples and beams."""
    return [
        Request(
            rng.integers(2, 2 + letters, rng.integers(1, 20)).tolist(),
            replace(SAMPLINGS[rng.integers(len(SAMPLINGS))], max_tokens=int(rng.integers(1, 24))),
            seed=int(rng.integers(1 << 40)),
            stop=[(), ("3",), ("01", "\n")][rng.integers(3)],
            n=int(rng.integers(1, most)),
            top_logprobs=int(rng.integers(3)),
        )
        for _ in range(n)
    ]


def mixed(rng: np.random.Generator, n: int) -> list[Request]:
    """One in five searches with beams."""
    return [
        replace(request, beams=request.n + 1, length_penalty=0.6) if i % 5 == 4 else request
        for i, request in enumerate(random_requests(rng, n))
    ]


def told(found: list[TokenEvent]) -> list[tuple[object, ...]]:
    """All that an event says of a text, every bit."""
    return [(event.token, event.finish) for event in found]


# --- a text does not depend on its company ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["trie", "lstm", "rnn", "conv"])
def test_requests_that_come_and_go_are_as_alone(
    make_backend: Callable[..., Backend], tokenizer: CharTokenizer, rng: np.random.Generator, kind: str
) -> None:
    """Ids, probabilities and endings are the same bits, whenever a request joins and whoever leaves beside it."""
    requests, engine = mixed(rng, 24), Engine(make_backend(kind), tokenizer)
    found: dict[tuple[int, int], list[TokenEvent]] = {}
    waiting, number, canceled = list(range(24)), {}, set()
    while waiting or engine.unfinished:
        for _ in range(int(rng.integers(3))):
            if waiting:
                i = waiting.pop(0)
                number[engine.add(requests[i])] = i
        for event in engine.step():
            assert number[event.request] not in canceled
            found.setdefault((number[event.request], event.sample), []).append(event)
        ended = {i for (i, _), some in found.items() if any(event.finish for event in some)}
        running = [request for request, i in number.items() if i not in canceled | ended]
        if running and rng.random() < 0.2:
            some = int(rng.choice(running))
            engine.cancel(some)
            canceled.add(number[some])
    assert len(canceled) >= 2
    for i, request in enumerate(requests):
        alone = events(Engine(make_backend(kind), tokenizer), request)
        for (_, sample), want in alone.items():
            got = told(found.get((i, sample), []))
            assert got == told(want)[: len(got)]
            assert len(got) == len(want) or i in canceled
    assert sum(any(event.finish for event in some) for some in found.values()) > 20
    usage = engine.usage.total
    assert usage.computed - usage.unique == 0


def test_samples_share_what_they_agree_on(make_backend: Callable[..., Backend], tokenizer: CharTokenizer) -> None:
    engine = Engine(make_backend("trie"), tokenizer)
    events(engine, *(Request([2, 3, 4], replace(GREEDY, max_tokens=6), n=5) for _ in range(3)))
    usage = engine.usage.total
    assert usage.computed <= 3 + 5  # one prompt and one text
    assert usage.generated <= 6


@pytest.mark.parametrize("kind", ["trie", "contiguous", "lstm", "conv"])
def test_a_step_that_fails_can_be_taken_again(
    make_backend: Callable[..., Backend], tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    request = Request([2, 3, 4], SamplingParams(max_tokens=12), seed=5)
    want = events(Engine(make_backend(kind), tokenizer), request)
    engine, failed, got = Engine(make_backend(kind), tokenizer), 0, []
    engine.add(request)
    logits = engine.backend.logits
    while engine.unfinished:
        if failed < 4:
            failed += 1
            with monkeypatch.context() as patch:
                patch.setattr(engine.backend, "logits", lambda seqs: logits(seqs) * float("nan"))
                with pytest.raises(UserError, match="not finite"):
                    engine.step()
        got += engine.step()
    assert told(got) == told(want[0, 0])


def test_one_text_at_a_time_takes_turns(make_backend: Callable[..., Backend], tokenizer: CharTokenizer) -> None:
    requests = [Request([2, 3, i], SamplingParams(max_tokens=6), seed=i) for i in range(2, 6)]
    together = events(Engine(make_backend("contiguous"), tokenizer), *requests)
    for i, request in enumerate(requests):
        alone = events(Engine(make_backend("contiguous"), tokenizer), request)[0, 0]
        assert [event.token.id for event in together[i, 0]] == [event.token.id for event in alone]
        assert together[i, 0][-1].finish == alone[-1].finish


def test_nothing_to_do(make_backend: Callable[..., Backend], tokenizer: CharTokenizer) -> None:
    engine = Engine(make_backend("trie"), tokenizer)
    assert engine.step() == []
    engine.cancel(7)
    number = engine.add(Request([2], SamplingParams(max_tokens=3)))
    engine.cancel(number)
    assert (engine.unfinished, engine.step()) == (0, [])


# --- memory -----------------------------------------------------------------------------------------------------------


class Watched:
    """The most bytes of keys, values and hidden states that were there at once, while a pool grows too."""

    def __init__(self, owner: KVCache | ContiguousBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most, self.live = 0, {}
        empty = owner._empty

        def made(*shape: int) -> torch.Tensor:
            tensor = empty(*shape)
            self.live[id(tensor)] = weakref.ref(tensor), tensor.nbytes
            self.see()
            return tensor

        monkeypatch.setattr(owner, "_empty", made)

    def see(self) -> None:
        self.live = {key: (ref, nbytes) for key, (ref, nbytes) in self.live.items() if ref() is not None}
        self.most = max(self.most, sum(nbytes for _, nbytes in self.live.values()))


def pools(backend: TrieBackend) -> int:
    cache = backend.cache
    return sum(pool.nbytes for pool in (*cache._keys, *cache._values, cache._hidden))


@pytest.mark.parametrize("positions", [60, 200, 400])
def test_memory_stays_below_its_limit_and_all_are_answered(
    make_decoder: MakeDecoder, tokenizer: CharTokenizer, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch,
    positions: int,
) -> None:  # fmt: skip
    decoder = make_decoder(n_heads=4, n_kv_heads=2, n_layers=6)
    limit = positions * slot_bytes(decoder.config, torch.float32)
    monkeypatch.setattr(TokenTrie.__init__, "__defaults__", (16, 64, 1 << 31))  # so that its pools grow
    backend = TrieBackend(decoder, torch.float32, limit)
    watched = Watched(backend.cache, monkeypatch)
    assert pools(backend) <= limit
    engine, requests = Engine(backend, tokenizer), random_requests(rng, 90, most=2, letters=9)
    together = events(engine, *requests)
    assert max(watched.most, pools(backend)) <= limit
    assert backend.trie.slots == positions  # all of it was needed
    assert set(together) == {(i, 0) for i in range(90)}
    for i in (0, 17, 89):
        alone = events(Engine(TrieBackend(decoder, torch.float32), tokenizer), requests[i])
        assert told(together[i, 0]) == told(alone[0, 0])


def test_pools_grow_one_after_the_other(make_decoder: MakeDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """So growing needs one pool twice, which `slot_bytes` counts, and not all of them."""
    decoder, trie = make_decoder(n_layers=6, max_positions=128), TokenTrie(12, slots=16, most=100)
    cache = KVCache(decoder, trie)
    watched = Watched(cache, monkeypatch)
    for length in (30, 60, 99):  # 32, 64 and 100 slots
        trie.acquire(slots := trie.insert(np.array([ROOT], np.int32), [[2] * length]))
        cache.compute(slots)
    assert len(cache._hidden) == 100
    assert watched.most <= 100 * slot_bytes(decoder.config, torch.float32)


def test_what_can_never_fit_is_refused_and_what_does_not_fit_now_waits(
    make_decoder: MakeDecoder, tokenizer: CharTokenizer
) -> None:
    decoder = make_decoder()
    backend = TrieBackend(decoder, torch.float32, 30 * slot_bytes(decoder.config, torch.float32))
    engine = Engine(backend, tokenizer)
    with pytest.raises(UserError, match=r"1 text of up to 30 tokens.*KiB|1 text of up to 30 tokens"):
        engine.add(Request([2] * 10, SamplingParams(max_tokens=20)))
    first = engine.add(Request([2] * 9, SamplingParams(max_tokens=20)))
    second = engine.add(Request([3] * 9, SamplingParams(max_tokens=15)))
    seen = []
    while engine.unfinished:
        seen += [event.request for event in engine.step()]
    assert seen == sorted(seen)  # one after the other
    assert set(seen) == {first, second}


def test_the_least_recently_used_text_makes_room(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder = make_decoder()
    backend = TrieBackend(decoder, torch.float32, 40 * slot_bytes(decoder.config, torch.float32))
    engine = Engine(backend, tokenizer)

    def read(*prompt: int) -> int:
        """Positions computed for a prompt of ten tokens and one more."""
        before = engine.usage.total
        events(engine, Request([*prompt] * 5, replace(GREEDY, max_tokens=1)))
        return (engine.usage.total - before).computed

    assert [read(2, 3), read(3, 4), read(4, 5)] == [10, 10, 10]
    assert read(2, 3) == 0  # still there, and now the youngest
    assert read(5, 6) == 10  # takes the place of 3 4
    assert read(2, 3) == 0
    assert read(3, 4) == 10
    usage = engine.usage.total
    assert usage.computed == usage.unique


def test_texts_that_are_held_are_never_taken_away(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder = make_decoder()
    backend = TrieBackend(decoder, torch.float32, 40 * slot_bytes(decoder.config, torch.float32))
    engine = Engine(backend, tokenizer)
    held = backend.trie.insert(np.array([ROOT], np.int32), [[2] * 30])
    backend.trie.acquire(held)
    engine.add(Request([3] * 5, SamplingParams(max_tokens=20)))
    with pytest.raises(UserError, match="beside the texts that are held"):
        engine.step()
    backend.release(held.tolist())
    while engine.unfinished:
        engine.step()
    assert backend.trie.used <= 40


def test_recurrent_states_have_a_limit_too(tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    model = recurrent("lstm")
    limit = 8 * 5 * 16 * 4  # eight texts: two states a layer and the hidden one
    backend, most = RecurrentBackend(model, limit), 0
    add = backend._add

    def added(text: object) -> int:
        nonlocal most
        seq = add(text)  # type: ignore[arg-type]
        most = max(most, len(backend._texts))
        return seq

    monkeypatch.setattr(backend, "_add", added)
    engine = Engine(backend, tokenizer)
    with pytest.raises(UserError, match="5 texts"):
        engine.add(Request([2], n=5))
    requests = [Request([2, i], SamplingParams(2.0, max_tokens=5), seed=i, n=2) for i in range(2, 8)]
    together = events(engine, *requests)
    assert len(together) == 12
    assert 4 < most <= 8
    assert told(together[3, 1]) == told(events(Engine(RecurrentBackend(model), tokenizer), requests[3])[0, 1])


def test_a_block_for_one_text_stays_below_its_limit(
    make_decoder: MakeDecoder, tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = make_decoder()
    limit = 40 * (2 * 2 + 1) * 8 * 4
    backend = ContiguousBackend(decoder, kv_memory=limit)
    watched, engine = Watched(backend, monkeypatch), Engine(backend, tokenizer)
    for length in (5, 12, 20):
        events(engine, Request([2] * length, SamplingParams(max_tokens=20)))
    assert 0 < watched.most <= limit
    with pytest.raises(UserError, match="1 text of up to 41 tokens"):
        engine.add(Request([2] * 21, SamplingParams(max_tokens=20)))
