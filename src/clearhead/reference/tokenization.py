"""Text to whole numbers and back: by words, by characters, by byte pairs learned from a text.

Words make short sequences but meet unknown ones for ever; characters meet few but make long sequences; byte pairs
meet none and lie between. Deliberately not here: normalization, special tokens, and anything done for speed.
"""

import itertools
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence

UNKNOWN = "<unk>"
PUNCTUATION = re.escape(string.punctuation)
WORD = re.compile(rf"[^\s{PUNCTUATION}]+|[{PUNCTUATION}]")
PIECE = re.compile(r" ?\S+|\s+(?!\S)|\s+")
BYTES = [*range(33, 127), *range(161, 173), *range(174, 256), *range(33), *range(127, 161), 173]  # GPT-2's order
Pair = tuple[bytes, bytes]


def words(text: str) -> list[str]:
    """Cut at white space, and around every ASCII punctuation mark; the white space is lost.

    A language written without spaces comes out as one word a sentence.

    >>> words("Don't stop,  now!"), words("我喜欢猫")
    (['Don', "'", 't', 'stop', ',', 'now', '!'], ['我喜欢猫'])

    O(length). Manning, Raghavan and Schütze 2008, section 2.2.1. ValueError: none.
    """
    return WORD.findall(text)


def characters(text: str) -> list[str]:
    """Every code point by itself: nothing is lost, and what looks like one character may be several.

    >>> characters("né"), characters("👍🏽")
    (['n', 'é'], ['👍', '🏽'])

    O(length). The Unicode Standard, section 2.4. ValueError: none.
    """
    return list(text)


def vocabulary(tokens: Iterable[str], size: int) -> list[str]:
    """<unk>, then the size - 1 most frequent tokens; of equally frequent ones the smaller in code points comes first.

    >>> vocabulary(words("b a c a b d"), 4)
    ['<unk>', 'a', 'b', 'c']

    O(N + V log V). Sutskever, Vinyals and Le 2014, section 3.1. ValueError: a size without room for <unk>.
    """
    if size < 1:
        raise ValueError(f"size = {size} must be 1 or more: {UNKNOWN} takes the first place")
    counts = Counter(token for token in tokens if token != UNKNOWN)
    return [UNKNOWN, *sorted(counts, key=lambda token: (-counts[token], token))][:size]


def encode(tokens: Iterable[str], vocab: Sequence[str]) -> list[int]:
    """The place of each token in the vocabulary; 0, which is <unk>, for those that are not in it.

    >>> encode(words("a dog"), ["<unk>", "a", "cat"])
    [1, 0]

    O(N + V). Sutskever, Vinyals and Le 2014, section 3.1. ValueError: a vocabulary that does not begin with <unk>.
    """
    if not vocab or vocab[0] != UNKNOWN:
        raise ValueError(f"the vocabulary begins with {list(vocab[:1])}; it must begin with {UNKNOWN}")
    place = {token: i for i, token in enumerate(vocab)}
    return [place.get(token, 0) for token in tokens]


def decode(ids: Iterable[int], vocab: Sequence[str]) -> list[str]:
    """vocab[id] for each id. Joined by "" this gives characters back; joined by " ", words, but not their spacing.

    >>> decode([1, 0, 2], ["<unk>", "a", "cat"])
    ['a', '<unk>', 'cat']

    O(N). ValueError: an id that is not in the vocabulary.
    """
    ids = list(ids)
    _check_ids(ids, len(vocab))
    return [vocab[i] for i in ids]


def pieces(text: str) -> list[str]:
    """Cut before the single space that precedes a word, so that merges stay inside words and nothing is lost.

    >>> pieces("to be,  or\\nnot ")
    ['to', ' be,', ' ', ' or', '\\n', 'not', ' ']

    O(length). Radford et al. 2019 (GPT-2), section 2.2, less its classes of characters. ValueError: none.
    """
    return PIECE.findall(text)


def train_byte_pairs(text: str, n: int) -> list[Pair]:
    """Of all bytes, then of all tokens, join the most frequent adjacent pair and begin again: the first n merges.

    Of equally frequent pairs the one whose ids (left, then right) are smaller goes first, as in `tokenizers`. No two
    merges make the same token. It ends early when every piece is one token.

    >>> train_byte_pairs("low low lower newest newest widest", 4)
    [(b'e', b's'), (b'l', b'o'), (b'es', b't'), (b'lo', b'w')]

    O(n length). Sennrich et al. 2016, algorithm 1, on bytes. ValueError: n below 0, half a surrogate pair.
    """
    if n < 0:
        raise ValueError(f"n = {n} must be 0 or more; it is how many pairs to join")
    counts = {tuple(_bytes(piece)): times for piece, times in Counter(pieces(text)).items()}
    merges: list[Pair] = []
    ids = {token: i for i, token in enumerate(byte_vocabulary([]))}
    while len(merges) < n:
        pairs: Counter[Pair] = Counter()
        for piece, times in counts.items():
            for pair in itertools.pairwise(piece):
                pairs[pair] += times
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], ids[pair[0]], ids[pair[1]]))
        merges.append(best)
        ids[best[0] + best[1]] = len(ids)
        counts = {tuple(_join(piece, best)): times for piece, times in counts.items()}
    return merges


def byte_vocabulary(merges: Iterable[Pair]) -> list[bytes]:
    """The tokens in the order of their ids: the 256 bytes, printable ones first, then what each merge made.

    >>> vocab = byte_vocabulary([(b"l", b"o"), (b"lo", b"w")])
    >>> vocab[0], vocab[255], vocab[256:]
    (b'!', b'\\xad', [b'lo', b'low'])

    O(V). Radford et al. 2019 (GPT-2), encoder.py, for the order of the bytes. ValueError: none.
    """
    return [*(bytes([byte]) for byte in BYTES), *(left + right for left, right in merges)]


def encode_byte_pairs(text: str, merges: Sequence[Pair]) -> list[int]:
    """In each piece join the pair that was learned first, wherever it stands, as long as a learned one is left.

    >>> merges = train_byte_pairs("low low lower newest newest widest", 4)
    >>> [byte_vocabulary(merges)[i] for i in encode_byte_pairs("lowest", merges)]
    [b'low', b'est']

    O(length × longest piece). Sennrich et al. 2016, section 3.2. ValueError: half a surrogate pair.
    """
    rank = {pair: i for i, pair in enumerate(merges)}
    ids = {token: i for i, token in enumerate(byte_vocabulary(merges))}
    found = []
    for piece in pieces(text):
        tokens = _bytes(piece)
        while learned := [pair for pair in itertools.pairwise(tokens) if pair in rank]:
            tokens = _join(tokens, min(learned, key=rank.__getitem__))
        found += [ids[token] for token in tokens]
    return found


def decode_byte_pairs(ids: Iterable[int], merges: Iterable[Pair]) -> str:
    """The bytes of the tokens one after the other, read as UTF-8; a character cut in two reads as U+FFFD.

    >>> ids = encode_byte_pairs("né", [])
    >>> len(ids), decode_byte_pairs(ids, []), decode_byte_pairs(ids[:2], [])
    (3, 'né', 'n�')

    O(length). Radford et al. 2019 (GPT-2), section 2.2. ValueError: an id that is not in the vocabulary.
    """
    vocab, ids = byte_vocabulary(merges), list(ids)
    _check_ids(ids, len(vocab))
    return b"".join(vocab[i] for i in ids).decode("utf-8", "replace")


def fertility(text: str, count: int) -> float:
    """Tokens per word, `count` / words(text): 1 for a tokenizer that knows every word, more where words are cut up.

    >>> fertility("low lowest", 3)
    1.5

    O(length). Rust et al. 2021. ValueError: a text without words.
    """
    if not (n := len(words(text))):
        raise ValueError("the text has no words: tokens per word is undefined")
    return count / n


def _bytes(piece: str) -> list[bytes]:
    return [bytes([byte]) for byte in piece.encode()]


def _join(tokens: Sequence[bytes], pair: Pair) -> list[bytes]:
    """Every occurrence of the pair made one token, from the left: three equal tokens hold their pair once."""
    joined: list[bytes] = []
    i = 0
    while i < len(tokens):
        n = 2 if tuple(tokens[i : i + 2]) == pair else 1
        joined.append(b"".join(tokens[i : i + n]))
        i += n
    return joined


def _check_ids(ids: list[int], size: int) -> None:
    if wrong := [i for i in ids if not 0 <= i < size]:
        raise ValueError(f"id {wrong[0]} is not in the vocabulary; ids run from 0 to {size - 1}")
