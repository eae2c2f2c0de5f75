"""The page of an episode says what the transcript says, and escapes whatever stood in it."""

from acting import called

from clearhead.agents.steps import Action, Answer, Observation, Plan, Step, Subtask, Summary, Task, Thought
from clearhead.agents.trace import PartDone, calls, forgotten, plans, totals, turns
from clearhead.agents.transcript import Entry, Transcript
from clearhead.report.agent import columns_of, render

HEADER = {"agent": 1, "model": "m", "tools": ["calculator"], "style": "", "seed": 3, "max_steps": 20, "plan": True}
PLAN = Plan((Subtask("pears"), Subtask("plums <b>"), Subtask("sum", (1, 2))))
ENTRIES = (
    Entry(Task("How many?")),
    Entry(PLAN, prompt=50, generated=20, computed=50, seconds=1.0),
    Entry(Action("part", {"number": 1}, 1), prompt=60, generated=1, computed=9, seconds=0.5),
    Entry(Action("part", {"number": 2}, 2)),
    Entry(Task("pears"), "1"),
    Entry(Action("look", {"name": "<script>"}, 1), "1", 30, 5, 30, 0.25),
    Entry(Observation("4", 1), "1", seconds=0.125),
    Entry(Answer("4"), "1", 40, 5, 10, 0.25),
    Entry(Observation("4", 1), seconds=9.0),
    Entry(Observation("nothing", 2, False), seconds=9.0),
    Entry(Summary("pears are 4", 1, 5), prompt=90, generated=3, computed=3, seconds=0.5),
    Entry(Thought("So."), prompt=70, generated=9, computed=20, seconds=0.5),
    Entry(Action("look", {"name": "x"}, 3)),
    Entry(Observation("9", 3), seconds=0.25),
)


def test_figures_of_a_transcript() -> None:
    made = calls(ENTRIES)
    assert [(call.agent, call.tool, call.result, call.ok) for call in made] == [
        ("", "part", "4", True), ("", "part", "nothing", False), ("1", "look", "4", True), ("", "look", "9", True),
    ]  # fmt: skip
    assert [turn.prompt for turn in turns(ENTRIES)] == [50, 60, 30, 40, 90, 70]
    assert forgotten(ENTRIES) == [(2, 5, 5, "pears are 4")]
    assert plans(ENTRIES)[0][:2] == [
        PartDone(Subtask("pears"), (("1", True, "4"),)),
        PartDone(Subtask("plums <b>"), (("2", False, "nothing"),)),
    ]
    spent = totals(ENTRIES)
    assert (spent.model_seconds, spent.tool_seconds) == (3.0, 0.375)  # the time of parts is counted once
    assert (spent.calls, spent.failed_calls, spent.generated_tokens) == (4, 1, 43)


def test_the_page_holds_all_of_it_and_nothing_of_it_is_markup() -> None:
    page = render(Transcript(HEADER, ENTRIES, "steps"))
    for text in ("How many?", "✓ 1. pears", "✗ 2. plums &lt;b&gt;", "· 3. sum", "pears are 4", "It came to no answer"):
        assert text in page
    assert "<b>plums" not in page and page.count("<script") == 1 and "&lt;script&gt;" in page
    assert render(Transcript(HEADER, ENTRIES[:1])).count("<section") == 2


def test_an_answer_heads_the_page() -> None:
    steps: list[Step] = [Task("t"), *called("look", 1, name="a"), Answer("It is 4.")]
    page = render(Transcript(HEADER, tuple(map(Entry, steps)), "answered"))
    assert "<h1>It is 4.</h1>" in page


def test_parts_stand_behind_all_that_they_need() -> None:
    parts = [PartDone(Subtask(str(needs), needs), ()) for needs in [(3,), (), (2,), ()]]
    assert columns_of(parts) == [[2, 4], [3], [1]]
    assert columns_of([PartDone(Subtask("a", (1,)), ())]) == [[1]]
