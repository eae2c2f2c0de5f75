"""Rows of an example as JSON lines: `python examples/dates.py 3000 > dates.jsonl`."""

import json
import random
import sys
from collections.abc import Callable


def write(row: Callable[[random.Random], dict]) -> None:
    """Print as many rows as the command line says, no problem twice and the same ones every time."""
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.exit(f"usage: python {sys.argv[0]} ROWS > FILE.jsonl")
    rng, rows = random.Random(0), {}
    while len(rows) < int(sys.argv[1]):
        made = row(rng)
        rows.setdefault(made["problem"], made)
    for made in rows.values():
        print(json.dumps(made, ensure_ascii=False))
