"""Tokenizers of four kinds, learned from text: characters, words, WordPiece and byte-level BPE.

Each has the padding token as 0, the end of a text as 1 and, where it can meet what it cannot spell, the unknown token
as 2. The algorithms are the library's.
"""

import atexit
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from threading import Thread
from typing import Literal, get_args

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.text.patterns import pattern
from clearhead.text.subword import END_TOKEN, PAD_TOKEN, UNKNOWN_TOKEN, SubwordTokenizer

TokenizerKind = Literal["char", "word", "wordpiece", "bpe"]
KINDS: tuple[TokenizerKind, ...] = get_args(TokenizerKind)
BYTES = 256
INTERRUPTED = 130  # the exit code after Ctrl-C
MAX_VOCAB = 1 << 20
SMALLEST = {"char": 4, "word": 4, "wordpiece": 4, "bpe": BYTES + 2}  # special tokens and the least to spell with


def train_tokenizer(
    kind: str, texts: Iterable[str], vocab_size: int = 8192, cut: str = "gpt2", fewest: int = 0
) -> SubwordTokenizer:
    """A tokenizer of that kind with at most `vocab_size` tokens; `cut` names how BPE cuts text into pieces, and it
    merges only what occurs `fewest` times.

    >>> train_tokenizer("char", ["abba"]).encode("abc")
    [3, 4, 2]
    """
    if kind not in KINDS:
        raise UserError(f"the kind of tokenizer {kind!r} is unknown{nearest(kind, KINDS)}")
    smallest = SMALLEST[kind]
    if not smallest <= vocab_size <= MAX_VOCAB:
        raise UserError(
            f"a vocabulary of {vocab_size} tokens is out of range; a {kind} tokenizer takes {smallest} to {MAX_VOCAB}"
        )
    if kind == "bpe":
        backend, trainer = _bpe(vocab_size, cut, fewest)
    else:
        backend, trainer = {"char": _char, "word": _word, "wordpiece": _wordpiece}[kind](vocab_size)
    backend.train_from_iterator(texts, trainer)
    if backend.get_vocab_size() < smallest:
        raise UserError("there is no text to learn a tokenizer from; give some")
    return SubwordTokenizer(backend, backend.token_to_id(END_TOKEN), backend.token_to_id(PAD_TOKEN))


def interruptible(job: Callable[[], SubwordTokenizer]) -> SubwordTokenizer:
    """The job on a thread, so that Ctrl-C need not wait for the library, which hears of it only when it is done."""
    done: Future[SubwordTokenizer] = Future()

    def work() -> None:
        try:
            done.set_result(job())
        except BaseException as error:
            done.set_exception(error)

    thread = Thread(target=work, daemon=True)
    try:
        thread.start()  # which waits for the thread to begin, and may be interrupted in that, too
        return done.result()
    except KeyboardInterrupt:
        atexit.register(_leave, thread)
        raise


def _leave(thread: Thread) -> None:
    """Python ends its threads in a way that the library answers by aborting the process; here it goes before that."""
    if thread.is_alive():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


def _char(vocab_size: int) -> tuple[Tokenizer, trainers.Trainer]:
    """Every character is a token."""
    backend = Tokenizer(models.WordLevel(unk_token=UNKNOWN_TOKEN))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return backend, trainers.WordLevelTrainer(vocab_size=vocab_size, special_tokens=_specials(), show_progress=False)


def _word(vocab_size: int) -> tuple[Tokenizer, trainers.Trainer]:
    """Words and runs of punctuation; the white space between them is lost."""
    backend = Tokenizer(models.WordLevel(unk_token=UNKNOWN_TOKEN))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return backend, trainers.WordLevelTrainer(vocab_size=vocab_size, special_tokens=_specials(), show_progress=False)


def _wordpiece(vocab_size: int) -> tuple[Tokenizer, trainers.Trainer]:
    """Words cut into the longest known beginnings, Devlin et al. 2019, without folding of case or accents."""
    backend = Tokenizer(models.WordPiece(unk_token=UNKNOWN_TOKEN))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        limit_alphabet=vocab_size // 4,  # rare characters are unknown; each may take two tokens, `c` and `##c`
        special_tokens=_specials(),
        show_progress=False,
    )
    return backend, trainer


def _bpe(vocab_size: int, cut: str, fewest: int) -> tuple[Tokenizer, trainers.Trainer]:
    """Sennrich et al. 2016 on bytes, Radford et al. 2019: every text can be spelled, and comes back exactly."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = cut_to_bytes(pattern(cut))
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=fewest,
        special_tokens=[PAD_TOKEN, END_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return backend, trainer


def _specials() -> list[str]:
    return [PAD_TOKEN, END_TOKEN, UNKNOWN_TOKEN]


def cut_to_bytes(expressions: tuple[str, ...]) -> pre_tokenizers.PreTokenizer:
    """Text into pieces, and each piece into the characters that stand for its bytes."""
    splits = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in expressions]
    return pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
