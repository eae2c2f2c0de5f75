"""A trace is a search that happened: it ends right, takes nothing twice, and goes back to where something is left."""

import random

import pytest

from clearhead.alignment.rollouts import UNLABELED, LabeledPath
from clearhead.alignment.traces import InContextConfig, explored, trace
from clearhead.errors import UserError
from clearhead.text.prompt_format import BACK, join_steps, searched_steps

# a: a right way and a wrong end; b: nothing came of it; c: a right way that no completion found
PATHS = [
    LabeledPath("p", ("a", "right"), True, (0.4, 0.5, 1.0)),
    LabeledPath("p", ("a", "wrong"), True, (0.4, 0.5, 0.0)),
    LabeledPath("p", ("b", "x", "wrong"), True, (0.4, 0.0, 0.0, 0.0)),
    LabeledPath("p", ("c", "given"), True, (0.4, 0.0, 1.0)),
    LabeledPath("unsolved", ("a", "wrong"), True, (0.0, 0.0, 0.0)),
]


def texts(paths: list[LabeledPath], n: int = 400) -> set[tuple[str, ...]]:
    (tree,) = explored(paths)
    found = [trace(tree, random.Random(i)) for i in range(n)]
    return {tuple(lines) for lines in found if lines is not None}


def test_every_search_ends_in_a_right_solution() -> None:
    found = texts(PATHS)
    assert {searched_steps(join_steps(lines)) for lines in found} == {("a", "right"), ("c", "given")}


def test_the_searches_of_a_small_tree_by_hand() -> None:
    """Worthless b is set aside at once, a wrong end is left for where another step is, and none is taken twice."""
    assert texts(PATHS[:3]) >= {
        ("a", "right"),
        ("a", "wrong", f"{BACK}1", "right"),
        ("b", f"{BACK}0", "a", "right"),
        ("b", f"{BACK}0", "a", "wrong", f"{BACK}1", "right"),
    }


def test_what_was_set_aside_is_looked_at_again_and_deeper_once_nothing_else_is_left() -> None:
    """In doubt it leaves a, finds nothing in b, and comes back to a: never to leave it again before it has looked."""
    found = texts(PATHS[:3])
    assert ("a", f"{BACK}0", "b", f"{BACK}0", f"{BACK}0", "a", "right") in found
    for lines in found:
        states = [searched_steps(join_steps(lines[: i + 1])) for i in range(len(lines))]
        entered = [i for i, line in enumerate(lines) if not line.startswith(BACK)]
        again = [i for i in entered if states[i] in [states[j] for j in entered if j < i]]
        assert not any(lines[i + 1].startswith(BACK) for i in again), "left twice without a look"


def test_a_state_that_a_right_solution_passes_has_worth() -> None:
    (tree,) = explored([PATHS[3], PATHS[2]])
    assert tree.value[("c",)] > 0 and tree.value[("b",)] == 0
    assert all(trace(tree, random.Random(i)) is not None for i in range(50))


def test_searches_guess_well_and_badly() -> None:
    """Most take the step first that is worth more, and every first step is there."""
    (tree,) = explored(PATHS)
    first = [(trace(tree, random.Random(i)) or [""])[0] for i in range(600)]
    assert first.count("a") > first.count("c") > 0 and first.count("a") > first.count("b") > 0
    lengths = {len(lines) for lines in texts(PATHS)}
    assert min(lengths) == 2 and max(lengths) > 6


def test_problems_that_nothing_solves_and_steps_that_look_like_going_back_are_left_out() -> None:
    assert [tree.problem for tree in explored(PATHS)] == ["p"]
    assert explored([LabeledPath("q", (f"{BACK}1", "right"), True, (1.0, 1.0, 1.0))]) == []


def test_states_without_a_label_are_unknown_and_unfinished_texts_are_no_ends() -> None:
    paths = [
        LabeledPath("p", ("a", "right"), True, (UNLABELED, UNLABELED, 1.0)),
        LabeledPath("p", ("b",), False, (UNLABELED, UNLABELED)),
    ]
    (tree,) = explored(paths)
    assert ("b",) not in tree.ends and ("b",) not in tree.value
    assert texts(paths) >= {("a", "right"), ("b", f"{BACK}0", "a", "right")}


@pytest.mark.parametrize("setting", [{"tokens": 0}, {"batch_size": 0}, {"steps": -1}, {"lr": 0.0}, {"eval_every": 0}])
def test_settings_that_cannot_work(setting: dict[str, int]) -> None:
    with pytest.raises(UserError, match=next(iter(setting))):
        InContextConfig(**setting)  # type: ignore[arg-type]


class Doubtful(random.Random):
    """It guesses nothing, takes whatever comes first, and doubts everything."""

    def random(self) -> float:
        return 0.0


def test_after_the_first_guess_the_others_come_in_the_order_of_their_texts() -> None:
    """What is next follows from the last one, so that a small model learns not to try a step again in vain."""
    paths = [LabeledPath("p", (step, "wrong"), True, (0.1, 0.0, 0.0)) for step in "cab"]
    paths.append(LabeledPath("p", ("m", "right"), True, (0.1, 0.3, 1.0)))
    (tree,) = explored(paths)
    first = ["c", "⇒0", "a", "⇒0", "b", "⇒0", "m", "⇒0"]
    second = ["⇒0", "a", "wrong", "⇒0", "b", "wrong", "⇒0", "c", "wrong", "⇒0", "m", "right"]
    assert trace(tree, Doubtful()) == first + second
