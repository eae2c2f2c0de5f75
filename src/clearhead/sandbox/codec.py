"""Values as bytes and back, without pickle, between a process of ours and one that holds other people's code.

Bytes from the other side are believed in nothing: size, depth, encoding and the kind of every part are checked.
"""

import json
import re
import struct
from typing import Any

import numpy as np

ARRAY_BYTES = 2**24  # of all arrays of a message
HEAD_BYTES = 2**22  # of all else
PARTS = 100_000
ENTRIES = 1_000  # of a dict: keys can be chosen so that each is compared with all others
DEPTH = 40
INTEGER_BITS = 2**13  # what Python reads as a decimal number has at most 4,300 digits
DTYPE = re.compile(r"[<>|=][biuf][1-9]\d?")


def pack(value: Any) -> bytes:
    """Numbers, text, lists, tuples, dicts and arrays as bytes.

    >>> unpack(pack({"x": np.arange(3), "n": (1, None, "a")}))
    {'x': array([0, 1, 2]), 'n': (1, None, 'a')}

    TypeError: anything else. ValueError: more than a message holds.
    """
    arrays: list[np.ndarray] = []
    head = json.dumps(_tree(value, arrays, [PARTS, ARRAY_BYTES], DEPTH)).encode()
    if len(head) > HEAD_BYTES:
        raise ValueError(
            f"numbers and text of {len(head):,} bytes; at most {HEAD_BYTES:,} are taken, an array is shorter"
        )
    return struct.pack("<Q", len(head)) + head + b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)


def unpack(data: bytes) -> Any:
    """The value that was packed. ValueError: these bytes were not made by `pack`."""
    try:
        (size,) = struct.unpack_from("<Q", data)
        if size > HEAD_BYTES:
            raise ValueError
        place = [8 + size]
        value = _value(json.loads(data[8 : 8 + size]), data, place, [PARTS], DEPTH)
        if place[0] != len(data):
            raise ValueError
        return value
    except Exception as error:  # whatever it was: the bytes may have been written to cause it
        raise ValueError("unreadable bytes") from error


def _tree(part: Any, arrays: list[np.ndarray], left: list[int], depth: int) -> Any:
    """`left`: how many parts, and how many bytes of arrays, there may still be."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"more than {PARTS:,} parts; an array counts as one")
    if depth < 0:
        raise ValueError(f"lists within lists, more than {DEPTH} deep")
    if isinstance(part, int) and int.bit_length(part) > INTEGER_BITS:
        raise ValueError(f"an integer of {int.bit_length(part):,} bits; at most {INTEGER_BITS:,} are taken")
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, np.ndarray | np.generic):
        array = np.asarray(part)
        if not DTYPE.fullmatch(array.dtype.str):
            raise TypeError(f"an array of dtype {array.dtype}")
        left[1] -= array.nbytes
        if left[1] < 0:
            raise ValueError(
                f"an array of shape {array.shape}, {array.nbytes:,} bytes; {ARRAY_BYTES:,} are taken in all"
            )
        arrays.append(array)
        return {"a": [array.dtype.str, list(array.shape)]}
    if isinstance(part, bytes):
        return {"b": part.hex()}
    if isinstance(part, list | tuple):
        return {"l" if isinstance(part, list) else "t": [_tree(x, arrays, left, depth - 1) for x in part]}
    if isinstance(part, dict):
        if len(part) > ENTRIES:
            raise ValueError(f"a dict of {len(part):,} entries; at most {ENTRIES:,} are taken")
        return {"d": [[_key(key), _tree(x, arrays, left, depth - 1)] for key, x in part.items()]}
    raise TypeError(f"a {type(part).__name__}")


def _key(key: Any) -> Any:
    """A key as Python's own number, so that it is found again on the other side."""
    plain = key.item() if isinstance(key, np.generic) else key
    if not isinstance(plain, str | int | float | bytes | None):
        raise TypeError(f"a dict whose key is a {type(key).__name__}")
    return _tree(plain, [], [1, 0], 0)


def _value(part: Any, data: bytes, place: list[int], left: list[int], depth: int) -> Any:
    """`place[0]` is where the next array begins, `left[0]` how many parts there may still be."""
    left[0] -= 1
    if depth < 0 or left[0] < 0:
        raise ValueError
    if not isinstance(part, dict):
        if isinstance(part, list):
            raise ValueError
        return part
    ((kind, x),) = part.items()
    if kind == "a":
        name, shape = x
        if not DTYPE.fullmatch(name) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError
        dtype, count = np.dtype(name), 1
        for n in shape:
            count *= n
        array = np.frombuffer(data, dtype, count, place[0]) if count else np.empty(0, dtype)
        place[0] += count * dtype.itemsize
        return array.reshape(shape).copy()
    if kind == "d":
        if len(x) > ENTRIES:
            raise ValueError
        pairs = [(_value(key, data, place, [1], 1), _value(y, data, place, left, depth - 1)) for key, y in x]
        return dict(pairs)
    if kind == "b":
        return bytes.fromhex(x)
    if kind not in "lt":
        raise ValueError
    found = [_value(y, data, place, left, depth - 1) for y in x]
    return tuple(found) if kind == "t" else found
