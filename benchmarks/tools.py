"""Does a run's policy use its tools? Greedy accuracy with them, without them, and with the tables' facts shuffled.

    python benchmarks/tools.py runs/agent                 # 300 held-out questions
    python benchmarks/tools.py runs/agent --problems 1000

Without tools the model has to write what a tool would give by itself. In a shuffled table every item has the facts of
another, so whoever looks answers another question, and is right by chance alone: the accuracy told beside it is that of
the sums over shuffled facts themselves.
"""

import argparse
import random
from pathlib import Path

import torch

from clearhead.checkpoints import own
from clearhead.generation.calls import Calls
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.pipeline.align import scores
from clearhead.pipeline.data import calls_of, run_tasks
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_tokenizer
from clearhead.reasoning.statistics import wilson
from clearhead.tasks.market import Market, Table, called, table_of
from clearhead.tasks.task import CALL_END


def shuffled(number: str) -> Table:
    """The table with every item's facts given to another item."""
    table = table_of(number)
    items = list(table)
    order = random.Random(number).sample(items, len(items))
    return {item: table[other] for item, other in zip(order, [*order[1:], order[0]], strict=True)}


def shuffled_calls() -> Calls:
    """Tools that look into the shuffled tables."""

    def respond(text: str) -> str | None:
        problem, _, solution = text.partition("\n")
        if not problem.startswith("table "):
            return None
        return called(shuffled(problem[6:10]), solution.rpartition("\n")[2].removesuffix(CALL_END))

    return Calls(CALL_END, respond)


def chance(task: Market, problems: list[str]) -> float:
    """How often the sum over shuffled facts is the right answer all the same."""
    right = 0
    for problem in problems:
        table, found = shuffled(problem[6:10]), list[str]()
        for step in task.solve(problem, random.Random(0))[:-1]:
            call = step.partition(CALL_END)[0]
            if call.startswith("lookup"):
                found.append(called(table, call))
        right += task.check(problem, task.total(problem, found))
    return right / len(problems)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--problems", type=int, default=300)
    args = parser.parse_args()
    run = RunDir(args.run)
    tasks, recipe, tokenizer = run_tasks(run), run.recipe(), load_tokenizer(run)
    task = next(task for task in tasks.values() if isinstance(task, Market))
    problems = task.problems("test", args.problems, recipe.seed)
    decoder = own.load_decoder(run.path, torch.device("cpu"))
    print(f"{decoder.config.parameters:,} parameters; {len(problems)} questions about tables never seen, greedy")
    for name, calls in (
        ("with tools", calls_of(tasks)), ("without tools", None), ("shuffled tables", shuffled_calls())
    ):  # fmt: skip
        engine = LocalEngine(decoder, tokenizer, tools=calls)
        limit = SamplingParams(0.0, max_tokens=recipe.search.most_solution_tokens or decoder.config.max_positions)
        right = int(scores(engine, task, problems, limit, 1, recipe.seed).sum())
        interval = wilson(right, len(problems))
        print(f"{name:16} {right / len(problems):6.1%}  [{interval.low:.1%}, {interval.high:.1%}]")
    print(f"{'by chance':16} {chance(task, problems):6.1%}  of the sums over shuffled facts")


if __name__ == "__main__":
    main()
