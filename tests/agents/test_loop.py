"""The loop by a script: what is told, what ends it, what an interruption leaves, and the same once more from a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from acting import TOOLS, Told, called

from clearhead.agents import transcript
from clearhead.agents.calls import allow, deny
from clearhead.agents.loop import Limits, Outcome, ended, interrupted, pending, run, run_together, turns
from clearhead.agents.policy import Decision, Scripted
from clearhead.agents.replay import replay
from clearhead.agents.steps import Action, Answer, Observation, Plan, Step, Subtask, Summary, Task, Thought
from clearhead.agents.tools import Tool, tool
from clearhead.agents.transcript import Entry
from clearhead.errors import UserError

TASK = Task("Pears and plums together?")
SCRIPT: list[list[Step]] = [
    [Thought("Both."), Action("look", {"name": "pears"}, 1), Action("look", {"name": "plums"}, 2)],
    [Action("add", {"a": 4, "b": 9}, 3)],
    [Answer("13")],
]
HEADER: Mapping[str, Any] = {
    "model": "none", "tools": [], "style": "bare", "seed": 0, "max_steps": 20, "plan": False,
}  # fmt: skip


def go(
    script: Sequence[Sequence[Step]], tools: Mapping[str, Tool] = TOOLS, told: Told | None = None, **limits: int
) -> Outcome:
    return run([TASK], Scripted(script), tools, Limits(**limits), deny, told or Told())


def test_calls_of_one_step_are_observed_together_and_the_answer_ends_it() -> None:
    told = Told()
    made = go(SCRIPT, told=told)
    assert made.ended == "answered" and made.answer == "13" and turns(made.steps) == 3
    assert made.steps == [
        TASK,
        *SCRIPT[0],
        Observation("4", 1),
        Observation("9", 2),
        *SCRIPT[1],
        Observation("13", 3),
        Answer("13"),
    ]
    assert told.steps == made.steps[1:]


def test_whatever_is_wrong_with_a_call_is_an_observation() -> None:
    made = go(
        [[Action("look", {"name": "figs"}, 1), Action("loock", {}, 2), Action("add", {"a": "x"}, 3)], [Answer("?")]]
    )
    assert [step.ok for step in made.steps if isinstance(step, Observation)] == [False] * 3
    assert made.answer == "?"


def test_it_ends_after_so_many_steps() -> None:
    made = go([[Action("add", {"a": 1, "b": i}, i)] for i in range(9)], steps=4)
    assert made.ended == "steps" and made.answer is None and turns(made.steps) == 4


def test_a_call_that_is_repeated_is_told_and_then_ends_it() -> None:
    calls: list[int] = []

    def poke(at: int) -> str:
        """Pokes."""
        calls.append(at)
        return "nothing"

    made = go([[Action("poke", {"at": 1}, i)] for i in range(1, 20)], {"poke": tool(poke)}, repeats=3)
    assert made.ended == "repeats" and len(calls) == 3
    seen = [step for step in made.steps if isinstance(step, Observation)]
    assert [step.ok for step in seen] == [True] * 3 + [False] * 3 and "made 3 times and gave the same" in seen[3].text


def test_a_call_whose_result_changes_is_no_repetition() -> None:
    calls: list[int] = []

    def tick() -> int:
        """Ticks."""
        calls.append(1)
        return len(calls)

    script: list[list[Step]] = [[Action("tick", {}, i)] for i in range(1, 9)]
    assert go([*script, [Answer("8")]], {"tick": tool(tick)}).answer == "8"
    again = [
        TASK,
        *called("look", 1, name="a"),
        *called("look", 2, name="a"),
        *called("add", 3),
        *called("look", 4, name="a"),
    ]
    assert ended(again, Limits(repeats=1)) is None
    assert ended([*again[:-2], Plan((Subtask("p"),)), *again[-2:]], Limits(repeats=1)) is None


def test_nothing_that_happened_is_lost_to_an_interruption(tmp_path: Path) -> None:
    """Ctrl-C in a tool: every step before it is in the file, and the episode goes on from there."""

    def stop() -> str:
        """Stops."""
        raise AssertionError

    path = tmp_path / "t.jsonl"
    transcript.create(path, HEADER)
    transcript.append(path, [Entry(TASK)])

    def act(actions: Sequence[Action], tools: Mapping[str, Tool], approve: object) -> list[Observation]:
        if actions[0].tool == "add":
            raise KeyboardInterrupt
        return [Observation("4", action.id) for action in actions]

    with pytest.raises(KeyboardInterrupt):
        run([TASK], Scripted(SCRIPT), TOOLS, Limits(), deny, lambda entries: transcript.append(path, entries), act)
    found = transcript.read(path)
    steps = found.steps()
    assert steps == [TASK, *SCRIPT[0], Observation("4", 1), Observation("4", 2), *SCRIPT[1]] and found.ended is None
    assert pending(steps) == SCRIPT[1]
    assert interrupted(steps, TOOLS) == []  # what only reads is called again
    writing = {"add": tool(stop, writes=True)}
    assert [seen.ok for seen in interrupted(steps, writing)] == [False]
    assert run(steps, Scripted(SCRIPT[2:]), TOOLS, Limits(), allow, Told()).answer == "13"


def test_a_transcript_runs_again_without_model_and_tools(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    transcript.create(path, HEADER)
    transcript.append(path, [Entry(TASK)])
    script = [*SCRIPT[:2], [Summary("pears 4", 1, 4)], [Answer("13")]]
    made = run([TASK], Scripted(script), TOOLS, Limits(), deny, lambda entries: transcript.append(path, entries))
    transcript.end(path, made.ended)
    found = transcript.read(path)
    assert found.ended == "answered" and found.steps() == made.steps and replay(found) == made
    again = tmp_path / "again.jsonl"
    transcript.create(again, HEADER)
    transcript.append(again, found.entries)
    transcript.end(again, "answered")
    assert again.read_bytes() == path.read_bytes()


def test_a_torn_last_line_is_left_out_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    transcript.create(path, HEADER)
    transcript.append(path, [Entry(TASK), Entry(Thought("so"), prompt=5, seconds=0.5)])
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": "actio')
    assert transcript.read(path).entries == (Entry(TASK), Entry(Thought("so"), prompt=5, seconds=0.5))
    assert replay(transcript.read(path)) is None
    transcript.repair(path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[1]", "line 3 is no JSON object"),
        ('{"step": "actoin"}', "step = 'actoin' is none of"),
        ('{"step": "observation", "text": "5", "id": 4, "ok": true}', "answers call 4, which was not made"),
        ('{"step": "thought", "text": 5}', "text = 5 of a thought is no str"),
        ('{"step": "thought", "text": "a", "seconds": "x"}', "seconds = 'x' is no number"),
        ('{"step": "thought", "text": "a", "by": "3"}', "begins part 3 without a task"),
    ],
)
def test_what_no_run_can_have_written_is_told_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "t.jsonl"
    transcript.create(path, HEADER)
    transcript.append(path, [Entry(TASK)])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=told) as error:
        transcript.read(path)
    assert "\n" not in str(error.value)


def test_another_file_is_no_transcript(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with pytest.raises(UserError, match="there is no transcript"):
        transcript.read(path)
    for content, told in [(b'{"a": 1}\n', "lacks agent"), (b"\xff\n", "no transcript"), (b"", "no JSON object")]:
        path.write_bytes(content)
        with pytest.raises(UserError, match=told):
            transcript.read(path)


def test_episodes_run_together_as_each_would_alone() -> None:
    def following(steps: Sequence[Step]) -> Step:
        seen, task = steps[-1], steps[0]
        assert isinstance(task, Task)
        return Answer(seen.text) if isinstance(seen, Observation) else Action("look", {"name": task.text}, 1)

    def policy(episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        return [Decision((following(steps),)) for steps in episodes]

    begun: dict[str, list[Step]] = {"1": [Task("pears")], "2": [Task("plums")], "3": [Task("figs")]}
    told = Told()
    made = run_together(begun, policy, TOOLS, Limits(), deny, told)
    assert [made[name].answer for name in begun][:2] == ["4", "9"]
    for name, steps in begun.items():
        assert run(steps, policy, TOOLS, Limits(), deny, Told()) == made[name]
        assert [entry.step for entry in told.entries if entry.agent == name] == made[name].steps[1:]
