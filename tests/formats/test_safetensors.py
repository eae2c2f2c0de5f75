"""What the package writes is read to the bit, and the reverse; a file that lies or is cut is told in a line."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from clearhead.errors import UserError
from clearhead.formats import safetensors as ours
from clearhead.formats.safetensors import Safetensors, write_folder

SOME = {
    "a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1.5, -2.0]).bfloat16(), "c": torch.tensor([True]),
    "empty": torch.zeros(0, 4), "half": torch.full((3,), 0.5).half(), "one": torch.tensor(7),
}  # fmt: skip


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


def everything(path: Path) -> dict[str, Tensor]:
    file = Safetensors(path)
    return {name: file.read(name) for name in file.tensors}


def test_what_the_package_writes(tmp_path: Path) -> None:
    save_file(SOME, tmp_path / "x.safetensors", {"format": "pt"})
    file = Safetensors(tmp_path / "x.safetensors")
    assert file.metadata == {"format": "pt"}
    assert same(everything(tmp_path / "x.safetensors"), SOME)
    info = file.tensors["a.weight"]
    assert (info.shape, info.dtype, info.nbytes) == ((2, 3), "F32", 24)


def test_what_we_write_the_package_reads(tmp_path: Path) -> None:
    ours.write(tmp_path / "x.safetensors", SOME)
    assert same(load_file(tmp_path / "x.safetensors"), SOME)
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_shards_and_their_index(tmp_path: Path) -> None:
    write_folder(tmp_path, SOME, shard_bytes=12)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names[0] == "model-00001-of-00003.safetensors" and names[-1] == ours.INDEX and len(names) == 4
    assert same(everything(tmp_path), SOME)
    index = json.loads((tmp_path / ours.INDEX).read_text())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in SOME.values())
    for name, shard in index["weight_map"].items():
        assert name in load_file(tmp_path / shard)


def test_what_fits_is_one_file(tmp_path: Path) -> None:
    write_folder(tmp_path, SOME)
    assert [file.name for file in tmp_path.iterdir()] == [ours.WEIGHTS]
    assert same(everything(tmp_path), SOME)


def raw(table: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape: Any = (2,), offsets: Any = (0, 8), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


EIGHT = bytes(8)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "ends before its table"),
        (b"1234567", "ends before its table"),
        (raw({}, length=1 << 63), "ends before its table"),
        (raw(b"{"), "is broken"),
        (raw(b"\xff\xff"), "is broken"),
        (raw(b"[]"), "no JSON object"),
        (raw(b"[" * 100_000), "is broken"),
        (raw({"a": 1}), "not told by"),
        (raw({"a": {**entry(), "more": 1}}, EIGHT), "not told by"),
        (raw({"a": entry(dtype="F7")}, EIGHT), "type 'F7'"),
        (raw({"a": entry(dtype=["F32"])}, EIGHT), "has the type"),
        (raw({"a": entry(shape=[2, True])}, EIGHT), "whole numbers"),
        (raw({"a": entry(shape=[-2])}, EIGHT), "whole numbers"),
        (raw({"a": entry(shape=[1 << 62, 1 << 62])}, EIGHT), "its shape and type need"),  # wraps to 0 in 64 bits
        (raw({"a": entry(shape=[1 << 70])}, EIGHT), "whole numbers"),
        (raw({"a": entry(shape=[3])}, EIGHT), "8 bytes where its shape and type need 12"),
        (raw({"a": entry(offsets=[8, 0])}, EIGHT), "its shape and type need"),
        (raw({"a": entry(offsets=[0, 8, 9])}, EIGHT), "whole numbers"),
        (raw({"a": entry()}, EIGHT[1:]), "1 bytes beyond the file"),
        (raw({"a": entry()}, bytes(9)), "1 bytes at its end"),
        (raw({"a": entry(), "b": entry()}, EIGHT), "'b' overlaps 'a'"),
        (raw({"a": entry(), "b": entry(offsets=[12, 20])}, bytes(20)), "leaves a gap"),
        (raw(b'{"a": %b, "a": %b}' % ((json.dumps(entry()).encode(),) * 2), EIGHT), "'a' is there twice"),
        (raw({"a\n": entry()}, EIGHT), "no name"),
        (raw({"__metadata__": {"a": 1}}), "__metadata__"),
    ],
)
def test_lies_are_told(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(UserError, match=told) as error:
        Safetensors(tmp_path / "x.safetensors")
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_an_absurd_table_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "x.safetensors", "wb") as file:
        file.write((1 << 40).to_bytes(8, "little"))
        file.truncate((1 << 40) + 8)  # a hole, which takes no room on the disk
    with pytest.raises(UserError, match="too long"):
        Safetensors(tmp_path / "x.safetensors")


def tried(data: bytes) -> dict[str, Tensor] | None:
    """What is read from such a file, None if it is refused; anything else raises."""
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(data)
        file.flush()
        try:
            return everything(Path(file.name))
        except UserError:
            return None


def test_every_cut_is_told() -> None:
    whole = save({name: SOME[name] for name in ("a.weight", "b")})
    assert all(tried(whole[:n]) is None for n in range(len(whole)))


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 10_000), value=st.integers(0, 255))
def test_any_changed_byte(at: int, value: int) -> None:
    whole = bytearray(save({"a": torch.ones(3), "b": torch.ones(2, 2)}))
    whole[at % len(whole)] = value
    found = tried(bytes(whole))
    assert found is None or sum(tensor.nbytes for tensor in found.values()) == 28


def changed(index: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"weight_map": {k: v for k, v in {**index["weight_map"], **changes}.items() if v is not None}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"b": "other.safetensors"}, "lists 'other.safetensors', which is not there"),
        ({"b": "../x.safetensors"}, "which is not there"),
        ({"b": None}, "holds 'b', which .* does not place there"),
        ({"b": "model-00001-of-00003.safetensors"}, "holds 'b'|places 'b' in"),
        ({"new": "model-00001-of-00003.safetensors"}, "places 'new' in model-00001"),
        ({"b": 3}, "lists nothing"),
    ],
)
def test_a_lying_index_is_told(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    write_folder(tmp_path, SOME, shard_bytes=12)
    index = json.loads((tmp_path / ours.INDEX).read_text())
    (tmp_path / ours.INDEX).write_text(json.dumps(changed(index, **change)))
    (tmp_path.parent / "x.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=told):
        Safetensors(tmp_path)


def test_pickle_is_refused(tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "x.pt"):
        with pytest.raises(UserError, match="is pickle, a format that can run any program"):
            Safetensors(tmp_path / name)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(UserError, match="is pickle"):
        Safetensors(tmp_path)


def test_a_file_that_shrinks_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    ours.write(path, SOME)
    file = Safetensors(path)
    path.write_bytes(path.read_bytes()[:-1])
    last = max(file.tensors, key=lambda name: file.tensors[name].start + file.tensors[name].nbytes)
    with pytest.raises(UserError, match="became shorter"):
        file.read(last)


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        ours.write(tmp_path / "no" / "x.safetensors", SOME)
