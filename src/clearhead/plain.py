"""Plain data, as JSON brings it, compared with the shape that it should have.

A shape is plain data, too:
    int, float, str, bool, None     a value of that type; a whole number is a float as well, True is no number
    object                          anything
    [shape]                         a list of such values
    [shape, shape, ...]             a list of exactly these
    {"a": shape, "b?": shape}       a table with these keys, the last of which it may lack; others are not looked at
    {str: shape}                    a table with any keys
    (shape, shape)                  one of these
    a function                      what it returns True for
"""

from typing import Any


def mismatch(value: Any, shape: Any, where: str = "it") -> str:
    """Where the value is not of the shape, in a few words; "" where it is.

    >>> mismatch({"a": [1, "x"]}, {"a": [int]})
    "it.a[1] is 'x'"
    >>> mismatch({"a": [1, 2]}, {"a": [int], "b?": str})
    ''
    """
    wrong = f"{where} is {value!r:.40}"
    match shape:
        case tuple():
            return "" if any(not mismatch(value, choice) for choice in shape) else wrong
        case list():
            return _list(value, shape, where) if isinstance(value, list) else wrong
        case dict():
            return _table(value, shape, where) if isinstance(value, dict) else wrong
        case type():
            return "" if _is(value, shape) else wrong
        case None:
            return "" if value is None else wrong
        case _:
            return "" if shape(value) else wrong


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool) and kind is not object:
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _list(value: list[Any], shape: list[Any], where: str) -> str:
    shapes = shape * len(value) if len(shape) == 1 else shape
    if len(shapes) != len(value):
        return f"{where} has {len(value)} entries and not {len(shapes)}"
    found = (mismatch(value[i], wanted, f"{where}[{i}]") for i, wanted in enumerate(shapes))
    return next(filter(None, found), "")


def _table(value: dict[str, Any], shape: dict[Any, Any], where: str) -> str:
    if str in shape:
        return next(filter(None, (mismatch(each, shape[str], f"{where}.{key:.40}") for key, each in value.items())), "")
    for name, wanted in shape.items():
        key = name.removesuffix("?")
        if key not in value:
            if key == name:
                return f"{where} lacks {key}"
        elif told := mismatch(value[key], wanted, f"{where}.{key}"):
            return told
    return ""
