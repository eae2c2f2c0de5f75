"""Every page is whole: links that lead somewhere, formulas as MathML, nothing fetched, nothing executed."""

import re

from clearhead.study.examples import GUIDE
from clearhead.study.notes import parse
from clearhead.study.site import answer, formulas, pages

CHAPTERS = [(path.stem, parse(path.read_text(encoding="utf-8"))) for path in sorted(GUIDE.glob("*.md"))[:3]]


def test_links_and_formulas() -> None:
    made = {page.name: page.text for page in pages(CHAPTERS)}
    assert list(made) == ["index.html", *(f"{stem}.html" for stem, _ in CHAPTERS)]
    for text in made.values():
        assert "<script" not in text and "http://" not in re.sub(r'xmlns="[^"]*"', "", text)
        for link in re.findall(r'href="([^"]+)"', text):
            name, _, place = link.partition("#")
            assert not name or name in made
            assert not place or f'id="{place}"' in text
    first = made[f"{CHAPTERS[0][0]}.html"]
    assert first.count("<h3 ") == len(CHAPTERS[0][1].items)
    assert "<math" in first and "$" not in re.sub(r"<pre.*?</pre>", "", first, flags=re.DOTALL)
    assert '<pre class="output">' in first


def test_what_stands_in_an_answer() -> None:
    shown = answer("A *word*, $x < 1$ & <b>no tag</b>.\n\n```python\nprice = '$5$'\n```\n```output\n$5$\n```\n")
    assert "<em>word</em>" in shown and "&lt;b&gt;no tag&lt;/b&gt;" in shown and "&#x0003C;" in shown
    assert "price = '$5$'" in shown and '<pre class="output"><code>$5$' in shown
    assert "<table>" in answer("| a | b |\n|---|---|\n| $x$ | 2 |\n")


def test_a_formula_that_is_not_understood_stays_as_typed() -> None:
    assert formulas(r"so $\sqrt$ & more") == r"so <code>\sqrt</code> &amp; more"
