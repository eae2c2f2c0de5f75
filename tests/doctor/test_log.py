"""Logs of anybody: names, gaps, NaN as text, steps that go back, TensorBoard's files."""

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest

from clearhead.doctor import log as logs
from clearhead.doctor.log import our_name, read_log
from clearhead.doctor.table import findings
from clearhead.doctor.tfevents import masked_crc
from clearhead.errors import UserError


def write(path: Path, rows: list[object]) -> Path:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("train/loss", "loss"),
        ("Eval Loss", "val_loss"),
        ("learning_rate", "lr"),
        ("objective/kl", "kl"),
        ("colour", None),
    ],
)
def test_names_of_others(theirs: str, ours: str | None) -> None:
    assert our_name(theirs) == ours


def test_csv_with_semicolons_gaps_and_words(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("step;loss;val loss\n1;2.0;\n2; NaN ;1.5\n900;inf;\n", encoding="utf-8")
    record = read_log(path)
    assert record.get("loss").steps.tolist() == [1, 2, 900]
    assert math.isnan(record.get("loss").values[1]) and math.isinf(record.get("loss").values[2])
    assert record.get("val_loss").values.tolist() == [1.5]


def test_a_resumed_run_counts_its_newer_lines(tmp_path: Path) -> None:
    rows = [{"step": i, "loss": 1.0} for i in range(10)] + [{"step": i, "loss": 0.5} for i in range(5, 12)]
    record = read_log(write(tmp_path / "a.jsonl", rows))
    assert record.get("loss").steps.tolist() == list(range(12))
    assert record.get("loss").values.tolist() == [1.0] * 5 + [0.5] * 7
    assert "go back 1 times, first at line 11" in record.remarks[0]


def test_steps_that_begin_anew_in_each_epoch_are_counted_on(tmp_path: Path) -> None:
    rows = [{"epoch": e, "batch": i, "loss": 1.0} for e in range(3) for i in range(4)]
    record = read_log(write(tmp_path / "a.jsonl", rows))
    assert record.get("loss").steps.tolist() == list(range(12))
    assert not record.remarks


def test_what_cannot_be_judged_is_told(tmp_path: Path) -> None:
    rows = [{"step": i, "loss": 1.0} for i in (*range(20), *range(500, 510))]
    told = [f.where for f in findings(read_log(write(tmp_path / "a.jsonl", [*rows, "torn {", "{}"])))]
    assert any("gap from step 19 to 500" in where for where in told)
    assert any("2 lines hold no numbers" in where for where in told)
    one = [f.where for f in findings(read_log(write(tmp_path / "b.jsonl", [{"step": 1, "loss": 2.0}])))]
    assert any("too few" in where for where in one)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.jsonl", '{"x": 1}\n', "none of the columns"),
        ("a.csv", "", "none of the columns"),
        ("a.bin", "x", "is no log"),
    ],
)
def test_what_is_no_log(tmp_path: Path, name: str, text: str, line: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=line):
        read_log(tmp_path / name)
    with pytest.raises(UserError, match="no file"):
        read_log(tmp_path / "absent.csv")


def test_trainer_state_and_split_columns(tmp_path: Path) -> None:
    state = {"log_history": [{"step": 10, "loss": 2.0, "learning_rate": 1e-4}, {"step": 10, "eval_loss": 1.9}]}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    record = read_log(tmp_path / "trainer_state.json")
    assert [record.get(name).values.tolist() for name in ("loss", "val_loss", "lr")] == [[2.0], [1.9], [1e-4]]
    split = read_log(
        write(
            tmp_path / "b.jsonl", [{"split": "val", "step": 1, "loss": 3.0}, {"split": "train", "step": 1, "loss": 2.0}]
        )
    )
    assert split.get("val_loss").values.tolist() == [3.0] and split.get("loss").values.tolist() == [2.0]


def test_a_long_log_keeps_its_course_in_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "KEPT", 64)
    record = read_log(write(tmp_path / "a.jsonl", [{"step": i, "loss": float(i)} for i in range(1000)]))
    loss = record.get("loss")
    assert len(loss) <= 128 and np.all(np.diff(loss.steps) > 0)
    assert loss.values[0] < 10 and loss.values[-1] > 990
    assert any("means of" in remark for remark in record.remarks)


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def event(step: int, tag: str, value: float, tensor: bool = False) -> bytes:
    """A record as TensorBoard writes it; its format is tensorboard/compat/proto/event.proto."""
    inner = b"\x0a" + varint(len(tag)) + tag.encode()
    if tensor:
        proto = b"\x08\x01\x22\x04" + struct.pack("<f", value)
        inner += b"\x42" + varint(len(proto)) + proto
    else:
        inner += b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + varint(len(inner)) + inner
    data = b"\x09" + struct.pack("<d", 1.0) + b"\x10" + varint(step) + b"\x2a" + varint(len(summary)) + summary
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked_crc(head)) + data + struct.pack("<I", masked_crc(data))


def test_tfevents_old_and_new_scalars_and_a_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(
        event(300, "train/loss", 2.5) + event(301, "train/loss", 2.25, tensor=True) + event(302, "loss", 9)[:-3]
    )
    loss = read_log(path).get("loss")
    assert loss.steps.tolist() == [300, 301] and loss.values.tolist() == [2.5, 2.25]


def test_a_damaged_tfevents_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1"
    data = bytearray(event(1, "loss", 2.5))
    data[20] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="checksum"):
        read_log(path)
