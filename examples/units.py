"""A quantity in two units, asked for in one of them or in a smaller one: one or two products, one sum."""

import random

from lines import write

CHAINS = (  # the largest unit first; each with how many of the next it holds
    (("wk", 7), ("d", 24), ("h", 60), ("min", 60), ("s", 1)),
    (("mi", 1760), ("yd", 3), ("ft", 12), ("in", 1)),
    (("st", 14), ("lb", 16), ("oz", 1)),
    (("gal", 4), ("qt", 2), ("pt", 2), ("cup", 16), ("tbsp", 3), ("tsp", 1)),
    (("km", 1000), ("m", 100), ("cm", 10), ("mm", 1)),
    (("t", 1000), ("kg", 1000), ("g", 1)),
    (("gross", 12), ("dozen", 12), ("pcs", 1)),
)
FORMS = (
    "{a} {big} {b} {mid} in {to}", "{a} {big} and {b} {mid} to {to}", "how many {to} are {a} {big} {b} {mid}?",
    "convert {a}{big} {b}{mid} to {to}", "{a} {big} + {b} {mid} = ? {to}", "{to} in {a} {big} {b} {mid}",
)  # fmt: skip


def row(rng: random.Random) -> dict:
    chain = rng.choice(CHAINS)
    first = rng.randrange(len(chain) - 1)
    (big, per), (mid, then) = chain[first : first + 2]
    a, b = rng.randint(2, 99 if per < 100 else 40), rng.randint(1, min(per, 999) - 1)
    steps = [f"{a} × {per} = {a * per}", f"{a * per} + {b} = {a * per + b}"]
    total, to = a * per + b, mid
    if first + 2 < len(chain) and rng.random() < 0.5:
        to = chain[first + 2][0]
        steps.append(f"{total} × {then} = {total * then}")
        total *= then
    problem = rng.choice(FORMS).format(a=a, big=big, b=b, mid=mid, to=to)
    return {"problem": problem, "steps": steps, "answer": str(total)}


if __name__ == "__main__":
    write(row)
