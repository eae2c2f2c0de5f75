"""The page: its sections in order, its style and its small script, all in one HTML file that needs nothing else.

It allows itself no network at all (a content security policy says so), runs from file://, and can be read whole with
scripts switched off: the script adds tooltips, the choice of an attention head, and opening and closing whole trees.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clearhead.charts.markup import Child, Html, join, tag
from clearhead.charts.svg import STYLE
from clearhead.files import write_whole
from clearhead.report.account import compute_section, reproduce_section
from clearhead.report.alignment import alignment_section
from clearhead.report.answers import answers_section
from clearhead.report.attention import attention_section
from clearhead.report.comparison import comparison_section
from clearhead.report.data import Report, read
from clearhead.report.health import health_section
from clearhead.report.in_context import in_context_section
from clearhead.report.language import text_section
from clearhead.report.learning import curves_section, trained_section
from clearhead.report.opening import headline_section, next_section
from clearhead.report.results import evaluation_section, examples_section, tree_section
from clearhead.report.rows import data_section
from clearhead.report.scoring import reward_section
from clearhead.report.summary import headline
from clearhead.report.translation import translation_section

HERE = Path(__file__).parent
CONTENTS = {
    "next": "Next",
    "data": "Data",
    "trained": "Model",
    "learning": "Learning",
    "health": "Health",
    "alignment": "Its own answers",
    "in-context": "Search in one text",
    "text": "Held-out text",
    "translation": "Translation",
    "comparison": "Why attention won",
    "search": "Search",
    "answers": "Answers",
    "tree": "One thought",
    "examples": "Examples",
    "attention": "Attention",
    "reward": "Reward model",
    "compute": "Cost",
    "reproduce": "Do it again",
}


def render(report_data: Mapping[str, Any]) -> str:
    """The report as one HTML text; `data.Report` documents the shape of `report_data`."""
    return build_page(read(report_data))


def write(report_data: Mapping[str, Any], path: str | Path) -> None:
    """Write the report of a run, whole or not at all."""
    write_whole(Path(path), render(report_data))


def build_page(report: Report) -> str:
    """All sections that have something to tell, in the order of `CONTENTS`."""
    sections = {
        "next": next_section(report),
        "data": data_section(report),
        "trained": trained_section(report),
        "learning": curves_section(report.training, report),
        "health": health_section(report.health),
        "alignment": alignment_section(report),
        "in-context": in_context_section(report),
        "text": text_section(report.text),
        "translation": translation_section(report.translation),
        "comparison": comparison_section(report.text),
        "search": evaluation_section(report),
        "answers": answers_section(report),
        "tree": tree_section(report.trees),
        "examples": examples_section(report),
        "attention": attention_section(report.attention),
        "reward": reward_section(report),
        "compute": compute_section(report),
        "reproduce": reproduce_section(report.run),
    }
    shown = {anchor: body for anchor, body in sections.items() if body}
    links = [tag("a", CONTENTS[anchor], href=f"#{anchor}") for anchor in shown]
    contents = tag("nav", *links, aria_label="Contents") if len(links) > 1 else None
    title = report.run.name or "Clearhead report"
    return document(title, headline(report), headline_section(report), contents, *shown.values())


def document(title: str, description: str, *body: Child) -> str:
    """A whole page with this in its body."""
    main = tag("main", *body)
    end = tag("footer", tag("p", "Made by Clearhead. This page is one file and loads nothing from anywhere."))
    return f"<!DOCTYPE html>\n{tag('html', _head(title, description), tag('body', main, end, _script()), lang='en')}\n"


def _head(title: str, description: str) -> Html:
    script = base64.b64encode(hashlib.sha256(_read(HERE / "report.js").encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'; base-uri 'none'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("meta", name="description", content=description),
        tag("style", Html(_read(STYLE) + _read(HERE / "style.css"))),
    )


def _script() -> Html:
    return join(tag("script", Html(_read(HERE / "report.js"))))


def _read(path: Path) -> str:
    """A file of the package. `</` would end the element that it is put into, so it must not occur."""
    text = path.read_text(encoding="utf-8")
    assert "</" not in text, path
    return text
