"""Pieces of a formula put together: spaces by TeX's classes (The TeXbook, chapter 18), brackets, scripts, accents."""

import re
import unicodedata
from typing import NamedTuple

from clearhead.study.mathsigns import ACCENTS, BELOW, BIG, BINARY, CLOSING, OPENING, RAISED, RELATIONS

WORD = 3  # from so many letters on, a subscript is a word: y_true is read more easily than small letters
MAX_SCRIPT_SIGNS = 40  # signs of a script that is looked at
OPEN_END = re.compile(r"[_^][^\s()/]+$")  # a script that the next letter would prolong


class Piece(NamedTuple):
    """A sign or a group, and how TeX spaces its kind: ord, frac, fn, word, big, bin, rel, open, close, punct, space."""

    text: str
    kind: str


def sign(text: str) -> Piece:
    """A single sign with its kind."""
    for kind, signs in (("rel", RELATIONS), ("bin", BINARY), ("open", OPENING), ("close", CLOSING), ("big", BIG)):
        if text in signs:
            return Piece(text, kind)
    return Piece(" " if text == "~" else text, "punct" if text in ",;" else "space" if text == "~" else "ord")


def joined(pieces: list[Piece], tight: bool = False) -> str:
    """The pieces with the spaces that their kinds ask for; `tight` as in a script, where there are none."""
    if tight:
        return "".join(piece.text for piece in pieces if piece.text.strip() or piece.kind != "space")
    text = ""
    before = "start"
    for piece in pieces:
        kind = piece.kind
        if kind == "space":
            text = text.rstrip() + piece.text if before in ("bin", "rel", "punct") else text + piece.text
            before = "space" if piece.text else before
            continue
        if kind == "bin" and before in ("start", "bin", "rel", "open", "punct", "fn", "big"):
            kind = "sign"  # minus one, not minus
        wide = kind in ("bin", "rel") or (before in ("bin", "rel", "punct") and kind != "close")
        apart = (
            (kind in ("fn", "big", "word", "frac") and before in ("ord", "frac", "close", "fn", "big", "word"))
            or (before in ("fn", "big", "word", "frac") and kind in ("ord", "sign"))
            or (before in ("big", "frac") and kind == "open")
            or (kind == "ord" and piece.text != "/" and OPEN_END.search(text[-MAX_SCRIPT_SIGNS:]))
        )
        if kind == "frac" and before == "fn":
            text += f"({piece.text})"
        else:
            text += f" {piece.text}" if (wide or apart) and text and not text.endswith(" ") else piece.text
        before = "open" if kind == "sign" else kind
    return text.rstrip()


def operand(pieces: list[Piece], sums: bool = False) -> str:
    """An operand: in brackets where it would else be misread. `sums`: only sums and dot products need them, as above a
    fraction bar."""
    text = joined(pieces)
    shown = [piece for piece in pieces if piece.text.strip()]
    if len(shown) <= 1:
        alone = not re.search(r"[ /]", text) or _bracketed(text.lstrip("√"))
    elif sums:
        alone = not _has_sum(shown[1:])
    else:
        name, *rest = shown
        call = name.kind in ("ord", "word", "fn") and _bracketed("".join(piece.text for piece in rest))
        alone = call or (len(rest) == 1 and name.text in ("∂", "d", "∇", "Δ") and " " not in text)
    return text if alone or _bracketed(text) else f"({text})"


def _has_sum(pieces: list[Piece]) -> bool:
    """A sign outside brackets holds two parts together."""
    depth = 0
    for piece in pieces:
        depth += (piece.kind == "open") - (piece.kind == "close")
        if depth <= 0 and piece.kind in ("bin", "rel", "punct") and piece.text != "×":
            return True
    return False


def _bracketed(text: str) -> bool:
    """One pair of brackets holds all of it."""
    if len(text) > 2 and text[0] == text[-1] and text[0] in "|‖" and text.count(text[0]) == 2:
        return True
    if text[:1] not in ("(", "[") or text[-1:] not in (")", "]"):
        return False
    depth = 0
    for i, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        if depth == 0:
            return i == len(text) - 1
    return False


def raised(text: str) -> str:
    return _script(text, RAISED, "^")


def lowered(text: str, is_word: bool = False) -> str:
    if is_word or (text.isalpha() and text.isascii() and len(text) >= WORD):
        return f"_{text}" if re.fullmatch(r"[\w.-]+", text) else f"_({text})"
    return _script(text, BELOW, "_")


def _script(text: str, small: dict[str, str], mark: str) -> str:
    text = text.replace("−", "-")
    if all(sign in small for sign in text):
        return "".join(small[sign] for sign in text)
    one = re.fullmatch(r"[<>≤≥]?([a-zA-Z0-9]+|[\w∞*][₀-₉ₐ-ₜᵢᵣᵤᵥ]*)", text)
    return f"{mark}{text}" if one or _bracketed(text) else f"{mark}({text})"


def accented(text: str, name: str) -> str:
    if len(text) == 1 or (len(text) == 2 and unicodedata.combining(text[1])):
        return unicodedata.normalize("NFC", text + ACCENTS[name])
    if name in ("overline", "bar", "underline"):
        return "".join(sign + ACCENTS[name] for sign in text)
    return f"{text[:1]}{ACCENTS[name]}{text[1:]}" if text.isalnum() else f"{name.removeprefix('wide')}({text})"
