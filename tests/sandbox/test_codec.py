"""Values there and back, and bytes from a hostile process: a value or a ValueError, nothing else."""

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhead.sandbox import codec
from clearhead.sandbox.codec import pack, unpack

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    LEAVES, lambda x: st.lists(x) | st.dictionaries(st.text() | st.integers(), x) | st.tuples(x, x), max_leaves=20
)


def same(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if type(a) is not type(b):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@given(VALUES)
def test_values_there_and_back(value: object) -> None:
    assert same(unpack(pack(value)), value)


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f4", ">f8", "g"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_arrays_there_and_back(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    found = unpack(pack([array, array]))
    assert all(x.dtype == array.dtype and x.shape == shape and (x == array).all() for x in found)


def test_keys_of_numpy_are_found_again() -> None:
    given_ = {np.int64(1): 1.0, np.float32(0.5): 2, np.str_("a"): 3, np.bool_(True): 4, None: 5, b"b": 6}
    assert unpack(pack(given_)) == {1: 4, 0.5: 2, "a": 3, None: 5, b"b": 6}


@pytest.mark.parametrize(
    "value",
    [object(), 1j, {(1,): 2}, np.array(["a"]), np.array([None]), np.array([1j]), {1, 2}, range(3), [object()]],
)
def test_what_does_not_travel(value: object) -> None:
    with pytest.raises(TypeError):
        pack(value)


def test_what_is_too_much() -> None:
    deep: list = []
    for _ in range(1000):
        deep = [deep]
    for value in (
        [0] * (codec.PARTS + 1),
        deep,
        np.zeros(codec.ARRAY_BYTES + 1, "u1"),
        "x" * codec.HEAD_BYTES,
        10**5000,
    ):
        with pytest.raises(ValueError):
            pack(value)


def test_keys_that_collide_are_few() -> None:
    """All have the hash 0, so that a dict of them takes quadratic time: 100,000 would take minutes."""
    head = json.dumps({"d": [[i * (2**61 - 1), 0] for i in range(90_000)]}).encode()
    begun = time.process_time()
    with pytest.raises(ValueError, match="unreadable"):
        unpack(len(head).to_bytes(8, "little") + head)
    assert time.process_time() - begun < 5
    with pytest.raises(ValueError, match="a dict of 2,000 entries"):
        pack(dict.fromkeys(range(2000)))


@given(st.binary(max_size=200))
def test_bytes_that_nobody_packed(data: bytes) -> None:
    for tried in (data, len(data).to_bytes(8, "little") + data):
        try:
            unpack(tried)
        except ValueError as error:
            assert str(error) == "unreadable bytes"


@given(VALUES, st.data())
def test_damaged_bytes(value: object, data: st.DataObject) -> None:
    packed = bytearray(pack([value, np.arange(3)]))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] = data.draw(st.integers(0, 255))
    for tried in (bytes(packed), bytes(packed[:place]), bytes(packed) + b"x"):
        try:
            unpack(tried)
        except ValueError as error:
            assert str(error) == "unreadable bytes"


def test_a_learner_s_array_that_lies_is_taken_as_the_numbers_it_holds() -> None:
    class Liar(np.ndarray):
        def tobytes(self, *args: object) -> bytes:  # type: ignore[override]
            return b""

        def __array__(self, *args: object, **named: object) -> np.ndarray:
            return np.zeros(1)

    assert unpack(pack(np.arange(4.0).view(Liar))).tolist() == [0, 1, 2, 3]
