"""The page: its files, the guide, and text as markup. Nothing that a page of ours may do reaches another machine.

What others wrote becomes markup in `study/site.py`, which escapes it, and is built anew from known elements in safe.js.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import Field
from starlette.responses import Response

from clearhead.charts.svg import STYLE as CHARTS
from clearhead.server.bodies import Body
from clearhead.server.errors import ApiError, Json
from clearhead.study import book, site
from clearhead.study.examples import GUIDE

FOLDER = Path(__file__).with_name("page")
FILES = {path.name: path for path in (*sorted(FOLDER.iterdir()), CHARTS, site.FONT)}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".woff2": "font/woff2"}
MOST_MARKDOWN = 1 << 18  # characters
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; "
    "img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
OF_GUIDE = "frame-ancestors 'self'"  # besides what each of its pages says itself
ALONE = (  # a report: it may run its own scripts, and belongs to nobody
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; frame-ancestors 'none'"
)


class MarkdownBody(Body):
    text: str = Field(max_length=MOST_MARKDOWN)


def html(text: str, policy: str) -> Response:
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": policy})


def file(name: str) -> Response:
    """One of the page's files, by a name that is looked up and never made a path."""
    if name not in FILES:
        raise ApiError(404, "there is nothing at this path", code="not_found")
    path = FILES[name]
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(path.read_bytes(), media_type=TYPES[path.suffix], headers=headers)


@cache
def _guide() -> dict[str, str]:
    return site.pages(_chapters())


def _chapters() -> Sequence[book.Chapter]:
    return book.read(GUIDE)


def guide(name: str) -> Response:
    """One page of the guide, all of which are made when the first is asked for."""
    pages = _guide()
    if name not in pages:
        raise ApiError(404, "the guide has no such page", code="not_found")
    return html(pages[name], OF_GUIDE)


def markdown(body: MarkdownBody) -> Json:
    """Markdown and mathematics of anybody as markup."""
    return Json({"html": site.written(body.text)})
