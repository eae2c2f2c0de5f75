"""Counts add up, by tree and in all; a number that is used again starts from nothing."""

import numpy as np

from clearhead.generation.language_model import Usage
from clearhead.generation.usage import UsageCounter


def test_each_entry_is_charged_to_its_tree() -> None:
    ledger = UsageCounter()
    a, b = ledger.open(), ledger.open()
    ledger.add(np.array([a, b, a]), computed=1, unique=np.array([True, True, False]), reused=np.array([5, 6, 7]))
    ledger.add(np.array([b]), generated=3, reused=-1)
    assert ledger.usage(a) == Usage(computed=2, unique=1, reused=12)
    assert ledger.usage(b) == Usage(generated=3, computed=1, unique=1, reused=5)
    assert ledger.total == ledger.usage(a) + ledger.usage(b)


def test_more_trees_than_rows_and_closed_ones_used_again() -> None:
    ledger = UsageCounter()
    trees = [ledger.open() for _ in range(200)]
    assert len(set(trees)) == 200
    for i, tree in enumerate(trees):
        ledger.add(np.array([tree]), generated=i)
    assert [ledger.usage(tree).generated for tree in trees] == list(range(200))
    for tree in trees[100:]:
        ledger.close(tree)
    assert all(ledger.usage(ledger.open()) == Usage() for _ in range(100))
    assert [ledger.usage(tree).generated for tree in trees[:100]] == list(range(100))
    assert ledger.total == Usage(generated=199 * 100)
