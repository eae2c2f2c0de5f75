"""The record: every line whole, none twice after a resume."""

from pathlib import Path

from clearhead.training.jsonl_log import JsonlLog, read


def test_events_come_back_in_order(tmp_path: Path) -> None:
    log = JsonlLog(tmp_path / "run" / "r.jsonl")
    log.emit("step", step=1, loss=0.5)
    log({"kind": "eval", "step": 1, "sample": "4 5\n×"})
    events = [{"kind": "step", "step": 1, "loss": 0.5}, {"kind": "eval", "step": 1, "sample": "4 5\n×"}]
    assert read(log.path) == events
    again = JsonlLog(log.path)
    again.emit("step", step=2)
    assert read(again.path) == [*events, {"kind": "step", "step": 2}]


def test_later_steps_are_forgotten(tmp_path: Path) -> None:
    log = JsonlLog(tmp_path / "r.jsonl")
    log.emit("note", text="kept")
    for step in range(5):
        log.emit("step", step=step)
    log.truncate_after(2)
    log.emit("step", step=3, second=True)
    assert [e.get("step") for e in read(log.path)] == [None, 0, 1, 2, 3]
    assert read(log.path)[-1]["second"]
    log.truncate_after(-1)
    assert read(log.path) == [{"kind": "note", "text": "kept"}]


def test_a_torn_line_is_dropped_and_swallows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    JsonlLog(path).emit("step", step=1)
    with path.open("ab") as file:
        file.write('{"kind": "step", "sample": "×'.encode()[:-1])  # killed inside a character
    assert read(path) == [{"kind": "step", "step": 1}]
    JsonlLog(path).emit("step", step=2)
    assert [e["step"] for e in read(path)] == [1, 2]


def test_what_is_no_event_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('[]\n{"x": 1}\n3\n{"kind": "step", "step": 1}\n', encoding="utf-8")
    assert read(path) == [{"kind": "step", "step": 1}]
