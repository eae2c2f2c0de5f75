import re

from clearhead.reasoning import mistakes
from clearhead.report import answers, render
from clearhead.report.answers import CELL_CHARS, KINDS


def page(shown, counts, **more):
    part = {"strategy": "greedy", "counts": counts, "shown": shown}
    strategy = {"name": "greedy", "label": "First try", **more}
    return render({"evaluation": {"t": {"strategies": [strategy], "answers": [part]}}}).replace("\u202f", " ")


def answer(problem, given, expected, kind=None, **more):
    return {"problem": problem, "given": given, "expected": expected, "kind": kind, **more}


def groups(html):
    """Each folded group of answers: its heading, and the cells of its rows."""
    section = html[html.index('id="answers"') :]
    section = section[: section.index("</section>")]
    found = {}
    for heading, body in re.findall(r"<summary>(.*?)</summary>(.*?)</details>", section, re.S):
        rows = re.findall(r"<tr>(.*?)</tr>", body.partition("<tbody>")[2], re.S)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows]
        found[heading.replace("\u00a0", " ")] = [[re.sub("<[^>]*>", "", cell) for cell in row] for row in cells]
    return found


def test_the_kinds_are_those_that_are_told_apart():
    assert KINDS == mistakes.KINDS and answers.RIGHT not in KINDS


def test_given_stands_beside_expected_the_wrong_ones_first():
    shown = [
        answer("2+2", "4", "4"),
        answer("67×89", "5953", "5963", "near miss"),
        answer("9+9", None, "18", "cut off"),
        answer("8+8", None, "16", "malformed", ended="=1 6"),
        answer("7+7", "41", "14", "wrong"),
    ]
    counts = {"right": 90, "near miss": 1, "cut off": 2, "malformed": 1, "wrong": 1}
    found = groups(page(shown, counts))
    assert list(found.items()) == [
        ("✗ cut off: 2 problems, 1 of them shown", [["9+9", "no answer", "18"]]),
        ("✗ malformed: 1 problem", [["8+8", "no answer, ended with =1 6", "16"]]),
        ("✗ near miss: 1 problem", [["67×89", "5953", "5963"]]),
        ("✗ wrong: 1 problem", [["7+7", "41", "14"]]),
        ("✓ right: 90 problems, 1 of them shown", [["2+2", "4", "4"]]),
    ]


def test_an_answer_that_reads_none_is_an_answer():
    assert groups(page([answer("x", "none", "none")], {"right": 1})) == {"✓ right: 1 problem": [["x", "none", "none"]]}


def test_a_task_that_shows_no_right_answers_has_no_column_for_them():
    found = groups(page([answer("1 2 3 4", "1+2", None, "wrong")], {"wrong": 1}))
    assert found == {"✗ wrong: 1 problem": [["1 2 3 4", "1+2"]]}


def test_a_long_text_is_shortened():
    ((row,),) = groups(page([answer("p" * 999, "a", "b", "wrong")], {"wrong": 1})).values()
    assert row[0] == "p" * CELL_CHARS + "…"


def test_the_kinds_of_each_strategy_are_counted():
    kinds = {"right": 30, "cut off": 15, "malformed": 6, "near miss": 6, "wrong": 3}
    html = page([], {}, kinds=kinds, cut=12, drawn=96)
    table = re.search(r'aria-label="kinds of mistakes".*?<tbody>(.*?)</tbody>', html, re.S)[1]
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", table)
    assert cells == ["First try", "50.0 %", "25.0 %", "10.0 %", "10.0 %", "5.0 %", "60", "12.5 %"]
    assert "answers" not in re.findall(r'id="(\w+)"', page([], {}, kinds={})), "nothing to count, nothing told"
