"""Every figure that the guide asks for is drawn, and every one that is drawn is asked for."""

import re
from xml.etree import ElementTree

import pytest

from clearhead.study import site
from clearhead.study.book import read
from clearhead.study.examples import GUIDE
from clearhead.study.figures import FIGURES

ASKED = re.compile(r"^    !\[([^\]]+)\]\(figure:([\w-]+)\)$", re.MULTILINE)


def test_the_guide_and_the_figures_name_the_same() -> None:
    named = [name for path in GUIDE.glob("*.md") for _, name in ASKED.findall(path.read_text(encoding="utf-8"))]
    assert sorted(named) == sorted(FIGURES)
    text = "".join(path.read_text(encoding="utf-8") for path in GUIDE.glob("*.md"))
    assert text.count("figure:") == len(named)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_well_formed_and_always_the_same(name: str) -> None:
    svg = FIGURES[name]("what it shows")
    tree = ElementTree.fromstring(svg)
    assert tree.get("aria-label") == "what it shows"
    assert "nan" not in svg and len(svg) < 20_000
    assert svg == FIGURES[name]("what it shows")
    assert not re.search(r"[ML,]-?(\d{5,}|\d[\d.]*e\+)", svg)  # no point far outside its page


def test_figures_show_what_their_answers_say() -> None:
    def ends(name: str) -> list[str]:
        """Labels from the top of the page down."""
        found = re.findall(r'y="([^"]*)" text-anchor="start" class="s\d label">([^<]*)', FIGURES[name](""))
        return [label for _, label in sorted(found, key=lambda pair: float(pair[0]))]

    assert ends("rates")[0] == "rate 0.102"  # it grows
    assert ends("depth") == ["He × 1.2", "residual", "He", "He × 0.8"]
    assert ends("scaling") == ["divided by √C", "not divided"]
    assert ends("cache") == ["64 KV heads", "8 KV heads", "1 KV head"]
    assert ends("traffic") == ["plain", "by tiles"]
    assert ends("votes") == [f"p = {p}" for p in (0.7, 0.55, 0.5, 0.45, 0.3)]


def test_a_page_has_its_figures_with_their_words() -> None:
    pages = site.pages([chapter for chapter in read(GUIDE) if chapter.name == "optimizers"])
    page = pages["10-optimizers.html"]
    assert page.count("<figure><svg ") == page.count("<figcaption>") == 3
    assert "<p><figure" not in page and "figure:" not in page
    assert len(re.findall(r'clipPath id="([^"]*)"', page)) == len(set(re.findall(r'clipPath id="([^"]*)"', page)))
