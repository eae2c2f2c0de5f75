"""Looking ahead in a house with a pit: the likeliest step falls in, the imagined one does not; mistakes are learned.

tower - treasure
  |
hall  - pit            what the model proposes first, wherever it is, is to go east
  |
cellar - treasure?     which the model believes, and which is walled up
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from acting import FunctionModel, Told

from clearhead.agents.calls import deny
from clearhead.agents.loop import Limits, Outcome, run, turns
from clearhead.agents.policy import ModelPolicy, Policy
from clearhead.agents.prompt import load_style
from clearhead.agents.scratchpad import scratchpad
from clearhead.agents.steps import Action, Answer, Expectation, Observation, Step, Task
from clearhead.agents.tools import Tool, tool
from clearhead.agents.world_model import DEPTH, Imagined, WorldModelPolicy
from clearhead.errors import UserError
from clearhead.generation.language_model import SamplingParams

HOUSE = {"hall": {"east": "pit", "north": "tower", "south": "cellar"}, "tower": {"east": "treasure", "south": "hall"},
         "cellar": {"north": "hall"}, "pit": {}}  # fmt: skip
BELIEVED = {**HOUSE, "cellar": {"east": "treasure", "north": "hall"}}
TASK = Task("Find the treasure; you are in the hall.")


@dataclass
class House:
    """The tool, which moves whoever calls it."""

    where: str = "hall"
    visited: list[str] = field(default_factory=list)

    def tools(self) -> dict[str, Tool]:
        def go(direction: str) -> str:
            """Go to another room."""
            self.where = HOUSE[self.where].get(direction, self.where)
            self.visited.append(self.where)
            return self.where

        return {"go": tool(go)}


@dataclass
class Mind:
    """A model that would go east, believes in a house, reads its facts, and judges by the room it would be in.

    `order`: the directions it proposes, the likeliest first and thrice.
    """

    order: Sequence[str] = ("east", "east", "east", "north")
    judges: bool = True

    def answer(self, text: str, seed: int) -> str:
        task = text.rpartition("Task: ")[2]
        rooms = re.findall(r"Observation: (\w+)\n", task)
        room = rooms[-1] if rooms else "hall"
        if task.endswith("Observation:"):
            call = re.findall(r"Action: (.*)\n", task)[-1]
            if found := re.search(rf"{re.escape(call)} gave (\w+), not", text):
                return f" {found[1]}"
            direction = re.findall(r'"direction": "(\w+)"', call)[0]
            return f" {BELIEVED.get(room, {}).get(direction, room)}"
        if room == "treasure":
            return "Answer: the treasure"
        return f'Action: go {{"direction": "{self.order[seed % 4]}"}}\nObservation:'

    def likelihood(self, text: str, continued: str) -> float:
        assert "yes or no" in text
        rooms = re.findall(r"Observation: (\w+)\n", text)
        good = {"treasure": 3.0, "pit": -3.0}.get(rooms[-1] if rooms else "hall", 0.0) if self.judges else 0.0
        return good if "yes" in continued.lower() else -good


def explore(mind: Mind, house: House, ahead: bool, steps: Sequence[Step] = (TASK,)) -> Outcome:
    model, style = FunctionModel(mind.answer, mind.likelihood), load_style("react")
    made = ModelPolicy(model, house.tools(), style, len, 8000, SamplingParams(max_tokens=200))
    policy: Policy = WorldModelPolicy(made) if ahead else made
    outcome = run(steps, policy, house.tools(), Limits(steps=10), deny, Told())
    assert len(model.texts) == len(made._held), "what was opened to look ahead is closed"
    return outcome


def test_the_likeliest_step_falls_into_the_pit_and_the_imagined_one_does_not() -> None:
    fallen, found = House(), House()
    assert explore(Mind(), fallen, ahead=False).answer is None and set(fallen.visited) == {"pit"}
    made = explore(Mind(), found, ahead=True)
    assert made.answer == "the treasure" and found.visited == ["tower", "treasure"]
    kinds = [type(step) for step in made.steps]
    assert kinds == [Task, *[Expectation, Action, Observation] * 2, Answer] and turns(made.steps) == 3
    assert scratchpad(made.steps).facts == (), "all was as expected"


def test_it_is_the_judgment_that_saves_it() -> None:
    """The same search with a model that judges everything alike."""
    house = House()
    assert explore(Mind(judges=False), house, ahead=True).answer is None and "pit" in house.visited


def test_what_comes_out_otherwise_is_a_fact_and_changes_the_next_prediction() -> None:
    house = House()
    made = explore(Mind(order=("east", "south", "south", "north")), house, ahead=True)
    assert made.answer == "the treasure"
    assert house.visited[:2] == ["cellar", "cellar"], "the way that it believed in"
    assert house.visited[-2:] == ["tower", "treasure"], "and believed in no longer"
    assert scratchpad(made.steps).facts[0] == 'go {"direction": "east"} gave cellar, not treasure'


def test_only_the_first_imagined_step_is_taken_and_a_path_ends_at_an_answer_or_at_its_depth() -> None:
    state = Imagined((TASK,), 1)
    assert not state.done
    for i in range(DEPTH):
        assert not state.done
        state = state.after([Action("go", {"direction": "north"}, i + 1)], lambda call: f"room {call.id}")
    assert state.done and state.steps[1:4] == (
        Expectation("room 1", 1),
        Action("go", {"direction": "north"}, 1),
        Observation("room 1", 1),
    )
    assert Imagined((TASK,), 1).after([Answer("here")], lambda call: "").done


def test_a_style_without_words_for_it_is_refused_and_no_readable_step_is_told() -> None:
    model = FunctionModel(lambda text, seed: "hm", lambda text, more: 0.0)
    with pytest.raises(UserError, match="does not say how steps are judged"):
        WorldModelPolicy(ModelPolicy(model, {}, load_style("bare"), len, 900))
    policy = WorldModelPolicy(ModelPolicy(model, House().tools(), load_style("react"), len, 8000))
    with pytest.raises(UserError, match="proposed no step that can be read"):
        policy([[TASK]])
