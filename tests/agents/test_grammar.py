"""Steps drawn under the grammar of the tools: every call of every model is one that its schema allows."""

import json
import random
from typing import Any

import pytest
from acting import ASCII, TOOLS, FunctionModel, random_engine
from jsonschema import Draft202012Validator

from clearhead.agents.grammar import CALLS, next_id, read_step, step_grammar
from clearhead.agents.policy import ModelPolicy
from clearhead.agents.prompt import load_style
from clearhead.agents.steps import Action, Answer, Task, Thought
from clearhead.agents.tools import Tool
from clearhead.errors import UserError
from clearhead.generation.language_model import SamplingParams


def schema(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    """A random schema of a value."""
    kind = rng.choice(["string", "integer", "number", "boolean", "enum", "null", "array", "object", "anyOf"][: 9 - 3 * depth])
    if kind == "enum":
        return {"enum": rng.sample(["red", "green", 'a "b"', 3, None, True], 3)}
    if kind == "array":
        return {"type": "array", "items": schema(rng, depth + 1), "minItems": rng.randrange(3), "maxItems": 3}
    if kind == "anyOf":
        return {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 99}, {"type": "null"}]}
    if kind == "object":
        return arguments(rng, depth + 1)
    return {"type": kind, **({"maxLength": 12} if kind == "string" else {})}


def arguments(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    names = [f"p{i}" for i in range(rng.randrange(1, 5 - depth))]
    properties = {name: schema(rng, depth) for name in names}
    required = [name for name in names if rng.random() < 0.6]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def tools(seed: int, n: int) -> dict[str, Tool]:
    rng = random.Random(seed)
    return {f"tool_{i}": Tool(f"tool_{i}", "Does it.", arguments(rng), lambda **given: given) for i in range(n)}


def test_a_thousand_calls_over_fifty_schemas_are_valid_by_construction() -> None:
    """Random weights; the answer is taken out of the grammar, so that every step calls."""
    engine, valid = random_engine(), 0
    for seed in range(10):
        offered = tools(seed, 5)
        policy = ModelPolicy(
            engine, offered, load_style("bare"), lambda text: len(ASCII.encode(text)), 500,
            SamplingParams(max_tokens=160), seed,
        )  # fmt: skip
        policy.grammar = step_grammar(offered, only=f"tool_{seed % 5}") if False else _calls_only(policy.grammar)
        for decision in policy([[Task(f"task {i}")] for i in range(100)]):
            for step in decision.steps:
                if isinstance(step, Action):
                    Draft202012Validator(dict(offered[step.tool].schema)).validate(step.arguments)
                    valid += 1
        policy.close()
    assert valid >= 1000


def _calls_only(grammar: Any) -> Any:
    return type(grammar)(grammar.kind, grammar.text.replace(" | answer)", ")"))


@pytest.mark.parametrize("name", ["add", "look"])
def test_a_call_that_does_not_fit_is_drawn_again_as_that_call(name: str) -> None:
    cut = f'Thought: well\nAction: {name} {{"'
    engine = random_engine()
    policy = ModelPolicy(engine, TOOLS, load_style("bare"), len, 500, SamplingParams(max_tokens=80))
    (node,) = engine.open(["Task: x\n"])
    from clearhead.generation.language_model import Continuation

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
    policy = ModelPolicy(FunctionModel(lambda text, seed: next(said)), TOOLS, load_style("bare"), len, 500)
    (decision,) = policy([[Task("t")]])
    assert decision.steps == (Action("add", {"a": 1, "b": 2}, 1),)
    stubborn = ModelPolicy(FunctionModel(lambda text, seed: "no"), TOOLS, load_style("bare"), len, 500)
    with pytest.raises(UserError, match="'no', which is neither an Action nor an Answer"):
        stubborn([[Task("t")]])


def test_a_schema_that_no_text_fits_is_told() -> None:
    odd = {"t": Tool("t", "", {"type": "object", "properties": {"a": {"type": "strin"}}, "required": ["a"]}, print)}
    policy = ModelPolicy(random_engine(), odd, load_style("bare"), len, 500)
    with pytest.raises(UserError, match="grammar cannot be used"):
        policy([[Task("t")]])


def test_without_tools_there_is_only_an_answer() -> None:
    policy = ModelPolicy(random_engine(), {}, load_style("bare"), len, 300, SamplingParams(max_tokens=60))
    for decision in policy([[Task(f"t{i}")] for i in range(20)]):
        assert isinstance(decision.steps[-1], Answer) and decision.steps[-1].text is not None


def test_what_was_read_is_not_computed_again() -> None:
    """Over an episode each position goes through the model once, but for the last one of every drawn text."""
    engine = random_engine(3)
    policy = ModelPolicy(engine, TOOLS, load_style("bare"), lambda t: len(ASCII.encode(t)), 510, SamplingParams(max_tokens=60))
    steps: list[Any] = [Task("t")]
    for i in range(1, 4):
        (made,) = policy([steps])
        before = made.prompt
        if i > 1:
            assert made.computed <= before - known + made.generated + 1
            assert made.computed < before
        action = Action("look", {"name": "pears"}, i)
        steps += [action, *_seen(i)]
        known = before
    assert json.dumps({}) == "{}"


def _seen(i: int) -> list[Any]:
    from clearhead.agents.steps import Observation

    return [Observation("4", i)]


def test_a_step_depends_on_no_other_episode() -> None:
    def policy() -> ModelPolicy:
        return ModelPolicy(random_engine(), TOOLS, load_style("bare"), len, 400, SamplingParams(max_tokens=60))

    episodes = [[Task("a")], [Task("bb")], [Task("ccc")]]
    together = [made.steps for made in policy()(episodes)]
    assert together == [policy()([episode])[0].steps for episode in episodes]
    assert CALLS >= len([step for step in together[0] if isinstance(step, Action)])
