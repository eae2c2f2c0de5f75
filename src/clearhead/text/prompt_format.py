"""How a problem and its solution become the text that the model reads and writes.

Two ways of asking share one model: a newline after the problem asks for the steps, `ASK_DIRECT` for the bare answer.
A step ends with a newline, the last one with the tokenizer's END token instead.
"""

from collections.abc import Sequence

from clearhead.errors import UserError
from clearhead.text.begin import prompt_tokens
from clearhead.text.protocol import Tokenizer

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


def step_tokens(tokenizer: Tokenizer, problem: str, steps: Sequence[str], done: bool) -> list[list[int]]:
    """The token ids of the prompt and of each step, every piece closed by the token that its value is read from."""
    return [prompt_tokens(tokenizer, steps_prompt(problem)), *_closed(tokenizer, steps, done)]


def solution_tokens(tokenizer: Tokenizer, solution: str) -> list[int]:
    """The token ids of a whole solution or of a bare answer, as they stand behind a prompt, the end included."""
    return [token for piece in _closed(tokenizer, split_steps(solution), done=True) for token in piece]


def _closed(tokenizer: Tokenizer, steps: Sequence[str], done: bool) -> list[list[int]]:
    """Each step with what closes it: the end of a step, and of the last one of what is `done` the end of the text."""
    if tokenizer.end_id is None:
        raise UserError(
            "this tokenizer has no token that ends a text, so that no solution can end; use another model's"
        )
    step_end = tokenizer.encode_after(STEP_END)
    written = [[*tokenizer.encode_after(step), *step_end] for step in steps]
    if done:
        written[-1] = [*tokenizer.encode_after(steps[-1]), tokenizer.end_id]
    return written
