r"""How text is cut into pieces before anything is merged: one regular expression a family of models.

A piece is a word with the space before it, a run of digits, of punctuation or of white space. Merges never cross from
one piece to the next, so the expression decides the ids as much as the merges do, and neither a rank file nor a GGUF
file holds it: they name it, or leave it to be known. The expressions are for Oniguruma, the engine of the tokenizers
library, where `{1,3}+` is no possessive repeat and `$` is the end of a line.
"""

from clearhead.config import nearest
from clearhead.errors import UserError

# Radford et al. 2019, encoder.py
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD, _SIGNS = r"[^\r\n\p{L}\p{N}]?\p{L}+", r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_SPACE = r"\s*[\r\n]+|\s+(?!\S)|\s+"
# GPT-3.5 and 4, as tiktoken has it by now: the white space that ends a text is one piece, line breaks or not
CL100K = rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|\s+\z|{_SPACE}"
LLAMA3 = rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACE}"  # as tiktoken had it before
QWEN2 = rf"{_CONTRACTION}|{_WORD}|\p{{N}}|{_SIGNS}|{_SPACE}"  # digits one by one
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (  # GPT-4o: also between lower and upper case
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}?|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACE}"
)
DIGIT = r"\p{N}"
# What llama.cpp does for a file that names nothing: signs, words, runs of digits, then digits three by three.
DEFAULT = (
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)", r"\p{N}+", r"[0-9][0-9][0-9]",
)  # fmt: skip

# name: expressions that cut one after the other. The names are those of `tokenizer.ggml.pre` in GGUF files (llama.cpp,
# src/llama-vocab.cpp) and of tiktoken's encodings.
PATTERNS: dict[str, tuple[str, ...]] = {
    "default": DEFAULT,
    "gpt2": (GPT2,),
    "cl100k": (CL100K,),
    "o200k": (O200K,),
    "llama3": (LLAMA3,),
    "qwen2": (QWEN2,),
    "smollm": (DIGIT, GPT2),
}
ALIASES = {
    "gpt-2": "gpt2", "mpt": "gpt2", "olmo": "gpt2", "phi-2": "gpt2", "jina-v2-code": "gpt2",
    "llama-bpe": "llama3", "llama-v3": "llama3", "falcon3": "llama3", "dbrx": "llama3", "smaug-bpe": "llama3",
    "gpt-4o": "o200k", "llama4": "o200k",
    "deepseek-r1-qwen": "qwen2", "stablelm2": "qwen2",
    "starcoder": "smollm", "refact": "smollm", "command-r": "smollm", "codeshell": "smollm", "exaone": "smollm",
}  # fmt: skip


# Expressions that tokenizer.json files hold, as these and other families spell them: all take linear time on any text.
COMMON = frozenset(expression for several in PATTERNS.values() for expression in several) | {
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    LLAMA3.replace(_CONTRACTION, "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"),
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACE}",
    r"\p{N}{1,3}", "[0-9]", "[0-9][0-9][0-9]", r"\d", r"\s?\p{L}+", " {2,}", r"\s+", r"\s", r"[\r\n]", r"\n", " ",
}  # fmt: skip


def pattern(name: str) -> tuple[str, ...]:
    """The expressions of that name, which may be an alias."""
    known = ALIASES.get(name, name)
    if known not in PATTERNS:
        raise UserError(f"the way {name!r} to cut text into pieces is unknown{nearest(name, PATTERNS)}")
    return PATTERNS[known]
