"""Texts to try tokenizers on: many languages, emoji, code, control characters, and bytes that are no UTF-8."""

from collections.abc import Iterable
from unittest import mock

import tiktoken
import tiktoken_ext.openai_public as encodings
from hypothesis import strategies as st

from clearhead.text.samples import SAMPLES
from clearhead.text.subword import BYTE_OF, SubwordTokenizer

CODE = 'def f(x):\n\tif x >= 10:\r\n        return {"a": [1, 2.5e-3]}  # ok\n\n\n    \n'
AWKWARD = [
    *SAMPLES.values(), CODE, "don't I'LL we'Ve it'ſ 'S", "   a  b   ",
    "a  \n  ", "\n\n \n", "\t\t x", "12345 ١٢٣ Ⅷ ½",
    "<|endoftext|>",
    "👋🏽 👨‍👩‍👧 🇫🇷", "e\u0301 é \ufb01", "\x00\x01\x1b[0m\x7f\x85\xa0", "\u200b\u2028\ufeff",
    "CamelCaseHTTPServer", "￿\U0010ffff", "",
]  # fmt: skip
CORPUS = [*SAMPLES.values(), CODE, "the cat sat on the mat and that was that. " * 3, "aaaa abab baba 👋👋 123 123"]

_characters = st.one_of(
    st.characters(codec="utf-8"),
    st.sampled_from(sorted({char for text in [*AWKWARD, *CORPUS] for char in text})),
)
TEXTS = st.one_of(
    st.text(_characters, max_size=60),
    st.lists(st.sampled_from([*AWKWARD, *(word for text in CORPUS for word in text.split())]), max_size=8).map(
        " ".join
    ),
)


def ranks_of(tokenizer: SubwordTokenizer) -> dict[bytes, int]:
    """The tokens of a byte-level tokenizer trained here, ranked as they were learned."""
    vocabulary = tokenizer.backend.get_vocab(with_added_tokens=False)
    learned = sorted((i, token) for token, i in vocabulary.items() if i not in tokenizer.specials)
    return {bytes(BYTE_OF[char] for char in token): rank for rank, (_, token) in enumerate(learned)}


def encoding(name: str, ranks: dict[bytes, int], specials: Iterable[str] = ()) -> tiktoken.Encoding:
    """tiktoken with one of its own patterns, and ranks of ours."""
    with (
        mock.patch.object(encodings, "load_tiktoken_bpe", lambda *args, **options: {}),
        mock.patch.object(encodings, "data_gym_to_mergeable_bpe_ranks", lambda *args, **options: {}),
    ):
        pattern = getattr(encodings, name)()["pat_str"]
    tokens = {token: len(ranks) + i for i, token in enumerate(specials)}
    return tiktoken.Encoding("test", pat_str=pattern, mergeable_ranks=ranks, special_tokens=tokens)
