"""Seconds to solve a file of problems in one call against as many calls with one problem each.

    python benchmarks/solving.py                                  # a small run is trained for it first
    python benchmarks/solving.py --run runs/demo --task game24    # a run that is there already

A few single calls are timed, between two halves of the file, and their mean is scaled to all problems; each call starts
Python, loads the models and answers, as a person's would. Both must give the same answers.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = """
name = "sums"

[tasks.sums]
source = "file:{rows}"
answer_after = "="

[model]
preset = "demo"

[pretrain]
steps = 60
batch_size = 16
compile = "off"

[rollouts]
problems = 12

[reward]
steps = 60
batch_size = 8
compile = "off"

[evaluation]
problems = 10
seeds = 1
budgets = [200]
"""
SINGLE_CALLS = 10


def train(folder: Path) -> Path:
    """A run whose model is as large as the demo's; how much it has learned does not matter here."""
    rows = folder / "sums.jsonl"
    rng = random.Random(0)
    pairs = sorted({(rng.randint(10, 99), rng.randint(10, 99)) for _ in range(2000)})
    data = [{"problem": f"{a} + {b}", "answer": str(a + b), "steps": [f"={a + b}"]} for a, b in pairs]
    rows.write_text("".join(json.dumps(row) + "\n" for row in data), encoding="utf-8")
    recipe = folder / "sums.toml"
    recipe.write_text(RECIPE.format(rows=rows), encoding="utf-8")
    clearhead("run", recipe, "--out", folder / "run")
    return folder / "run"


def clearhead(*args: str | Path, codes: tuple[int, ...] = (0,)) -> tuple[str, float]:
    """What `clearhead ARGS` prints, and its seconds from start to end."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "clearhead", *map(str, args)], stdout=subprocess.PIPE, text=True)
    if done.returncode not in codes:
        raise SystemExit(f"clearhead {' '.join(map(str, args))} ended with {done.returncode}")
    return done.stdout, time.perf_counter() - started


def problems_of(run: Path, task: str | None, count: int) -> tuple[str, list[str]]:
    from clearhead.pipeline.compare import chosen_task
    from clearhead.pipeline.rundir import RunDir

    name, found = chosen_task(RunDir(run), task)
    return name, list(dict.fromkeys(found.problems("train", 4 * count, 1)))[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--task")
    parser.add_argument("--strategy", default="mcts-puct")
    parser.add_argument("--budget", default="1000")
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--threads", help="for the calls, where it is not left to torch")
    args = parser.parse_args()
    if args.threads:
        os.environ["OMP_NUM_THREADS"] = args.threads
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = args.run or train(folder)
        task, problems = problems_of(run, args.task, args.problems)
        about = ("--run", run, "--task", task, "--strategy", args.strategy, "--budget", args.budget)
        every = max(1, len(problems) // SINGLE_CALLS)
        picked = list(range(0, len(problems), every))[:SINGLE_CALLS]
        single: dict[int, tuple[dict[str, object], float]] = {}

        def call(index: int) -> None:
            out, seconds = clearhead("solve", problems[index], *about, "--json")
            single[index] = (json.loads(out), seconds)

        for index in picked[::2]:
            call(index)
        (folder / "problems.txt").write_text("\n".join(problems), encoding="utf-8")
        out, batched = clearhead("solve", folder / "problems.txt", *about, codes=(0, 1))
        for index in picked[1::2]:
            call(index)
    together = [json.loads(line) for line in out.splitlines()]
    agree = sum(single[index][0]["answer"] == together[index]["answer"] for index in picked)
    one = statistics.mean(seconds for _, seconds in single.values())
    print(f"{len(problems):,} problems, {args.strategy}, {args.budget} tokens each")
    print(f"in one call: {batched:.1f} s; one by one: {one:.2f} s each, {one * len(problems):,.0f} s in all")
    print(f"ratio {one * len(problems) / batched:.1f}; same answers {agree} of {len(picked)}")


if __name__ == "__main__":
    main()
