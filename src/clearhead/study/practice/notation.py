"""Ways in which people write numbers and formulas, brought to the one way that `answers` reads.

A text can mean several things (`0,667` a number or a vector, `5.3B` bytes or billions), so what comes out is every way
in which it may be meant, the likeliest first; whoever knows what was asked decides. Text goes in and text comes out:
nothing is evaluated here.
"""

import functools
import re
import unicodedata

SIGNS = {
    "−": "-", "–": "-", "—": "-", "×": "*", "·": "*", "∙": "*", "⋅": "*", "∗": "*", "÷": "/", "∕": "/", "⁄": "/",
    "√": " sqrt ", "π": " pi ", "σ": " sigmoid ", "∞": " inf ", "⟨": "[", "⟩": "]", "’": "'", "ᵀ": "",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "½": "(1/2)", "⅓": "(1/3)", "⅔": "(2/3)", "¼": "(1/4)", "¾": "(3/4)",
}  # fmt: skip
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿˣ", "0123456789+-()nx", strict=True))
LATEX = {
    r"\cdot": "*", r"\times": "*", r"\div": "/", r"\pi": " pi ", r"\sigma": " sigmoid ", r"\infty": " inf ",
    r"\left": "", r"\right": "", r"\displaystyle": "", r"\,": " ", r"\;": " ", r"\!": "", r"\:": " ", r"\ ": " ",
    r"\%": "%",
    r"\approx": "=", r"\quad": " ", r"\(": "", r"\)": "", r"\[": "", r"\]": "", r"\{": "(", r"\}": ")",
}  # fmt: skip
SCALES = {
    "k": (1e3, 2**10), "K": (1e3, 2**10), "M": (1e6, 2**20), "G": (1e9, 2**30), "T": (1e12, 2**40), "B": (1, 1e9),
    "thousand": (1e3,), "million": (1e6,), "mn": (1e6,), "billion": (1e9,), "bn": (1e9,), "trillion": (1e12,),
}  # fmt: skip
SCALES |= {
    f"{prefix}{unit}": values
    for prefix, power in (("K", 1), ("k", 1), ("M", 2), ("G", 3), ("T", 4))
    for unit, values in (
        ("iB", (2 ** (10 * power),)), ("ib", (2 ** (10 * power),)), ("i", (2 ** (10 * power),)),
        ("B", (10 ** (3 * power), 2 ** (10 * power))), ("b", (10 ** (3 * power), 2 ** (10 * power))),
    )
}  # fmt: skip
UNITS = r"(?:parameters|params|weights|numbers|bytes|byte|tokens|in total|in all|approximately|approx\.?|about|roughly)"
NUMBER = r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"


def readings(text: str, formula: bool = False) -> list[str]:
    r"""What a typed answer may mean, the likeliest first; `formula` where letters are variables.

    >>> readings("66.7%"), readings(r"\frac{2}{3}"), readings("2x²", formula=True)
    (['((66.7)/100)'], ['((2)/(3))'], ['2x**(2)'])
    >>> readings("0,667")
    ['0,667', '0.667']
    >>> readings("w = -1.029")
    ['-1.029', 'w']
    """
    found: dict[str, None] = {}
    for part in _sides(_plain(text)):
        for meant in [part] if formula else _numbers(part):
            found[" ".join(meant.split())] = None
            if not formula and (spaced := _spaced(meant)):
                found[spaced] = None
    return list(found)


def _plain(text: str) -> str:
    """Typeset signs as those of a keyboard."""
    text = text.replace("$", " ").replace("\u200b", "")
    text = re.sub(f"[{''.join(map(re.escape, RAISED))}]+", lambda m: f"**({''.join(RAISED[c] for c in m[0])})", text)
    text = re.sub(r"\\begin\{\w*matrix\}(.*?)\\end\{\w*matrix\}", _matrix, text, flags=re.S)
    text = re.sub(r"\\(?:mathrm|text|operatorname|mathbf)\s*\{([^{}]*)\}", r" \1 ", text)
    for _ in range(8):  # from the inside out
        text, count = re.subn(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"((\1)/(\2))", text)
        text, more = re.subn(r"\\sqrt\s*\{([^{}]*)\}", r" sqrt(\1) ", text)
        text, powers = re.subn(r"\^\s*\{([^{}]*)\}", r"**(\1)", text)
        if not count + more + powers:
            break
    text = re.sub(r"\\[dt]?frac\s*(\d)\s*(\d)", r"((\1)/(\2))", text)
    for old in sorted(LATEX, key=len, reverse=True):
        text = text.replace(old, LATEX[old])
    text = re.sub(r"\\([A-Za-z]+)", r" \1 ", text)
    text = "".join(SIGNS.get(sign, sign) for sign in text)
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"\^\s*T\b(?=\s*$|\s*[=,;])", "", text).replace("^", "**")
    return re.sub(r"\{([^{}:]*)\}", r"(\1)", text)


def _matrix(found: re.Match[str]) -> str:
    rows = [[cell.strip() for cell in row.split("&")] for row in re.split(r"\\\\", found[1]) if row.strip()]
    if all(len(row) == 1 for row in rows):  # a column
        return "[" + ", ".join(row[0] for row in rows) + "]"
    return "[" + ", ".join("[" + ", ".join(row) + "]" for row in rows) + "]"


def _sides(text: str) -> list[str]:
    """What stands right of the last sign of equality, then what stands left of it: `w = 3` and `3 = w`."""
    text = re.sub(r"^\s*(?:the )?(?:answer|result|ans)\s*(?:is|:)?\s*", "", text, flags=re.I)
    if re.search(r"[=<>!]=|[<>]", text):
        return [text]
    text = text.replace("≈", "=").replace("≃", "=").replace("~", "=")
    return [part.strip().rstrip(".") for part in reversed(text.split("=")) if part.strip()] or [text]


def _numbers(text: str) -> list[str]:
    """Numbers with signs that group their digits, with a comma for the point, with per cent, a scale or a unit."""
    text = re.sub(rf"\b{UNITS}(?!\w)", " ", text)
    found = [text]
    grouped = re.sub(r"(?<![\d.,])[1-9]\d{0,2}(?:[,'_ ]\d{3})+(?![\d,])", lambda m: re.sub(r"[,'_ ]", "", m[0]), text)
    dotted = re.sub(r"(?<![\d.,])\d{1,3}(?:\.\d{3}){2,}(?![\d.])", lambda m: m[0].replace(".", ""), text)
    comma = re.sub(r"(?<=\d),(?=\d)", ".", text) if not re.search(r"\d\.\d", text) else text
    both = re.sub(r"(?<=\d)\.(?=\d{3}\b)", "", text)
    both = re.sub(r"(?<=\d),(?=\d)", ".", both) if re.search(r"\d\.\d{3},\d", text) else text
    found += [other for other in (grouped, dotted, comma, both) if other != text]
    if re.fullmatch(r"\s*[-+]?\d{1,3}(?:,\d{3}){2,}(?:\.\d+)?\s*", text):
        found.reverse()  # what looks like one number of several groups is one
    return [scaled for meant in dict.fromkeys(found) for scaled in _scaled(meant)]


def _scaled(text: str) -> list[str]:
    """`66.7%`, `5.34M` and `16 MiB` multiplied out."""
    text = re.sub(rf"({NUMBER})\s*(?:%|percent\b|per cent\b)", r"((\1)/100)", text)
    names = "|".join(sorted(SCALES, key=len, reverse=True))
    pattern = re.compile(rf"({NUMBER})\s*({names})(?![\w(])")
    if not pattern.search(text):
        return [text]
    most = max(len(SCALES[m[2]]) for m in pattern.finditer(text))

    def multiplied(found: re.Match[str], i: int) -> str:
        values = SCALES[found[2]]
        return f"({found[1]}*{values[min(i, len(values) - 1)]:.0f})"

    return [pattern.sub(functools.partial(multiplied, i=i), text) for i in range(most)]


def _spaced(text: str) -> str:
    """A vector or a matrix whose entries are parted by spaces; nothing where they are not.

    >>> _spaced("[1 2; 3 -4]"), _spaced("[[1. 2.] [3. 4.]]"), _spaced("2 pi - 1")
    ('[[1, 2], [3, -4]]', '[[1., 2.], [3., 4.]]', '')
    """
    inner = text.strip()
    if not re.search(r"[\d.)]\s+[-+.\d(]", inner) and ";" not in inner and "][" not in inner.replace(" ", ""):
        return ""
    rows = re.split(r";|\n|\]\s*,?\s*\[|\)\s*,\s*\(", inner)
    if not all(row.strip(" []()") for row in rows):
        return ""
    cells = [[cell for cell in re.split(r"\s*,\s*|\s+", row.strip(" []")) if cell] for row in rows]
    if any(not re.search(r"\d", cell) or re.search(r"[-+*/(]$|^[*/)]", cell) for row in cells for cell in row):
        return ""
    written = [
        f"[{', '.join(cell.strip('()') if cell.count('(') != cell.count(')') else cell for cell in row)}]"
        for row in cells
    ]
    return written[0] if len(written) == 1 else f"[{', '.join(written)}]"
