"""How a problem and its solution become the text that the model reads and writes.

Two ways of asking share one model: a newline after the problem asks for the steps, `ASK_DIRECT` for the bare answer.
A step ends with a newline, the last one with the tokenizer's END token instead.
"""

from collections.abc import Sequence

ASK_STEPS = "\n"
ASK_DIRECT = "⇒"
STEP_END = "\n"


def steps_prompt(problem: str) -> str:
    """
    >>> steps_prompt("17 × 24")
    '17 × 24\\n'
    """
    return problem + ASK_STEPS


def direct_prompt(problem: str) -> str:
    """
    >>> direct_prompt("17 × 24")
    '17 × 24⇒'
    """
    return problem + ASK_DIRECT


def join_steps(steps: Sequence[str]) -> str:
    return STEP_END.join(steps)


def split_steps(text: str) -> tuple[str, ...]:
    """The steps of a written text, the last one perhaps empty: a model may end before it has written anything.

    >>> split_steps("17×24=17×20+17×4\\n=340+68")
    ('17×24=17×20+17×4', '=340+68')
    >>> split_steps("")
    ('',)
    """
    return tuple(text.split(STEP_END))
