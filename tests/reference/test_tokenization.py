"""Tokenization against the `tokenizers` library, by hand, and round trips over many scripts."""

import json
import random
import string
from collections import Counter

import pytest
import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers

from clearhead.reference.tokenization import (
    PIECE,
    WORD,
    byte_vocabulary,
    characters,
    decode,
    decode_byte_pairs,
    encode,
    encode_byte_pairs,
    fertility,
    pieces,
    train_byte_pairs,
    vocabulary,
    words,
)

SCRIPTS = [
    "The quick brown fox jumps over the lazy dog; the dog doesn't mind.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "敏捷的棕色狐狸跳过懒狗。我喜欢猫,也喜欢狗!",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है।",
    "الثعلب البني السريع يقفز فوق الكلب الكسول",
    "👍🏽 👩‍👩‍👧 🇺🇳 e\u0301 é \x00 \u2003 \U0010ffff",
    "def f(x):\n\n    return x  +  1\t# twice \r\n",
    "",
    "   ",
]
CORPUS = "\n".join(SCRIPTS * 2) + " aaaaaaa aaa aa banana bandana abababa" * 3


def random_text(seed: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice("aab \n\té猫👍🏽\u0301\ufffd.,") for _ in range(rng.randrange(60)))


def library(text: str, n: int) -> tokenizers.Tokenizer:
    """The library's trainer, over the same pieces."""
    peer = tokenizers.Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(PIECE.pattern), "isolated")
    peer.pre_tokenizer = pre_tokenizers.Sequence(
        [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    peer.train_from_iterator(
        [text], trainers.BpeTrainer(vocab_size=256 + n, initial_alphabet=alphabet, show_progress=False)
    )
    return peer


@pytest.mark.parametrize("text", [CORPUS, " ".join(random_text(seed) for seed in range(12)), SCRIPTS[0]])
def test_byte_pairs_are_those_of_the_library(text: str) -> None:
    merges = train_byte_pairs(text, 120)
    peer = library(text, 120)
    written = {token: byte_vocabulary([])[i] for token, i in peer.get_vocab().items() if i < 256}
    theirs = json.loads(peer.to_str())["model"]["merges"]
    assert merges == [tuple(b"".join(written[c] for c in side) for side in pair) for pair in theirs]
    for sample in [*SCRIPTS, *map(random_text, range(40))]:
        assert encode_byte_pairs(sample, merges) == peer.encode(sample).ids


def test_a_published_case() -> None:
    """Wikipedia's article on byte-pair encoding: aaabdaaabac becomes XdXac with Z = aa, Y = ab, X = ZY."""
    merges = train_byte_pairs("aaabdaaabac", 3)
    assert merges == [(b"a", b"a"), (b"a", b"b"), (b"aa", b"ab")]
    vocab = byte_vocabulary(merges)
    assert [vocab[i] for i in encode_byte_pairs("aaabdaaabac", merges)] == [b"aaab", b"d", b"aaab", b"a", b"c"]
    assert encode_byte_pairs("aaab", merges) == [258]


def test_ties_go_to_the_smaller_ids() -> None:
    assert train_byte_pairs("cd ab", 1) == [(b"a", b"b")]
    assert train_byte_pairs("ac ab", 1) == [(b"a", b"b")]
    assert train_byte_pairs("a\x01b", 1) == [(b"a", b"\x01")]  # of the bytes the printable ones come first


def test_merges_stay_inside_pieces_and_end_with_them() -> None:
    merges = train_byte_pairs("to be to be", 1000)
    assert byte_vocabulary(merges)[256:] == [b"be", b"to", b" be", b" to"]
    assert train_byte_pairs("", 5) == [] == train_byte_pairs("ab", 0)


def test_every_token_has_one_merge() -> None:
    vocab = byte_vocabulary(train_byte_pairs(CORPUS, 10_000))
    assert len(set(vocab)) == len(vocab) > 400
    assert sorted(vocab[:256]) == [bytes([byte]) for byte in range(256)]


@pytest.mark.parametrize("text", [*SCRIPTS, *map(random_text, range(60))])
def test_nothing_is_lost(text: str) -> None:
    for merges in ([], train_byte_pairs(CORPUS, 100)):
        assert decode_byte_pairs(encode_byte_pairs(text, merges), merges) == text
    assert "".join(pieces(text)) == text
    vocab = vocabulary(characters(text), 1000)
    assert "".join(decode(encode(characters(text), vocab), vocab)) == text
    assert "".join(words(text)) == "".join(text.split())


def test_a_character_cut_in_two_cannot_be_read() -> None:
    ids = encode_byte_pairs("a👍", [])
    assert [decode_byte_pairs(ids[:n], []) for n in range(6)] == ["", "a", "a\ufffd", "a\ufffd", "a\ufffd", "a👍"]


def test_more_merges_make_shorter_sequences() -> None:
    merges = train_byte_pairs(CORPUS, 300)
    lengths = [len(encode_byte_pairs(CORPUS, merges[:n])) for n in range(0, 301, 50)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == len(CORPUS.encode()) > 2 * lengths[-1]


def test_what_was_not_trained_on_is_cut_finer() -> None:
    merges = train_byte_pairs(SCRIPTS[0] * 5, 60)
    english, german, hindi = (
        fertility(text, len(encode_byte_pairs(text, merges))) for text in SCRIPTS[:2] + SCRIPTS[3:4]
    )
    assert english < 2 < german < hindi


def test_words_and_characters_as_the_library_has_them() -> None:
    text = " ".join(SCRIPTS[:2])
    for split, cut in ((words, Regex(WORD.pattern)), (characters, Regex(r"[\s\S]"))):
        peer = tokenizers.Tokenizer(models.WordLevel(unk_token="<unk>"))
        peer.pre_tokenizer = pre_tokenizers.Split(cut, "removed", invert=True)
        peer.train_from_iterator(
            [text], trainers.WordLevelTrainer(vocab_size=9, special_tokens=["<unk>"], show_progress=False)
        )
        vocab = vocabulary(split(text), 9)
        assert vocab == sorted(peer.get_vocab(), key=peer.get_vocab().__getitem__)
        assert encode(split(SCRIPTS[0]), vocab) == peer.encode(SCRIPTS[0]).ids


def test_unknown_words() -> None:
    vocab = vocabulary(words("the cat and the dog"), 3)
    assert vocab == ["<unk>", "the", "and"]
    assert encode(["the", "bird", "<unk>"], vocab) == [1, 0, 0]
    assert decode([0, 2], vocab) == ["<unk>", "and"]
    assert vocabulary(["<unk>", "<unk>", "a"], 5) == ["<unk>", "a"]
    assert vocabulary([], 1) == ["<unk>"]


def test_pieces_and_words_by_hand() -> None:
    assert pieces("a  b\n\nc \n") == ["a", " ", " b", "\n", "\n", "c", " \n"]
    assert words(string.punctuation) == list(string.punctuation)
    assert Counter(words("a-b_c")) == Counter("a-b_c")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vocabulary(["a"], 0), "size = 0"),
        (lambda: encode(["a"], ["a"]), "must begin with <unk>"),
        (lambda: encode(["a"], []), "must begin with <unk>"),
        (lambda: decode([2], ["<unk>", "a"]), "id 2 .* 0 to 1"),
        (lambda: decode([-1], ["<unk>", "a"]), "id -1"),
        (lambda: train_byte_pairs("ab", -1), "n = -1"),
        (lambda: train_byte_pairs("\ud83d", 1), "surrogates"),
        (lambda: encode_byte_pairs("\ud83d", []), "surrogates"),
        (lambda: decode_byte_pairs([257], [(b"a", b"b")]), "id 257 .* 0 to 256"),
        (lambda: fertility(" \n", 3), "no words"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
