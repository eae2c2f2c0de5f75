r"""LaTeX mathematics as text for a terminal: `\hat{y}_i \le \frac{1}{n}` becomes ŷᵢ ≤ 1/n.

What notes use: Greek, scripts, fractions, roots, accents, sums with limits, delimiters, text, alphabets, matrices,
cases, aligned rows. Never fails: a command it does not know stands as it was written.
Deliberately not here: fractions above each other, sizes, macros.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from clearhead.study.mathbox import HELD, HIDDEN, Held, Table, drawn, fill, in_a_row, rows
from clearhead.study.mathpieces import WORD, Piece, accented, joined, lowered, operand, raised, sign
from clearhead.study.mathsigns import ACCENTS, ALPHABETS, FUNCTIONS, SIGNS, SPACES

T = TypeVar("T")
TOKEN = re.compile(r"\\[a-zA-Z]+\*?|\\.|\s+|\d+(?:\.\d+)?|.", re.DOTALL)
DEEPEST = 60  # braces within braces; beyond them the text stands as it is
INVISIBLE = {"left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "limits", "nolimits",
             "displaystyle", "textstyle", "scriptstyle", "nonumber", "notag", "middle"}  # fmt: skip
WORDS = {"text", "textrm", "textbf", "textit", "texttt", "mbox", "operatorname", "operatorname*", "mathrm", "mathsf",
         "mathtt", "mathop"}  # fmt: skip


def plain(latex: str) -> str:
    r"""A formula in one line.

    >>> plain(r"\frac{\partial L}{\partial W_{ij}} = x^\top (\hat{y} - y)")
    '∂L/∂Wᵢⱼ = xᵀ(ŷ - y)'
    >>> plain(r"\sum_{i=1}^{n} \sqrt{x_i^2 + 1}, \quad \|v\|_\infty = \max_i |v_i|")
    '∑ᵢ₌₁ⁿ √(xᵢ² + 1),  ‖v‖_∞ = maxᵢ |vᵢ|'
    """
    try:
        text, held = _read(latex, _Reader.all)
        return fill(text, held, in_a_row)
    except RecursionError:  # roots in roots, tables in tables: it stands as it is
        return latex


def display(latex: str) -> list[str]:
    r"""A formula as the lines of a paragraph of its own: matrices are drawn, rows stand below each other.

    >>> print("\n".join(display(r"A = \begin{bmatrix} 1 & 0 \\ 0 & 12 \end{bmatrix}")))
    A = ⎡ 1  0  ⎤
        ⎣ 0  12 ⎦
    """
    try:
        table, held = _read(latex, lambda reader: reader.table(end=None))
        return [line for row in rows(table, held) for line in drawn(row, held)]
    except RecursionError:
        return latex.split("\n")


def _read(latex: str, how: "Callable[[_Reader], T]") -> tuple[T, Held]:
    """What a reader makes of a formula. Where a subscript's letter has no small one, no letter is made small."""
    reader = _Reader(latex)
    found = how(reader)
    if reader.lowered == {True, False}:
        reader = _Reader(latex, small=False)
        found = how(reader)
    return found, reader.held


class _Reader:
    """One formula on its way from tokens to text."""

    def __init__(self, latex: str, small: bool = True) -> None:
        self.small = small  # letters of subscripts as small letters, where there are such
        self.lowered: set[bool] = set()  # whether they were, of those that are no words
        self.tokens = TOKEN.findall("".join(sign for sign in latex if sign not in HIDDEN))
        self.at = 0
        self.depth = 0
        self.held: Held = []  # environments, by the number of their private character

    def all(self) -> str:
        """Everything, rows too, in one line."""
        table = self.table(end=None)
        return ";  ".join(" ".join(filter(None, row)) for row in table)

    def table(self, end: str | None) -> Table:
        """Rows of cells up to `\\end`, or to the end of the formula."""
        rows: Table = [[]]
        while True:
            rows[-1].append(joined(self.pieces({"&", "\\\\", "\\cr"} | ({"\\end"} if end else set()))))
            token = self.next()
            if token in ("\\\\", "\\cr"):
                rows.append([])
            elif token == "\\end":
                self.argument_source()
                break
            elif not token:
                break
        return [row for row in rows if any(row)]

    def pieces(self, stop: set[str]) -> list[Piece]:
        """What comes before the first of `stop` or a brace that closes more than was opened."""
        found: list[Piece] = []
        while self.peek() and self.peek() not in stop:
            if self.peek() == "}":
                if self.depth:
                    break
                self.next()  # it closes nothing
                continue
            self.piece(found)
        return found

    def piece(self, found: list[Piece]) -> None:
        """Read one sign, group or command and add it."""
        token = self.next()
        if token.isspace():
            if found and found[-1].text == "|":
                found[-1] = Piece("|", "rel") if len(found) > 1 and found[-2].kind == "space" else found[-1]
            elif self.peek() == "|" and found:
                found.append(Piece("", "space"))
        elif token in "^_":
            self.script(token, found)
        elif token == "{":
            self.at -= 1
            inner = self.group()
            if inner:  # a comma in braces is that of 32,768 and no sign between two things
                alone = len(inner) == 1 and inner[0].kind != "punct"
                found.append(inner[0] if alone else Piece(joined(inner), "ord"))
        elif token == "'":
            last = found.pop() if found else Piece("", "ord")
            found.append(Piece(last.text + "′", last.kind))
        elif token == "|" and self.peek() == "|":
            self.next()
            found.append(Piece("‖", "ord"))
        elif len(token) > 1 and token[0] == "\\":
            self.command(token[1:], found)
        else:
            found.append(sign(token))

    def command(self, name: str, found: list[Piece]) -> None:
        known = SIGNS.get(name)
        if name == "mid":
            found.append(Piece("|", "rel"))
        elif known is not None:
            found.append(sign(known))
        elif name in FUNCTIONS:
            found.append(Piece(FUNCTIONS[name], "fn"))
        elif name in SPACES:
            if found and found[-1].kind == "space":
                found[-1] = Piece(found[-1].text + SPACES[name], "space")
            else:
                found.append(Piece(SPACES[name], "space"))
        elif name in ("frac", "dfrac", "tfrac", "cfrac"):
            above, below = self.group(), self.group()
            found.append(Piece(f"{operand(above, sums=True)}/{operand(below)}", "frac"))
        elif name in ("binom", "dbinom", "tbinom"):
            found.append(Piece(f"C({joined(self.group())}, {joined(self.group())})", "ord"))
        elif name == "sqrt":
            degree = self.optional()
            found.append(Piece(f"{raised(degree) if degree else ''}√{operand(self.group())}", "ord"))
        elif name in ACCENTS:
            found.append(Piece(accented(joined(self.group()), name), "ord"))
        elif name in ALPHABETS:
            letters = joined(self.group())
            found.append(Piece("".join(ALPHABETS[name].get(letter, letter) for letter in letters), "ord"))
        elif name in WORDS:
            text = self.words()
            kind = "fn" if name.startswith("operatorname") else "word" if len(text) > 1 else "ord"
            found.append(Piece(text, kind))
        elif name in ("underbrace", "overbrace"):
            self.brace(found)
        elif name in ("underset", "overset", "stackrel"):
            label, base = self.group(), self.group()
            small = (lowered if name == "underset" else raised)(joined(label))
            found.append(Piece(joined(base) + small, base[0].kind if len(base) == 1 else "ord"))
        elif name in ("xrightarrow", "xleftarrow"):
            arrow = "→" if "right" in name else "←"
            found.append(Piece(f"{arrow}({joined(self.group())})", "rel"))
        elif name in ("boxed", "mathstrut", "phantom", "smash", "mathbf", "boldsymbol", "bm", "mathit", "pmb"):
            inner = self.group()
            found.append(Piece(joined(inner), inner[0].kind if len(inner) == 1 else "ord"))
        elif name in ("tag", "label"):
            found.append(Piece(f"   ({self.words()})" if name == "tag" else "", "space"))
            if name == "label":
                self.words()
        elif name == "begin":
            self.environment(found)
        elif name in INVISIBLE:
            if self.peek() == ".":  # \left. has no sign
                self.next()
        elif name == "not":
            following = self.group()
            text = joined(following)
            found.append(Piece(unicodedata.normalize("NFC", text[:1] + "\u0338") + text[1:], "rel"))
        elif name == "\\":
            found.append(Piece("; ", "space"))
        elif name == "pmod":
            found.append(Piece(f" (mod {joined(self.group())})", "space"))
        else:
            found.append(Piece(name if len(name) == 1 and not name.isalpha() else f"\\{name}", "ord"))

    def script(self, mark: str, found: list[Piece]) -> None:
        """A subscript or superscript of what stands before it."""
        base = found.pop() if found and found[-1].kind != "space" else Piece("", "ord")
        start = self.at
        inner = self.group()
        is_word = "".join(self.tokens[start : self.at]).startswith(tuple(f"{{\\{word}" for word in WORDS))
        text = joined(inner, tight=True)
        if text:
            small = raised(text) if mark == "^" else self.subscript(text, is_word)
            if base.kind == "frac":
                base = Piece(f"({base.text})", "ord")
            found.append(Piece(base.text + small, base.kind))
        else:
            found.append(base)

    def subscript(self, text: str, is_word: bool) -> str:
        letters = len(text) < WORD and text.isascii() and text.isalpha() and not is_word
        found = lowered(text, is_word or (letters and not self.small))
        if letters:
            self.lowered.add(not found.startswith("_"))
        return found

    def brace(self, found: list[Piece]) -> None:
        """`\\underbrace{a}_{b}`: a, and what it is called."""
        inner = joined(self.group())
        self.skip()
        if self.peek() in ("_", "^"):
            self.next()
            label = joined(self.group())
            found.append(Piece(f"{inner} [{label}]", "ord"))
        else:
            found.append(Piece(inner, "ord"))

    def environment(self, found: list[Piece]) -> None:
        name = self.argument_source()
        if name.startswith("array"):
            self.argument_source()
        rows = self.table(end=name)
        kind = name.rstrip("*")
        self.held.append((kind, rows))
        found.append(Piece(chr(HELD + len(self.held) - 1), "ord"))

    def group(self) -> list[Piece]:
        """The argument of a command: what is between braces, or the next sign."""
        self.skip()
        token = self.peek()
        if not token or self.depth >= DEEPEST:
            return [Piece(self.next(), "ord")] if token else []
        self.depth += 1
        try:
            if token == "{":
                self.next()
                inner = self.pieces({"}"})
                self.next()
                return [piece for piece in inner if piece.text or piece.kind != "space"]
            if token == "}":
                return []
            if token[0].isdigit() and len(token) > 1:  # x^12 is x¹2
                self.tokens[self.at] = token[1:]
                return [sign(token[0])]
            inner = []
            self.piece(inner)
            return inner
        finally:
            self.depth -= 1

    def words(self) -> str:
        """The argument of `\\text`, with its spaces and with the mathematics inside it."""
        source = self.argument_source()
        parts = source.split("$")
        for i in range(1, len(parts), 2):
            parts[i] = plain(parts[i])
        return re.sub(r"\\([_%&#{} ])", r"\1", re.sub(r"\s+", " ", "".join(parts)))

    def argument_source(self) -> str:
        """The argument as it is written."""
        self.skip()
        if self.peek() != "{":
            return self.next()
        depth, start = 0, self.at + 1
        while token := self.next():
            depth += (token == "{") - (token == "}")
            if not depth:
                return "".join(self.tokens[start : self.at - 1])
        return "".join(self.tokens[start:])

    def optional(self) -> str:
        """`[n]` of a root."""
        if self.peek() != "[":
            return ""
        self.next()
        inner = joined(self.pieces({"]"}), tight=True)
        self.next()
        return inner

    def skip(self) -> None:
        while self.peek().isspace():
            self.next()

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self.at += 1
        return token
