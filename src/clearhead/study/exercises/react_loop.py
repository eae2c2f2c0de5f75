"""A ReAct loop with a scripted model."""

from typing import Any

import numpy as np

from clearhead.study.practice.exercise import Exercise


def _run(replies: list[str], tools: dict[str, dict[str, str]], question: str, limit: int) -> tuple[Any, ...]:
    prompt, asked = f"Question: {question}\n", []
    for reply in replies[:limit]:
        asked.append(prompt)
        reply = reply.strip()
        prompt += reply + "\n"
        last = reply.splitlines()[-1] if reply else ""
        if last.startswith("Answer:"):
            return last.removeprefix("Answer:").strip(), asked
        name, _, argument = last.removeprefix("Action:").strip().partition(" ")
        if not last.startswith("Action:"):
            seen = "error: write Action: or Answer:"
        elif name not in tools:
            seen = f"error: no tool {name}"
        else:
            seen = tools[name].get(argument.strip(), "error: bad argument")
        prompt += f"Observation: {seen}\n"
    return None, asked


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    lines = [
        "Thought: I look it up.\nAction: look paris", "Action: look  rome ", "Thought: hm", "Action: shout hello", "Action: look nowhere",
        "Thought: Answer: not yet\nAction: look paris", "Action: look rome", "", "Action: add 1 2",
    ]  # fmt: skip
    replies = [str(rng.choice(lines)) for _ in range(8)]
    if rng.random() < 0.7:
        replies[int(rng.integers(0, 7))] = str(rng.choice(["Thought: done\nAnswer: 42", "Answer:  two words "]))
    return {
        "replies": replies, "tools": {"look": {"paris": "France", "rome": "Italy"}, "add": {"1 2": "3"}},
        "question": "where?", "limit": n.L,
    }  # fmt: skip


exercise = Exercise(
    title="A ReAct loop",
    section="Agents",
    statement="""
The prompt begins as "Question: " + question + newline. At most `limit` times: call model(prompt); take the blanks
off both ends of its reply and append reply + newline to the prompt; look at the last line of the reply.
- "Answer: x": return x without the blanks around it.
- "Action: name argument": the observation is tools[name](argument), the argument without the blanks around it, if there
  is such a tool, else "error: no tool NAME". A tool may raise ValueError: then it is "error: " + its message.
- anything else: the observation is "error: write Action: or Answer:".
Append "Observation: " + observation + newline. Return None when the limit is reached. A test compares every prompt.
""",
    signature='def react_loop(model, tools: dict, question: str, limit: int) -> "str | None":',
    sizes={"L": (1, 7)},
    draw=_draw,
    edges=lambda rng: [
        {"replies": replies, "tools": {"look": {"paris": "France"}}, "question": "q", "limit": limit}
        for replies, limit in (
            (["Action: look paris", "Answer: 1"], 2), (["Action: look paris", "Answer: 1"], 1), (["Action: no thing", "Answer: 2"], 5),
            (["Action: look london", "Answer: 3"], 5), (["Thought: only", "Answer: 4"], 5), (["Answer: 5\nAction: look paris", "Answer: 6"], 5),
        )
    ],
    oracle=lambda replies, tools, question, limit: _run(replies, tools, question, limit),
    outputs=("answer", "prompts"),
    drive="""
def drive(learner, replies, tools, question, limit):
    asked = []
    def model(prompt):
        if len(asked) == len(replies):
            raise RuntimeError("the model was asked more often than the limit allows")
        asked.append(prompt)
        return replies[len(asked) - 1]
    def tool(table):
        def run(argument):
            if argument not in table:
                raise ValueError("bad argument")
            return table[argument]
        return run
    return learner.react_loop(model, {name: tool(table) for name, table in tools.items()}, question, limit), asked
""",
    hints=(
        "The prompt only ever grows: what the model wrote, then what it got to see.",
        "An error is an observation like any other: the model reads it and can do better in the next round.",
        "last = reply.splitlines()[-1]; name, _, argument = last.removeprefix('Action:').strip().partition(' ').",
    ),
    solution="""
def react_loop(model, tools, question, limit):
    prompt = f"Question: {question}\\n"
    for _ in range(limit):
        reply = model(prompt).strip()
        prompt += reply + "\\n"
        last = reply.splitlines()[-1] if reply else ""
        if last.startswith("Answer:"):
            return last.removeprefix("Answer:").strip()
        name, _, argument = last.removeprefix("Action:").strip().partition(" ")
        if not last.startswith("Action:"):
            seen = "error: write Action: or Answer:"
        elif name not in tools:
            seen = f"error: no tool {name}"
        else:
            try:
                seen = tools[name](argument.strip())
            except ValueError as error:
                seen = f"error: {error}"
        prompt += f"Observation: {seen}\\n"
    return None
""",
    torch="""
import torch

def observe(line, tools):
    kind, _, rest = line.partition(":")
    if kind != "Action":
        return "error: write Action: or Answer:"
    name, *argument = rest.split(None, 1) or [""]
    try:
        return tools[name](argument[0].strip() if argument else "")
    except KeyError:
        return f"error: no tool {name}"
    except ValueError as error:
        return f"error: {error}"

def react_loop(model, tools, question, limit):
    lines = [f"Question: {question}"]
    while limit > 0:
        reply = model("".join(line + "\\n" for line in lines)).strip()
        lines.append(reply)
        last = (reply.splitlines() or [""])[-1]
        if last.startswith("Answer:"):
            return last[len("Answer:") :].strip()
        lines.append("Observation: " + observe(last, tools))
        limit -= 1
    return None
""",
    wrong={
        "a tool that raises ends the loop": ("except ValueError as error", "except KeyError as error"),
        "an unknown tool ends the loop": ('            seen = f"error: no tool {name}"', "            return None"),
        "the observation is never shown to the model": ('        prompt += f"Observation: {seen}\\n"\n', ""),
        "the model's own words are missing from the next prompt": ('        prompt += reply + "\\n"\n', ""),
        "the prompt is begun anew in every round": ("        reply = model(prompt).strip()\n        prompt += reply", '        reply = model(prompt).strip()\n        prompt = f"Question: {question}\\n" + reply'),
        "'Answer:' anywhere in the reply ends the loop": ('if last.startswith("Answer:"):\n            return last.removeprefix("Answer:")', 'if "Answer:" in reply:\n            return reply.partition("Answer:")[2]'),
        "one round too many": ("range(limit)", "range(limit + 1)"),
        "the first line is read, not the last": ("splitlines()[-1]", "splitlines()[0]"),
        "the limit is ignored": ("    for _ in range(limit):", "    while True:"),
    },
)  # fmt: skip
