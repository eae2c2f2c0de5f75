"""The signs of LaTeX mathematics in Unicode, and which of them TeX spaces how."""

import string
import unicodedata


def _alphabet(style: str) -> dict[str, str]:
    """Letters in one of Unicode's mathematical styles, those with names of their own included (ℝ, ℒ).

    >>> _alphabet("DOUBLE-STRUCK")["R"], _alphabet("SCRIPT")["N"]
    ('ℝ', '𝒩')
    """
    found = {}
    for letter in string.ascii_letters:
        case = "CAPITAL" if letter.isupper() else "SMALL"
        for name in (
            f"MATHEMATICAL {style} {case} {letter}",
            f"{style} {case} {letter}",
            f"BLACK-LETTER {case} {letter}",
        ):
            try:
                found[letter] = unicodedata.lookup(name.upper())
                break
            except KeyError:
                continue
    return found


GREEK = {
    name: unicodedata.lookup(f"GREEK {case} LETTER {'LAMDA' if name.lower() == 'lambda' else name.upper()}")
    for names, case in (
        ("alpha beta gamma delta zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon chi psi "
         "omega", "SMALL"),
        ("Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega", "CAPITAL"),
    )
    for name in names.split()
}  # fmt: skip

SIGNS = GREEK | {
    "epsilon": "ε", "varepsilon": "ε", "phi": "φ", "varphi": "φ", "vartheta": "ϑ", "varrho": "ρ", "varsigma": "ς",
    "partial": "∂", "nabla": "∇", "infty": "∞", "ell": "ℓ", "hbar": "ħ", "Re": "Re", "Im": "Im", "aleph": "ℵ",
    "forall": "∀", "exists": "∃", "nexists": "∄", "neg": "¬", "lnot": "¬", "emptyset": "∅", "varnothing": "∅",
    "top": "⊤", "bot": "⊥", "angle": "∠", "triangle": "△", "prime": "′", "dagger": "†", "star": "⋆", "ast": "*",
    "bullet": "•", "degree": "°", "checkmark": "✓", "square": "□", "blacksquare": "■", "therefore": "∴",
    "cdot": "·", "times": "×", "div": "÷", "pm": "±", "mp": "∓", "odot": "⊙", "oplus": "⊕", "otimes": "⊗",
    "ominus": "⊖", "circ": "∘", "cap": "∩", "cup": "∪", "setminus": "∖", "wedge": "∧", "land": "∧", "vee": "∨",
    "lor": "∨", "le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥", "ne": "≠",
    "neq": "≠", "ll": "≪", "gg": "≫", "approx": "≈", "simeq": "≃", "cong": "≅", "equiv": "≡", "sim": "~",
    "propto": "∝", "in": "∈", "notin": "∉", "ni": "∋", "subset": "⊂", "subseteq": "⊆", "supset": "⊃",
    "supseteq": "⊇", "succ": "≻", "succeq": "⪰", "prec": "≺", "preceq": "⪯", "perp": "⊥", "parallel": "∥",
    "to": "→", "rightarrow": "→", "leftarrow": "←", "gets": "←", "Rightarrow": "⇒", "implies": "⇒",
    "Leftarrow": "⇐", "leftrightarrow": "↔", "Leftrightarrow": "⇔", "iff": "⇔", "mapsto": "↦", "uparrow": "↑",
    "downarrow": "↓", "longrightarrow": "⟶", "longleftarrow": "⟵", "hookrightarrow": "↪", "triangleq": "≜",
    "coloneqq": "≔", "vdash": "⊢", "models": "⊨", "sum": "∑", "prod": "∏", "int": "∫", "iint": "∬", "oint": "∮",
    "bigcup": "⋃", "bigcap": "⋂", "bigoplus": "⨁", "bigotimes": "⨂", "bigodot": "⨀", "ldots": "…", "dots": "…",
    "cdots": "⋯", "dotsc": "…", "dotsb": "⋯", "vdots": "⋮", "ddots": "⋱", "langle": "⟨", "rangle": "⟩",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "lVert": "‖", "rVert": "‖", "Vert": "‖",
    "lvert": "|", "rvert": "|", "vert": "|", "|": "‖", "{": "{", "}": "}", "lbrace": "{", "rbrace": "}",
    "lbrack": "[", "rbrack": "]", "backslash": "\\", "colon": ":", "_": "_", "%": "%", "&": "&", "#": "#", "$": "$",
}  # fmt: skip

FUNCTIONS = {
    name: name
    for name in """log ln lg exp sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh max min sup inf lim arg det
        dim ker deg gcd Pr hom""".split()  # noqa: SIM905
} | {"argmax": "argmax", "argmin": "argmin", "limsup": "lim sup", "liminf": "lim inf", "bmod": "mod"}

SPACES = {",": " ", ":": " ", ";": " ", "!": "", " ": " ", "quad": "  ", "qquad": "    ", ">": " ", "/": "",
          "enspace": " ", "thinspace": " ", "hspace": " ", "\n": " "}  # fmt: skip

RELATIONS = frozenset("=<>≤≥≠≪≫≈≃≅≡~∝∈∉∋⊂⊆⊃⊇≻⪰≺⪯∣→←⇒⇐↔⇔↦⟶⟵↪≜≔⊢⊨:")
BINARY = frozenset("+-−·×÷±∓⊙⊕⊗⊖∘∩∪∖∧∨")
BIG = frozenset("∑∏∫∬∮⋃⋂⨁⨂⨀")
OPENING = frozenset("([{⟨⌊⌈")
CLOSING = frozenset(")]}⟩⌋⌉")

ACCENTS = {
    "hat": "\u0302", "widehat": "\u0302", "bar": "\u0304", "overline": "\u0305", "tilde": "\u0303",
    "widetilde": "\u0303", "vec": "\u20d7", "dot": "\u0307", "ddot": "\u0308", "check": "\u030c",
    "underline": "\u0332", "breve": "\u0306", "acute": "\u0301", "grave": "\u0300", "mathring": "\u030a",
}  # fmt: skip

ALPHABETS = {
    "mathbb": _alphabet("DOUBLE-STRUCK") | {"1": "𝟙"},
    "mathcal": _alphabet("SCRIPT"),
    "mathscr": _alphabet("SCRIPT"),
    "mathfrak": _alphabet("FRAKTUR"),
}

RAISED = dict(
    zip("0123456789+-=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVW⊤βγδθφχ′*",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵀᵝᵞᵟᶿᵠᵡ′*", strict=True)
)  # fmt: skip
BELOW = dict(zip("0123456789+-=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))
