"""A policy that looks ahead: the model imagines what its calls would give, and acts on the best of what it imagined.

RAP, Hao et al. 2023. The language model is the agent, which proposes next steps; the world model, which predicts in
text what a call gives; and the judge of the state that this leads to. A search goes over imagined steps; the first step
of its best path is taken, and the next one is planned anew from what really came back. What was expected stands before
a call (Expectation), and where something else comes back, that is a fact which every later prompt and prediction sees
(scratchpad.py). Of the paper's rewards these are here: the likelihood of an action, as the prior of PUCT, and the
model's own judgment, p(yes) / (p(yes) + p(no)). Its confidence in a state is not.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from clearhead.agents.policy import STRIDE, Decision, ModelPolicy, unless_summarized
from clearhead.agents.prompt import Prompt, fill, indented, line
from clearhead.agents.steps import Action, Answer, Expectation, Observation, Step, Stuck, Task
from clearhead.errors import UserError
from clearhead.generation.language_model import GREEDY
from clearhead.reasoning import mcts
from clearhead.reasoning.lockstep import Proposal, SearchProblem
from clearhead.reasoning.tree import Tree, best_value

SAMPLES = 4  # steps proposed from a state
EXPANSIONS = 6  # states that are looked beyond, before each real step
DEPTH = 4  # imagined steps, one after the other
EXPECTED = 200  # tokens of a prediction
YES, NO = (" yes", "Yes", "yes"), (" no", "No", "no")


class Imagined(NamedTuple):
    """The steps that were, `real` of them, and those that are imagined; `depth` decisions of these."""

    steps: tuple[Step, ...]
    real: int
    depth: int = 0

    def after(self, decided: Sequence[Step], expected: Callable[[Action], str]) -> "Imagined":
        """The state that a decision leads to, as if what is expected of its calls had come back."""
        calls = [(step, expected(step)) for step in decided if isinstance(step, Action)]
        said = [step for step in decided if not isinstance(step, Action)]
        told = [Expectation(text, call.id) for call, text in calls]
        seen = [Observation(text, call.id) for call, text in calls]
        return Imagined((*self.steps, *said, *told, *(call for call, _ in calls), *seen), self.real, self.depth + 1)

    @property
    def done(self) -> bool:
        return self.depth > 0 and (isinstance(self.steps[-1], Answer) or self.depth == DEPTH)


@dataclass(frozen=True)
class WorldModelPolicy:
    """Looks ahead with the model of a policy, whose prompts and grammar it shares."""

    policy: ModelPolicy

    def __post_init__(self) -> None:
        if not self.policy.style.judge:
            raise UserError("this style does not say how steps are judged; use --style react, or no --world-model")

    def __call__(self, episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        return unless_summarized(self.policy, episodes, self._plan)

    def _plan(self, episodes: Sequence[Sequence[Step]], prompts: Sequence[Prompt]) -> list[Decision]:
        started, before = time.perf_counter(), self.policy.model.usage()
        problem = SearchProblem(
            roots=[Imagined(tuple(steps), len(steps)) for steps in episodes],
            keys=[f"{len(steps)} {steps[0]}" for steps in episodes],
            propose=self.propose,
            value=self.values,
            is_done=lambda state: state.done,
            seed=self.policy.seed * STRIDE,
        )
        result = mcts.search(problem, simulations=EXPANSIONS, rule=mcts.puct(), q_value=best_value, choose=best_state)
        spent, share = self.policy.model.usage() - before, len(episodes)
        seconds = (time.perf_counter() - started) / share
        costs = spent.generated // share, spent.computed // share, seconds
        return [Decision(first_step(result.answer(row)), prompt.tokens, *costs) for row, prompt in enumerate(prompts)]

    def propose(self, states: Sequence[Imagined], seeds: Sequence[int]) -> list[list[Proposal]]:
        """Next decisions of each state, as often as they were drawn, and what they are expected to lead to."""
        sampling = self.policy.sampling
        sampling = replace(sampling, temperature=sampling.temperature or 1.0)  # greedy would propose but one
        drawn = self.policy.proposals([state.steps for state in states], SAMPLES, sampling, seeds)
        families = list(zip(states, drawn, strict=True))
        calls = [
            (state.steps, step)
            for state, family in families
            for steps in family
            for step in steps
            if isinstance(step, Action)
        ]
        asked = list(dict.fromkeys(calls))
        expected = dict(zip(asked, self.predict(asked), strict=True))

        def expecting(state: Imagined) -> Callable[[Action], str]:
            return lambda call: expected[state.steps, call]

        return [[Proposal(state.after(steps, expecting(state)), 1.0) for steps in family] for state, family in families]

    def predict(self, calls: Sequence[tuple[tuple[Step, ...], Action]]) -> list[str]:
        """What each call gives after those steps, as the model expects it, in one line."""
        if not calls:
            return []
        policy, sampling = self.policy, replace(GREEDY, max_tokens=min(EXPECTED, self.policy.sampling.max_tokens))
        prompts = [policy.prompt([*steps, call]) for steps, call in calls]
        nodes = policy.opened([prompt._replace(trail=f"{prompt.trail}Observation:") for prompt in prompts])
        try:
            texts = policy.model.extend(nodes, 1, sampling, [0] * len(nodes), stop="\n")
        finally:
            policy.model.close(nodes)
        return [text.text.strip() for (text,) in texts]

    def values(self, states: Sequence[Imagined]) -> Float[np.ndarray, "N"]:
        """p(yes) / (p(yes) + p(no)), asked whether the steps lead to what the task asks for; 1/2 before any."""
        found, asked = np.full(len(states), 0.5), [i for i, state in enumerate(states) if state.depth]
        if not asked:
            return found
        policy = self.policy
        nodes = policy.opened([policy.request(self._question(states[i].steps)) for i in asked])
        try:
            repeated = [node for node in nodes for _ in (*YES, *NO)]
            scores = policy.model.score(repeated, [*YES, *NO] * len(nodes))
        finally:
            policy.model.close(nodes)
        log_p = np.logaddexp.reduce(np.array(scores).reshape(len(asked), 2, len(YES)), axis=2)  # K 2
        found[asked] = np.exp(log_p[:, 0] - np.logaddexp(log_p[:, 0], log_p[:, 1]))
        return found

    def _question(self, steps: Sequence[Step]) -> str:
        task = next((step.text for step in steps if isinstance(step, Task)), "")
        lines = "".join(line(step, i) for i, step in enumerate(steps))
        return fill(self.policy.style.judge, task=indented(task), steps=lines)


def best_state(tree: Tree, row: int) -> int | None:
    """The state of the highest value that was imagined, a finished one before another, then the nearest."""
    nodes = range(1, len(tree.states[row]))
    return max(nodes, key=lambda node: (tree.raw_value[row, node], tree.done[row, node], -node), default=None)


def first_step(state: Imagined | None) -> tuple[Step, ...]:
    """The real decision with which a path of imagined ones begins. Stuck: there is none."""
    if state is None:
        raise Stuck("the model proposed no step that can be read; raise --tokens, or try another --style")
    steps = state.steps[state.real :]
    ends = (i for i, step in enumerate(steps) if isinstance(step, Observation | Answer))
    first = next(ends)
    return steps[:first] if isinstance(steps[first], Observation) else steps[: first + 1]
