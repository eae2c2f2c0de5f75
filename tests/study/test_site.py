"""The guide as web pages: whole, safe, and every formula a formula."""

import re
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from clearhead.study import site
from clearhead.study.book import Chapter, read
from clearhead.study.examples import GUIDE
from clearhead.study.notes import parse

VOID = {"meta", "img", "br", "hr", "mspace", "input", "link", "wbr"}


class Reader(HTMLParser):
    """Checks that tags are balanced and gathers identifiers, links and tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.ids += [given["id"]] if given.get("id") else []
        self.links += [given["href"]] if given.get("href") else []
        self.sources += [given["src"]] if given.get("src") else []
        assert not any(name.startswith("on") for name in given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def chapter(text: str) -> Chapter:
    return Chapter(1, "one", "One", parse(text).items)


@pytest.fixture(scope="module")
def guide() -> dict[str, Reader]:
    return {name: Reader(text) for name, text in site.pages(read(GUIDE)).items()}


def test_every_link_leads_somewhere(guide: dict[str, Reader]) -> None:
    for name, page in guide.items():
        assert len(page.ids) == len(set(page.ids))
        for link in page.links:
            if not re.match(r"https?://|data:", link):
                file, _, part = link.partition("#")
                assert not part or part in guide[file or name].ids, link
                assert (file or name) in guide, link


def test_nothing_is_fetched_and_nothing_runs(guide: dict[str, Reader]) -> None:
    for name, page in guide.items():
        assert not page.tags & {"link", "iframe", "object", "form"}
        assert ("script" in page.tags) == (name == site.QUESTIONS)
        assert page.sources == []
        assert all(re.match(r"data:image/png;base64,|https?://|#|[\w-]+\.html", link) for link in page.links)


def test_every_formula_of_the_guide_is_mathml() -> None:
    for name, text in site.pages(read(GUIDE)).items():
        body = re.sub(r"<(pre|script).*?</\1>", "", text, flags=re.DOTALL)
        body = re.sub(r"<code>[^<]*</code>", "", body)
        assert "$" not in body.replace("$0", ""), name
        formulas = re.findall(r"<math.*?</math>", body, flags=re.DOTALL)
        assert formulas or name in ("index.html", site.QUESTIONS)
        assert not any(re.search(r">\\[a-zA-Z]", formula) for formula in formulas), name


def test_what_cannot_be_translated_is_shown_as_text() -> None:
    assert site.mathml(r"\unknowncommand{x}", display=False) == r"<code>\unknowncommandx</code>"
    hostile = [r"\text{<script>}", r"\text{<script></script>}", r"\text{<mi href='javascript:alert(1)'>x</mi>}"]
    for broken in (r"\frac{1", "x^", "}", r"\left(", r"\begin{bmatrix} 1", "<b>", *hostile):
        page = Reader(f"<p>{site.mathml(broken, display=True)}</p>")
        assert not page.tags & {"b", "script"} and not page.links


def test_what_notes_say_is_text_and_no_html() -> None:
    text = '# One\n1) <script>alert(1)</script> & "x"?\n\n    <img src=x onerror=alert(1)> [a](javascript:alert(1))\n'
    text += "\n    ```<script>\n    <b>\n    ```\n\n    ```output\n    </pre><script>\n    ```\n"
    for name, page in site.pages([chapter(text)]).items():
        found = Reader(page)
        assert "b" not in found.tags and page.count("<script") == (name == site.QUESTIONS)
        assert not any(link.startswith("javascript") for link in found.links)
        assert "onerror" not in page.partition("<script>")[0]


def test_signs_and_names_are_spaced_as_tex_does() -> None:
    assert f"<mi>y</mi>{site.THIN}<mi>log</mi>{site.THIN}<mi>p</mi>" in site.mathml(r"y \log p", display=False)
    assert '<mo form="prefix">' in site.mathml("f(-x)", display=False)
    assert '<mo form="prefix">' not in site.mathml("(a - x)", display=False)


def test_code_is_colored_and_its_output_marked() -> None:
    found = site.written('```python\nprint("a")\n```\n```output\na < b\n```\n')
    assert '<span class="s2">"a"</span>' in found
    assert '<pre class="output">a &lt; b\n</pre>' in found


def test_the_style_names_what_the_pages_use() -> None:
    style = Path(site.STYLE).read_text(encoding="utf-8")
    assert "http" not in style and "@import" not in style and "url(" not in style


def test_a_page_with_formulas_holds_the_font_for_them_and_may_use_it() -> None:
    pages = site.pages(read(GUIDE)[:1])
    chapter = next(page for page in pages.values() if "<math" in page)
    data = re.search(
        r'@font-face { font-family: "Clearhead Math"; src: url\(data:font/woff2;base64,([^)]*)\)', chapter
    )[1]
    assert b64decode(data) == site.FONT.read_bytes() and site.FONT.read_bytes()[:4] == b"wOF2"
    assert "font-src data:" in chapter and 'font-family: "Clearhead Math",' in chapter
    assert "@font-face" not in pages["index.html"]


def test_only_the_list_of_questions_runs_a_script_and_only_its_own() -> None:
    pages = site.pages(read(GUIDE)[:2])
    policy = re.compile(r'Content-Security-Policy" content="([^"]*)"')
    assert "script-src" not in policy.search(pages["index.html"])[1]
    script = re.search(r"<script>(.*?)</script>", pages[site.QUESTIONS], re.DOTALL)[1]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy.search(pages[site.QUESTIONS])[1]
    assert pages[site.QUESTIONS].count("<li><span>") == sum(len(chapter.items) for chapter in read(GUIDE)[:2])


def test_links_lead_to_questions_exercises_are_named_and_papers_are_linked() -> None:
    text = "See [19.4](guide:19.4), [99.9](guide:99.9), exercise [softmax](practice:softmax), "
    text += "arXiv 1706.03762, doi 10.1/x."
    found = site.written(text, {"19.4": "19-transformer.html#q4"})
    assert '<a href="19-transformer.html#q4">19.4</a>, <span>99.9</span>' in found
    assert "exercise <code>softmax</code>" in found
    assert '<a href="https://arxiv.org/abs/1706.03762">arXiv 1706.03762</a>, doi 10.1/x.' in found
    assert site.DOI.search("doi 10.1007/BF00994018; x")[1] == "10.1007/BF00994018"


def test_a_long_formula_may_be_broken_where_it_is_read_so() -> None:
    long = r"P(y) = \min(p(y), q(y)) + \left( a = b \right) \sum_{i=1}^{n} x_i \quad \text{and so on and on} \le 7"
    pieces = site.parted(long, site.RELATION)
    assert pieces == [
        "P(y)", r"{}= \min(p(y), q(y)) + \left( a = b \right) \sum_{i=1}^{n} x_i \quad ", r"\text{and so on and on}",
        r"{}\le 7",
    ]  # fmt: skip
    assert site.displayed("a = b").startswith("<math") and site.displayed(long).startswith('<div class="pieces">')
    assert site.parted(r"\begin{bmatrix} 1 & = \end{bmatrix}", site.RELATION) == [
        r"\begin{bmatrix} 1 & = \end{bmatrix}"
    ]
