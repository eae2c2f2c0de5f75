"""Jinja chat templates rendered in a process of their own, which can do nothing but compute, and not for long.

A template comes with a model and is somebody else's program. Jinja's immutable sandbox keeps it from Python's inside,
but not from taking all memory or all time; the operating system's limits do, and they hold for a process. One JSON
object a line comes in, one goes out. What a template may use beyond Jinja is what transformers gives it: `tojson`
without HTML, `raise_exception`, `strftime_now`, `break` and `continue`, and `{% generation %}` around what the model is
to write.
"""

import json
import re
import secrets
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from clearhead.text.limits import confine, grant

MEMORY = 1 << 29  # bytes of address space
MAX_RENDERED_CHARS = 1 << 24  # characters of a rendered chat
WARM_UP = (  # what Python loads when it is first used must be loaded before no file can be opened
    r"{% for x in [{'a': '\n'}] %}{% generation %}{{ x | tojson(indent=2) }}{{ x | pprint }}{{ 'é' | urlencode }}"
    "{% endgeneration %}{{ strftime_now('%d %B %Y') }}{% endfor %}",
    "{{ ''.__class__ }}",
    "{% error",
)
OPEN, CLOSE = "\x02", "\x03"  # with random digits between them, around what {% generation %} encloses


class Generation(Extension):
    """`{% generation %}...{% endgeneration %}`: what stands in it is found again in the rendered text."""

    tags = {"generation"}  # noqa: RUF012 - jinja's own interface

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Callable[[], str]) -> str:
        key = self.environment.globals["generation_key"]
        return f"{OPEN}{key}0{CLOSE}{caller()}{OPEN}{key}1{CLOSE}"


def environment(key: str) -> ImmutableSandboxedEnvironment:
    """Jinja as transformers sets it up."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters["tojson"] = _tojson
    made.globals.update(raise_exception=_raise, strftime_now=_now, generation_key=key)
    return made


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None,
            sort_keys: bool = False) -> str:  # fmt: skip
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def render(template: str, variables: dict[str, Any]) -> tuple[str, list[tuple[int, int]]]:
    """The text, and where in it the template encloses what the model writes.

    >>> render("<{{ x }}>{% generation %}y{% endgeneration %}", {"x": 1})
    ('<1>y', [(3, 4)])
    """
    key = "".join(secrets.choice("0123456789") for _ in range(20))  # so that no message can hold one
    marked = environment(key).from_string(template).render(**variables)
    if len(marked) > MAX_RENDERED_CHARS:
        raise TemplateError(f"it writes {len(marked):,} characters; {MAX_RENDERED_CHARS:,} are possible")
    parts = re.split(f"{OPEN}{key}([01]){CLOSE}", marked)
    text, spans, start = parts[0], [], 0
    for which, part in zip(parts[1::2], parts[2::2], strict=True):
        if which == "0":
            start = len(text)
        else:
            spans.append((start, len(text)))
        text += part
    return text, spans


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request: the text and its spans, or what went wrong in one line."""
    try:
        text, spans = render(request["template"], request["variables"])
    except Exception as error:  # whatever a template does wrong
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    return {"text": text, "spans": spans}


def serve() -> None:
    """Answer every line of standard input."""
    for template in WARM_UP:
        answer({"template": template, "variables": {}})
    confine(MEMORY)
    for line in sys.stdin:
        request = json.loads(line)
        grant(request["seconds"])
        print(json.dumps(answer(request)), flush=True)


if __name__ == "__main__":
    serve()
