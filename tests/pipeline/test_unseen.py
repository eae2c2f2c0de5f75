"""Rows that cannot be enough are told from rows that may be, without training."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from clearhead.pipeline.unseen import Lookups, Unseen, UnseenRow, told, unseen
from clearhead.tasks import load
from clearhead.tasks.task import Task

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def sums(rng: random.Random) -> dict:
    a, b, c = rng.randint(2, 99), rng.randint(2, 99), rng.randint(2, 9)
    steps = [f"{a}+{b}={a + b}", f"{a + b}*{c}={(a + b) * c}"]
    return {"problem": f"{a} and {b}, {c} times", "steps": steps, "answer": str((a + b) * c)}


def dates(rng: random.Random) -> dict:
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1970, 2069)
    iso = f"{year}-{month:02}-{day:02}"
    steps = [f"year {year}", f"month {month}", f"day {day}", iso]
    return {"problem": f"{day} {MONTHS[month - 1]} '{year % 100:02}", "steps": steps, "answer": iso}


def fields(rng: random.Random) -> dict:
    """One long step that nobody else has, all of it copied."""
    user, ms = f"u{rng.randrange(10**6)}", rng.randrange(10**6)
    return {"problem": f"{user} took {ms} ms", "answer": json.dumps({"user": user, "ms": ms})}


def task(draw: Callable[[random.Random], dict], count: int, folder: Path) -> Task:
    rng, rows = random.Random(0), {}
    while len(rows) < count:
        row = draw(rng)
        rows[row["problem"]] = row
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows.values()), encoding="utf-8")
    return load(f"file:{file}")


@pytest.mark.parametrize(("draw", "too_few"), [(sums, True), (dates, False), (fields, False)])
def test_only_what_is_worked_out_needs_more_rows(draw: Callable, too_few: bool, tmp_path: Path) -> None:
    found = unseen(task(draw, 1500, tmp_path), seed=0)
    assert found.too_few == too_few
    assert bool(told("mine", found)) == too_few
    assert found.rows > 1000


def test_few_results_are_remembered_after_all(tmp_path: Path) -> None:
    def small(rng: random.Random) -> dict:
        a, b, name = rng.randint(2, 9), rng.randint(2, 9), rng.randrange(10**6)
        return {"problem": f"user {name}: {a} and {b}", "steps": [f"{a}*{b}={a * b}"], "answer": str(a * b)}

    found = unseen(task(small, 1500, tmp_path), seed=0)
    shares = [share for _, share in found.shares]
    assert shares == sorted(shares, reverse=True) and not found.too_few


def test_the_line_says_how_many_would_do(tmp_path: Path) -> None:
    """Of K equally frequent results n rows miss exp(-n/K): 10% at n = K ln 10."""
    found = Unseen(tuple((n, 2.718281828 ** (-n / 4000)) for n in (500, 1000, 2000)))
    assert found.would_do == 9300  # 4000 ln 10 is 9210
    (line,) = told("mine", found)
    assert line.startswith("mine: 2,000 training rows are too few") and "61% of the held-out rows" in line
    assert "(88% of 500, 78% of 1,000 rows); about 9,300 rows would do" in line
    (line,) = told("mine", Unseen(((500, 1.0), (1000, 1.0), (2000, 0.99999))))
    assert "cannot be remembered from rows: 100% of the held-out rows" in line


def test_what_a_word_is() -> None:
    rows = [UnseenRow(f"{i} x{i % 3}", (f"sum {i + 1000}", f"kind {'abc'[i % 3] * 2}")) for i in range(60)]
    known = Lookups(rows)
    assert known.form == {"sum", "kind", "aa", "bb", "cc"}
    assert known.made(rows[5], 0) == {"1005"} and known.made(rows[5], 1) == set()
    assert known.worked_out(rows[5]) == {("sum", "1005")}
    months = [UnseenRow(f"{i} {MONTHS[i % 12]}", (f"month {i % 12 + 21}",)) for i in range(120)]
    assert Lookups(months).worked_out(months[7]) == set()  # Aug is always 28
