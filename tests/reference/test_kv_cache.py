"""With a cache as without one: token by token, in chunks, in batches, with every way of sharing keys."""

import numpy as np
import pytest
import torch
from against import close
from transformers import DynamicCache, MistralConfig, MistralForCausalLM

from clearhead.reference.kv_cache import Cache, append, empty, extend, keep_last, new_caches, projections
from clearhead.reference.transformer import Llama, llama, random_llama

V, D, H, F, L = 11, 12, 6, 10, 2
IDS = np.random.default_rng(0).integers(0, V, (3, 9))


def model(G: int) -> Llama:
    w = random_llama(V, D, H, G, F, L, np.random.default_rng(1))
    loud = [b._replace(attention=type(b.attention)(*(20 * m for m in b.attention[:4]))) for b in w.blocks]
    return w._replace(tokens=40 * w.tokens, blocks=tuple(loud), head=40 * w.head)


def in_chunks(w: Llama, ids: np.ndarray, sizes: list[int], **options) -> tuple[np.ndarray, tuple[Cache, ...]]:
    caches, logits, start = new_caches(w, ids.shape[:-1]), [], 0
    for size in sizes:
        some, caches = extend(w, ids[..., start : start + size], caches, **options)
        logits.append(some)
        start += size
    assert start == ids.shape[-1]
    return np.concatenate(logits, -2), caches


@pytest.mark.parametrize("G", [6, 3, 2, 1])
def test_a_cache_changes_nothing(G: int) -> None:
    w = model(G)
    full = llama(w, IDS, 100.0)
    assert full.std() > 0.1
    for sizes in ([9], [1] * 9, [4, 5], [3, 1, 1, 4], [8, 1]):
        logits, caches = in_chunks(w, IDS, sizes, base=100.0)
        close(logits, full)
        assert [c.length for c in caches] == [9, 9]
        assert caches[0].k.shape == caches[0].v.shape == (3, G, 9, D // H)  # grouped: that much smaller
    rng = np.random.default_rng(2)
    sizes = {"b_q": (H, D // H), "b_k": (G, D // H), "b_v": (G, D // H), "b_o": (D,)}
    biases = {name: rng.normal(size=size) for name, size in sizes.items()}  # Qwen2 has them
    w = w._replace(blocks=tuple(b._replace(attention=b.attention._replace(**biases)) for b in w.blocks))
    close(in_chunks(w, IDS, [5, 4])[0], llama(w, IDS))
    close(in_chunks(w, IDS[1], [2, 7])[0], llama(w, IDS)[1])  # a text alone, without an axis for the batch


def test_a_key_depends_on_all_that_came_before_and_on_nothing_later() -> None:
    w, changed = model(2), IDS[0].copy()
    changed[4] = (changed[4] + 1) % V
    (first, second), (other_first, other_second) = (extend(w, ids, new_caches(w, ()))[1] for ids in (IDS[0], changed))
    same = (first.k == other_first.k).all((0, 2))
    assert same.tolist() == [True] * 4 + [False] + [True] * 4  # in the first layer a key is that of its own token
    same = (second.k == other_second.k).all((0, 2))
    assert same.tolist() == [True] * 4 + [False] * 5  # further up it has heard of the others


def test_a_prefix_serves_two_continuations() -> None:
    w = model(2)
    _, caches = extend(w, IDS[0, :5], new_caches(w, ()))
    other = np.array([1, 2, 3])
    for continuation in (IDS[0, 5:], other):
        close(extend(w, continuation, caches)[0], llama(w, np.concatenate((IDS[0, :5], continuation)))[5:])


@pytest.mark.parametrize("window", [1, 3, 20])
def test_a_window_needs_no_more_than_its_own_tokens(window: int) -> None:
    w = model(2)
    whole, _ = extend(w, IDS, new_caches(w, (3,)), window=window)
    for sizes in ([1] * 9, [4, 5], [2, 1, 6]):
        logits, caches = in_chunks(w, IDS, sizes, window=window)
        close(logits, whole)
        assert caches[0].length == 9 and caches[0].k.shape[-2] == min(9, window - 1)
    if window == 20:
        close(whole, llama(w, IDS))
    else:
        assert np.abs(whole - llama(w, IDS)).max() > 0.01


def test_a_window_is_mistrals() -> None:
    config = MistralConfig(
        vocab_size=V, hidden_size=D, intermediate_size=F, num_hidden_layers=L, num_attention_heads=H,
        num_key_value_heads=2, sliding_window=3, rms_norm_eps=1e-5, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    theirs, w = MistralForCausalLM(config).double().eval(), model(2)
    with torch.no_grad():
        for mine, b in zip(w.blocks, theirs.model.layers, strict=True):
            a, m = b.self_attn, b.mlp
            for weight, of in zip(mine.attention[:3], (a.q_proj, a.k_proj, a.v_proj), strict=True):
                of.weight.copy_(torch.tensor(weight.reshape(D, -1).T))
            a.o_proj.weight.copy_(torch.tensor(mine.attention.w_o.reshape(-1, D).T))
            for weight, of in zip(mine.mlp, (m.gate_proj, m.up_proj, m.down_proj), strict=True):
                of.weight.copy_(torch.tensor(weight.T))
        theirs.model.embed_tokens.weight.copy_(torch.tensor(w.tokens))
        theirs.lm_head.weight.copy_(torch.tensor(w.head.T))
        base = theirs.config.rope_parameters["rope_theta"]
        close(
            extend(w, IDS, new_caches(w, (3,)), base, 3)[0], theirs(torch.tensor(IDS)).logits.numpy(), 1e-6
        )  # float32
        cache, seen = DynamicCache(config=config), []
        for chunk in np.split(IDS, [4, 5], -1):
            seen.append(theirs(torch.tensor(chunk), past_key_values=cache).logits.numpy())
        close(in_chunks(w, IDS, [4, 1, 4], base=base, window=3)[0], np.concatenate(seen, 1), 1e-6)


def test_dropping() -> None:
    k = np.arange(10.0).reshape(1, 5, 2)
    cache = append(empty((), 1, 2), k, -k)
    assert (
        keep_last(cache, 3).k.tolist() == k[:, 3:].tolist() and keep_last(cache, 3).v.tolist() == (-k[:, 3:]).tolist()
    )
    assert keep_last(keep_last(cache, 3), 3).dropped == keep_last(cache, 3).dropped == 3
    assert keep_last(cache, 9).dropped == 0
    assert keep_last(cache, 1).k.shape == (1, 0, 2)


def test_how_often_keys_are_projected() -> None:
    for n in (0, 1, 7, 100):
        without, with_cache = projections(n)
        assert without == sum(range(1, n + 1)) and with_cache == n


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: extend(model(1), IDS, ()), "0 caches do not fit 2 blocks"),
        (lambda: extend(model(1), IDS + V, new_caches(model(1), (3,))), "rows 0 to 10"),
        (lambda: keep_last(empty((), 1, 1), 0), "window = 0"),
        (lambda: projections(-1), "n = -1"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
