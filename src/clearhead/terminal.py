"""What reaches a terminal is text, and never a command: whatever a model, a file or a person wrote is printed by this.

Control characters move the cursor, color, rename the window, answer in the user's name; marks of direction let a line
read otherwise than it is. Both are spelled out (ESC as \\x1b). Our own styles are added after that, and marked.
"""

import json
import re
import shutil
from collections.abc import Iterable
from typing import Any

import click

# All controls but tab and line feed, what turns the direction of writing, ends lines, or is half of a surrogate pair.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
PROSE = 78  # letters that a line is easily read with


class Shown(str):
    """Text that may go to a terminal as it is: nothing but our own styles steers in it."""

    __slots__ = ()


def spelled(text: str) -> Shown:
    r"""The text with what could steer a terminal spelled out; a line's end is a line feed, whatever it was.

    >>> spelled("a\x1b[2Jb\r\nc\u202ed")
    'a\\x1b[2Jb\nc\\u202ed'
    """
    if isinstance(text, Shown):
        return text
    return Shown(_STEERING.sub(lambda found: ascii(found.group())[1:-1], text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    r"""The same without line ends and tabs, for what must stay in its line.

    >>> one_line("a\n\tb")
    'a b'
    """
    return spelled(" ".join(text.split()))


def styled(text: str, **style: Any) -> Shown:
    """Text in a style of click's: `bold`, `dim`, `fg`."""
    return Shown(click.style(spelled(text), **style))


def joined(parts: Iterable[str], between: str = "") -> Shown:
    """Several texts as one, each spelled out unless it is shown already."""
    return Shown(between.join(map(spelled, parts)))


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print to standard output, or error."""
    click.echo(spelled(text if isinstance(text, str) else str(text)), err=err, nl=nl)


def text_width() -> int:
    """How many letters a line of prose takes at most."""
    return min(PROSE, shutil.get_terminal_size().columns - 2)


def to_json(value: object) -> str:
    r"""One line of JSON in which nothing steers a terminal; it is read back as the same value.

    >>> to_json("é\x1b\x9b")
    '"é\\u001b\\u009b"'
    """
    plain = json.dumps(value, ensure_ascii=False)
    return _STEERING.sub(lambda found: f"\\u{ord(found.group()):04x}", plain)


def echo_json(value: object) -> None:
    click.echo(to_json(value))
