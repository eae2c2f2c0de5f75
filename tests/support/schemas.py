"""Random JSON schemas, nested and bounded, each of which some text fits."""

import random
from typing import Any

WORDS = ("name", "age", "tags", "at", "x y", "größe", 'a"b', "left", "right", "unit")
PATTERNS = ("^[a-z]{2,5}$", "^[A-Z][0-9]{3}-[0-9]+$", "^(red|green|blue)(, (red|green|blue))*$", '^é?[^"]+!$')
FORMATS = ("date", "time", "uuid", "email", "ipv4")


def schema(rng: random.Random, depth: int = 3) -> dict[str, Any]:
    kinds = [_string, _number, _integer, _enum, _const, _small]
    if depth:
        kinds += [_object, _object, _object, _array, _array, _any_of]
    return rng.choice(kinds)(rng, depth - 1)


def recursive(rng: random.Random) -> dict[str, Any]:
    """A tree, or a list of lists, whose nodes hold something random."""
    held, again = schema(rng, 1), {"$ref": "#/$defs/node"}
    links = [
        {"next": {"anyOf": [again, {"type": "null"}]}},
        {"next": {"anyOf": [{"type": "null"}, again]}},
        {"children": {"type": "array", "items": again, "maxItems": 3}},
        {"left": again, "right": again},
    ]
    link = rng.choice(links)
    needed = ["held"] if "left" in link else ["held", *link]
    node = {
        "type": "object", "properties": {"held": held, **link}, "required": needed, "additionalProperties": False
    }  # fmt: skip
    return {"$defs": {"node": node}, **rng.choice([again, {"type": "array", "items": again, "minItems": 1}])}


def _string(rng: random.Random, depth: int) -> dict[str, Any]:
    kind = rng.randrange(4)
    if kind == 0:
        return {"type": "string", "pattern": rng.choice(PATTERNS)}
    if kind == 1:
        return {"type": "string", "format": rng.choice(FORMATS)}
    least = rng.choice([0, 0, 1, 7])
    return {"type": "string", **({"minLength": least} if least else {}), **_sometimes(rng, maxLength=least + 3)}


def _number(rng: random.Random, depth: int) -> dict[str, Any]:
    low = rng.choice([-12.5, 0, 3, 1000])
    bound = {rng.choice(["minimum", "exclusiveMinimum"]): low}
    return {"type": "number", **rng.choice([{}, bound, {**bound, "maximum": low + rng.choice([1, 2.5, 300])}])}


def _integer(rng: random.Random, depth: int) -> dict[str, Any]:
    low = rng.choice([-205, -3, 0, 17, 123456])
    bound = {"minimum": low, **_sometimes(rng, maximum=low + rng.choice([0, 1, 99]))}
    return {"type": "integer", **rng.choice([{}, bound, {"exclusiveMaximum": -1}, {"multipleOf": 5}])}


def _enum(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"enum": rng.sample(["red", "a\nb", "ü", 7, -1.5, True, None, {"k": [1]}, []], rng.randrange(1, 5))}


def _const(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"const": rng.choice(["fixed", 3, None, ["a", 1]])}


def _small(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"type": rng.choice(["boolean", "null", ["integer", "null"], ["string", "boolean"]])}


def _object(rng: random.Random, depth: int) -> dict[str, Any]:
    names = rng.sample(WORDS, rng.randrange(0, 4))
    needed = [name for name in names if rng.random() < 0.6]
    more = rng.choice([False, False, True, schema(rng, 0)])
    return {
        "type": "object", "properties": {name: schema(rng, depth) for name in names}, "required": needed,
        "additionalProperties": more,
    }  # fmt: skip


def _array(rng: random.Random, depth: int) -> dict[str, Any]:
    least = rng.choice([0, 0, 1, 3])
    of = {"items": schema(rng, depth)}
    if rng.random() < 0.3:
        of["prefixItems"] = [schema(rng, depth) for _ in range(2)]
    return {"type": "array", **of, "minItems": least, **_sometimes(rng, maxItems=least + 2)}


def _any_of(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [schema(rng, depth) for _ in range(rng.randrange(2, 4))]}


def _sometimes(rng: random.Random, **one: Any) -> dict[str, Any]:
    return one if rng.random() < 0.5 else {}
