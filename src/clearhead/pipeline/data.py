"""From tasks to training text: documents drawn without end from the tasks of a recipe."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clearhead.errors import UserError
from clearhead.generation.calls import Calls
from clearhead.pipeline import trust
from clearhead.pipeline.recipe import Recipe, TaskConfig
from clearhead.pipeline.rundir import RunDir
from clearhead.tasks.drawn import KeepsDrawn
from clearhead.tasks.pieces import in_pieces
from clearhead.tasks.task import CALL_END, Task, UsesTools
from clearhead.text.begin import prompt_tokens
from clearhead.text.packing import Document
from clearhead.text.prompt_format import (
    ASK_STEPS,
    STEP_END,
    direct_prompt,
    given_tokens,
    join_steps,
    solution_tokens,
    steps_prompt,
)
from clearhead.text.protocol import Tokenizer
from clearhead.text.tokenizer import PAD

POOL = 15_000  # training problems drawn ahead for each task; a solution is drawn anew each time
PATIENCE = 1_000  # documents drawn in vain, one after the other
STRANGE = ((0xC0, 0x250), (0x370, 0x530), (0x4E00, 0xA000), (0x1F300, 0x1F650))  # characters of 2, 2, 3 and 4 bytes
WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Solved:
    """A problem with one way of solving it, or with its bare answer. `calls`: tools gave some of the solution."""

    prompt: str
    solution: str
    calls: bool = False


@dataclass
class Source:
    """Draws solved problems from the tasks in proportion to their shares; `direct` of them as bare answers."""

    tasks: Sequence[Task]
    shares: Sequence[float]
    direct: float
    pools: Sequence[Sequence[str]]

    def draw(self, rng: random.Random) -> Solved:
        (which,) = rng.choices(range(len(self.tasks)), self.shares)
        task, problem = self.tasks[which], rng.choice(self.pools[which])
        steps = task.solve(problem, rng)
        if rng.random() < self.direct:
            answer = task.answer(problem, steps)
            if answer is None:
                raise UserError(
                    f"task {task.name}: its own solution of {problem!r} arrives at no answer; mend the task"
                )
            return Solved(direct_prompt(problem), answer)
        return Solved(steps_prompt(problem), join_steps(steps), isinstance(task, UsesTools))


def part_of(whole: Source, share: float) -> Source:
    """The source that has only the first `share` of each task's problems.

    >>> part_of(Source([], [], 0.0, [["a", "b", "a", "c", "d"]]), 0.5).pools
    [['a', 'b']]
    """
    distinct = [list(dict.fromkeys(pool)) for pool in whole.pools]
    return replace(whole, pools=[pool[: max(1, round(share * len(pool)))] for pool in distinct])


def document(tokenizer: Tokenizer, source: Source, most: int, rng: random.Random, respelled: float = 0.0) -> Document:
    """A solved problem as tokens, drawn again until one has `most` or fewer; a share has a word `respell` changed."""
    for _ in range(PATIENCE):
        solved = source.draw(rng)
        if respelled and rng.random() < respelled:
            solved = respell(solved, rng)
        drawn = encode(tokenizer, solved)
        if len(drawn.prompt) + len(drawn.solution) <= most:
            return drawn
    raise UserError(
        f"{PATIENCE:,} documents in a row are longer than {most} tokens; give shorter problems, or raise "
        "data.max_length and, of a model that is made here, model.max_positions"
    )


def hidden(document: Document, share: float, rng: random.Random, unread: int = PAD) -> Document:
    """With probability `share`, the document with part of its problem unreadable: from hardly any of it to nearly all.

    A solution then has to go on from its own last words, as a rule does, and not from what the problem calls to mind.
    The token that asks is always left; `unread` stands for the others.
    """
    if not share or rng.random() >= share:
        return document
    share = rng.random()
    problem = [unread if rng.random() < share else token for token in document.prompt[:-1]]
    return document._replace(prompt=[*problem, document.prompt[-1]])


def respell(solved: Solved, rng: random.Random) -> Solved:
    """A word of the problem with a character in it that is hardly seen anywhere, in the solution, too.

    So a model that can spell any character in bytes learns to read past them, and to copy them.

    >>> respell(Solved("Ann has 3", "Ann: 3"), random.Random(1))
    Solved(prompt='Anł has 3', solution='Anł: 3', calls=False)
    """
    words = WORD.findall(solved.prompt)
    if not words:
        return solved
    word = rng.choice(words)
    at = rng.randrange(len(word))
    strange = word[:at] + chr(rng.randrange(*rng.choice(STRANGE))) + word[at + 1 :]
    whole = re.compile(rf"(?<![^\W\d_]){word}(?![^\W\d_])")
    return Solved(whole.sub(strange, solved.prompt), whole.sub(strange, solved.solution), solved.calls)


def load_tasks(recipe: Recipe, drawn: Path | None = None) -> dict[str, Task]:
    """The tasks of a recipe by the names of their sections; what they draw is kept in the run's folder `drawn`."""
    tasks = {config.name: config.load() for config in recipe.tasks}
    for name, task in tasks.items():
        if isinstance(task, UsesTools):
            if recipe.align.method == "dpo" or recipe.in_context_align.method == "dpo":
                raise UserError(f"DPO would learn what the tools of {name} gave; take another method, such as 'rloo'")
            if recipe.in_context.steps:
                raise UserError(f"a search in one text cannot call the tools of {name}; set in_context.steps = 0")
    if drawn is not None:
        tasks = {n: task.kept_in(drawn / n) if isinstance(task, KeepsDrawn) else task for n, task in tasks.items()}
    return {
        config.name: in_pieces(tasks[config.name], config.pieces, recipe.seed, config.name) for config in recipe.tasks
    }


def run_tasks(run: RunDir) -> dict[str, Task]:
    """The tasks of a run, with what they have drawn. UserError where its Python is another's and not allowed."""
    trust.require(run.path, run.python_files())
    return load_tasks(run.recipe(), run.drawn)


def source(tasks: dict[str, Task], configs: Sequence[TaskConfig], direct: float, split: str, seed: int) -> Source:
    pools = [task.problems(split, POOL, seed) for task in tasks.values()]
    for name, pool in zip(tasks, pools, strict=True):
        if not pool:
            raise UserError(f"task {name} has no {split} problem; give it more problems, or hold out fewer")
    return Source(list(tasks.values()), [config.share for config in configs], direct, pools)


def encode(tokenizer: Tokenizer, solved: Solved) -> Document:
    """The solution, closed by the end of a text, is learned; the prompt is only read.

    >>> from clearhead.text.tokenizer import CharTokenizer
    >>> encode(CharTokenizer("+1=2\\n"), Solved("1+1\\n", "=2"))
    Document(prompt=[3, 2, 3, 6], solution=[4, 5, 1], given=())
    """
    solution = solution_tokens(tokenizer, solved.solution)
    given = given_tokens(tokenizer, solution, CALL_END) if solved.calls else ()
    return Document(prompt_tokens(tokenizer, solved.prompt), solution, given)


def calls_of(tasks: Mapping[str, Task]) -> Calls | None:
    """What the tools of the tasks give while a model writes; None where no task has any."""
    users = [task for task in tasks.values() if isinstance(task, UsesTools)]

    def respond(text: str) -> str | None:
        problem, _, solution = text.partition(ASK_STEPS)
        call = solution.rpartition(STEP_END)[2].removesuffix(CALL_END)
        found = (task.respond(problem, call) for task in users)
        return next((result for result in found if result is not None), None)

    return Calls(CALL_END, respond) if users else None
