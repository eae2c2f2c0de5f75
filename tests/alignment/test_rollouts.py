"""Automatic step labels: what a completion counts for, what exploring may reach, and what is never asked."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from clearhead.alignment.rollouts import UNLABELED, Ending, RolloutConfig, collect, label_paths, labeled_states
from clearhead.errors import UserError
from clearhead.generation.language_model import Tally
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.text.tokenizer import CharTokenizer


class Sums:
    """Right when the digits of the last step add up to the problem; asking for the truth of a step is an error."""

    name = "sums"
    statement = "digits that add up"
    held_out: tuple[str, ...] = ()

    def parse(self, text: str) -> str:
        return text

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        return [str(i) for i in range(n)]

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        return [problem]

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        return steps[-1] if steps and steps[-1].isdigit() else None

    def check(self, problem: str, answer: str) -> bool:
        return sum(map(int, answer)) == int(problem)

    def check_step(self, problem: str, steps: Sequence[str]) -> bool:
        raise AssertionError("the truth about a step was asked for while labeling")


def labels_of(endings: Sequence[Ending]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for path in label_paths(Sums(), "3", endings):
        for length, label in enumerate(path.labels):
            if label != UNLABELED:
                assert found.setdefault(path.steps[:length], label) == label, "a state has one label on every path"
    return found


def test_a_state_is_worth_the_share_of_its_completions_that_end_right() -> None:
    endings = [
        Ending(0, ("a", "3"), True),  # right, from the start
        Ending(0, ("a", "4"), True),  # wrong
        Ending(0, ("b", "12"), True),  # right
        Ending(0, ("b", "x"), True),  # no answer
    ]
    assert labels_of(endings) == {
        (): 0.5, ("a",): 0.5, ("b",): 0.5, ("a", "3"): 1.0, ("a", "4"): 0.0, ("b", "12"): 1.0, ("b", "x"): 0.0,
    }  # fmt: skip


def test_a_completion_says_nothing_about_the_states_before_the_bold_choice() -> None:
    """The model would have gone elsewhere: a failure after a bold step must not lower the root's label."""
    endings = [Ending(0, ("a", "3"), True), Ending(1, ("bold", "9"), True), Ending(1, ("bold", "8"), True)]
    found = labels_of(endings)
    assert found[()] == 1.0
    assert found["bold",] == 0.0


def test_a_cut_off_completion_is_a_failure_of_the_whole_steps_before_the_cut() -> None:
    found = labels_of([Ending(0, ("3",), False)])
    assert found == {(): 0.0, ("3",): 0.0}, "the step says 3, but the solution was never closed"


def test_the_same_text_closed_and_open_are_two_states() -> None:
    endings = [Ending(0, ("3",), True), Ending(0, ("3", "x"), True)]
    paths = {(path.steps, path.done): path.labels for path in label_paths(Sums(), "3", endings)}
    assert paths[("3",), True][-1] == 1.0
    assert paths[("3", "x"), True] == (0.5, 0.0, 0.0)


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    tokenizer = CharTokenizer("\n0123456789")
    config = DecoderConfig(vocab=tokenizer.vocab_size, max_positions=24, **PRESETS["tiny"])  # type: ignore[arg-type]
    decoder = Decoder(config, seed=1)
    with torch.no_grad():
        decoder.head.weight.normal_(std=0.5, generator=torch.Generator().manual_seed(0))  # type: ignore[union-attr]
    return LocalEngine(decoder, tokenizer, dtype=torch.float32)


CONFIG = RolloutConfig(
    widths=(4, 2), completions=3, whole=3, misses=1, max_tokens=8, min_p=0.0, temperature=2.0, at_once=4
)


def test_collect_labels_explored_states_and_leaves_nothing_held(engine: LocalEngine) -> None:
    paths = list(collect(engine, Sums(), [str(i) for i in range(10)], CONFIG, seed=0))
    labels = [label for path in paths for label in path.labels if label != UNLABELED]
    assert {path.problem for path in paths} == {str(i) for i in range(10)}
    assert all(len(path.labels) == len(path.steps) + 1 for path in paths)
    assert all(0 <= label <= 1 for label in labels)
    assert engine.trie.used == 1, "only the root of the trie is left"


def test_a_problem_s_rollouts_do_not_depend_on_the_others_in_its_batch(engine: LocalEngine) -> None:
    together = list(collect(engine, Sums(), ["3", "7", "9"], CONFIG, seed=5))
    alone = list(collect(engine, Sums(), ["7"], CONFIG, seed=5))
    assert [path for path in together if path.problem == "7"] == alone
    assert list(collect(engine, Sums(), ["7"], CONFIG, seed=6)) != alone


def test_exploring_finds_more_states_than_completing_alone(engine: LocalEngine) -> None:
    problems = [str(i) for i in range(10)]
    bold = sum(1 for path in collect(engine, Sums(), problems, CONFIG, seed=0) for _ in path.labels)
    timid_config = RolloutConfig(widths=(), completions=3, whole=3, misses=1, max_tokens=8, at_once=4)
    timid = sum(1 for path in collect(engine, Sums(), problems, timid_config, seed=0) for _ in path.labels)
    assert bold > 2 * timid


def test_completions_that_a_limit_cuts_off_are_counted(engine: LocalEngine) -> None:
    """The untrained model hardly ever ends by itself."""
    tally = Tally()
    paths = list(collect(engine, Sums(), ["7", "1" * 1000], CONFIG, 0, tally))
    assert {path.problem for path in paths} == {"7"}, "the other one has no place in the context"
    assert tally.drawn >= CONFIG.completions and tally.limits == ("rollouts.max_tokens",)
    assert 0 < tally.cut <= tally.drawn
    unlimited = Tally()
    list(collect(engine, Sums(), ["7"], replace(CONFIG, max_tokens=0), 0, unlimited))
    assert set(unlimited.limits) <= {"model.max_positions"}


def test_a_state_that_several_paths_pass_is_counted_once() -> None:
    paths = label_paths(Sums(), "3", [Ending(0, ("a", "3"), True), Ending(0, ("a", "4"), True)])
    assert labeled_states(paths) == {
        ("3", (), False): 0.5, ("3", ("a",), False): 0.5, ("3", ("a", "3"), True): 1.0, ("3", ("a", "4"), True): 0.0,
    }  # fmt: skip


def test_wrong_settings_are_told() -> None:
    with pytest.raises(UserError, match="completions = 0"):
        RolloutConfig(completions=0)
    with pytest.raises(UserError, match="misses = -1"):
        RolloutConfig(misses=-1)


class Chained(Sums):
    """Two steps: the problem again, then digits that add up to it."""

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        return ["0" + problem, problem]


def test_right_solutions_and_near_misses_of_them_are_labeled_by_the_checker(engine: LocalEngine) -> None:
    paths = list(collect(engine, Chained(), ["12", "23", "34"], CONFIG, seed=0))
    for problem in ("12", "23", "34"):
        ends = {path.steps: path.labels[-1] for path in paths if path.done and path.problem == problem}
        own = {steps: label for steps, label in ends.items() if steps[0] == "0" + problem}
        assert ends, "finished solutions"
        assert all(
            label == float(steps[-1].isdigit() and Chained().check(problem, steps[-1])) for steps, label in own.items()
        )
        misses = [steps for steps, label in own.items() if label == 0]
        assert misses, "an edited last step does not add up"


def test_a_begun_near_miss_is_completed_by_the_model_and_not_judged_by_its_looks(engine: LocalEngine) -> None:
    config = RolloutConfig(widths=(), completions=2, whole=1, misses=2, max_tokens=8, at_once=4)
    paths = list(collect(engine, Chained(), ["12"], config, seed=0))
    begun = {path.steps[0] for path in paths if len(path.steps) > 1 and path.labels[1] != UNLABELED}
    assert begun - {"012"}, "the first step was edited, and went on from there"
