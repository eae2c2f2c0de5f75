"""A market: questions that need two to five facts out of a table nobody has seen before, and sums over them.

    table 7f3a, what do 3 kumozil and 12 sudake cost?
    lookup {"item": "kumozil", "column": "price"}→25
    lookup {"item": "sudake", "column": "price"}→24
    calculator {"expression": "3*25+12*24"}→363
    363

What stands behind an arrow is what the tool gives, so a line is a call and its result in one. The table follows from
its number: items with made-up names, each with a price and a stock. A model cannot know it; it has to look.
"""

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase
from typing import ClassVar

from clearhead.errors import UserError
from clearhead.tasks.numbers import evaluate
from clearhead.tasks.splits import draw_distinct, known_split, sample, split_of
from clearhead.tasks.task import CALL_END

COLUMNS = ("price", "stock")
_ONSETS, _VOWELS, _CODAS = "bdfghjklmnprstvwz", "aeiou", ["", "", "l", "n", "r", "s"]
_QUESTION = re.compile(r"table ([0-9a-f]{4}), ([a-z0-9 ,']+\?)")
_COUNTED = re.compile(r"([0-9]+) ([a-z]+)")
_CALL = re.compile(r"(lookup|calculator) (\{.*\})")

Table = Mapping[str, Mapping[str, int]]


@lru_cache(maxsize=4096)
def table_of(number: str) -> Table:
    """Six to twelve items, and what the columns say of each.

    >>> table_of("7f3a") == table_of("7f3a"), table_of("7f3a") == table_of("7f3b")
    (True, False)
    """
    rng = random.Random(f"market/{number}")
    names = draw_distinct(lambda: _name(rng), rng.randint(6, 12))
    return {name: {"price": rng.randint(2, 60), "stock": rng.randint(2, 99)} for name in names}


def table_in(problem: str) -> Table:
    """The table that a question is about."""
    return table_of(_parsed(problem)[0])


def _name(rng: random.Random) -> str:
    """Half of them can be spoken, the others are letters: names are to be copied, not recognized."""
    if rng.random() < 0.5:
        return "".join(rng.choice(ascii_lowercase) for _ in range(rng.randint(3, 9)))
    syllables = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.randint(2, 3))]
    return "".join(syllables) + rng.choice(_CODAS)


def _listed(parts: Sequence[str]) -> str:
    """
    >>> _listed(["3 mivo", "2 dasel", "1 koru"])
    '3 mivo, 2 dasel and 1 koru'
    """
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def _draw(rng: random.Random) -> str:
    """A question of one of the five kinds, about a table of its own."""
    number = f"{rng.randrange(16**4):04x}"
    items = list(table_of(number))
    kind = rng.choice(["cost", "cost", "change", "many", "more", "worth"])
    some = rng.sample(items, 2 if kind in ("more", "worth") else rng.randint(2, 5))
    counted = _listed([f"{rng.randint(2, 20)} {name}" for name in some])
    asked = {
        "cost": f"what do {counted} cost?",
        "change": f"how much is left of {rng.randint(10, 99) * 100} after {counted}?",
        "many": f"how many {_listed(some)} are there?",
        "more": f"how much more is {some[0]} than {some[1]}?",
        "worth": f"what is all the {some[0]} and {some[1]} worth?",
    }
    return f"table {number}, {asked[kind]}"


def _needed(problem: str) -> tuple[list[tuple[str, str]], str]:
    """The facts that a question needs, in order, and the sum over them, a {} for each."""
    _, question = _parsed(problem)
    counted = _COUNTED.findall(question.rpartition(" after ")[2])
    if question.startswith("what do "):
        return [(name, "price") for _, name in counted], "+".join(f"{n}*{{}}" for n, _ in counted)
    if question.startswith("how much is left of "):
        paid = re.match(r"how much is left of ([0-9]+) ", question)
        assert paid is not None
        return [(name, "price") for _, name in counted], paid[1] + "".join(f"-{n}*{{}}" for n, _ in counted)
    if question.startswith("how many "):
        names = re.split(r", | and ", question.removeprefix("how many ").removesuffix(" are there?"))
        return [(name, "stock") for name in names], "+".join("{}" for _ in names)
    if question.startswith("how much more is "):
        first, second = question.removeprefix("how much more is ").removesuffix("?").split(" than ")
        return [(first, "price"), (second, "price")], "{}-{}"
    names = question.removeprefix("what is all the ").removesuffix(" worth?").split(" and ")
    return [(name, column) for name in names for column in COLUMNS], "+".join("{}*{}" for _ in names)


def _parsed(problem: str) -> tuple[str, str]:
    match = _QUESTION.fullmatch(problem)
    if match is None:
        raise UserError(
            f"{problem[:60]!r} is no question about a table; write one like: table 7f3a, what do 3 kumozil and 2 "
            "sudake cost?"
        )
    return match[1], match[2]


def _sum(formula: str, facts: Sequence[str]) -> str:
    value = evaluate(formula.format(*facts))
    assert value is not None, (formula, facts)
    return str(value[0])


def _worth(problem: str) -> str:
    table = table_in(problem)
    facts, formula = _needed(problem)
    return _sum(formula, [str(table[name][column]) for name, column in facts])


def called(table: Table, call: str) -> str:
    """What a tool gives for a line such as `lookup {"item": "mivo", "column": "price"}`; what it cannot do, it says.

    >>> called({"mivo": {"price": 17}}, 'lookup {"item": "mivo", "column": "price"}')
    '17'
    >>> called({}, 'calculator {"expression": "2*(3+4)"}'), called({}, 'lookup {"item": "x", "column": "price"}')
    ('14', 'error: no item x')
    """
    match = _CALL.fullmatch(call)
    try:
        arguments = json.loads(match[2]) if match else None
    except ValueError:
        arguments = None
    if match is None or not isinstance(arguments, dict):
        return "error: no call"
    if match[1] == "calculator":
        value = evaluate(str(arguments.get("expression", ""))[:200])
        return "error: no expression" if value is None else str(value[0])
    item, column = str(arguments.get("item", ""))[:40], str(arguments.get("column", ""))[:40]
    if item not in table:
        return f"error: no item {item}"
    return str(table[item][column]) if column in table[item] else f"error: no column {column}"


@dataclass(frozen=True)
class Market:
    name: ClassVar[str] = "market"
    statement: ClassVar[str] = "look facts up in a table and add up: table 7f3a, what do 3 kumozil and 2 sudake cost?"

    held_out: tuple[str, ...] = ()

    def parse(self, text: str) -> str:
        problem = " ".join(text.split())
        number, _ = _parsed(problem)
        try:
            facts, _ = _needed(problem)
            unknown = [name for name, _ in facts if name not in table_of(number)]
        except ValueError:
            raise UserError(f"{problem[:60]!r} asks nothing that the table answers") from None
        if unknown:
            raise UserError(f"table {number} has no {unknown[0]}; it has {', '.join(table_of(number))}")
        return problem

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        """Drawn; a table belongs to one split, so that those of the test were never seen."""
        if known_split(split) == "test" and self.held_out:
            return sample(self.held_out, n, seed)
        rng = random.Random(f"market/{split}/{seed}")

        def draw() -> str:
            while split_of((problem := _draw(rng))[:10]) != split or problem in self.held_out:
                pass
            return problem

        return draw_distinct(draw, n)

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        """Every fact in the order of the question, then the sum; nothing is random here."""
        facts, formula = _needed(problem)
        table = table_in(problem)
        calls = [f"lookup {json.dumps({'item': name, 'column': column})}" for name, column in facts]
        found = [called(table, call) for call in calls]
        calls.append(f"calculator {json.dumps({'expression': formula.format(*found)})}")
        found.append(called(table, calls[-1]))
        return [*(f"{call}{CALL_END}{result}" for call, result in zip(calls, found, strict=True)), found[-1]]

    def respond(self, problem: str, call: str) -> str | None:
        """What the tools say to a call; None of a problem that is not the market's."""
        match = _QUESTION.fullmatch(problem)
        return called(table_of(match[1]), call) if match else None

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        last = steps[-1] if steps else ""
        return last if re.fullmatch(r"-?[0-9]{1,9}", last) else None

    def check(self, problem: str, answer: str) -> bool:
        return re.fullmatch(r"-?[0-9]{1,9}", answer.strip()) is not None and int(answer) == int(_worth(problem))

    def expected(self, problem: str) -> str:
        return _worth(problem)

    def total(self, problem: str, facts: Sequence[str]) -> str:
        """What the sum of a question comes to if these were the facts, in its order."""
        return _sum(_needed(problem)[1], facts)

    def check_step(self, problem: str, steps: Sequence[str]) -> bool:
        """Lookups that found something, sums that come to the answer, and then that answer itself."""
        for step in steps:
            call, arrow, result = step.partition(CALL_END)
            if arrow and (result.startswith("error") or result != self.respond(problem, call)):
                return False
            if (not arrow or call.startswith("calculator ")) and not self.check(problem, result if arrow else step):
                return False
        return True
