"""Zachary's karate club: 34 members, who met outside of it, and which side each took when it split.

Zachary 1977, figure 1 and table 3, with members counted from 0; as networkx has it.
"""

# After each member, those of higher number with whom they met.
MET = {
    0: "1 2 3 4 5 6 7 8 10 11 12 13 17 19 21 31", 1: "2 3 7 13 17 19 21 30", 2: "3 7 8 9 13 27 28 32", 3: "7 12 13",
    4: "6 10", 5: "6 10 16", 6: "16", 8: "30 32 33", 9: "33", 13: "33", 14: "32 33", 15: "32 33", 18: "32 33",
    19: "33", 20: "32 33", 22: "32 33", 23: "25 27 29 32 33", 24: "25 27 31", 25: "31", 26: "29 33", 27: "33",
    28: "31 33", 29: "32 33", 30: "32 33", 31: "32 33", 32: "33",
}  # fmt: skip
SIDES = "0000000001000011001010111111111111"  # 0: with the instructor (member 0); 1: with the officer (member 33)
NAMES = ("instructor", "officer")


def edges() -> list[tuple[str, str]]:
    """
    >>> len(edges()), edges()[0]
    (78, ('0', '1'))
    """
    return [(str(member), other) for member, others in MET.items() for other in others.split()]


def labels() -> dict[str, str]:
    return {str(member): NAMES[int(side)] for member, side in enumerate(SIDES)}
