"""The trie against the plain idea of it: the set of all beginnings of the texts that somebody holds."""

import random
from collections import Counter

import numpy as np
import pytest

from clearhead.generation.trie import ROOT, TABLE_UP_TO, SlotFlags, TokenTrie

Text = tuple[int, ...]


def write(trie: TokenTrie, text: Text, parent: int = ROOT) -> int:
    (slot,) = trie.insert(np.array([parent]), [text]).tolist()
    trie.acquire(np.array([slot]))
    return slot


def release(trie: TokenTrie, *slots: int) -> None:
    trie.release(np.array(slots))


def test_shared_beginnings_by_hand() -> None:
    trie = TokenTrie(vocab=5)
    ab, ac, abd = write(trie, (1, 2)), write(trie, (1, 3)), write(trie, (1, 2, 4))
    a = trie.parent[ab]
    assert trie.used == 1 + 4  # the root, and a b c d
    assert trie.parent[ac] == a
    assert trie.parent[abd] == ab
    assert trie.paths[abd, :5].tolist() == [a, ab, abd, abd, abd]  # then itself to the end
    assert trie.depth[[a, ab, ac, abd]].tolist() == [0, 1, 1, 2]
    assert trie.tokens(abd).tolist() == [1, 2, 4]
    release(trie, ab)
    assert trie.used == 1 + 4  # d is still held, and stands after b
    release(trie, abd)
    assert trie.used == 1 + 2
    release(trie, ac)
    assert trie.used == 1


def test_equal_rows_of_one_call_make_one_slot() -> None:
    trie = TokenTrie(vocab=5)
    slots = trie.children(np.array([ROOT, ROOT, ROOT]), np.array([2, 3, 2]))
    assert slots[0] == slots[2] != slots[1]
    assert trie.children(np.array([ROOT]), np.array([3])).tolist() == [slots[1]]
    assert trie.used == 1 + 2


def test_a_slot_released_once_too_often_is_a_defect() -> None:
    trie = TokenTrie(vocab=5)
    slot = write(trie, (1, 2))
    with pytest.raises(AssertionError, match="more often than held"):
        release(trie, slot, slot)


def check(trie: TokenTrie, held: dict[Text, int], counts: Counter[Text]) -> None:
    """Held texts read as they were written, and beginnings are slots, one to one."""
    beginnings = {text[:i] for text in held for i in range(1, len(text) + 1)}
    slot_of: dict[Text, int] = {}
    for text, slot in held.items():
        path = trie.paths[slot, : len(text)].tolist()
        assert trie.tokens(slot).tolist() == list(text)
        assert trie.paths[slot, len(text) :].tolist() == [slot] * (trie.paths.shape[1] - len(text))
        for i, at in enumerate(path, start=1):
            assert slot_of.setdefault(text[:i], at) == at
            assert trie.parent[at] == (path[i - 2] if i > 1 else ROOT)
            assert trie.depth[at] == i - 1
    assert len(set(slot_of.values())) == len(slot_of) == len(beginnings) == trie.used - 1
    children = Counter(text[:-1] for text in beginnings)
    for text, slot in slot_of.items():
        assert trie.refcount[slot] == counts[text] + children[text]


@pytest.mark.parametrize("vocab", [3, TABLE_UP_TO + 1])  # children in a table, in a dictionary
@pytest.mark.parametrize("seed", range(4))
def test_random_operations_against_sets_of_texts(vocab: int, seed: int) -> None:
    rng = random.Random(seed)
    trie = TokenTrie(vocab, slots=4, width=4)  # so that both have to grow
    freed: list[int] = []
    trie.on_free.append(lambda slots: freed.extend(slots.tolist()))
    held: dict[Text, int] = {}
    counts: Counter[Text] = Counter()
    for _ in range(150):
        before = {slot: tuple(trie.tokens(slot)) for slot in range(1, trie.slots) if trie.refcount[slot] > 0}
        freed.clear()
        if counts and rng.random() < 0.45:
            gone = rng.sample(sorted(counts.elements()), k=min(3, counts.total()))
            release(trie, *(held[text] for text in gone))
            counts.subtract(gone)
            counts = +counts
            held = {text: slot for text, slot in held.items() if text in counts}
            live = {text[:i] for text in held for i in range(1, len(text) + 1)}
            assert sorted(freed) == sorted(slot for slot, text in before.items() if text not in live)
        else:
            start = rng.choice([(), *held])
            new = [start + tuple(rng.choices(range(3), k=rng.randrange(1, 7))) for _ in range(rng.randrange(1, 4))]
            parents = np.full(len(new), held[start] if start else ROOT)
            slots = trie.insert(parents, [text[len(start) :] for text in new])
            trie.acquire(slots)
            held.update(zip(new, slots.tolist(), strict=True))
            counts.update(new)
            assert not freed
        check(trie, held, counts)
    assert trie.slots > 4
    assert trie.paths.shape[1] > 4
    release(trie, *(held[text] for text in counts.elements()))
    assert trie.used == 1


def test_flags_follow_the_trie() -> None:
    trie = TokenTrie(vocab=9, slots=4)
    flags = SlotFlags(trie)
    first = write(trie, (1,))
    flags.set(np.array([first]))
    slots = np.array([write(trie, (2, i)) for i in range(8)])  # the trie grows
    assert flags[np.array([first])].all()
    assert not flags[slots].any()
    release(trie, first)
    again = write(trie, (3,))
    assert again == first  # the same slot, a new token
    assert not flags[np.array([again])].any()
