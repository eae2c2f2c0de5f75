"""Blocksworld: stacks of blocks are rebuilt, a block at a time; every step says what the world looks like after it.

    hk d m => dk
    k d:h dk m

A stack is written from the table up: in "hk d m" block k stands on h. The goal says which block is to stand on which:
"dk", k on d, whatever else. A step moves the uppermost block of a stack onto another, or onto the table ("k -"), and
predicts the next state, so whoever learns to solve learns a model of the world. In PDDL (and PlanBench, Valmeekam et
al. 2023) a step is two actions: (unstack k h) or (pick-up k), then (stack k d) or (put-down k).

Names mean nothing: a problem's blocks have letters of their own, drawn anew.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_lowercase as LETTERS
from typing import ClassVar

from clearhead.errors import UserError
from clearhead.tasks.splits import draw_distinct, known_split, sample, split_of

LARGEST = 20  # blocks
TABLE = "-"
_PROBLEM = re.compile(r"([a-z]+(?: [a-z]+)*) => ([a-z]{2,}(?: [a-z]{2,})*)")
_STEP = re.compile(r"([a-z]) ([a-z-]):([a-z]+(?: [a-z]+)*)")
_MOVE = re.compile(r"([a-z]) ([a-z-])")
# PlanBench's sentences, and those of its "mystery" domain, in which the same facts have other names.
_ON = re.compile(r"the (\w+)(?: block)? is on top of the (\w+)|(?:object )?(\w+) craves (?:object )?(\w+)")
_ON_TABLE = re.compile(r"the (\w+)(?: block)? is on the table|planet (?:object )?(\w+)")

Stacks = tuple[str, ...]


def moved(stacks: Stacks, block: str, onto: str) -> Stacks | None:
    """The stacks after a move, None where it is none: only uppermost blocks can be moved, and onto such.

    >>> moved(("hk", "d", "m"), "k", "d"), moved(("hk", "d"), "h", "d"), moved(("hk",), "k", "-")
    (('h', 'dk', 'm'), None, ('h', 'k'))
    """
    place = next((i for i, stack in enumerate(stacks) if stack.endswith(block)), None)
    if place is None or onto == block or (onto == TABLE and len(stacks[place]) == 1):
        return None
    left = [stack[:-1] if i == place else stack for i, stack in enumerate(stacks)]
    if onto == TABLE:
        left.append(block)
    else:
        target = next((i for i, stack in enumerate(left) if stack.endswith(onto) and i != place), None)
        if target is None:
            return None
        left[target] += block
    return tuple(stack for stack in left if stack)


def below(stacks: Sequence[str]) -> dict[str, str]:
    """What each block stands on; those on the table are left out."""
    return {upper: lower for stack in stacks for lower, upper in pairwise(stack)}


def reached(stacks: Sequence[str], goal: Mapping[str, str]) -> bool:
    at = below(stacks)
    return all(at.get(upper) == lower for upper, lower in goal.items())


def settled(stacks: Sequence[str], goal: Mapping[str, str]) -> set[str]:
    """The blocks that need never move again: each stands as the goal has it, on one that need not move."""
    found, wanted = set(), set(goal.values())
    for stack in stacks:
        for i, block in enumerate(stack):
            lower = stack[i - 1] if i else None
            fits = goal[block] == lower if block in goal else lower is None or lower not in wanted
            if not fits:
                break
            found.add(block)
    return found


def next_moves(stacks: Stacks, goal: Mapping[str, str]) -> list[tuple[str, str]]:
    """The moves that bring a block where it belongs; if there is none, those that clear the way. None at the goal."""
    still, tops = settled(stacks, goal), {stack[-1] for stack in stacks}
    if reached(stacks, goal):
        return []
    home = [(b, goal[b]) for b in sorted(tops - still) if b in goal and goal[b] in tops & still]
    return home or [(stack[-1], TABLE) for stack in stacks if len(stack) > 1 and stack[-1] not in still]


def _parsed(problem: str) -> tuple[Stacks, dict[str, str]]:
    match = _PROBLEM.fullmatch(problem)
    if match is None:
        raise UserError(f"{problem[:60]!r} is no blocksworld problem; write stacks and a goal like: hk d m => dk")
    return tuple(match[1].split()), below(match[2].split())


def _checked(problem: str) -> str:
    """The problem, if it has a solution."""
    stacks, _ = _parsed(problem)
    blocks, wanted = "".join(stacks), "".join(problem.partition(" => ")[2].split())
    if len(blocks) > LARGEST or len(set(blocks)) < len(blocks):
        raise UserError(f"{problem[:60]!r}: each block stands once in the stacks, and there are at most {LARGEST}")
    if not set(wanted) <= set(blocks) or len(set(wanted)) < len(wanted):
        raise UserError(f"{problem[:60]!r}: the goal may name each block of the stacks once")
    return problem


def _written(stacks: Sequence[str], goal: Sequence[str]) -> str:
    return f"{' '.join(stacks)} => {' '.join(goal)}"


def chains(on: Mapping[str, str], alone: Sequence[str] = ()) -> list[str]:
    """Stacks from what stands on what, and the blocks that stand alone. UserError for what is no stack."""
    upper = {lower: block for block, lower in on.items()}
    if len(upper) < len(on):
        raise UserError("two blocks cannot stand on the same one")
    found = []
    for bottom in dict.fromkeys([*alone, *on.values()]):
        if bottom not in on:
            stack = bottom
            while stack[-1] in upper:
                stack += upper[stack[-1]]
            found.append(stack)
    if sum(map(len, found)) < len({*on, *on.values(), *alone}):
        raise UserError("blocks cannot stand on one another in a circle")
    return found


def from_sentences(text: str) -> str | None:
    """The problem that PlanBench's sentences state, its blocks named by letters as they are met; None if none.

    >>> from_sentences("I have that the blue block is on top of the red block, the red block is on the table. "
    ... "My goal is to have that the red block is on top of the blue block.")
    'ba => ab'
    """
    text = " ".join(text.rpartition("[STATEMENT]")[2].lower().split())
    before, _, after = text.partition("my goal is")
    names: dict[str, str] = {}

    def letter(name: str) -> str:
        if name not in names and len(names) >= LARGEST:
            raise UserError(f"there are more than {LARGEST} blocks")
        return names.setdefault(name, LETTERS[len(names)])

    def on(part: str) -> dict[str, str]:
        pairs = [(match[1] or match[3], match[2] or match[4]) for match in _ON.finditer(part)]
        return {letter(upper): letter(lower) for upper, lower in pairs}

    stands, wanted = on(before), on(after)
    alone = [letter(match[1] or match[2]) for match in _ON_TABLE.finditer(before)]
    return _written(chains(stands, alone), chains(wanted)) if wanted and (stands or alone) else None


@dataclass(frozen=True)
class Blocksworld:
    """Problems of `fewest` to `most` blocks."""

    name: ClassVar[str] = "blocksworld"
    statement: ClassVar[str] = "stacks of blocks to rebuild, k to stand on d: hk d m => dk"

    fewest: int = 3
    most: int = 15
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= self.fewest <= self.most <= LARGEST:
            raise UserError(f"fewest={self.fewest} and most={self.most} must be 2 to {LARGEST}, in this order")

    def parse(self, text: str) -> str:
        """Reads the short form, and the sentences of PlanBench."""
        short = " ".join(text.split())
        return _checked(short if " => " in short else from_sentences(text) or short)

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        if known_split(split) == "test" and self.held_out:
            return sample(self.held_out, n, seed)
        rng = random.Random(f"blocksworld/{split}/{seed}")

        def draw() -> str:
            while split_of(problem := self._draw(rng)) != split or problem in self.held_out:
                pass
            return problem

        return draw_distinct(draw, n)

    def _draw(self, rng: random.Random) -> str:
        """Two arrangements of the same blocks, the first not yet the second."""
        blocks = rng.sample(LETTERS, rng.randint(self.fewest, self.most))
        while True:
            stacks, wanted = _arranged(blocks, rng), [s for s in _arranged(blocks, rng) if len(s) > 1]
            if wanted and not reached(stacks, below(wanted)):
                return _written(stacks, wanted)

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """Home what can go home, else clear the way, by random choice; no block moves more than twice."""
        stacks, goal = _parsed(problem)
        steps: list[str] = []
        while moves := next_moves(stacks, goal):
            block, onto = rng.choice(moves)
            after = moved(stacks, block, onto)
            assert after is not None, (problem, steps)
            stacks = after
            steps.append(f"{block} {onto}:{' '.join(stacks)}")
        return steps

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        """The moves, without the states that were predicted: k d, m -."""
        moves = [match for step in steps if (match := _STEP.fullmatch(step))]
        return ", ".join(f"{m[1]} {m[2]}" for m in moves) if moves and len(moves) == len(steps) else None

    def check(self, problem: str, answer: str) -> bool:
        """Do the moves, carried out, reach the goal?"""
        stacks, goal = _parsed(problem)
        for move in answer.split(", "):
            match = _MOVE.fullmatch(move)
            after = moved(stacks, match[1], match[2]) if match else None
            if after is None:
                return False
            stacks = after
        return reached(stacks, goal)

    def expected(self, problem: str) -> str | None:
        return self.answer(problem, self.solve(problem, random.Random(0)))

    def check_step(self, problem: str, steps: Sequence[str]) -> bool:
        """Is every move one, and every state the one after it? The goal can be reached from anywhere."""
        stacks, _ = _parsed(problem)
        for step in steps:
            match = _STEP.fullmatch(step)
            after = moved(stacks, match[1], match[2]) if match else None
            if match is None or after is None or match[3] != " ".join(after):
                return False
            stacks = after
        return True


def actions(problem: str, answer: str) -> list[str]:
    """The plan in PDDL, two actions a move. ValueError where a move is none.

    >>> actions("hk d m => dk", "k d, m d")
    Traceback (most recent call last):
    ValueError: m d is no move of h dk m
    >>> actions("hk d m => dk", "k d")
    ['(unstack k h)', '(stack k d)']
    """
    stacks, _ = _parsed(problem)
    found = []
    for move in answer.split(", "):
        block, _, onto = move.partition(" ")
        lower, after = below(stacks).get(block), moved(stacks, block, onto)
        if after is None:
            raise ValueError(f"{move} is no move of {' '.join(stacks)}")
        found.append(f"(unstack {block} {lower})" if lower else f"(pick-up {block})")
        found.append(f"(put-down {block})" if onto == TABLE else f"(stack {block} {onto})")
        stacks = after
    return found


def _arranged(blocks: Sequence[str], rng: random.Random) -> list[str]:
    """The blocks in random order, each on the table or on some stack."""
    stacks: list[str] = []
    for block in rng.sample(blocks, len(blocks)):
        place = rng.randrange(len(stacks) + 1)
        if place == len(stacks):
            stacks.append(block)
        else:
            stacks[place] += block
    return stacks
