"""What the display says, on a terminal and elsewhere."""

import io

from rich.console import Console

from clearhead.training import progress
from clearhead.training.progress import TrainingProgress

START = {"kind": "start", "step": 0, "steps": 3, "compiled": True}


def step(number: int, loss: float = 1.5, seconds: float = 0.5) -> dict:
    return {"kind": "step", "step": number, "loss": loss, "tokens": 1000, "seconds": seconds}


def shown(terminal: bool, *events: dict, width: int = 120) -> str:
    stream = io.StringIO()
    with TrainingProgress("policy", Console(file=stream, force_terminal=terminal, width=width)) as display:
        for event in events:
            display(event)
    return stream.getvalue()


def test_plain_lines() -> None:
    text = shown(False, START, step(1), step(2), {"kind": "eval", "step": 2, "held_out_loss": 0.25}, step(3))
    assert text.splitlines() == [
        "policy: compiling at the first step, which takes up to a minute",
        "policy: step 2, held-out loss 0.2500",
        "policy: step 3/3, 2,000 tokens/s, loss 1.5000, 0 s left",
    ]


def test_which_weights_were_kept() -> None:
    kept = {"kind": "kept", "best_step": 1, "measure": "accuracy", "value": 0.9}
    lines = shown(False, {**START, "compiled": False}, step(3), {**kept, "step": 3}).splitlines()
    assert lines[-1] == "policy: ended at step 3; the weights of step 1 are kept, accuracy 0.9"


def test_training_that_is_cut_short() -> None:
    cut = {"kind": "cut_short", "step": 1, "steps": 2, "why": "patience", "measure": "accuracy", "value": 0.9}
    lines = shown(False, {**START, "compiled": False}, step(1), cut, step(2)).splitlines()
    told = "accuracy is 0.9, and rises no more: the learning rate falls from here to 0 at step 2"
    assert f"policy: step 1: {told}" in lines
    assert lines[-1].startswith("policy: step 2/2"), "the last step of the shorter run"


def test_a_plain_line_now_and_then(monkeypatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    lines = shown(False, {**START, "compiled": False}, step(1), step(2)).splitlines()
    assert lines == [
        "policy: step 1/3, 2,000 tokens/s, loss 1.5000, 1 s left",
        "policy: step 2/3, 2,000 tokens/s, loss 1.5000, 0 s left",
    ]


def test_smoothing() -> None:
    line = shown(False, {**START, "step": 1}, step(2), step(3, loss=2.5, seconds=1.5)).splitlines()[-1]
    assert "loss 1.6000" in line and f"{1000 / 0.6:,.0f} tokens/s" in line


def test_the_bar() -> None:
    text = shown(True, START, step(1), step(2), step(3))
    assert "3/3" in text and "2,000 tokens/s, loss 1.5000" in text


def test_other_events_are_no_business_of_the_display() -> None:
    assert shown(False, {"kind": "checkpoint", "step": 1}, {"kind": "eval", "step": 1, "sample": "x"}) == ""
