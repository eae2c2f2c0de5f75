"""A line that may begin a question: in what style it does so, and its words without the number and the label.

Deliberately not here: which lines are looked at (`page.py`).
"""

import re
from dataclasses import dataclass

from clearhead.study.wording import BARE_LABEL, QUESTION_LABEL

DIGITS = str.maketrans("０１２３４５６７８９", "0123456789")
NUMBER = re.compile(r"\(?([0-9０-９]{1,5})(?:[ \t]*([)）、．])[ \t]*|\\?([.:])(?:[ \t]+|(?=[^\W\d_]|[*_`\[])))")
OUTLINE = re.compile(r"[0-9]{1,3}(?:[.-][0-9]{1,3})+[.)]?[ \t]+|[0-9]{1,4}[ \t]*[-–—|][ \t]+")
CJK_NUMBER = re.compile(r"[一二三四五六七八九十百]{1,4}[、．.][ \t]*")
ROMAN = re.compile(r"(?:[ivx]{1,6}|[a-z])[.)][ \t]+")
LEVEL_TAG = re.compile(r"\[[A-Za-z]{1,8}\][ \t]+(?=\S)")  # [E] easy, [M], [H]
TAIL_MARK = re.compile(r"[ \t]*\{#[\w-]+\}[ \t]*$|[ \t]+\^[\w-]+$|[ \t]+:drill:[ \t]*$")  # names of blocks
TAILS = 100  # characters in which such a name stands
HEADING = re.compile(r"(#{1,9})(?:[ \t]+|(?=[^\s#!]))(.*)")
BOLD = re.compile(r"(\*\*\*|\*\*|__)(?=\S)")


@dataclass(frozen=True, order=True)
class Style:
    """How a question is marked. `level`: of a heading, else the columns before a list's sign."""

    family: str  # one of `styles.FAMILIES`; of a bullet also bullet-bold, bullet-letter or bullet-link
    level: int = 0


@dataclass(frozen=True)
class Mark:
    """Lines count from 0. The answer is `inline` and what stands from line `after` on, up to `stop` if it is set."""

    line: int
    after: int
    style: Style
    lead: str  # "Q", "n" or ""
    number: int | None
    question: str
    inline: str = ""
    stop: int | None = None
    asks: bool = False
    among: bool = False  # it asks nothing by its form, and stands in a list of questions


def is_only_lead(inner: str) -> bool:
    """`**2)**`, `**Q3:**`, `**Question**`: the number is emphasized, the question follows."""
    tight = f"{inner} "
    for pattern in (NUMBER, QUESTION_LABEL):
        found = pattern.match(tight)
        if found and not tight[found.end() :].strip():
            return True
    return bool(re.fullmatch(r"\d{1,4}", inner)) or BARE_LABEL.fullmatch(inner) is not None


def without_lead(lead: str, number: int | None, rest: str) -> tuple[str, int | None, str]:
    """Labels and numbers before the words, however many there are."""
    for _ in range(3):
        plain = re.sub(r"^[*_]{1,3}(?=[^*_])", "", rest)
        if found := QUESTION_LABEL.match(plain):
            given = found["n"] or found["m"]
            lead, number = "Q", int(given) if given else number
        elif (found := NUMBER.match(plain)) or (found := OUTLINE.match(plain)) or (found := CJK_NUMBER.match(plain)):
            if lead == "Q" or number is None:
                digits = re.match(r"\(?(?:[0-9]+[.-])*([0-9０-９]+)", plain)  # of `9.1` the last
                number = int(digits[1].translate(DIGITS)) if digits else number
            lead = lead or "n"
        elif (found := LEVEL_TAG.match(plain)) or (lead and (found := ROMAN.match(plain))):
            pass
        else:
            break
        opened = rest[: len(rest) - len(plain)]
        rest = plain[found.end() :].lstrip()
        if opened and rest.endswith(opened):
            rest = rest[: -len(opened)]
        elif opened and opened in rest:
            rest = opened + rest
        rest = rest.strip()
    return lead, number, rest


def is_bare_label(rest: str) -> bool:
    return bool(rest) and BARE_LABEL.fullmatch(rest.strip(" *_@")) is not None and not rest.strip(" *_@").isdigit()


def unlabeled(words: str) -> str:
    """`**Front:** ...` or `Q: ...` below a heading that says nothing but "Card 1"."""
    if (opening := BOLD.match(words)) is not None:
        inner, _, tail = words[len(opening[1]) :].partition(opening[1])
        if is_only_lead(inner.strip()):
            return tail.strip()
    elif (label := QUESTION_LABEL.match(words)) is not None:
        return words[label.end() :]
    return words.strip("* ")


def clean(text: str) -> str:
    """A question without anchors, without the emphasis around all of it, without the signs of a heading."""
    text = (
        text
        if "<" not in text
        else re.sub(
            r"<a\b[^<>]*>[ \t]*</a>|</?(?:a|span|font|strong|b|p|center|h[1-6]|u|br)\b[^<>]*>", "", text, flags=re.I
        )
    )
    text = (text[:-TAILS] + TAIL_MARK.sub("", text[-TAILS:])).strip()
    for sign in ("***", "**", "__", "*", "_"):
        if (
            len(text) > 2 * len(sign)
            and text.startswith(sign)
            and text.endswith(sign)
            and sign not in text[len(sign) : -len(sign)]
        ):
            text = text[len(sign) : -len(sign)].strip()
    return text
