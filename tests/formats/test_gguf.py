"""Files written by the gguf package and read back; cut, turned over and lying ones are refused in a line."""

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.errors import UserError
from clearhead.formats import gguf as ours
from clearhead.formats.gguf import GGUF, is_gguf

RNG = np.random.default_rng(0)
KINDS = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K")
BITS = {kind: (32, size) for kind, size in zip(KINDS[:5], (18, 20, 22, 24, 34), strict=True)}
BITS |= {kind: (256, size) for kind, size in zip(KINDS[5:], (144, 176, 210), strict=True)}


def write(path: Path, tensors: dict[str, Any]) -> Path:
    """Arrays, or (kind, bytes of blocks)."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 2)
    for name, tensor in tensors.items():
        if isinstance(tensor, tuple):
            writer.add_tensor(name, tensor[1], raw_dtype=gguf.GGMLQuantizationType[tensor[0]])
        else:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def blocks(kind: str, rows: int) -> np.ndarray:
    """Random bytes with scales that are finite numbers."""
    weights, size = BITS[kind]
    count = rows * 512 // weights
    data = RNG.integers(0, 255, (count, size), dtype=np.uint8)
    where = {"Q6_K": [208]}.get(kind, [0] if kind in ("Q4_0", "Q5_0", "Q8_0") else [0, 2])
    for at in where:
        data[:, at : at + 2] = RNG.normal(size=count).astype(np.float16).view(np.uint8).reshape(-1, 2)
    return data.reshape(rows, -1)


def test_plain_tensors_are_the_same_bits(tmp_path: Path) -> None:
    a, b = RNG.normal(size=(5, 3)).astype(np.float32), RNG.normal(size=(4,)).astype(np.float16)
    c = RNG.normal(size=(2, 6)).astype(np.float32)
    upper = (c.view(np.uint32) >> 16).astype(np.uint16)
    path = write(tmp_path / "x.gguf", {"a": a, "b": b, "c": ("BF16", upper.view(np.uint8))})
    file = GGUF(path)
    assert is_gguf(path) and file.metadata["llama.block_count"] == 2
    assert {name: (info.shape, info.dtype) for name, info in file.tensors.items()} == {
        "a": ((5, 3), "F32"), "b": ((4,), "F16"), "c": ((2, 6), "BF16"),
    }  # fmt: skip
    assert np.array_equal(file.read("a"), a) and np.array_equal(file.read("b"), b)
    assert np.array_equal(file.read("c").view(np.uint32) >> 16, upper)


@pytest.mark.parametrize("kind", KINDS)
def test_quantized_tensors_are_the_package_s(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearhead.formats.gguf.AT_ONCE", 1024)  # in several parts
    data = blocks(kind, 7)
    file = GGUF(write(tmp_path / "x.gguf", {"a": np.ones((1, 2), np.float32), "w": (kind, data)}))
    expected = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[kind])
    assert file.tensors["w"].dtype == kind
    assert np.array_equal(file.read("w"), expected) and expected.shape == (7, 512)


def q4_1_by_hand(block: np.ndarray) -> list[float]:
    """Scale, minimum, then 16 bytes: the lower halves are the first 16 weights, the upper halves the others."""
    scale, least = np.frombuffer(block[:4].tobytes(), np.float16).astype(np.float64)
    low, high = [int(x) & 15 for x in block[4:]], [int(x) >> 4 for x in block[4:]]
    return [scale * q + least for q in low + high]


def test_a_block_by_hand(tmp_path: Path) -> None:
    data = blocks("Q4_1", 1)
    found = GGUF(write(tmp_path / "x.gguf", {"w": ("Q4_1", data)})).read("w")
    np.testing.assert_allclose(found[0, :32], q4_1_by_hand(data[0, :20]), rtol=1e-6)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    return write(path, {"a": np.ones((2, 4), np.float32), "w": ("Q8_0", blocks("Q8_0", 1))}).read_bytes()


def opened(data: bytes, folder: Path) -> GGUF | None:
    """The file if it can be read, every tensor of it, else None: any other error fails the test."""
    path = folder / "x.gguf"
    path.write_bytes(data)
    try:
        file = GGUF(path)
        for name in file.tensors:
            file.read(name)
    except UserError as error:
        assert "\n" not in str(error)
        return None
    return file


def test_cut_anywhere(small: bytes, tmp_path: Path) -> None:
    lengths = [*range(0, 400), *range(400, len(small), 37)]
    whole = opened(small, tmp_path)
    assert whole is not None
    end = max(info.start + info.nbytes for info in whole.tensors.values())
    for length in lengths:
        assert (opened(small[:length], tmp_path) is None) == (length < end)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 400), value=st.integers(0, 255))
def test_any_changed_byte(small: bytes, tmp_path_factory: pytest.TempPathFactory, at: int, value: int) -> None:
    opened(small[:at] + bytes([value]) + small[at + 1 :], tmp_path_factory.getbasetemp())


def test_a_damaged_scale_is_read_without_a_warning(tmp_path: Path) -> None:
    blocks = np.zeros((1, 34), np.uint8)
    blocks[0, :2] = np.array([np.inf], np.float16).view(np.uint8)
    assert np.isnan(GGUF(write(tmp_path / "a.gguf", {"w": ("Q8_0", blocks)})).read("w")).all()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (struct.pack("<QQ", 4, 2), struct.pack("<QQ", 1 << 62, 2), "ends too early|lies at"),  # a's shape overflows
        (struct.pack("<QQ", 4, 2), struct.pack("<QQ", 4, 3), "inside another"),
        (struct.pack("<QQ", 4, 2), struct.pack("<QQ", 0, 2), "is empty"),
        (struct.pack("<IQ", 8, 32), struct.pack("<IQ", 99, 32), "of type 99"),
        (struct.pack("<IQ", 8, 32), struct.pack("<IQ", 8, 40), "off the grid"),
        (struct.pack("<IQ", 8, 32), struct.pack("<IQ", 8, 1 << 63), "ends too early"),
        (b"GGUF", b"GGML", "does not begin"),
        (b"\x01\0\0\0\0\0\0\0w", b"\x01\0\0\0\0\0\0\0a", "there twice"),
    ],
)
def test_lies_are_told(small: bytes, tmp_path: Path, old: bytes, new: bytes, told: str) -> None:
    assert old in small
    path = tmp_path / "x.gguf"
    path.write_bytes(small.replace(old, new, 1))
    with pytest.raises(UserError, match=told):
        GGUF(path)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0"])
def test_what_we_write_the_package_reads(kind: str, tmp_path: Path) -> None:
    w, gain = RNG.normal(size=(6, 64)).astype(np.float32), RNG.normal(size=5).astype(np.float32)
    said = {
        "general.architecture": "llama", "llama.block_count": 3, "llama.rope.freq_base": 0.5, "a.flag": True,
        "a.name": "é", "a.words": ["x", "", "ü"], "a.numbers": [1, -2], "a.scores": [0.5, 1.5],
    }  # fmt: skip
    ours.write(tmp_path / "x.gguf", said, {"w": w, "gain": gain}, kind)
    mine, theirs = GGUF(tmp_path / "x.gguf"), gguf.GGUFReader(tmp_path / "x.gguf")
    assert {key: mine.metadata[key] for key in said} == said
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.gguf"]
    for tensor in theirs.tensors:
        assert np.array_equal(gguf.quants.dequantize(tensor.data, tensor.tensor_type), mine.read(tensor.name))
    assert mine.tensors["gain"].dtype == "F32" and mine.tensors["w"].dtype == kind
    assert np.array_equal(mine.read("gain"), gain)
    step = {"F32": 0.0, "F16": 2.0**-11, "BF16": 2.0**-8, "Q8_0": 0.5 / 127}[kind]
    assert np.abs(mine.read("w") - w).max() <= 1.01 * step * np.abs(w).max()


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    said = {"general.architecture": "llama"}
    with pytest.raises(UserError, match="rows of 33 weights"):
        ours.write(tmp_path / "x.gguf", said, {"w": np.ones((2, 33), np.float32)}, "Q8_0")
    with pytest.raises(UserError, match="'Q2_K' cannot be written"):
        ours.write(tmp_path / "x.gguf", said, {}, "Q2_K")
    with pytest.raises(UserError, match="cannot write"):
        ours.write(tmp_path / "no" / "x.gguf", said, {"w": np.ones(2, np.float32)}, "F32")
    assert list(tmp_path.iterdir()) == []
