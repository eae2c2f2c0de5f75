"""A task without a file: this one draws its problems for ever, and checks answers that differ from its own.

Pay an amount exactly, with coins of three values. The largest coin first often leads to a dead end, so it pays to
look ahead. `clearhead run examples/change.toml` trains on it.
"""

import random
from collections.abc import Iterator


def problems(split: str, seed: int) -> Iterator[dict]:
    """Rows as they would stand in a file, without end. The run puts each problem in one split, and never in two."""
    rng = random.Random(f"{split} {seed}")
    while True:
        coins = sorted(rng.sample(range(3, 20), 3), reverse=True)
        amount = rng.randint(20, 80)
        if paid := fewest(amount, coins):
            left, steps = amount, []
            for coin in paid:
                left -= coin
                steps.append(f"{coin}, {left} left")
            answer = "+".join(map(str, paid))
            yield {
                "problem": f"pay {amount} with {' '.join(map(str, coins))}",
                "steps": [*steps, f"={answer}"],
                "answer": answer,
            }


def check(problem: str, answer: str, expected: str) -> bool:
    """Any coins of these values that make the amount are right, not only the ones expected."""
    amount, *coins = [int(word) for word in problem.split() if word.isdecimal()]
    paid = answer.split("+")
    return set(paid) <= {str(coin) for coin in coins} and sum(map(int, paid)) == amount


def fewest(amount: int, coins: list[int]) -> list[int]:
    """The fewest coins that make the amount, largest first; empty where none do.

    >>> fewest(24, [10, 8, 3])
    [8, 8, 8]
    """
    best: dict[int, list[int]] = {0: []}
    for part in range(1, amount + 1):
        ways = [[*best[part - coin], coin] for coin in coins if part - coin in best]
        if ways:
            best[part] = sorted(min(ways, key=len), reverse=True)
    return best.get(amount, [])


if __name__ == "__main__":
    draw = problems("train", 0)
    for _ in range(5):
        print(next(draw))
