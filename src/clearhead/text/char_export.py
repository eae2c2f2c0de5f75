"""A character tokenizer as one of the `tokenizers` library, so that it can be written for other programs.

It becomes SentencePiece's BPE without merges: of what both tokenizer.json and GGUF have, the kind that takes single
characters.
"""

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers

from clearhead.errors import UserError
from clearhead.text.gguf_vocab import WORD_START
from clearhead.text.subword import UNKNOWN_TOKEN, SubwordTokenizer
from clearhead.text.tokenizer import SPECIALS, CharTokenizer


def as_subword(tokenizer: CharTokenizer) -> SubwordTokenizer:
    """The same ids for every text of its characters; UserError if two of them have one form.

    >>> as_subword(CharTokenizer(" +12=")).encode("1 + 1=2")
    [4, 2, 3, 2, 4, 6, 5]
    """
    if WORD_START in tokenizer.alphabet:
        raise UserError(f"the alphabet has {WORD_START!r}, which stands for the space in files of other programs")
    tokens = [token.replace(" ", WORD_START) for token in tokenizer.tokens]
    # The unknown token is none of the vocabulary: a character that no token spells is an error and not left out.
    backend = tokenizers.Tokenizer(
        models.BPE({token: i for i, token in enumerate(tokens)}, [], unk_token=UNKNOWN_TOKEN, byte_fallback=True)
    )
    backend.normalizer = normalizers.Replace(" ", WORD_START)
    backend.decoder = decoders.Sequence([decoders.Replace(WORD_START, " "), decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    return SubwordTokenizer(backend, tokenizer.end_id, tokenizer.pad_id)
