"""From token ids back to text, with bytes that are no whole character."""

from typing import Any

import numpy as np

from clearhead.reference.tokenization import byte_vocabulary, decode_byte_pairs, encode_byte_pairs, train_byte_pairs
from clearhead.study.practice.exercise import Exercise

TEXT = "the cat sat on the mat. naïve café: 東京タワー 🙂 the end"


def _vocab(merges: list[list[int]]) -> list[bytes]:
    vocab = [bytes([i]) for i in range(256)]
    for left, right in merges:
        vocab.append(vocab[left] + vocab[right])
    return vocab


def _oracle(ids: list[int], merges: list[list[int]]) -> str:
    vocab = _vocab(merges)  # the reference numbers its bytes in another order
    pairs = [(vocab[left], vocab[right]) for left, right in merges]
    numbered = {token: i for i, token in reversed(list(enumerate(byte_vocabulary(pairs))))}
    return decode_byte_pairs([numbered[vocab[i]] for i in ids], pairs)


def _merges(n: int) -> list[list[int]]:
    ids = {bytes([i]): i for i in range(256)}
    merges = []
    for left, right in train_byte_pairs(TEXT, n):
        merges.append([ids[left], ids[right]])
        ids.setdefault(left + right, len(ids))
    return merges


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    merges = _merges(n.K)
    vocab = _vocab(merges)
    start = int(rng.integers(len(TEXT)))
    pairs = [(vocab[left], vocab[right]) for left, right in merges]
    numbered = byte_vocabulary(pairs)
    ids = [vocab.index(numbered[i]) for i in encode_byte_pairs(TEXT[start : start + n.N], pairs)]
    if rng.random() < 0.5:
        ids = [*ids[int(rng.integers(len(ids))) :], int(rng.integers(256 + len(merges)))]  # cut anywhere
    return {"ids": [int(i) for i in ids], "merges": merges}


exercise = Exercise(
    title="Byte-pair encoding: decoding",
    section="Tokens",
    statement="""
Token ids as text. Ids 0 to 255 are the bytes; id 256 + i is the pair merges[i] of two earlier ids, joined. Join the
bytes of all tokens, then read them as UTF-8: a character may lie across two tokens, and bytes that are no character
become U+FFFD, as bytes.decode("utf-8", errors="replace") does.
""",
    signature='def decode_bpe(ids: "list[int]", merges: "list[list[int]]") -> str:',
    sizes={"N": (1, 20), "K": (1, 12)},
    draw=_draw,
    edges=lambda rng: [
        {"ids": [0xE6, 0x9D, 0xB1], "merges": []}, {"ids": [256, 0xB1], "merges": [[0xE6, 0x9D]]}, {"ids": [], "merges": []},
        {"ids": [257, 256, 97], "merges": [[97, 98], [256, 99]]}, {"ids": [0xE6, 97, 0x80], "merges": []},
        {"ids": [258, 257, 256], "merges": [[0xF0, 0x9F], [0x99, 0x82], [256, 257]]},
    ],
    oracle=_oracle,
    hints=(
        "Build the bytes of every id once: those of a merge are the bytes of its two parts.",
        "Decode once, after joining: a single token's bytes need not be whole characters.",
        "vocab = [bytes([i]) for i in range(256)]; append vocab[a] + vocab[b]; b''.join(...).decode('utf-8', 'replace').",
    ),
    solution="""
def decode_bpe(ids, merges):
    vocab = [bytes([i]) for i in range(256)]
    for left, right in merges:
        vocab.append(vocab[left] + vocab[right])
    return b"".join(vocab[i] for i in ids).decode("utf-8", errors="replace")
""",
    torch="""
import torch

def decode_bpe(ids, merges):
    def expand(i):
        return [i] if i < 256 else [byte for part in merges[i - 256] for byte in expand(part)]
    return bytes(byte for i in ids for byte in expand(i)).decode("utf-8", "replace")
""",
    wrong={
        "every token is decoded on its own: characters that lie across two tokens are lost": (
            'b"".join(vocab[i] for i in ids).decode("utf-8", errors="replace")', '"".join(vocab[i].decode("utf-8", errors="replace") for i in ids)'
        ),
        "bytes are taken for characters (Latin-1)": ('"utf-8", errors="replace"', '"latin-1"'),
        "bytes that are no character are dropped": ('errors="replace"', 'errors="ignore"'),
        "bytes that are no character raise": (', errors="replace"', ""),
        "the parts of a merge are joined the wrong way round": ("vocab[left] + vocab[right]", "vocab[right] + vocab[left]"),
        "tokens are joined with spaces": ('b"".join', 'b" ".join'),
        "a merge of merges is not expanded to the end": ("vocab[left] + vocab[right]", "bytes([left % 256, right % 256])"),
        "the order of the tokens is reversed": ("for i in ids)", "for i in ids[::-1])"),
    },
)  # fmt: skip
