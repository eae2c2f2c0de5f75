"""What is told before training: counted by hand, of a file and of a generator; times are there, and never asserted."""

import json
from pathlib import Path

import pytest
import torch

from clearhead.errors import UserError
from clearhead.pipeline.data import load_tasks
from clearhead.pipeline.preflight import FEW, MANY_TIMES, expectation, facts, lines, plan, survey, times_seen
from clearhead.pipeline.recipe import Recipe, parse, to_plain

TINY = {"model": {"preset": "tiny"}, "pretrain": {"steps": 100}}


def told(recipe: Recipe) -> dict:
    tasks = load_tasks(recipe)
    return json.loads(json.dumps(facts(plan(survey(recipe, tasks), tasks, torch.device("cpu")), tasks)))


def from_file(folder: Path, rows: list[dict]) -> Recipe:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return parse({**TINY, "tasks": {"mine": {"source": f"file:{path}"}}})


ROWS = [{"problem": f"{i:03}", "answer": "x" * (i % 5 + 1), "steps": ["y", "x" * (i % 5 + 1)]} for i in range(60)]


def test_a_file_is_described_by_its_rows(tmp_path: Path) -> None:
    plain = [{"problem": f"{i:03}", "answer": "z"} for i in range(60, 80)]
    recipe = from_file(tmp_path, [*ROWS, *plain, ROWS[0]])
    found = told(recipe)
    task = found["tasks"]["mine"]
    assert sum(task["splits"].values()) == 80 and not task["endless"]
    assert (task["rows"]["rows"], task["rows"]["duplicates"]) == (81, 1)
    assert task["lengths"]["document"] == len("000\ny\nxxxxx$")
    train = task["splits"]["train"]
    assert task["lengths"]["solved"] == train and 0 < task["lengths"]["stepped"] < train
    assert task["seen"] == times_seen(parse_filled(recipe), "mine", task["lengths"]["median"], train) > MANY_TIMES
    text = lines(found)
    assert "mine: 1 exact duplicate merged" in text
    assert any(line.startswith(f"mine: {train} problems to train on") and "memorized" in line for line in text)
    assert any(line.startswith("mine: longest problem 4 tokens") for line in text)
    assert any(line.startswith("model: ") and "context 64" in line for line in text)
    assert set(found["seconds"]) == {"policy", "others", "reward", "answers", "align", "in_context", "all"}
    assert all(found["seconds"][part] for part in ("policy", "reward", "answers"))
    assert found["seconds"]["align"] == 0 and not any("its own answers" in line for line in text)
    aligned = told(parse({**TINY, "tasks": {"mine": {"source": recipe.tasks[0].source}}, "align": {"method": "grpo"}}))
    assert aligned["seconds"]["align"] > 0 and any("its own answers" in line for line in lines(aligned))
    searching = {"steps": 5, "tokens": 128}
    taught = told(parse({**TINY, "tasks": {"mine": {"source": recipe.tasks[0].source}}, "in_context": searching}))
    assert taught["seconds"]["in_context"] > 0 and any("search in one text" in line for line in lines(taught))
    assert found["seconds"]["in_context"] == 0 and not any("search in one text" in line for line in text)
    assert found["seconds"]["all"] == pytest.approx(sum(v for k, v in found["seconds"].items() if k != "all"))


def parse_filled(recipe: Recipe) -> Recipe:
    return survey(recipe, load_tasks(recipe)).recipe


def test_a_generator_has_no_end_and_no_problem_of_it_is_known_by_heart() -> None:
    found = told(parse({**TINY, "tasks": {"multiplication": {}}}))
    task = found["tasks"]["multiplication"]
    assert task["endless"] and task["seen"] is None and task["rows"] is None and task["intake"] == []
    assert any("or more problems to train on" in line and "times" not in line for line in lines(found))


def test_what_to_expect_of_few_problems() -> None:
    assert "seldom learned" in expectation(FEW - 1, 1.0)
    assert "memorized" in expectation(FEW, MANY_TIMES + 1)
    assert expectation(FEW, MANY_TIMES) == ""


def test_a_tight_limit_is_among_the_lines_and_a_wrong_size_an_error(tmp_path: Path) -> None:
    recipe = from_file(tmp_path, ROWS)
    tight = parse({**TINY, "tasks": {"mine": {"source": recipe.tasks[0].source}}, "search": {"step_tokens": 3}})
    assert lines(told(tight))[-1].startswith("search.step_tokens = 3 is below the longest step of the data, 6")
    wrong = parse({**TINY, "tasks": {"mine": {"source": recipe.tasks[0].source}}, "pretrain": {"seq_len": 8}})
    with pytest.raises(UserError, match=r"pretrain.seq_len = 8 is too short a row for texts of 12 tokens"):
        survey(wrong, load_tasks(wrong))


def test_too_little_memory_for_keys_and_values_is_told_before_training() -> None:
    about = {**TINY, "tasks": {"multiplication": {}}}
    with pytest.raises(UserError, match=r"kv_memory = '64KiB' is too little: .* need [\d,.]+ MiB"):
        told(parse({**about, "kv_memory": "64KiB"}))
    with pytest.raises(UserError, match="kv_memory = 'much' is no size"):
        parse({**about, "kv_memory": "much"})
    recipe = parse({**about, "kv_memory": "1GiB"})
    assert recipe.kv_bytes == 1 << 30 and recipe.kv_part(4) == 1 << 28 and parse(about).kv_part(4) is None
    assert parse(to_plain(recipe)) == recipe and "kv_memory" not in to_plain(parse(about))
    assert told(recipe)["model"]["context"]
