"""Kinds of mistakes, on answers made by hand."""

import json
import random

import pytest

from clearhead.reasoning.mistakes import KINDS, LONG, edit_distance, kind_of_error


def entry(answer, expected, *, steps=("=x",), right=0):
    return {"marks": [[9, 0, 0.1, 0], [20, 0, 0.2, right]], "steps": steps, "answer": answer, "expected": expected}


def fields(**more):
    return json.dumps({"level": "error", "code": 500, "host": "a", "path": "/x", **more})


@pytest.mark.parametrize(
    ("answer", "expected", "kind"),
    [
        # no answer where the steps end, or none that has the form of the right one
        (None, "408", "malformed"),
        ("", "408", "malformed"),
        (" ", "408", "malformed"),
        ("408 apples", "400", "malformed"),
        ("level=error", fields(), "malformed"),
        ("[1, 2]", fields(), "malformed"),
        ('{"level": "error"', fields(), "malformed"),
        # numbers: within a tenth, or one slip in a long one
        ("450", "500", "near miss"),
        ("449", "500", "wrong"),
        ("550", "500", "near miss"),
        ("551", "500", "wrong"),
        ("-500", "500", "wrong"),
        ("1,152", "1142", "near miss"),
        ("3", "2", "wrong"),
        ("0", "0.0001", "wrong"),
        ("1", "0", "wrong"),
        ("94081", "14081", "near miss"),
        ("9408", "1408", "wrong"),
        # JSON: more than half of the fields that either names
        (fields(code=404), fields(), "near miss"),
        (fields(code=404, host="b"), fields(), "wrong"),
        (fields(extra=1), fields(), "near miss"),
        ("{}", fields(), "wrong"),
        # text: at most one edit in five characters
        ("2024-03-15", "2024-03-14", "near miss"),
        ("2024-13-15", "2024-03-14", "near miss"),
        ("2025-13-15", "2024-03-14", "wrong"),
        ("abcdX", "abcde", "near miss"),
        ("abcX", "abcd", "wrong"),
        ("Paris", "London", "wrong"),
        # nothing to compare with
        ("408", None, "wrong"),
        (None, None, "malformed"),
    ],
)
def test_a_wrong_answer_has_a_kind(answer, expected, kind):
    assert kind_of_error(entry(answer, expected)) == kind
    assert kind in KINDS


def test_a_right_answer_is_no_mistake_however_it_is_written():
    assert kind_of_error(entry("eight", "8", right=1)) is None


def test_without_a_finished_solution_it_was_cut_off():
    assert kind_of_error(entry(None, "408", steps=None)) == "cut off"


def test_an_entry_of_an_older_run_has_no_expected_answer():
    old = {"marks": [[9, 0, 0.1, 0]], "steps": ["=5"], "answer": "5"}
    assert kind_of_error(old) == "wrong"
    assert kind_of_error(old | {"answer": None}) == "malformed"


def test_a_long_text_is_compared_by_words():
    words = [f"word{i}" for i in range(100)]
    text = " ".join(words)
    assert len(text) > LONG
    fifth, more = words.copy(), words.copy()
    fifth[:20], more[:21] = ["x"] * 20, ["x"] * 21
    assert kind_of_error(entry(" ".join(fifth), text)) == "near miss"
    assert kind_of_error(entry(" ".join(more), text)) == "wrong"


def test_no_answer_is_too_strange():
    assert kind_of_error(entry("[" * 100_000, fields())) == "malformed"
    assert kind_of_error(entry("9" * 5000, "8")) == "malformed", "longer than any number is read"
    assert kind_of_error(entry("a\x00\x1b[31m", "b")) == "wrong"


def slow_distance(a, b):
    """Levenshtein's distance by its definition."""
    if not a or not b:
        return len(a) + len(b)
    rest = slow_distance(a[1:], b[1:])
    if a[0] == b[0]:
        return rest
    return 1 + min(rest, slow_distance(a[1:], b), slow_distance(a, b[1:]))


@pytest.mark.parametrize("seed", range(60))
def test_the_edit_distance_is_its_definition_up_to_the_limit(seed):
    rng = random.Random(seed)
    a, b = ("".join(rng.choices("ab", k=rng.randint(0, 6))) for _ in range(2))
    truth = slow_distance(a, b)
    for most in range(8):
        assert edit_distance(a, b, most) == min(truth, most + 1)
