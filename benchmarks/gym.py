"""Every generator of the package reasoning-gym through a small run: trained, labeled, searched, reported.

    python benchmarks/gym.py                         # all of them, about half a minute each
    python benchmarks/gym.py maze sudoku --out FILE  # some, with a line of JSON each in FILE

The run has the settings that `clearhead run` chooses by itself but for how long it trains and how much it tries, the
held-out problems that it chooses a strategy on included. A generator passes if its run ends with a report and its
rollouts have right and wrong states; one whose problems are too long, or cannot be checked, is refused in one line.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NoReturn

SMALL = """
name = "gym"

[tasks.gym]
source = "reasoning-gym:{name}"

[model]
preset = "tiny"

[pretrain]
steps = 30
warmup = 5
batch_size = 4
eval_every = 30
compile = "off"

[rollouts]
problems = 8
widths = [4]
completions = 2

[reward]
steps = 20
warmup = 2
batch_size = 4
eval_every = 10
compile = "off"

[evaluation]
problems = 8
seeds = 1
budgets = [400]
strategies = ["greedy", "self-consistency", "best-of-n-joint", "mcts-puct", "auto"]
"""
LIMIT = 420.0  # seconds
FEW = 8  # held-out problems, here


def tried(name: str, folder: Path) -> dict[str, object]:
    """What became of one generator."""
    recipe, run = folder / f"{name}.toml", folder / name
    recipe.write_text(SMALL.format(name=name), encoding="utf-8")
    began = time.monotonic()
    command = [sys.executable, __file__, "--run", str(recipe), str(run)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, cwd=folder, env=os.environ)
    except subprocess.TimeoutExpired:
        return {"generator": name, "result": "late", "seconds": LIMIT}
    found: dict[str, object] = {"generator": name, "seconds": round(time.monotonic() - began, 1)}
    lines = done.stderr.strip().splitlines() or [""]
    if done.returncode:
        refused = done.returncode == 2 and "Traceback" not in done.stderr
        return found | {"result": "refused" if refused else "failed", "line": lines[-1]}
    labels = Counter(
        "right" if label > 0 else "wrong"
        for file in run.glob("rollouts/*.json")
        for path in json.loads(file.read_text(encoding="utf-8"))["paths"]
        for label in path["labels"]
        if label >= 0
    )
    sizes = json.loads((run / "sizes.json").read_text(encoding="utf-8"))
    passed = labels["right"] and labels["wrong"] and (run / "report.html").is_file()
    return found | {
        "result": "passed" if passed else "empty",
        "labels": dict(labels), "context": sizes["context"], "depth": sizes["depth"],
        "cut": [line for line in lines if "cut off" in line],
    }  # fmt: skip


def small_run(recipe: str, run: str) -> NoReturn:
    """`clearhead run` in this process alone, with few held-out problems."""
    from clearhead.cli.main import main
    from clearhead.pipeline import measure, stages, workers

    stages.CALIBRATION_PROBLEMS = measure.QUALITY_PROBLEMS = FEW
    workers.cores = lambda: 1  # what is set above would be lost in workers
    sys.exit(main(["run", recipe, "--out", run, "--json"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generators", nargs="*")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        small_run(*chosen.run)
    from reasoning_gym.factory import DATASETS

    results = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.generators or sorted(DATASETS):
            found = tried(name, Path(folder))
            results[str(found["result"])] += 1
            line = json.dumps(found)
            print(line, flush=True)
            if chosen.out:
                with chosen.out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
    print(", ".join(f"{count} {result}" for result, count in results.most_common()))


if __name__ == "__main__":
    main()
