"""Labels made in the processes of their own that a run starts agree with each task's own checker in this process."""

import json
import random
import string
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
import torch

from clearhead.alignment.rollouts import Ending, label_paths
from clearhead.files import write_text
from clearhead.models.decoder import Decoder
from clearhead.pipeline.data import load_tasks
from clearhead.pipeline.recipe import Recipe, parse
from clearhead.pipeline.rundir import RunDir, create
from clearhead.pipeline.stages import _labeler
from clearhead.pipeline.workers import do_jobs
from clearhead.tasks import knows
from clearhead.tasks.task import Task
from clearhead.text.tokenizer import CharTokenizer
from clearhead.training import checkpoint

SOURCES = (
    "multiplication",
    "game24",
    "countdown",
    "blocksworld",
    "market",
    "file:{file}",
    "python:{generator}",
    "reasoning-gym:chain_sum",
    "reasoning-gym:maze",
)

GENERATOR = """import random
def problems(split, seed):
    rng = random.Random(seed)
    while True:
        a = rng.randrange(1000)
        yield f"before {a}", str(a - 1), [f"{a}-1={a - 1}"]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run of every kind of task, with weights that were never trained: labels are made from given solutions."""
    pytest.importorskip("reasoning_gym", reason="needs the extra gym")
    folder = tmp_path_factory.mktemp("labels")
    rows = [{"problem": f"after {i}", "answer": str(i + 1)} for i in range(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "draw.py").write_text(GENERATOR, encoding="utf-8")
    sources = {
        f"task{i}": {"source": source.format(file=folder / "rows.jsonl", generator=folder / "draw.py")}
        for i, source in enumerate(SOURCES)
    }
    recipe = parse({"tasks": sources, "model": {"preset": "tiny", "max_positions": 96}})
    assert isinstance(recipe, Recipe)
    run = create(folder / "run", recipe, {})
    tokenizer = CharTokenizer.train([string.printable])
    write_text(run.tokenizer, tokenizer.to_json())
    decoder = Decoder(recipe.decoder(tokenizer.vocab_size))
    checkpoint.save(run.policy, decoder.state_dict(), {"model": asdict(decoder.config)})
    return run


def solutions(task: Task, problem: str) -> list[tuple[str, ...]]:
    """A right one, and the same with other endings, which are wrong."""
    right = task.solve(problem, random.Random(0))
    return [tuple(right), *((*right[:-1], right[-1] + more) for more in ("7", " no", "=1"))]


def label_given(path: Path, job: tuple[str, list[str]]) -> list[tuple[str, tuple[str, ...], float]]:
    """What a worker makes of solutions that it is given, in place of those that its model would write."""
    _, tasks, _ = _labeler(path, "cpu")
    name, problems = job
    labeled = []
    for problem in problems:
        endings = [Ending(0, steps, True) for steps in solutions(tasks[name], problem)]
        labeled += [(problem, p.steps, p.labels[-1]) for p in label_paths(tasks[name], problem, endings)]
    return labeled


def test_labels_of_workers_agree_with_the_checker_here(run: RunDir, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("clearhead.pipeline.workers.cores", lambda: 2)  # so that there are workers
    tasks = load_tasks(run.recipe(), run.drawn)
    jobs = [
        (tmp_path / f"{name}-{seed}.json", (name, tasks[name].problems("train", 4, seed)))
        for name in tasks
        for seed in (7, 8)
    ]
    do_jobs(jobs, partial(label_given, run.path), torch.device("cpu"), lambda n: None)
    for path, (name, problems) in jobs:
        task, labeled = tasks[name], json.loads(path.read_text())
        assert {problem for problem, _, _ in labeled} == set(problems)
        for problem, steps, label in labeled:
            answer = task.answer(problem, steps)
            assert label == float(answer is not None and task.check(problem, answer)), (task.name, problem, steps)
        assert {label for _, _, label in labeled} == {0.0, 1.0}, f"{task.name}: some right, some wrong"


def test_a_task_that_is_loaded_later_checks_the_same(run: RunDir) -> None:
    before = load_tasks(run.recipe(), run.drawn)
    asked = {name: task.problems("test", 3, 5) for name, task in before.items()}
    after = load_tasks(RunDir(run.path).recipe(), run.drawn)
    for name, problems in asked.items():
        for problem in problems:
            assert knows(after[name], problem), name
            for steps in solutions(before[name], problem):
                answer = before[name].answer(problem, steps)
                if answer is not None:
                    assert before[name].check(problem, answer) == after[name].check(problem, answer), (name, answer)
            assert after[name].solve(problem, random.Random(0)) == before[name].solve(problem, random.Random(0))
