"""Sizes follow the data: measured by hand, filled in where a recipe leaves them, refused where they cannot work."""

import random
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
import torch
from scripted import ScriptedModel, ScriptedRewardModel

from clearhead.errors import UserError
from clearhead.files import write_json
from clearhead.pipeline import stages
from clearhead.pipeline.context import Context
from clearhead.pipeline.recipe import Recipe, parse
from clearhead.pipeline.rundir import RunDir, create, read_json
from clearhead.pipeline.sizes import (
    Lengths,
    Sizes,
    cut_off_line,
    filled,
    measure,
    rope_theta,
    rounded_up,
    sizes,
    told,
    too_tight,
)
from clearhead.pipeline.stages import pretrain_stage, reward_stage, tokenizer_stage
from clearhead.reasoning.searches import searched
from clearhead.reasoning.strategy import SearchConfig, StrategyContext
from clearhead.text.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer("abcdefghijklmnopqrstuvwxyz\n⇒")


@dataclass(frozen=True)
class Listed:
    """A task that is a table of problems with their steps, all of them in every split."""

    solutions: dict[str, list[str]]
    name: str = "listed"
    statement: str = "a table"

    def parse(self, text: str) -> str:
        return text

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        return list(self.solutions)

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        return self.solutions[problem]

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        return steps[-1] if steps else None

    def check(self, problem: str, answer: str) -> bool:
        return self.answer(problem, self.solutions[problem]) == answer


def recipe(**sections: object) -> Recipe:
    return parse({"tasks": {"game24": {}}, **sections})


def test_lengths_by_hand() -> None:
    task = Listed({"abcde": ["ab", "abc", "a"], "a": ["abcdefg"]})
    assert measure(task, TOKENIZER, 100, 0) == Lengths(
        problem=len("abcde\n"), step=len("abcdefg$"), solution=len("ab\nabc\na$"), steps=3,
        document=len("abcde\nab\nabc\na$"), sampled=6, left_out=0, solved=2, stepped=1, median=15,
    )  # fmt: skip


def test_what_is_too_long_is_left_out_and_counted() -> None:
    task = Listed({"abcde": ["ab"], "a" * 10: ["b"], "abc": ["a" * 20]})
    found = measure(task, TOKENIZER, 12, 0)
    assert (found.problem, found.solution, found.document) == (11, 3, 9), "problems alone may still be 11 tokens long"
    assert (found.left_out, found.sampled) == (2, 9), "two training documents"
    line = told("mine", found, filled(recipe(), sizes([found])))
    assert "mine: longest problem 11 tokens, longest step 3, 1 step" in line and "context 64" in line
    assert "2 of 9 sampled problems are left out" in line and "data.max_length" in line
    with pytest.raises(UserError, match=r"all of 3 sampled problems .* data.max_length = 8 tokens, the shortest 9"):
        measure(task, TOKENIZER, 8, 0)


LONG = Lengths(problem=212, step=64, solution=100, steps=12, document=290, sampled=9, left_out=0)
SHORT = Lengths(problem=12, step=24, solution=54, steps=3, document=66, sampled=9, left_out=0)


def test_sizes_of_several_tasks_are_those_of_the_longest() -> None:
    assert sizes([SHORT, LONG]) == sizes([LONG]) == Sizes(212, 64, 100, 12, 290, 384, 384, 96, 160, 18)
    assert sizes([SHORT]) == Sizes(12, 24, 54, 3, 66, 128, 256, 64, 96, 5)


def test_what_a_recipe_leaves_open_is_filled_in_and_what_it_says_is_kept() -> None:
    found = filled(recipe(), sizes([LONG]))
    assert found.model["max_positions"] == 384
    assert [(c.batch_size, c.seq_len) for c in (found.pretrain, found.reward)] == [(10, 384)] * 2, "4,096 tokens a step"
    assert found.rollouts.max_tokens == found.search.solution_tokens == 160
    assert (found.search.step_tokens, found.search.depth) == (96, 18)
    said = recipe(
        model={"max_positions": 512}, pretrain={"seq_len": 1024, "batch_size": 3}, reward={"batch_size": 5},
        rollouts={"max_tokens": 7}, search={"step_tokens": 8, "solution_tokens": 9, "depth": 10},
    )  # fmt: skip
    found = filled(said, sizes([LONG]))
    assert found.model["max_positions"] == 512
    assert (found.pretrain.seq_len, found.pretrain.batch_size, found.reward.seq_len, found.reward.batch_size) == (
        1024,
        3,
        512,
        5,
    )
    assert (found.rollouts, found.search) == (said.rollouts, said.search)
    assert filled(found, sizes([SHORT])) == found, "nothing is open any more"


@pytest.mark.parametrize(
    ("sections", "wrong"),
    [
        ({"model": {"max_positions": 256}}, "model.max_positions = 256 is below the longest document, 290 tokens"),
        ({"pretrain": {"seq_len": 256}}, "pretrain.seq_len = 256 is too short a row for texts of 290 tokens"),
        ({"reward": {"seq_len": 320}}, "reward.seq_len = 320 is too short a row for texts of 384 tokens"),
    ],
)
def test_a_size_that_cannot_work_is_told_by_its_key(sections: dict, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        filled(recipe(**sections), sizes([LONG]))


def test_a_limit_that_will_cut_off_is_told_and_allowed() -> None:
    found = sizes([LONG])
    assert too_tight(filled(recipe(), found), found) == []
    tight = filled(recipe(search={"step_tokens": 48, "depth": 8}, rollouts={"max_tokens": 96}), found)
    assert [line.partition(" is ")[0] for line in too_tight(tight, found)] == [
        "search.step_tokens = 48", "rollouts.max_tokens = 96", "search.depth = 8",
    ]  # fmt: skip


def test_rotary_positions_turn_slower_in_a_long_context_unless_they_are_told() -> None:
    assert rope_theta({}, 96) == rope_theta({}, 128) == 100.0
    assert rope_theta({"preset": "demo", "max_positions": 2048}, 2048) == 1600.0
    assert rope_theta({"preset": "medium"}, 1024) == 10_000.0
    assert rope_theta({"rope_theta": 7.0}, 2048) == 7.0
    assert filled(recipe(), sizes([LONG])).decoder(vocab=9).rope_theta == 300.0


def test_a_cut_off_is_told_with_the_setting_to_raise() -> None:
    found = filled(recipe(search={"step_tokens": 48}), sizes([LONG]))
    assert cut_off_line("mcts-puct", 37, 1200, ("search.step_tokens",), found) == (
        "mcts-puct: 37 of 1,200 steps were cut off at search.step_tokens = 48: raise it"
    )
    line = cut_off_line("greedy", 1, 2, ("model.max_positions", "search.solution_tokens"), found)
    assert line.endswith("at model.max_positions = 384 and search.solution_tokens = 160: raise them")
    assert "1 of 2 solutions" in line
    rambling = cut_off_line("mcts-puct", 1, 2, ("search.solution_tokens",), found, sizes([LONG]))
    assert "raise" not in rambling and "train it longer" in rambling, "160 tokens are more than any solution has"
    assert cut_off_line("mcts-puct", 1, 2, ("search.step_tokens",), found, sizes([LONG])).endswith("raise it")


def test_the_context_of_a_checkpoint_is_not_to_be_raised() -> None:
    made = filled(recipe(), sizes([LONG]))
    based = replace(made, model={**asdict(made.decoder(vocab=8)), "from": "smollm2"})
    line = cut_off_line("greedy", 1, 2, ("model.max_positions",), based)
    assert line.endswith(": give shorter problems, or start from a model with a longer context")
    line = cut_off_line("greedy", 1, 2, ("model.max_positions", "search.solution_tokens"), based)
    assert "raise search.solution_tokens and give shorter problems" in line and "raise model" not in line
    low = replace(based, model={**based.model, "max_positions": 20})
    (told,) = (line for line in too_tight(low, sizes([LONG])) if line.startswith("model.max_positions"))
    assert "give shorter problems" in told and "raise" not in told and "set 0" not in told


JSON = '{"time": "2024-05-17T12:00:01", "level": "error", "host": "db-3", "event": "disk full", "free": 0.2}'
SOLUTIONS = {"log": [JSON], "count": [str(i) for i in range(12)]}


def script(problem: str, steps: list[str]) -> dict[str, dict[str, float]]:
    ends = ["\n"] * (len(steps) - 1) + ["$"]
    texts = [problem + "\n" + "".join(f"{step}\n" for step in steps[:i]) for i in range(len(steps))]
    return {text: {step + end: 1.0} for text, step, end in zip(texts, steps, ends, strict=True)}


@pytest.mark.parametrize("problem", SOLUTIONS)
@pytest.mark.parametrize("strategy", ["beam:4", "tree-of-thought:4", "mcts-puct", "halving"])
def test_search_with_the_settings_of_the_data_reaches_the_end(problem: str, strategy: str) -> None:
    """An answer of one long line, and one of twelve steps: the limits of old, 48 tokens and 8 steps, cut both off."""
    task = Listed({problem: SOLUTIONS[problem]})
    tokenizer = CharTokenizer.train([problem, *SOLUTIONS[problem], "\n⇒"])
    found = filled(recipe(), sizes([measure(task, tokenizer, 2048, 0)]))

    def answer(config: SearchConfig) -> tuple[list[str] | None, int]:
        model = ScriptedModel(script(problem, SOLUTIONS[problem]), found.model["max_positions"])
        ((attempt,), _) = searched(
            strategy, StrategyContext(model, ScriptedRewardModel({}), config, task.answer), [problem], 9999, 0
        )
        steps = attempt.points[-1].steps
        return None if steps is None else list(steps), attempt.cut

    assert answer(found.search) == (SOLUTIONS[problem], 0)
    if problem == "log" or strategy.partition(":")[0] in ("beam", "tree-of-thought"):
        steps, cut = answer(replace(found.search, step_tokens=48, depth=8))
        assert steps is None and cut > 0


RUN = {"model": {"preset": "tiny"}, "pretrain": {"steps": 2, "warmup": 1, "compile": "off"}}


def long_rows(folder: Path) -> dict[str, object]:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdef", k=rng.randint(90, 110))) for _ in range(40)]
    lines = [f'{{"problem": "{word}", "answer": "{word[::-1]}"}}\n' for word in words]
    (folder / "long.jsonl").write_text("".join(lines), encoding="utf-8")
    return {"tasks": {"mine": {"source": f"file:{folder / 'long.jsonl'}"}}}


def begin(folder: Path, settings: dict[str, object]) -> tuple[Context, list[str]]:
    lines: list[str] = []
    run = create(folder / "run", parse(settings), {})
    watch = lambda label: nullcontext(lambda event: None)  # noqa: E731
    return Context(run, torch.device("cpu"), watch, lines.append, lambda *_: nullcontext(lambda n: None)), lines


def test_texts_beyond_the_preset_s_context_are_learned_by_default(tmp_path: Path) -> None:
    """A problem of 110 characters with an answer as long broke a model of 128 positions after the start."""
    context, lines = begin(tmp_path, RUN | long_rows(tmp_path))
    assert context.recipe.pretrain.seq_len == 0, "nothing is measured yet"
    tokenizer_stage(context)
    assert any(line.startswith("mine: longest problem 11") and line.endswith("context 320") for line in lines), lines
    assert context.recipe == RunDir(context.run.path).recipe()
    assert (context.recipe.model["max_positions"], context.recipe.pretrain.seq_len) == (320, 320)
    assert read_json(context.run.sizes)["tasks"]["mine"]["left_out"] == 0
    pretrain_stage(context)
    assert context.run.policy.is_file()
    assert "max_positions" not in context.run.config.read_text(), "the recipe stays as it was given"


def test_a_context_too_short_for_the_data_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    context, _ = begin(tmp_path, {**RUN, "model": {"preset": "tiny", "max_positions": 128}} | long_rows(tmp_path))
    with pytest.raises(UserError, match=r"model.max_positions = 128 is below the longest document, 2.. tokens; raise"):
        tokenizer_stage(context)
    assert not context.run.tokenizer.is_file()


def test_documents_beyond_the_limit_are_left_out_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = RUN | long_rows(tmp_path) | {"data": {"max_length": 210}}
    context, lines = begin(tmp_path, settings)
    tokenizer_stage(context)
    assert any("sampled problems are left out" in line for line in lines)
    assert context.recipe.model["max_positions"] >= 210
    asked: list[int] = []
    monkeypatch.setattr(stages, "document", lambda tokenizer, source, most, *rest: asked.append(most) or stop())
    with pytest.raises(KeyboardInterrupt):
        pretrain_stage(context)
    assert asked == [210]


def test_labeled_solutions_beyond_the_context_are_left_out(tmp_path: Path) -> None:
    """They break off at the context, with a last token that has no position; a row may be longer than the context."""
    rows = "".join(f'{{"problem": "{i}", "answer": "{i % 7}"}}\n' for i in range(40))
    (tmp_path / "short.jsonl").write_text(rows, encoding="utf-8")
    reward = {"steps": 2, "warmup": 1, "compile": "off"}
    tasks = {"mine": {"source": f"file:{tmp_path / 'short.jsonl'}"}}
    context, _ = begin(tmp_path, {**RUN, "reward": reward, "tasks": tasks})
    tokenizer_stage(context)
    pretrain_stage(context)
    most = context.recipe.model["max_positions"]
    assert context.recipe.reward.seq_len > most
    paths = [
        {"problem": f"{i}", "steps": ["1" * n], "done": True, "labels": [0.5, i % 2]}
        for i in range(9)
        for n in (1, most)
    ]
    write_json(context.run.rollouts / "0.json", {"paths": paths, "cut": 0, "drawn": 0, "limits": []})
    reward_stage(context)
    assert context.run.reward.is_file()


def stop() -> None:
    raise KeyboardInterrupt


def test_rounding_up() -> None:
    assert [rounded_up(n, 32) for n in (1, 32, 33, 96.5)] == [32, 32, 64, 128]


def test_budgets_follow_the_longest_solution_unless_the_recipe_says_them() -> None:
    plain = parse({"tasks": {"mine": {"source": "game24"}}})
    assert filled(plain, sizes([SHORT])).evaluation.budgets == (110, 440, 1760)
    assert filled(plain, sizes([LONG])).evaluation.budgets == (200, 800, 3200)
    said = parse({"tasks": {"mine": {"source": "game24"}}, "evaluation": {"budgets": [7]}})
    assert filled(said, sizes([LONG])).evaluation.budgets == (7,)


def test_a_step_of_short_documents_has_fewer_rows() -> None:
    plain, short = parse({"tasks": {"mine": {"source": "game24"}}}), replace(SHORT, median=16)
    few, many = (filled(plain, sizes([lengths])).pretrain for lengths in (short, replace(short, median=64)))
    assert (few.batch_size * few.seq_len, many.batch_size * many.seq_len) == (1024, 3072)
