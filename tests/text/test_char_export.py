"""A character tokenizer in the library's form and in GGUF's: the same ids, and nothing left out in silence."""

import pytest
import tokenizers

from clearhead.errors import UserError
from clearhead.text.char_export import as_subword
from clearhead.text.gguf_export import to_metadata
from clearhead.text.gguf_vocab import from_metadata
from clearhead.text.tokenizer import CharTokenizer

TEXTS = ["What is 17 × 24?\n17 × 4 = 68 <end>\n", "  ", "", "<0x0A>é猫👋\t"]


@pytest.mark.parametrize("texts", [TEXTS, ["0123456789"]])
def test_the_same_ids_in_every_form(texts: list[str]) -> None:
    ours = CharTokenizer.train(texts)
    theirs = as_subword(ours)
    library = tokenizers.Tokenizer.from_str(theirs.to_json())
    library.encode_special_tokens = True
    file = from_metadata(to_metadata(theirs, None, ours.vocab_size))
    assert theirs.vocab_size == file.vocab_size == ours.vocab_size
    for text in texts:
        ids = ours.encode(text)
        assert theirs.encode(text) == file.encode(text) == library.encode(text).ids == ids
        assert theirs.decode(ids) == file.decode(ids) == library.decode(ids) == text
    for tokenizer in (theirs, file):
        assert (tokenizer.end_id, tokenizer.pad_id, tokenizer.decode([0, 1])) == (1, 0, "")
    with pytest.raises(UserError, match="cannot read this text"):
        theirs.encode("§")
    assert file.encode("§") == [0], "llama.cpp takes number 0 where a file names no unknown token"
    assert library.token_to_id("<end>") == 1


def test_bytes_spell_in_every_form_what_the_alphabet_lacks() -> None:
    ours = CharTokenizer("\n 0123456789abc", byte_fallback=True)
    theirs = as_subword(ours)
    file = from_metadata(to_metadata(theirs, None, ours.vocab_size))
    assert theirs.vocab_size == file.vocab_size == ours.vocab_size
    for text in TEXTS:
        ids = ours.encode(text)
        assert theirs.encode(text) == file.encode(text) == ids
        assert theirs.decode(ids) == file.decode(ids) == text


def test_a_sign_that_other_programs_read_as_a_space_is_told() -> None:
    with pytest.raises(UserError, match="'▁', which stands for the space"):
        as_subword(CharTokenizer("a▁"))
