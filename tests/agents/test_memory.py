"""What is in mind when: the cost of a step is flat over 500 of them, and what left is found again."""

from pathlib import Path

import numpy as np
import pytest
from acting import TOOLS, FunctionModel, Told, called

from clearhead.agents.calls import deny
from clearhead.agents.loop import Limits, run
from clearhead.agents.memory import Memory, extracted
from clearhead.agents.policy import ModelPolicy
from clearhead.agents.prompt import begin, load_style
from clearhead.agents.scratchpad import scratchpad
from clearhead.agents.steps import Answer, Plan, Step, Subtask, Summary, Task
from clearhead.agents.vectors import MOST, Embedding, VectorStore
from clearhead.errors import UserError
from clearhead.generation.language_model import SamplingParams


def test_the_cost_of_a_step_is_flat_over_500_steps() -> None:
    calls = iter(range(1, 10_000))

    def answer(text: str, seed: int) -> str:
        i = next(calls)
        return f'Thought: number {i}\nAction: add {{"a": {i}, "b": {i % 7}}}\nObservation:'

    told, memory = Told(), Memory()
    policy = ModelPolicy(
        FunctionModel(answer), TOOLS, load_style("bare"), len, 900, SamplingParams(max_tokens=200), memory=memory
    )
    run([Task("Add for ever.")], policy, TOOLS, Limits(500), deny, told)
    prompts = [entry.prompt for entry in told.entries if entry.prompt and not isinstance(entry.step, Summary)]
    assert len(prompts) == 500 and max(prompts) <= policy.budget
    second, last = (sum(prompts[start : start + 100]) / 100 for start in (100, 400))
    assert last <= 1.05 * second
    assert len(memory.store.texts) > 400  # what left is kept to be found


def test_a_summary_stands_in_for_what_left_and_recall_finds_it() -> None:
    def answer(text: str, seed: int) -> str:
        made = text.count("Action:")
        return (
            f'Action: look {{"name": "{"plums" if seed % 2 else "pears"}"}}\nObservation:'
            if made < 99
            else "Answer: x\n"
        )

    steps: list[Step] = [Task("Where is the treasure?")]
    steps += called("look", 1, "the treasure is under the oak", name="treasure")
    for i in range(2, 40):
        steps += called("add", i, str(2 * i), a=i, b=i)
    policy = ModelPolicy(
        FunctionModel(answer), TOOLS, load_style("bare"), len, 700, SamplingParams(max_tokens=100), memory=Memory()
    )
    (made,) = policy([steps])
    (summary,) = made.steps
    assert isinstance(summary, Summary) and summary.first == 1 and summary.last > 1
    steps.append(summary)
    assert begin(steps) == summary.last + 1 and "Summary: " in policy.prompt(steps).text
    steps += called("look", 90, "where was the treasure?", name="x")
    assert "Recalled: look" in policy.prompt(steps).text and "under the oak" in policy.prompt(steps).trail
    assert isinstance(policy([steps])[0].steps[0], type(steps[1]))  # and now a call


def test_a_running_summary_is_bounded_and_drops_the_oldest_first() -> None:
    steps: list[Step] = [Task("t")]
    for i in range(1, 60):
        steps += called("add", i, str(i), a=i, b=0)
        if i % 20 == 0:
            steps.append(Summary(extracted(steps, len(steps) - 1, 300, len), 1, len(steps) - 1))
    text = steps[-1].text if isinstance(steps[-1], Summary) else extracted(steps, len(steps) - 1, 300, len)
    assert len(text) <= 300 and text.endswith('add {"a": 59, "b": 0} = 59') and '"a": 1,' not in text


def test_the_model_writes_the_summary_where_the_style_says_how() -> None:
    asked: list[str] = []

    def answer(text: str, seed: int) -> str:
        asked.append(text)
        return "All is well."

    steps: list[Step] = [Task("t")]
    for i in range(1, 99):
        steps += called("add", i, str(i), a=i, b=0)
    policy = ModelPolicy(FunctionModel(answer), TOOLS, load_style("react"), len, 4000, SamplingParams(max_tokens=400))
    assert policy([steps])[0].steps[0].text == "All is well."  # type: ignore[union-attr]
    assert "Steps of somebody at work" in asked[0] and len(asked[0]) <= policy.budget


def test_the_scratchpad_is_a_function_of_the_steps() -> None:
    plan = Plan((Subtask("look"), Subtask("add", (1,)), Subtask("look again")))
    steps: list[Step] = [Task("t"), *called("note", 1, "noted", fact="a is 4"), plan]
    steps += [*called("part", 2, "4", number=1), *called("part", 3, "no", ok=False, number=3)]
    steps += [*called("note", 4, "noted", fact="b is 9"), *called("note", 5, "noted", fact="a is 4")]
    found = scratchpad(steps)
    assert (
        found.facts == ("b is 9", "a is 4")
        and found.done == {1: "4"}
        and found.failed == {3: 1}
        and found.ready == [2, 3]
    )
    assert scratchpad([*steps, Plan((Subtask("x"),))]).done == {}


def test_a_file_brings_facts_and_results_to_the_next_episode(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    first = Memory(path)
    assert first.known() == []
    first.keep([Task("Who painted it?"), *called("note", 1, "noted", fact="the painter is Vermeer"), Answer("Vermeer")])
    first.close()
    second = Memory(path)
    assert second.known() == [Summary("the painter is Vermeer", 1, 0)]
    assert "Who painted it? = Vermeer" in second.recall([Task("Who painted it?"), *second.known()])
    assert begin([Task("x"), *second.known()]) == 1  # they stand in for no step


def test_a_store_keeps_the_newest_and_finds_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearhead.agents.vectors.MOST", 5)
    store = VectorStore(tmp_path / "s.db")
    for i in range(9):
        store.add("result", [f"word{i} common"])
    store.add("result", ["word8 common"])  # again
    again = VectorStore(tmp_path / "s.db")
    assert store.texts == again.texts == [f"word{i} common" for i in range(4, 9)]
    assert np.allclose(np.stack(store.vectors), np.stack(again.vectors))
    assert again.nearest("word6 common", 1, 0.3) == ["word6 common"] and again.nearest("other", 3, 0.3) == []
    assert MOST == 5000


def test_a_file_that_is_no_memory_or_of_another_embedding_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database" * 99)
    with pytest.raises(UserError, match="is no memory file"):
        VectorStore(tmp_path / "x.db")
    VectorStore(tmp_path / "y.db").close()
    with pytest.raises(UserError, match="holds vectors of bag-of-words-256, not of other"):
        VectorStore(tmp_path / "y.db", Embedding("other", lambda texts: np.zeros((len(texts), 2), np.float32)))
