"""What the next tokens may be, guessed ahead so that the model reads them together with the last one.

A guess changes no text: every token is still drawn from the model's own logits with its own uniform number, and a guess
counts only if it is what was drawn. That is Leviathan et al. 2023 for a draft that proposes one token with certainty
(reference.speculative: accepted with probability p, else drawn from p without it), with the same random numbers as
without a draft. Deliberately not here: reading ahead (contiguous.py).
"""

from collections.abc import Sequence
from typing import Protocol

SUFFIXES = (4, 3, 2)  # tokens at the end of a text that must have stood there before, the longest first
LENGTHS = (0, 2, 3, 5, 7, 11)  # of a guess
PRIOR = (2.0, 4.0)  # guessed tokens that came true, of so many, before any was seen
MEMORY = 0.95  # of what was seen, at each further guess
FIRST_PAUSE, LONGEST_PAUSE = 32, 1024  # tokens without a guess, where guesses do not pay


class Draft(Protocol):
    """A guess at what follows a text."""

    def propose(self, text: Sequence[int], most: int) -> list[int]:
        """At most so many tokens, none if there is nothing to go by."""
        ...


class Lookup:
    """What followed the last time when the text ended as it ends now. Saxena 2023, prompt lookup decoding.

    >>> Lookup().propose([5, 6, 7, 8, 9, 5, 6], 2), Lookup().propose([1, 2, 3], 2)
    ([7, 8], [])
    """

    def __init__(self) -> None:
        self._text: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}  # a few tokens -> where what follows them begins

    def propose(self, text: Sequence[int], most: int) -> list[int]:
        self._learn(text)
        for n in SUFFIXES:
            start = self._ends.get(tuple(text[-n:]), 0) if len(text) >= n else 0
            if start:
                return list(text[start : start + most])
        return []

    def _learn(self, text: Sequence[int]) -> None:
        """Every end but the text's own, of which nothing is known to follow."""
        known = len(self._text)
        if known > len(text) or self._text != list(text[:known]):
            self._text, self._ends, known = [], {}, 0
        for end in range(max(known, 1), len(text)):
            for n in SUFFIXES:
                if end >= n:
                    self._ends[tuple(text[end - n : end])] = end
        self._text = list(text)


class Speculation:
    """A draft, and how far ahead it pays to read by it, from what came true and from how long reading took.

    Of a guess of k tokens that come true with probability α each, 1 + α + ... + α^k tokens are expected (reference.
    speculative.expected_tokens); the length with the most of them for its time is taken. Where that is 0, there is a
    pause before the next try, twice as long each time.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.drafted = self.accepted = 0
        self._true, self._seen = PRIOR
        self._seconds: dict[int, float] = {}  # to read so many tokens ahead, at best
        self._rest, self._pause = 0, FIRST_PAUSE

    def propose(self, text: Sequence[int], most: int) -> list[int]:
        """The guess, of at most so many tokens."""
        if self._rest or 0 not in self._seconds:  # without a guess, to see what that takes
            self._rest = max(0, self._rest - 1)
            return []
        length = min(self.length(), most)
        if not length:
            self._rest, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
            length = min(LENGTHS[1], most)
        return self.draft.propose(text, length) if length > 0 else []

    def length(self) -> int:
        """The best length of a guess."""
        share = min(self._true / self._seen, 0.98)
        return max(LENGTHS, key=lambda k: sum(share**i for i in range(k + 1)) / self.seconds(k))

    def seconds(self, ahead: int) -> float:
        """To read so many tokens ahead: measured, or in proportion to what was measured."""
        if ahead in self._seconds or not self._seconds:
            return self._seconds.get(ahead, 1.0 + 0.1 * ahead)
        below = [k for k in self._seconds if k < ahead]
        if not below:
            return self._seconds[min(self._seconds)]
        nearest = max(below)
        each = 0.1 if nearest == 0 else max(0.0, (self._seconds[nearest] / self.seconds(0) - 1) / nearest)
        return self._seconds[nearest] + self.seconds(0) * each * (ahead - nearest)

    def took(self, ahead: int, seconds: float) -> None:
        """Reading so many tokens ahead took so long; the least counts, which other work disturbs the least."""
        best = self._seconds.get(ahead, seconds)
        self._seconds[ahead] = min(best * 1.02, seconds)  # contexts grow

    def judge(self, drafted: int, accepted: int) -> None:
        """So many of a guess came true, and the next one did not."""
        self.drafted += drafted
        self.accepted += accepted
        self._true = MEMORY * self._true + accepted
        self._seen = MEMORY * self._seen + accepted + (accepted < drafted)
        if accepted == drafted:
            self._pause = FIRST_PAUSE
