"""How often a letter stands in a line, counted word by word: a dozen steps, each with the count so far."""

import random

from lines import write

COMMON = (
    "the of and a to in is you that it he was for on are as with his they at be this from have or by one had not but "
    "what all were when we there can an your which their said if do will each about how up out them then she many some "
    "so these would other into has more her two like him see time could no make than first been its who now people my "
    "made over did down only way find use may water long little very after words called just where most know banana "
    "letter cellar parallel committee success address tomorrow necessary rhythm bookkeeper mississippi accommodate"
)
WORDS = COMMON.split()


def row(rng: random.Random) -> dict:
    words = [rng.choice(WORDS) for _ in range(rng.randint(8, 15))]
    letter = rng.choice("aeiourstlnmc")
    steps, total = [], 0
    for word in words:
        count = word.count(letter)
        total += count
        steps.append(f"{word} {count} = {total}")
    ask = rng.choice(("count {} in: {}", "how many {}'s? {}", "{}: {}"))
    return {"problem": ask.format(letter, " ".join(words)), "steps": steps, "answer": str(total)}


if __name__ == "__main__":
    write(row)
