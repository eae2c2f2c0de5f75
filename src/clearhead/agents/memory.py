"""What an agent has in mind when, in one place. Nothing here grows with the number of steps.

1. The newest steps stand in the prompt as they are, as many as there is room for (the window).
2. When they are too many, the oldest leave until half of the room is free, so that this is seldom and a prompt keeps
   its beginning in between. A running summary stands in for all that left, and takes a quarter of the room at most: by
   the model where its style says how, else the results of the calls, the oldest of which are dropped first.
3. What left is found again by its words: before each step, the few calls most like the newest step (RECALLED).
4. The scratchpad, facts noted and the plan with what is done, always stands there (scratchpad.py).
5. A file keeps facts, results and answers; the next episode begins with the facts and finds the rest by 3.
"""

from collections.abc import Sequence
from pathlib import Path

from clearhead.agents.prompt import SHARE, Count, Prompt, begin, line, newest
from clearhead.agents.scratchpad import FACTS, NOTE, scratchpad, shown
from clearhead.agents.steps import Action, Answer, Observation, Plan, Step, Summary, Task, Thought
from clearhead.agents.vectors import HASHED, Embedding, VectorStore

RECALLED = 3  # calls of earlier
ALIKE = 0.35  # the least cosine of what is recalled
BETWEEN = "; "  # the results in a summary


def leaving(steps: Sequence[Step], prompt: Prompt, count: Count) -> int:
    """The last step that leaves a prompt which shows too few: the newest that fill half of its trail stay."""
    stays, _ = newest(steps, begin(steps), count(prompt.trail) // 2, count)
    return max(stays, prompt.first) - 1


def results(steps: Sequence[Step]) -> list[str]:
    """The calls among the steps with what they gave, a line each.

    >>> results([Action("add", {"a": 2, "b": 3}, 7), Observation("5", 7), Thought("so")])
    ['add {"a": 2, "b": 3} = 5']
    """
    calls = {step.id: step for step in steps if isinstance(step, Action) and step.tool != NOTE}
    answered = [(calls[step.id], step) for step in steps if isinstance(step, Observation) and step.id in calls]
    return [f"{_said(call, 'Action: ')} = {_said(result, 'Observation: ')}" for call, result in answered]


def _said(step: Step, mark: str) -> str:
    return shown(line(step).removeprefix(mark))


def extracted(steps: Sequence[Step], last: int, room: int, count: Count) -> str:
    """The running summary without a model: the summary so far, then the results up to `last`; the newest that fit."""
    before = next((step.text for step in reversed(steps) if isinstance(step, Summary)), "")
    parts = [*filter(None, before.split(BETWEEN)), *results(steps[begin(steps) : last + 1])]
    while len(parts) > 1 and count(BETWEEN.join(parts)) > room:
        del parts[: max(1, len(parts) // 8)]
    return BETWEEN.join(parts)


def told(steps: Sequence[Step], last: int) -> str:
    """What a model is to summarize: the summary so far and the lines of the steps that leave."""
    before = next((step.text for step in reversed(steps) if isinstance(step, Summary)), "")
    lines = (line(steps[i], i) for i in range(begin(steps), last + 1))
    return (f"Summary: {before}\n" if before else "") + "".join(lines)


def room_of_summary(budget: int) -> int:
    return max(1, budget // (2 * SHARE))


class Memory:
    """The store of one episode's steps that left its prompt, and of earlier episodes where there is a file."""

    def __init__(self, path: Path | None = None, embedding: Embedding = HASHED) -> None:
        self.store = VectorStore(path, embedding)
        self._seen = 0  # steps that were looked at

    def known(self) -> list[Summary]:
        """How an episode begins: with the facts of earlier ones, which stand in for none of its steps."""
        facts = self.store.of("fact")[-FACTS:]
        return [Summary(BETWEEN.join(facts), 1, 0)] if facts else []

    def recall(self, steps: Sequence[Step]) -> list[str]:
        """Results that left the prompt, or are of earlier episodes, and are like the newest step or the task."""
        gone = begin(steps)
        if gone > self._seen:
            self.store.add("result", results(steps[:gone]) if self._seen == 0 else results(steps[self._seen : gone]))
            self._seen = gone
        newest_step = next((s for s in reversed(steps) if isinstance(s, Observation | Thought | Task | Plan)), None)
        query = newest_step.text if isinstance(newest_step, Observation | Thought | Task) else ""
        shown_now = set(results(steps[gone:]))
        return [text for text in self.store.nearest(query, RECALLED, ALIKE) if text not in shown_now]

    def keep(self, steps: Sequence[Step]) -> None:
        """At the end of an episode: its facts, its results, and its answer beside the task."""
        self.store.add("fact", scratchpad(steps).facts)
        self.store.add("result", results(steps))
        task = next((step.text for step in steps if isinstance(step, Task)), "")
        answers = [step.text for step in steps if isinstance(step, Answer)]
        if answers:
            self.store.add("answer", [f"{shown(task)} = {shown(answers[-1])}"])

    def close(self) -> None:
        self.store.close()
