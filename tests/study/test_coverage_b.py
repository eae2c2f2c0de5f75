"""The second half of the review's questions, and what it only announces, all have an answer in the guide."""

import re
import tomllib
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).parents[2] / "src" / "clearhead" / "study" / "guide"
COVERAGE: dict[str, Any] = tomllib.loads((Path(__file__).parent / "coverage-b.toml").read_text(encoding="utf-8"))
Place = tuple[str, str, int]  # chapter, section, number


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


def mapped() -> list[Place]:
    questions = [tuple(place) for name, part in COVERAGE.items() if name != "to do" for place in part.values()]
    return questions + [tuple(place) for part in COVERAGE["to do"].values() for place in part]


def test_all_64_questions_and_both_announcements_are_mapped() -> None:
    assert sum(len(part) for name, part in COVERAGE.items() if name != "to do") == 64
    assert [len(part) for part in COVERAGE["to do"].values()] == [13, 10]


def test_each_has_one_answer_of_its_own() -> None:
    assert len(set(mapped())) == len(mapped())
    assert set(mapped()) == {place for place in places() if place[0] >= "13"}


def test_numbers_rise_by_one_in_each_section() -> None:
    sections: dict[tuple[str, str], list[int]] = {}
    for chapter, section, number in places():
        sections.setdefault((chapter, section), []).append(number)
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in sections.values())


def test_every_answer_explains_and_computes() -> None:
    for place in mapped():
        text = places()[place]
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        assert len(prose.split()) >= 90, place
        assert re.search(r"^```python\n.+?^```\n```output\n.+?^```$", text, re.DOTALL | re.MULTILINE), place
        assert prose.count("$$") % 2 == 0 and prose.replace("$$", "").count("$") % 2 == 0, place
