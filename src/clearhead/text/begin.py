"""How a text begins, for those who read one and for those who learn from one: the same tokens."""

from clearhead.errors import UserError
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer, readable


def prompt_tokens(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """A prompt with the tokens that the tokenizer puts before every text; a prompt of nothing is the end of another.

    UserError: nothing to begin with at all.
    """
    if not isinstance(tokenizer, SubwordTokenizer):
        ids = tokenizer.encode(prompt)
        if not ids:
            raise UserError("this model cannot begin a text from nothing; type a prompt of at least one character")
        return ids
    ids = tokenizer.encode(readable(prompt), add_special_tokens=True)
    if prompt and ids and ids[-1] in tokenizer.specials and ids[-1] in tokenizer.end_ids:
        ids = ids[:-1]  # the frame of some tokenizers ends the text that is to go on
    if not ids and tokenizer.end_id is not None:
        ids = [tokenizer.end_id]
    if not ids:
        raise UserError("this model has no token that begins a text; type a prompt of at least one character")
    return ids


def source_tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    """A text as an encoder reads it: with all that the tokenizer puts around one, and its end."""
    if not text.strip():
        raise UserError("an empty text has nothing to translate; type one of at least one character")
    if not isinstance(tokenizer, SubwordTokenizer):
        return tokenizer.encode(text)
    ids = tokenizer.encode(readable(text), add_special_tokens=True)
    if tokenizer.end_id is not None and ids[-1:] != [tokenizer.end_id]:
        ids = [*ids, tokenizer.end_id]
    return ids


def continuation_tokens(tokenizer: Tokenizer, prompt: str, text: str) -> list[int]:
    """The tokens of what goes on a prompt: those of the whole behind the prompt's where the two do not merge."""
    begun, whole = tokenizer.encode(prompt), tokenizer.encode(prompt + text)
    return whole[len(begun) :] if whole[: len(begun)] == begun else tokenizer.encode_after(text)
