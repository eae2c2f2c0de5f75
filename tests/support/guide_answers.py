"""The guide's questions and what stands under each, for the tests that count them."""

import re
from pathlib import Path

from clearhead.study.book import all_of, read
from clearhead.study.practice.problem_set import PROBLEMS

STUDY = Path(__file__).parents[2] / "src" / "clearhead" / "study"
GUIDE = STUDY / "guide"
Place = tuple[str, str, int]  # chapter, section, number
KNOWN = {
    "guide": {one.place for chapter in read(GUIDE) for one in all_of(chapter)},
    "practice": {path.stem.replace("_", "-") for path in (STUDY / "exercises").glob("[!_]*.py")},
    "problem": set(PROBLEMS),
}


def answered(chapter: Path) -> dict[Place, str]:
    """Every question of a chapter and what stands under it; numbers and headings in code mean nothing."""
    found: dict[Place, str] = {}
    section, place, fenced = "", None, False
    for line in chapter.read_text(encoding="utf-8").splitlines():
        fenced ^= line.lstrip().startswith("```")
        if not fenced and (heading := re.match(r"#+ (.*)", line)):
            section, place = heading[1], None
        elif not fenced and (item := re.match(r"(\d+)\) ", line)):
            place = (chapter.name, section, int(item[1]))
            assert place not in found, place
            found[place] = ""
        elif place is not None:
            assert not line or line.startswith("    "), (place, line)
            found[place] += line.strip() + "\n"
    return found


def places() -> dict[Place, str]:
    return {place: text for chapter in sorted(GUIDE.glob("*.md")) for place, text in answered(chapter).items()}


def check_answer(place: Place, text: str) -> None:
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    assert len(prose.split()) >= 90, place
    assert text.lstrip().startswith("**In short:** ") and text.count("**Follow-ups:** ") == 1, place
    links = re.findall(r"\]\((guide|practice|problem):([^)]*)\)", text)
    for kind, name in links:
        assert name in KNOWN[kind], (place, name)
    assert re.search(r"^```python\n.+?^```\n```output\n.+?^```$", text, re.DOTALL | re.MULTILINE), place
    assert prose.count("$$") % 2 == 0 and prose.replace("$$", "").count("$") % 2 == 0, place
