"""Few rows: what training makes of them where a recipe leaves it open, and how one sees that they are memorized.

A file of rows ends, and a model that reads it fifty times remembers it. A task that draws its problems afresh has no
such limit, and nothing here applies to it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from clearhead.pipeline.recipe import Recipe
from clearhead.reasoning.statistics import wilson
from clearhead.tasks.task import HasRows, Task
from clearhead.training.loop import TrainConfig

FEW = 20_000  # training rows from which on nothing is done against memorizing
FAR = 0.1  # share of problems, and nats a token, by which training data must be ahead to call it memorizing
TIMES = 2.0  # the held-out loss over that of the training data, at least, to call it so
SHARES = (0.25, 0.5)  # of the rows, on which the curve is measured beside all
SHORT = 1_000_000  # tokens that the policy is trained on at most where accuracy against rows is measured unasked


def training_rows(tasks: Iterable[Task]) -> int:
    """How many rows there are to learn from in all; 0 where some task draws its problems afresh."""
    counts = [task.rows if isinstance(task, HasRows) else 0 for task in tasks]
    return sum(counts) if all(counts) else 0


def are_few(rows: int) -> bool:
    return 0 < rows < FEW


def followed(recipe: Recipe, rows: int) -> Recipe:
    """The recipe with what it leaves open chosen for so many training rows.

    Of few rows the weights of the best held-out accuracy are kept where it is measured. `model.dropout` and `data.hide`
    stay as they are: in minutes on a CPU they slowed learning down more than they kept from memorizing.
    """
    pretrain = recipe.pretrain
    if are_few(rows) and pretrain.eval_every and not pretrain.keep_best:
        pretrain = replace(pretrain, keep_best="first_try")
    return replace(recipe, pretrain=pretrain)


def own_reader(recipe: Recipe, rows: int) -> bool:
    """Whether the reward model starts from a language model of its own.

    Unasked it does where rows are few, but not from a checkpoint, which knows more than these rows.
    """
    return are_few(rows) and not recipe.base if recipe.rollouts.reader == "auto" else recipe.rollouts.reader == "own"


def curve(recipe: Recipe, rows: int, steps: int) -> bool:
    """Does a run measure accuracy against rows? Only where rows are few, and unasked only where it is short.

    It is not short from a checkpoint, since a large model is trained for every point.

    `steps`: of the policy's training, as many as there were or may be.
    """
    if not are_few(rows) or recipe.data.curve is False or (recipe.base and recipe.data.curve is None):
        return False
    return recipe.data.curve is True or trained_tokens(replace(recipe.pretrain, steps=steps)) <= SHORT


def in_steps(config: TrainConfig, steps: int) -> TrainConfig:
    """The same training in just so many steps."""
    return replace(config, steps=steps, warmup=min(config.warmup, steps - 1), patience=0, goal=0.0)


def trained_tokens(config: TrainConfig) -> int:
    return config.steps * config.accumulate * config.batch_size * config.seq_len


def told(recipe: Recipe, rows: int) -> list[str]:
    """A line about a followed recipe; none where the rows are not few."""
    if not are_few(rows) or not recipe.pretrain.keep_best:
        return []
    return [f"{rows:,} training rows are few: the weights with the best {recipe.pretrain.keep_best} are kept"]


def memorizes(numbers: Mapping[str, Any], seen: int, held_out: int) -> bool:
    """Is an evaluation much better on training data than on held-out data, by accuracy or by loss?

    Accuracy, of so many problems `seen` and `held_out`: the intervals of the two leave `FAR` between them. Loss: by a
    factor of `TIMES`, and by `FAR`.
    """
    known = wilson(round(numbers["seen_first_try"] * seen), seen)
    new = wilson(round(numbers["first_try"] * held_out), held_out)
    learned, loss = numbers["seen_loss"], numbers["held_out_loss"]
    return known.low - new.high > FAR or loss > max(TIMES * learned, learned + FAR)


def memorizing_line(label: str, numbers: Mapping[str, Any], rows: int) -> str:
    """What an evaluation that memorizes says, and what to do."""
    return (
        f"{label}: step {numbers['step']}: it memorizes its {rows:,} rows: {numbers['seen_first_try']:.0%} of "
        f"training problems at first try, {numbers['first_try']:.0%} of held-out ones; more rows or a generator help "
        "most, then a higher model.dropout or a smaller model"
    )
