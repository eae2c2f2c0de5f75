"""Lists of numbers in English and German words: a translation that is always known, and as long as one likes.

German says the ones before the tens and writes a number in one word, so places of the two languages cross and nothing
can be copied.
"""

import random
from collections.abc import Iterator

ENGLISH = (
    *(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]),
    *(f"{stem}teen" for stem in ["thir", "four", "fif", "six", "seven", "eigh", "nine"]),
)
ENGLISH_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
GERMAN = (
    *(["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"]),
    *(f"{stem}zehn" for stem in ["drei", "vier", "fünf", "sech", "sieb", "acht", "neun"]),
)
GERMAN_TENS = ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
LARGEST = 999_999


def english(n: int) -> str:
    """
    >>> english(943), english(20_017)
    ('nine hundred forty-three', 'twenty thousand seventeen')
    """
    assert 0 <= n <= LARGEST
    if n < 20:
        return ENGLISH[n]
    if n < 100:
        tens, ones = divmod(n, 10)
        return ENGLISH_TENS[tens - 2] + (f"-{ENGLISH[ones]}" if ones else "")
    size, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
    many, rest = divmod(n, size)
    return f"{english(many)} {name}" + (f" {english(rest)}" if rest else "")


def german(n: int) -> str:
    """
    >>> german(943), german(21_001)
    ('neunhundertdreiundvierzig', 'einundzwanzigtausendeins')
    """
    assert 0 <= n <= LARGEST
    return _german(n) + ("s" if n % 100 == 1 else "")


def _german(n: int) -> str:
    """A number before another word: "ein" for "eins"."""
    if n < 20:
        return "ein" if n == 1 else GERMAN[n]
    if n < 100:
        tens, ones = divmod(n, 10)
        return (f"{_german(ones)}und" if ones else "") + GERMAN_TENS[tens - 2]
    size, name = (1000, "tausend") if n >= 1000 else (100, "hundert")
    many, rest = divmod(n, size)
    return f"{_german(many)}{name}" + (_german(rest) if rest else "")


def number_pairs(count: int, most: int, seed: int) -> Iterator[tuple[str, str]]:
    """Pairs of an English and a German list of 1 to `most` numbers below 1000, of 1 to 3 digits alike often."""
    rng = random.Random(f"numbers/{seed}")
    for _ in range(count):
        numbers = [rng.randrange(10 ** rng.randint(1, 3)) for _ in range(rng.randint(1, most))]
        yield ", ".join(map(english, numbers)), ", ".join(map(german, numbers))
