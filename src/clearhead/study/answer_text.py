"""The words of an answer without what only frames them: its label, a fold, a quotation, links that lead back.

Deliberately not here: which lines are the answer's (`splitting.py`).
"""

import re
from collections.abc import Sequence

from clearhead.study.notes import flush
from clearhead.study.wording import ANSWER_LABEL, DRESSED_LABEL, is_answer_label, is_revealer, leads_back

EMPTY = re.compile(r"^<(div|p)\b[^<>\n]*>\s*</\1>[ \t]*$", re.MULTILINE)
BLOCK_NAME = re.compile(r"\^[\w-]+[ \t]*")  # of Obsidian, in a line of its own
ADMONITION = re.compile(r"[ \t]*(?:\?\?\?\+?|!!!|:::)[ \t]*(?:\w+)?[ \t]*\"?([^\"]*)\"?[ \t]*")


def answer_text(lines: Sequence[str], inline: str = "") -> str:
    """An answer without its label, a fold or a quotation around all of it, and the links of navigation."""
    kept = _unfolded([line for line in lines if not leads_back(line)])
    if any(line.startswith("<div") for line in kept):
        kept = EMPTY.sub("", "\n".join(kept)).split("\n")
    opened = "\n".join(kept).lower()
    while kept and (not kept[-1].strip() or BLOCK_NAME.fullmatch(kept[-1]) or is_separator(kept[-1], opened)):
        kept.pop()
    start = next((i for i, line in enumerate(kept) if line.strip() and not is_separator(line, opened)), len(kept))
    kept = kept[start:]
    if inline:
        kept = [_without_label(inline), *kept]
        return flush(kept) if len(kept) == 1 else f"{kept[0]}\n{_plain(kept[1:])}".strip("\n")
    return _plain(kept)


def _plain(kept: list[str]) -> str:
    """Lines as text, without a quotation of all, an element around all, and a label before all."""
    said = [line for line in kept if line.strip()]
    if said and all(line.lstrip().startswith(">") for line in said):
        kept = [re.sub(r"^[ \t]*>[ \t]?", "", line) for line in kept]
    kept = _unwrapped(kept)
    if kept and kept[0].lstrip()[:3] in ("???", "!!!") and (found := ADMONITION.fullmatch(kept[0])):
        kept = kept[1:] if is_revealer(found[1]) else kept
    if kept:
        first = _without_label(kept[0])
        kept = kept[1:] if first == kept[0] and is_answer_label(first) else [first, *kept[1:]]
    while kept and (not kept[0].strip() or is_separator(kept[0])):
        kept = kept[1:]
    return flush(kept)


def _unwrapped(kept: list[str]) -> list[str]:
    """Without an element that begins in the first line, ends in the last, and has nothing beside it there."""
    while kept and not kept[0].strip():
        kept = kept[1:]
    while kept and not kept[-1].strip():
        kept = kept[:-1]
    if len(kept) < 2:
        return [re.sub(r"^[ \t]*<p>(.*)</p>[ \t]*$", r"\1", line) for line in kept]
    opening = re.fullmatch(r"[ \t]*<(p|div|center|blockquote)\b[^<>]*>[ \t]*", kept[0], re.IGNORECASE)
    if (
        opening
        and kept[-1].strip().lower() == f"</{opening[1].lower()}>"
        and f"</{opening[1].lower()}" not in "\n".join(kept[1:-1]).lower()
    ):
        return _unwrapped(kept[1:-1])
    return kept


def _without_label(line: str) -> str:
    """Without "Answer:" in any dress before the words."""
    found = re.match(r"([ \t>]*(?:[-*+][ \t]+)?(?:#+[ \t]+)?)((?:\*\*|__|\*|_)?)(?:<(b|strong|i|em)>)?", line)
    assert found is not None
    if dressed := DRESSED_LABEL.match(line, found.end(1)):
        return found[1].lstrip("#> ") + line[dressed.end() :]
    rest = line[found.end() :]
    label = ANSWER_LABEL.match(rest)
    if not label:
        return line
    words = rest[label.end() :]
    sign = found[2]
    if sign and words.startswith(sign):
        words = words[len(sign) :]
    elif sign and sign in words:
        words = sign + words
    if found[3]:
        words = re.sub(rf"</{found[3]}>", "", words, count=1, flags=re.IGNORECASE)
    return re.match(r"[ \t]*", line)[0] + words.lstrip(" \t:：-–—") if words.strip() else ""  # type: ignore[index]


def _unfolded(lines: list[str]) -> list[str]:
    """Without `<details>` and its summary, where these hide the answer."""
    kept = []
    hidden = 0
    at = 0
    while at < len(lines):
        line = lines[at]
        if "<details" in line.lower():
            end = next((i for i in range(at, min(at + 6, len(lines))) if "</summary" in lines[i].lower()), None)
            if end is not None:
                joined = " ".join(lines[at : end + 1])
                summary = re.search(r"<summary\b[^<>]*>(.*?)</summary[^<>]*>(.*)", joined, re.IGNORECASE)
                if summary and is_revealer(summary[1]):
                    hidden += 1
                    rest = summary[2]
                    if "</details>" in rest.lower():
                        hidden -= 1
                        rest = re.sub(r"</details>", "", rest, flags=re.IGNORECASE)
                    kept.append(rest.strip() if rest.strip() else "")
                    at = end + 1
                    continue
        if hidden and "</details>" in line.lower():
            hidden -= 1
            line = re.sub(r"</details>", "", line, count=1, flags=re.IGNORECASE)
            if not line.strip():
                at += 1
                continue
        kept.append(line)
        at += 1
    return kept


def is_separator(line: str, around: str = "") -> bool:
    """A rule, a break, or the end of an element that does not begin in the text `around`."""
    plain = line.strip().lower()
    if re.fullmatch(r"[-*_=]{3,}|(?:[-*_][ \t]){2,}[-*_]|(?:<(?:br|hr)[ \t]*/?>[ \t]*)+", plain):
        return True
    closed = re.fullmatch(r"</(p|div|center|details|b|blockquote)>", plain)
    return closed is not None and f"<{closed[1]}" not in around
