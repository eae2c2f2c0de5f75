"""Whatever the order, the batch and the sharing: the hidden state of a slot is that of its text in one causal pass."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from rounding import rms

from clearhead.generation import cache as cache_module
from clearhead.generation.cache import REACH, KVCache, frozen_copy, path_attention
from clearhead.generation.trie import ROOT, TokenTrie
from clearhead.kernels.attention import FULL, Pattern
from clearhead.kernels.machine import bfloat16_is_fast
from clearhead.models.decoder import Decoder

MakeDecoder = Callable[..., Decoder]
FullForward = Callable[[Decoder, list[int]], torch.Tensor]
EXACT = {"rtol": 1e-5, "atol": 1e-5}  # float32 rounding over two layers


def write(trie: TokenTrie, *texts: list[int]) -> np.ndarray:
    slots = trie.insert(np.full(len(texts), ROOT), texts)
    trie.acquire(slots)
    return slots


def random_texts(rng: np.random.Generator, n: int, longest: int) -> list[list[int]]:
    """Texts of two letters, so that many begin alike."""
    return [rng.integers(2, 4, rng.integers(1, longest)).tolist() for _ in range(n)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_heads": 4, "n_kv_heads": 4},
        {"n_heads": 4, "n_kv_heads": 2, "positions": "learned", "norm": "layer", "mlp": "swiglu"},
        {"positions": "sinusoidal", "qk_norm": False, "tied": True, "mlp": "gelu"},
        {"window": 5, "global_every": 2, "rope_local_theta": 20.0, "attention_softcap": 2.0, "n_layers": 3},
        {"block": "sandwich", "norm_weight": "one_plus", "bias": "qkv", "head_dim": 6, "attention_scale": 0.3},
        {"block": "post", "norm_weight": "plain", "bias": "all", "norm": "layer", "positions": "learned", "window": 3},
    ],
)
def test_hidden_states_are_those_of_a_causal_pass(
    make_decoder: MakeDecoder, full_forward: FullForward, rng: np.random.Generator, changes: dict[str, object]
) -> None:
    decoder, trie = make_decoder(**changes), TokenTrie(12, slots=4)
    cache = KVCache(decoder, trie)
    texts = random_texts(rng, n=8, longest=2 * REACH + 3)
    hidden = cache.hidden(write(trie, *texts))
    torch.testing.assert_close(hidden, torch.stack([full_forward(decoder, text)[-1] for text in texts]), **EXACT)
    assert cache.computed == cache.unique == trie.used - 1


@pytest.mark.parametrize("max_batch_tokens", [1, 3, 7])
def test_batches_cut_to_pieces_give_the_same(
    make_decoder: MakeDecoder,
    full_forward: FullForward,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    max_batch_tokens: int,
) -> None:
    monkeypatch.setitem(cache_module.GATHER_BYTES, "cpu", 2 * REACH * 16)
    decoder, trie = make_decoder(), TokenTrie(12)
    cache = KVCache(decoder, trie, max_batch_tokens)
    texts = random_texts(rng, n=6, longest=2 * REACH)
    hidden = cache.hidden(write(trie, *texts))
    torch.testing.assert_close(hidden, torch.stack([full_forward(decoder, text)[-1] for text in texts]), **EXACT)
    assert cache.computed == trie.used - 1


def test_the_gathered_copy_stays_below_its_bound(
    make_decoder: MakeDecoder, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = 3 * REACH * 8 * 4  # keys of three short rows: C = 8 float32 channels
    monkeypatch.setitem(cache_module.GATHER_BYTES, "cpu", bound)
    seen = []

    def watched(
        q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, part: object, pattern: Pattern
    ) -> torch.Tensor:
        seen.append(part.keys.numel() * keys.shape[-1] * keys.element_size())  # type: ignore[attr-defined]
        return path_attention(q, keys, values, part, pattern)  # type: ignore[arg-type]

    monkeypatch.setattr(cache_module, "path_attention", watched)
    trie = TokenTrie(12)
    KVCache(make_decoder(), trie).compute(write(trie, *random_texts(rng, n=20, longest=2 * REACH)))
    assert max(seen) <= bound
    assert len(seen) > 2 * 10


def test_what_is_known_is_not_computed_again(make_decoder: MakeDecoder, full_forward: FullForward) -> None:
    decoder, trie = make_decoder(), TokenTrie(12)
    cache = KVCache(decoder, trie)
    abc, abd, x = write(trie, [2, 3, 4], [2, 3, 5], [6])
    first = cache.compute(np.array([trie.parent[abc], x]))
    assert (first.by.tolist(), cache.computed) == ([0, 1, 0], 3)  # in order of depth: a, x, b
    second = cache.compute(np.array([abc, abd, x]))
    assert second.by.tolist() == [0, 1]
    assert second.unique.all()
    assert cache.compute(np.array([abc, abd, x])).by.tolist() == []
    assert cache.computed == cache.unique == 5
    torch.testing.assert_close(cache.hidden(np.array([abd]))[0], full_forward(decoder, [2, 3, 5])[-1], **EXACT)


def test_random_sharing_and_reuse_of_slots(
    make_decoder: MakeDecoder, full_forward: FullForward, rng: np.random.Generator
) -> None:
    """Slots are freed and filled again many times over; whoever is alive reads what his own text says."""
    decoder, trie = make_decoder(), TokenTrie(12, slots=8)
    cache = KVCache(decoder, trie)
    held: list[tuple[list[int], int]] = []
    used = []
    for _ in range(40):
        if len(held) > 6:
            gone = [held.pop(rng.integers(len(held))) for _ in range(3)]
            trie.release(np.array([slot for _, slot in gone]))
        texts = random_texts(rng, n=2, longest=10)
        held += zip(texts, write(trie, *texts).tolist(), strict=True)
        some = [held[i] for i in rng.integers(len(held), size=2)]
        used.append(trie.used)
        hidden = cache.hidden(np.array([slot for _, slot in some]))
        torch.testing.assert_close(hidden, torch.stack([full_forward(decoder, t)[-1] for t, _ in some]), **EXACT)
    assert cache.computed == cache.unique > 2 * trie.slots  # so slots were reused
    assert trie.slots == 64 >= max(used)


def test_two_decoders_read_one_trie(make_decoder: MakeDecoder, full_forward: FullForward) -> None:
    """A policy and a reward model on the same texts: each computes for itself, and only what it is asked for."""
    policy, reward, trie = (
        make_decoder(seed=0),
        make_decoder(seed=1, d_model=24, n_heads=3, n_kv_heads=3),
        TokenTrie(12),
    )
    policy_cache, reward_cache = KVCache(policy, trie), KVCache(reward, trie)
    ab, abc = write(trie, [2, 3], [2, 3, 4])
    policy_cache.compute(np.array([ab, abc]))
    torch.testing.assert_close(reward_cache.hidden(np.array([ab]))[0], full_forward(reward, [2, 3])[-1], **EXACT)
    assert (policy_cache.computed, reward_cache.computed) == (3, 2)
    trie.release(np.array([ab, abc]))
    (bc,) = write(trie, [3, 4])  # takes the freed slots
    torch.testing.assert_close(reward_cache.hidden(np.array([bc]))[0], full_forward(reward, [3, 4])[-1], **EXACT)
    torch.testing.assert_close(policy_cache.hidden(np.array([bc]))[0], full_forward(policy, [3, 4])[-1], **EXACT)


def test_double_work_is_counted_when_a_trie_keeps_a_text_twice(
    make_decoder: MakeDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter `unique` can tell: with a trie that finds no child, equal texts are computed twice."""
    trie = TokenTrie(12)
    cache = KVCache(make_decoder(), trie)
    monkeypatch.setattr(trie._children, "get", lambda keys: np.zeros(len(keys), np.int32))
    cache.compute(np.concatenate([write(trie, [2, 3, 4]), write(trie, [2, 3, 4])]))
    assert (cache.computed, cache.unique) == (6, 3)


def test_double_work_is_counted_when_the_cache_forgets(make_decoder: MakeDecoder) -> None:
    trie = TokenTrie(12)
    cache = KVCache(make_decoder(), trie)
    slots = write(trie, [2, 3, 4])
    cache.compute(slots)
    cache._known.clear(slots)
    cache.compute(slots)
    assert (cache.computed, cache.unique) == (4, 3)


def test_a_text_read_anew_after_its_release_is_new_work(make_decoder: MakeDecoder) -> None:
    trie = TokenTrie(12)
    cache = KVCache(make_decoder(), trie)
    for _ in range(2):
        slots = write(trie, [2, 3, 4])
        cache.compute(slots)
        trie.release(slots)
    assert cache.computed == cache.unique == 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_path_attention_rounds_no_worse_than_plain_attention(dtype: torch.dtype, rng: np.random.Generator) -> None:
    """Error against float64 at most twice that of the plain product in the same type, on paths of every length."""
    N, H, G, C, slots = 40, 4, 2, 8, 100
    q, k, v = (torch.from_numpy(rng.normal(size=(n, h, C))) for n, h in ((N, H), (slots, G), (slots, G)))
    lengths = np.sort(rng.integers(1, REACH + 1, N))
    paths = np.stack([np.where(np.arange(REACH) < n, rng.integers(0, slots, REACH), 7) for n in lengths])
    mask = torch.from_numpy(np.arange(REACH) < lengths[:, None])
    keys = torch.from_numpy(paths[:, None] * G + np.arange(G)[:, None]).reshape(N * G, REACH)
    bias = torch.zeros(N, REACH).masked_fill(~mask, float("-inf")).repeat_interleave(G, 0)[:, None].to(dtype)
    part = cache_module._Part(
        slice(0, N), keys.int(), keys.view(N, G, -1).repeat_interleave(2, 1).flatten(0, 1).int(), {0: bias}
    )

    def plain(kind: torch.dtype) -> torch.Tensor:
        """Product, softmax, product, one after the other."""
        mine, (ks, vs) = q.to(dtype).to(kind), (x.to(dtype).to(kind)[torch.from_numpy(paths)] for x in (k, v))
        ks, vs = (x.repeat_interleave(H // G, 2).transpose(1, 2) for x in (ks, vs))  # N H S C
        scores = (mine[:, :, None] @ ks.mT) / C**0.5
        return (scores.masked_fill(~mask[:, None, None], float("-inf")).softmax(-1) @ vs)[:, :, 0]

    truth, out = plain(torch.float64), path_attention(q.to(dtype), k.to(dtype), v.to(dtype), part, FULL)
    error, budget = rms(out.double() - truth), rms(plain(dtype).double() - truth)
    assert error <= 2 * budget, (error, budget)


def test_frozen_copy_is_a_copy_in_its_own_type(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder()
    frozen = frozen_copy(decoder, torch.bfloat16)
    assert {p.dtype for p in frozen.blocks.parameters()} == {torch.bfloat16}
    assert frozen.embed.weight.dtype == torch.float32  # the logits are not rounded
    assert not any(p.requires_grad for p in frozen.parameters())
    assert all(p.dtype == torch.float32 and p.requires_grad for p in decoder.parameters())
    decoder.embed.weight.data.zero_()
    assert frozen.embed.weight.any()
    fast = bfloat16_is_fast(torch.device("cpu"))
    assert next(frozen_copy(decoder).blocks.parameters()).dtype == (torch.bfloat16 if fast else torch.float32)
