import random
from itertools import islice, pairwise

import pytest

from clearhead.errors import UserError
from clearhead.tasks import load
from clearhead.tasks.blocksworld import (
    Blocksworld,
    actions,
    below,
    chains,
    from_sentences,
    moved,
    next_moves,
    reached,
    settled,
)
from clearhead.tasks.task import StepChecked, Task

TASK = Blocksworld()
PLANBENCH = """I am playing with a set of blocks where I need to arrange the blocks into stacks. [...]
[STATEMENT]
As initial conditions I have that, the red block is clear, the hand is empty, the red block is on top of the blue block,
the blue block is on the table.
My goal is to have that the blue block is on top of the red block.
My plan is as follows: [...]
[STATEMENT]
As initial conditions I have that, the red block is clear, the orange block is clear, the yellow block is clear, the
hand is empty, the orange block is on top of the blue block, the red block is on the table, the blue block is on the
table and the yellow block is on the table.
My goal is to have that the blue block is on top of the orange block and the yellow block is on top of the red block.
"""
MYSTERY = """[STATEMENT]
As initial conditions I have that, object a craves object b, object c craves object a, harmony, planet object b and
province object c.
My goal is to have that object b craves object c.
"""


class Simulator:
    """The four actions of the PDDL domain, written down from their preconditions and effects."""

    def __init__(self, stacks: list[str]) -> None:
        self.on = {upper: lower for stack in stacks for lower, upper in pairwise(stack)}
        self.table = {stack[0] for stack in stacks}
        self.clear = {stack[-1] for stack in stacks}
        self.hand: str | None = None

    def do(self, action: str) -> None:
        name, *args = action.strip("()").split()
        x = args[0]
        if name == "pick-up":
            assert self.hand is None and x in self.table and x in self.clear
            self.table.remove(x)
            self.clear.remove(x)
            self.hand = x
        elif name == "put-down":
            assert self.hand == x
            self.table.add(x)
            self.clear.add(x)
            self.hand = None
        elif name == "stack":
            assert self.hand == x and args[1] in self.clear
            self.clear.remove(args[1])
            self.clear.add(x)
            self.on[x] = args[1]
            self.hand = None
        else:
            assert name == "unstack" and self.hand is None and self.on[x] == args[1] and x in self.clear
            del self.on[x]
            self.clear.remove(x)
            self.clear.add(args[1])
            self.hand = x


def test_protocols() -> None:
    assert isinstance(TASK, Task) and isinstance(TASK, StepChecked) and load("blocksworld") == TASK


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_plans_reach_the_goal_in_the_pddl_domain(split: str) -> None:
    problems = TASK.problems(split, 200, 3)
    assert len(set(problems)) == 200 and TASK.problems(split, 9, 3) == problems[:9]
    sizes = set()
    for problem in problems:
        stacks, goal = (part.split() for part in problem.split(" => "))
        sizes.add(sum(map(len, stacks)))
        steps = TASK.solve(problem, random.Random(0))
        answer = TASK.answer(problem, steps)
        assert answer is not None and TASK.check(problem, answer) and TASK.check_step(problem, steps)
        assert len(steps) <= 2 * sum(map(len, stacks))
        world = Simulator(stacks)
        for action in actions(problem, answer):
            world.do(action)
        assert world.hand is None
        assert all(world.on.get(upper) == lower for upper, lower in below(goal).items())
        assert below(steps[-1].partition(":")[2].split()) == world.on
    assert {3, 15} <= sizes and sizes <= set(range(3, 16))


def shortest(stacks: tuple[str, ...], goal: dict[str, str]) -> int:
    """Moves of the shortest plan, by looking at all."""
    level, seen, depth = {stacks}, {frozenset(stacks)}, 0
    while not any(reached(state, goal) for state in level):
        tops = [(state, stack[-1]) for state in level for stack in state]
        after = {
            new
            for state, block in tops
            for onto in [*(s[-1] for s in state), "-"]
            if (new := moved(state, block, onto))
        }
        level = {state for state in after if frozenset(state) not in seen}
        seen |= {frozenset(state) for state in level}
        depth += 1
    return depth


def test_plans_of_few_blocks_are_hardly_longer_than_the_shortest() -> None:
    problems = Blocksworld(3, 5).problems("train", 150, 0)
    longer = 0
    for problem in problems:
        stacks, goal = problem.split(" => ")
        best = shortest(tuple(stacks.split()), below(goal.split()))
        found = len(TASK.solve(problem, random.Random(0)))
        assert best <= found
        longer += found - best
    assert longer / len(problems) < 0.1


@pytest.mark.parametrize(
    ("stacks", "block", "onto", "after"),
    [
        ("hk d m", "k", "d", "h dk m"), ("hk d m", "k", "-", "h d m k"), ("hk d", "d", "k", "hkd"),
        ("hk d", "h", "d", None), ("hk d", "d", "h", None), ("hk d", "d", "-", None), ("hk d", "k", "k", None),
        ("hk d", "x", "d", None), ("hk d", "k", "x", None),
    ],
)  # fmt: skip
def test_moves_by_hand(stacks: str, block: str, onto: str, after: str | None) -> None:
    assert moved(tuple(stacks.split()), block, onto) == (tuple(after.split()) if after else None)


def test_blocks_that_need_not_move() -> None:
    goal = below(["abc"])
    assert settled(["abx", "c"], goal) == {"a", "b"}, "x is where c belongs"
    assert settled(["xab", "c"], goal) == {"x", "a", "b"}, "nothing is to stand on x"
    assert settled(["bac"], goal) == set()
    assert next_moves(("ab", "c"), goal) == [("c", "b")] and next_moves(("abc",), goal) == []
    assert next_moves(("bac",), goal) == [("c", "-")]


def test_wrong_plans_and_wrong_states() -> None:
    problem = "hk d m => dk"
    assert TASK.check(problem, "k d") and TASK.check(problem, "k -, k d")
    for answer in ("", "k m", "h d", "k d, k -", "k  d", "d k", "k d,", "kd"):
        assert not TASK.check(problem, answer)
    assert TASK.check_step(problem, ["k d:h dk m"])
    for steps in (["k d:hk d m"], ["k d:h dk"], ["k d"], ["h d:k dh m"], ["k d:dk h m"]):
        assert not TASK.check_step(problem, steps)
    assert TASK.answer(problem, ["k d:?"]) is None and TASK.answer(problem, []) is None
    assert TASK.answer(problem, ["k m:h d mk"]) == "k m"


def test_planbench_sentences() -> None:
    assert from_sentences(PLANBENCH) == "d ba c => ab dc"
    assert TASK.parse(PLANBENCH) == "d ba c => ab dc"
    assert from_sentences(MYSTERY) == "bac => cb"
    assert TASK.parse(MYSTERY) == "bac => cb"
    assert from_sentences("what is 2 + 2?") is None


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("hk d", "no blocksworld problem"), ("hk d =>", "no blocksworld problem"), ("hk hd => dk", "each block stands"),
        ("hk d => dx", "may name each block"), ("hk d => dk kh", "may name each block"), ("17 × 24", "no blocksworld"),
        ("abcdefghijklmnopqrstuvw => ba", "at most 20"),
        ("the a block is on top of the b block. the b block is on top of the a block. my goal is to have that the a "
         "block is on top of the b block", "in a circle"),
    ],
)  # fmt: skip
def test_what_is_no_problem_is_told(typed: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        TASK.parse(typed)


def test_stacks_from_facts() -> None:
    assert chains({"c": "b", "b": "a"}, ["a", "x"]) == ["abc", "x"]
    with pytest.raises(UserError, match="same one"):
        chains({"b": "a", "c": "a"})


def test_options() -> None:
    assert all(len(p.partition(" =>")[0].replace(" ", "")) == 4 for p in Blocksworld(4, 4).problems("test", 20, 0))
    for fewest, most in ((1, 5), (5, 3), (3, 99)):
        with pytest.raises(UserError, match="in this order"):
            Blocksworld(fewest, most)


def test_letters_mean_nothing() -> None:
    used = [set(problem) - set(" =>") for problem in islice(Blocksworld(3, 5).problems("train", 300, 0), 300)]
    assert len(set().union(*used)) == 26
