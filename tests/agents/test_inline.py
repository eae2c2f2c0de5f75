"""The style of small models trained on tasks with tools: a call and what came back are one line."""

import random

import pytest
from acting import ASCII, TOOLS, FunctionModel, random_engine

from clearhead.agents.calls import carry_out
from clearhead.agents.grammar import inline_grammar, read_inline
from clearhead.agents.loop import Limits, run
from clearhead.agents.opening import spelled
from clearhead.agents.policy import ModelPolicy
from clearhead.agents.prompt import inline, load_style, render
from clearhead.agents.steps import Action, Answer, Observation, Step, Task, Thought
from clearhead.errors import UserError
from clearhead.generation.constraint import Grammar
from clearhead.generation.language_model import SamplingParams
from clearhead.tasks.market import Market
from clearhead.tasks.task import CALL_END
from clearhead.text.tokenizer import CharTokenizer

STYLE = load_style("inline")
ARROWS = CharTokenizer(ASCII.alphabet + CALL_END)


def test_a_solution_of_a_task_with_tools_is_what_an_agent_reads() -> None:
    task = Market()
    for problem in task.problems("train", 30, 0):
        *calls, answer = task.solve(problem, random.Random(0))
        steps: list[Step] = [Task(problem)]
        for i, line in enumerate(calls, start=1):
            text, arrow, result = line.partition(CALL_END)
            (action,) = read_inline(text + arrow, i)
            assert isinstance(action, Action) and action.id == i
            steps += [action, Observation(result, i)]
        made = render(steps, TOOLS, STYLE, 9000, len)
        assert made.text == problem + "\n" + "".join(f"{line}\n" for line in calls)
        assert read_inline(answer, 1) == [Answer(answer)]


def test_an_episode_from_the_task_to_the_answer() -> None:
    said = {"add 2 to the pears\n": 'look {"name": "pears"}→', "": "6"}
    said['add 2 to the pears\nlook {"name": "pears"}→4\n'] = 'add {"a": 4, "b": 2}→'
    model = FunctionModel(lambda text, seed: said.get(text, "6"))
    policy = ModelPolicy(model, TOOLS, STYLE, len, 500, SamplingParams(max_tokens=60))
    made = run([Task("add 2 to the pears")], policy, TOOLS, Limits(9), lambda action, tool: True, lambda entries: None)
    assert made.answer == "6" and [type(step).__name__ for step in made.steps] == [
        "Task", "Action", "Observation", "Action", "Observation", "Answer",
    ]  # fmt: skip
    assert model.asked[-1] == 'add 2 to the pears\nlook {"name": "pears"}→4\nadd {"a": 4, "b": 2}→6\n'


def test_random_weights_write_calls_and_answers_alone() -> None:
    engine = random_engine()
    policy = ModelPolicy(engine, TOOLS, STYLE, len, 500, SamplingParams(max_tokens=60))
    for decision in policy([[Task(f"task {i}")] for i in range(40)]):
        (step,) = decision.steps
        assert isinstance(step, Action | Answer)
        if isinstance(step, Action):
            assert carry_out([step], TOOLS, lambda action, tool: True)[0].id == step.id
    policy.close()


def test_the_grammar_takes_what_it_should() -> None:
    def takes(text: str) -> bool:
        matcher = Grammar(inline_grammar(TOOLS), ARROWS).begin()
        return all(matcher.state.consume_token(token) for token in ARROWS.encode(text))

    assert takes('add {"a": 4, "b": 2}→') and takes("42") and takes("no such item")
    assert not takes('add {"a": "x"') and not takes("add {}→") and not takes('sub {"a": 1}→')


def test_steps_that_would_read_as_others() -> None:
    assert inline(Observation("a\nb", ok=False)) == "error: a b\n" and inline(Thought("hm")) == ""
    with pytest.raises(UserError, match="no call of a tool"):
        read_inline("add 4→", 1)


def test_characters_that_a_small_alphabet_lacks_are_left_out() -> None:
    assert spelled(CharTokenizer("ab "))("a; b") == "a b"
    assert spelled(CharTokenizer("ab ", byte_fallback=True))("a; b") == "a; b"
