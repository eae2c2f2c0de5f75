"""Steps drawn under the grammar of the tools: every call of every model is one that its schema allows."""

import random
from collections.abc import Mapping
from typing import Any

import pytest
from acting import ASCII, TOOLS, FunctionModel, random_engine
from jsonschema import Draft202012Validator

from clearhead.agents.grammar import CALLS, next_id, read_step, step_grammar
from clearhead.agents.policy import Decision, ModelPolicy
from clearhead.agents.prompt import load_style
from clearhead.agents.steps import Action, Answer, Observation, Step, Task, Thought
from clearhead.agents.tools import Tool
from clearhead.errors import UserError
from clearhead.generation.language_model import Continuation, SamplingParams
from clearhead.generation.request import Request

BARE = load_style("bare")

VALUES: list[dict[str, Any]] = [
    {"type": "string", "maxLength": 4},
    {"type": "integer", "minimum": -9, "maximum": 99},
    {"type": "boolean"},
    {"enum": ["red", 'a "b"', 3, None]},
    {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 9}, {"type": "null"}]},
    {"type": "array", "items": {"enum": [1, 2]}, "minItems": 1, "maxItems": 3},
]


def tools(seed: int) -> dict[str, Tool]:
    """Five tools of random schemas."""
    rng, made = random.Random(seed), {}
    for i in range(5):
        properties = {name: rng.choice(VALUES) for name in rng.sample(["a", "b c"], rng.choice([1, 1, 2]))}
        required = [name for name in properties if rng.random() < 0.7]
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        made[f"t{i}"] = Tool(f"t{i}", "Does it.", schema, print)
    return made


def count(text: str) -> int:
    return len(ASCII.encode(text))


def check(decision: Decision, offered: Mapping[str, Tool]) -> int:
    """How many calls it holds, all of them as their schemas ask."""
    made = [step for step in decision.steps if isinstance(step, Action)]
    for step in made:
        Draft202012Validator(dict(offered[step.tool].schema)).validate(step.arguments)
    return len(made)


def test_calls_over_fifty_schemas_are_valid_by_construction() -> None:
    """Of random weights, each tool alone, all at once."""
    engine = random_engine().engine
    asked, texts = dict[int, dict[str, Tool]](), dict[int, list[int]]()
    for seed in range(10):
        offered, prompt = tools(seed), ASCII.encode(f"Task: task {seed}\n")
        for name in offered:
            only = step_grammar(offered, only=name)
            asked[engine.add(Request(prompt, SamplingParams(max_tokens=110), seed, constraint=only))] = offered
    while engine.unfinished:
        for event in engine.step():
            texts.setdefault(event.request, []).append(event.token.id)
    made = {number: read_step(ASCII.decode(ids), 1) for number, ids in texts.items()}
    assert sum(check(Decision(tuple(made[number])), offered) for number, offered in asked.items()) == 50
    assert len({(step.tool, str(step.arguments)) for steps in made.values() for step in steps}) > 40


def test_thoughts_calls_and_answers_of_the_whole_grammar_are_valid() -> None:
    offered, kinds = tools(3), set()
    policy = ModelPolicy(random_engine(), offered, BARE, count, 500, SamplingParams(max_tokens=60))
    for made in policy([[Task(f"task {i}")] for i in range(40)]):
        check(made, offered)
        kinds |= {type(step) for step in made.steps}
    assert kinds >= {Action, Answer}


@pytest.mark.parametrize("name", ["add", "look"])
def test_a_call_that_does_not_fit_is_drawn_again_as_that_call(name: str) -> None:
    cut = f'Thought: well\nAction: {name} {{"'
    engine = random_engine()
    policy = ModelPolicy(engine, TOOLS, BARE, len, 500, SamplingParams(max_tokens=80))
    (node,) = engine.open(["Task: x\n"])
    steps = policy._read(node, Continuation(node, cut, 0.0, 80, False, True), 1, 0)
    assert [type(step) for step in steps] == [Action] and steps[0].tool == name  # type: ignore[union-attr]


def test_steps_are_read_back() -> None:
    text = 'Thought: two at once\nAction: add {"a": 1, "b": 2}\nAction: look {"name": "a: b"}\nObservation:'
    assert read_step(text, 7) == [
        Thought("two at once"),
        Action("add", {"a": 1, "b": 2}, 7),
        Action("look", {"name": "a: b"}, 8),
    ]
    assert read_step("Answer: 5\n", 1) == [Answer("5")]
    assert read_step("Answer: 5\n6", 1) == [Answer("5\n6")]
    assert next_id([Action("a", {}, 7), Action("b", {}, 8)]) == 9


@pytest.mark.parametrize(
    "text", ["", "5", "Thought: so\n", "Action: add {}", "Action: add {\nObservation:", "Action: add 5\nObservation:"]
)
def test_a_text_of_no_grammar_is_told(text: str) -> None:
    with pytest.raises(UserError, match="the model wrote"):
        read_step(text, 1)


def test_a_model_that_holds_to_no_grammar_is_asked_again_and_then_told() -> None:
    said = iter(["nonsense", 'Action: add {"a": 1, "b": 2}\nObservation:'])
    policy = ModelPolicy(FunctionModel(lambda text, seed: next(said)), TOOLS, BARE, len, 500)
    (decision,) = policy([[Task("t")]])
    assert decision.steps == (Action("add", {"a": 1, "b": 2}, 1),)
    stubborn = ModelPolicy(FunctionModel(lambda text, seed: "no"), TOOLS, BARE, len, 500)
    with pytest.raises(UserError, match="'no', which is neither an Action nor an Answer"):
        stubborn([[Task("t")]])


def test_a_schema_that_no_text_fits_is_told() -> None:
    odd = {"t": Tool("t", "", {"type": "object", "properties": {"a": {"type": "strin"}}, "required": ["a"]}, print)}
    policy = ModelPolicy(random_engine(), odd, BARE, len, 500)
    with pytest.raises(UserError, match="grammar cannot be used"):
        policy([[Task("t")]])


def test_without_tools_there_is_only_an_answer() -> None:
    policy = ModelPolicy(random_engine(), {}, BARE, len, 300, SamplingParams(max_tokens=60))
    for decision in policy([[Task(f"t{i}")] for i in range(8)]):
        assert isinstance(decision.steps[-1], Answer) and decision.steps[-1].text is not None


def test_what_was_read_is_not_computed_again() -> None:
    """From the second step on, what goes through the model is what is new: the drawn text and the observation."""
    policy = ModelPolicy(random_engine(), TOOLS, BARE, count, 510, SamplingParams(max_tokens=40))
    steps: list[Step] = [Task("t")]
    known = 0
    for i in range(1, 4):
        (made,) = policy([steps])
        assert made.computed <= made.prompt - known + made.generated < made.prompt + made.generated or i == 1
        known = made.prompt
        steps += [Action("look", {"name": "pears"}, i), Observation("4", i)]


def test_a_step_depends_on_no_other_episode() -> None:
    def policy() -> ModelPolicy:
        return ModelPolicy(random_engine(), TOOLS, BARE, len, 400, SamplingParams(max_tokens=60))

    episodes = [[Task("a")], [Task("bb")], [Task("ccc")]]
    together = [made.steps for made in policy()(episodes)]
    assert together == [policy()([episode])[0].steps for episode in episodes]
    assert len([step for step in together[0] if isinstance(step, Action)]) <= CALLS
