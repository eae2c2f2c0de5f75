import signal
import subprocess
import sys

import pytest
from texts import CORPUS

from clearhead.errors import UserError
from clearhead.text.training import KINDS, train_tokenizer


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_same_first_tokens(kind: str) -> None:
    tokenizer = train_tokenizer(kind, CORPUS, 300)
    assert (tokenizer.pad_id, tokenizer.end_id) == (0, 1)
    assert tokenizer.unk_id == (None if kind == "bpe" else 2)
    assert tokenizer.vocab_size <= 300
    assert tokenizer.decode([0, 1]) == ""


def test_characters_and_words_by_hand() -> None:
    char = train_tokenizer("char", ["ba\nb"])  # by frequency, then by code point
    assert char.encode("ab\n?") == [5, 3, 4, 2] or char.encode("b") == [3]
    assert char.decode(char.encode("ab\nb")) == "ab\nb"
    word = train_tokenizer("word", ["one two, two"])
    assert word.encode("two one three") == [3, word.encode("one")[0], 2]
    assert word.decode(word.encode("two,  one")) == "two , one"


def test_bpe_merges_the_most_frequent_pair_first() -> None:
    """Wikipedia's example, aaabdaaabac: aa, then ab or aaa, ...; here after 256 bytes and two special tokens."""
    bpe = train_tokenizer("bpe", ["aaabdaaabac"], 259)
    assert [piece.token for piece in bpe.pieces("aaab")] == ["aa", "a", "b"]


def test_wordpiece_takes_the_longest_beginning() -> None:
    wordpiece = train_tokenizer("wordpiece", ["walk walked walking talk talked talking"] * 5, 40)
    assert [piece.token for piece in wordpiece.pieces("walking")] == ["walking"]
    assert wordpiece.decode(wordpiece.encode("walks")) in ("", "walk s")  # s is no token of the corpus
    assert wordpiece.encode("xyz") == [2]


def test_case_and_accents_stay() -> None:
    wordpiece = train_tokenizer("wordpiece", ["Würde würde"] * 3, 60)
    assert wordpiece.decode(wordpiece.encode("Würde")) == "Würde"


def test_the_way_to_cut_is_kept() -> None:
    text = ["12345 12345 12345"] * 9
    assert [piece.token for piece in train_tokenizer("bpe", text, 300, "gpt2").pieces("12345")] == ["12345"]
    assert [piece.token for piece in train_tokenizer("bpe", text, 300, "qwen2").pieces("12345")] == [*"12345"]


@pytest.mark.parametrize(
    ("kind", "size", "cut", "told"),
    [
        ("bp", 500, "gpt2", "did you mean 'bpe'"),
        ("bpe", 257, "gpt2", "258 to"),
        ("char", 3, "gpt2", "4 to"),
        ("word", 1 << 21, "gpt2", "out of range"),
        ("bpe", 500, "gpt5", "'gpt5'"),
    ],
)
def test_what_cannot_be_trained_is_told(kind: str, size: int, cut: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        train_tokenizer(kind, CORPUS, size, cut)


@pytest.mark.parametrize("kind", ["char", "word", "wordpiece"])
def test_no_text_is_told(kind: str) -> None:
    with pytest.raises(UserError, match="no text"):
        train_tokenizer(kind, [""], 300)


ENDLESS = """
import sys, time
from clearhead.text.training import interruptible, train_tokenizer

class Slow:  # time for the thread to notice that Python ends
    def __del__(self, sleep=time.sleep):
        sleep(0.5)

def texts():
    print("begun", flush=True)
    while True:
        yield "a text"

slow = Slow()
try:
    interruptible(lambda: train_tokenizer("bpe", texts(), 300))
except KeyboardInterrupt:
    print("last words")
    sys.exit(130)
"""


def test_ctrl_c_while_a_tokenizer_learns_ends_the_process_in_peace() -> None:
    """The library aborts a process that ends one of its threads, with a message and another exit code."""
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()  # it would go on for ever
    assert (process.returncode, out, err) == (130, "last words\n", "")
