"""word2vec's two forms, byte for byte, and files that are broken."""

from pathlib import Path

import numpy as np
import pytest

from clearhead.errors import UserError
from clearhead.formats import word2vec

WORDS = ["the", "naïve"]
VECTORS = np.array([[1.0, -0.5], [0.1, 3e-9]], np.float32)
AS_TEXT = "2 2\nthe 1.0 -0.5\nnaïve 0.1 3e-09\n".encode()
AS_BINARY = b"2 2\nthe \x00\x00\x80?\x00\x00\x00\xbf\nna\xc3\xafve \xcd\xcc\xcc=\x8f(N1\n"


@pytest.mark.parametrize(("name", "data"), [("v.vec", AS_TEXT), ("v.bin", AS_BINARY)])
def test_both_forms_byte_for_byte_and_back(tmp_path: Path, name: str, data: bytes) -> None:
    word2vec.write(tmp_path / name, WORDS, VECTORS)
    assert (tmp_path / name).read_bytes() == data
    words, vectors = word2vec.read(tmp_path / name)
    assert words == WORDS and np.array_equal(vectors, VECTORS)


def test_as_others_write_them(tmp_path: Path) -> None:
    """fastText ends its lines with a space, gensim's binary has no line feeds."""
    (tmp_path / "v.vec").write_bytes(b"2 2\r\nthe 1 -0.5 \nna\xc3\xafve 0.1 3e-9")
    assert np.array_equal(word2vec.read(tmp_path / "v.vec")[1], VECTORS)
    (tmp_path / "v.bin").write_bytes(AS_BINARY[:4] + AS_BINARY[4:16] + AS_BINARY[17:-1])
    words, vectors = word2vec.read(tmp_path / "v.bin")
    assert words == WORDS and np.array_equal(vectors, VECTORS)


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("v.vec", b"", "does not begin with a line of two numbers"),
        ("v.vec", b"the 1 2\n", "does not begin with a line of two numbers"),
        ("v.bin", b"1000000 300\nthe ", "too short for the 1000000 x 300 numbers"),
        ("v.bin", AS_BINARY[:-8], "ends in the middle of word 2 of 2"),
        ("v.vec", b"2 2\nthe 1 2\nof 1\n", "line 3: a word and 2 numbers"),
        ("v.vec", b"2 2\nthe 1 2\nof 1 x\n", "line 3: a word and 2 numbers"),
        ("v.vec", b"2 2\nthe 1 2\nof 1 nan\n", "not finite"),
        ("v.vec", b"2 2\nthe 1 2\nthe 1 3\n", "the same word twice"),
        ("v.vec", b"9 1\na 1\nb 1\nc 1\nd 1\n", "has 5 of the 9 words"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=told) as error:
        word2vec.read(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_word_that_the_format_cannot_spell(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has a space in it"):
        word2vec.write(tmp_path / "v.vec", ["new york"], VECTORS[:1])
    assert not list(tmp_path.iterdir())
