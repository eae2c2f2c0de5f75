"""Stop strings by hand, with tokens of several characters and characters of several bytes."""

from collections.abc import Iterable

import numpy as np
import pytest

from clearhead.errors import UserError
from clearhead.generation.stopping import StopRule


class Pieces:
    """Tokens are byte strings."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    end_id = pad_id = None

    @property
    def vocab_size(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        raise NotImplementedError

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(self.pieces[i] for i in ids).decode(errors="replace")


TIMES = "×".encode()
TOKENIZER = Pieces(b"", b"a", b"b", b"ab", b"ba", b"\n\n", TIMES[:1], TIMES[1:])


@pytest.mark.parametrize(
    ("stop", "tokens"),
    [
        (None, set()),
        ("b", {2, 3, 4, 6, 7}),  # 4 holds a b and goes on; 6 and 7 are halves of characters
        ("ab", {2, 3, 4, 6, 7}),
        ("\n", {5, 6, 7}),
        (("a", "\n"), {1, 3, 4, 5, 6, 7}),
        ("×", {6, 7}),
    ],
)
def test_tokens_that_may_complete_a_stop_string(stop: str | tuple[str, ...] | None, tokens: set[int]) -> None:
    rule, every = StopRule(TOKENIZER, stop), np.arange(TOKENIZER.vocab_size)
    assert set(rule.may_complete(every).nonzero()[0].tolist()) == tokens
    assert set(rule.may_complete(every).nonzero()[0].tolist()) == tokens  # from memory


def test_the_earliest_stop_string_counts() -> None:
    rule = StopRule(TOKENIZER, ("ba", "bb", "x"))
    assert rule.find("aab") is None
    assert rule.find("aaba") == 2
    assert rule.find("abba") == 1
    assert rule.find("x") == 0
    assert StopRule(TOKENIZER, None).find("aaba") is None


@pytest.mark.parametrize("stop", ["", ("\n", "")])
def test_an_empty_stop_string_is_refused(stop: str | tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="empty stop string"):
        StopRule(TOKENIZER, stop)
