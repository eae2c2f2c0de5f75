"""A whole run in seconds: a recipe for a tiny model on two tasks, one of them a file of problems made here."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import served

SOURCE = Path(__file__).parents[2] / "src"
LIMIT = 900.0  # seconds: what takes longer hangs, on a busy machine too

RECIPE = """
name = "tiny"
seed = 0

[tasks.letters]
source = "file:{problems}"

[tasks.multiplication]
share = 0.2

[model]
preset = "tiny"
max_positions = 96

[pretrain]
steps = 160
batch_size = 8
seq_len = 96
warmup = 10
eval_every = 60
save_every = 10
compile = "off"

[rollouts]
problems = 16
widths = [4]
completions = 2
max_tokens = 24
at_once = 4

[reward]
steps = 30
batch_size = 8
seq_len = 96
warmup = 5
lr = 0.01
save_every = 10
eval_every = 15
compile = "off"

[search]
samples = 6
solution_tokens = 48

[evaluation]
problems = 8
seeds = 1
budgets = [40, 120]
strategies = ["direct", "greedy", "self-consistency", "best-of-n-last", "beam:2", "mcts-puct", "halving"]

[report]
trees = ["multiplication: What is 17 × 24?"]
"""


def write_recipe(folder: Path) -> Path:
    """A file task that appears nowhere else (each letter becomes the next one) and the recipe that learns it."""
    rng = random.Random(0)
    words = sorted({"".join(rng.choices("abcdef", k=rng.randint(2, 3))) for _ in range(600)})
    rows = [{"problem": word, "answer": "".join(chr(ord(c) + 1) for c in word)} for word in words]
    problems = folder / "letters.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE.format(problems=problems), encoding="utf-8")
    return recipe


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def start(*args: str | Path, cwd: Path, stdin: int | None = None) -> subprocess.Popen:
    """`clearhead ARGS` in a process of its own, with nothing checked at run time and one thread."""
    return subprocess.Popen(
        [sys.executable, served.__file__, *map(str, args)],
        cwd=cwd, env=environment(),
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip


def clearhead(*args: str | Path, cwd: Path, expect: int = 0) -> tuple[str, str]:
    """The same, but run to the end and without waiting for torch to load; (standard output, standard error)."""
    code, out, err = served.call(list(map(str, args)), cwd, environment(), LIMIT)
    assert code == expect, f"exit code {code}\n{out}\n{err}"
    return out, err
