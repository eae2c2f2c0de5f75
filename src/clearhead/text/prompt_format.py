"""How a problem and its solution become the text that the model reads and writes.

A newline after the problem asks for the steps, `ASK_DIRECT` for the bare answer, both of them for a search in one text:
steps, lines such as ⇒1 that go back to the state after so many steps, and the steps that are answered with. A step ends
with a newline, the last one with the tokenizer's END token instead. The signs are in the alphabet of every run, so one
that knows nothing of searching can learn it later.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from clearhead.errors import UserError
from clearhead.text.begin import prompt_tokens
from clearhead.text.protocol import Tokenizer

ASK_STEPS = "\n"
ASK_DIRECT = "⇒"
ASK_SEARCH = ASK_DIRECT + ASK_STEPS
BACK = ASK_DIRECT
STEP_END = "\n"

_BACK = re.compile(f"{BACK}(0|[1-9][0-9]{{0,3}})")


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


def search_prompt(problem: str) -> str:
    """
    >>> search_prompt("4 5 6 10")
    '4 5 6 10⇒\\n'
    """
    return problem + ASK_SEARCH


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


def back_line(depth: int) -> str:
    """The line that goes back to the state after `depth` steps.

    >>> back_line(1)
    '⇒1'
    """
    return f"{BACK}{depth}"


def searched_steps(text: str) -> tuple[str, ...]:
    """The steps that a search in one text ends with. Going back to more steps than there are is a step, a wrong one.

    >>> searched_steps("4+5=9:6 9 10\\n9+10=19:6 19\\n⇒1\\n10-6=4:4 9")
    ('4+5=9:6 9 10', '10-6=4:4 9')
    >>> searched_steps("4+5=9:6 9 10\\n⇒2")
    ('4+5=9:6 9 10', '⇒2')
    """
    path: list[str] = []
    for line in split_steps(text):
        back = _BACK.fullmatch(line)
        if back and int(back[1]) <= len(path):
            del path[int(back[1]) :]
        else:
            path.append(line)
    return tuple(path)


class Form(NamedTuple):
    """A way of asking for a solution: the prompt of a problem, and the steps that a written text arrives at."""

    prompt: Callable[[str], str]
    steps: Callable[[str], tuple[str, ...]]


DIRECT = Form(direct_prompt, split_steps)
IN_STEPS = Form(steps_prompt, split_steps)
IN_CONTEXT = Form(search_prompt, searched_steps)


def step_tokens(tokenizer: Tokenizer, problem: str, steps: Sequence[str], done: bool) -> list[list[int]]:
    """The token ids of the prompt and of each step, every piece closed by the token that its value is read from."""
    return [prompt_tokens(tokenizer, steps_prompt(problem)), *_closed(tokenizer, steps, done)]


def solution_tokens(tokenizer: Tokenizer, solution: str) -> list[int]:
    """The token ids of a whole solution or of a bare answer, as they stand behind a prompt, the end included."""
    return [token for piece in _closed(tokenizer, split_steps(solution), done=True) for token in piece]


def given_tokens(tokenizer: Tokenizer, tokens: Sequence[int], call_end: str) -> tuple[bool, ...]:
    """Which tokens of a solution a tool gave: those behind a call, up to the end of its line.

    >>> from clearhead.text.tokenizer import CharTokenizer
    >>> tokenizer = CharTokenizer("0123456789f→\\n")
    >>> given_tokens(tokenizer, tokenizer.encode("f→17\\n5"), "→")
    (False, False, True, True, True, False)
    """
    end, found, within = tuple(tokenizer.encode_after(call_end)), list[bool](), False
    for i, token in enumerate(tokens):
        found.append(within)
        spelled = tokenizer.decode([token])
        if within:
            within = STEP_END not in spelled
        else:
            within = spelled.endswith(call_end) or tuple(tokens[max(0, i + 1 - len(end)) : i + 1]) == end
    return tuple(found)


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
