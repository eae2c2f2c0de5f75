"""The page of a fine-tuning: whole HTML, nothing of a model's text taken for markup, and honest when it went wrong."""

from typing import Any

from clearhead.charts.wording import percent
from clearhead.report.tuning import headline, render

EVIL = "</script><script>alert('x')</script>\"'><img src=x onerror=alert(1)>&amp;"


def result(before: float = 3.0, after: float = 1.5) -> dict[str, Any]:
    return {
        "model": "some/model", "method": "LoRA", "settings": {"rank": 8, "targets": ["q", "v"], "full": False},
        "parameters": {"trainable": 1000, "total": 100_000}, "peak_memory": 3 << 30, "steps": 40, "examples": 90,
        "held_out_examples": 10, "answer_tokens": 1234, "held_out_loss": {"before": before, "after": after},
        "seconds": 61.0,
        "answers": [{"prompt": f"<|user|>{EVIL}", "question": EVIL, "answer": EVIL, "before": "", "after": EVIL}],
    }  # fmt: skip


EVENTS = [{"kind": "step", "step": i, "loss": 3 - i / 40} for i in range(1, 41)]
EVENTS += [{"kind": "eval", "step": 20, "held_out_loss": 2.0}, {"kind": "eval", "step": 40, "held_out_loss": 1.5}]


def test_the_page_says_what_happened_and_lets_no_text_out() -> None:
    page = render(result(), EVENTS)
    assert page.startswith("<!DOCTYPE html>") and page.count("<script>") == 1 and "<img" not in page
    assert "the loss fell from 3 to 1.5 nats a token" in page
    assert "Nothing: it ended at once." in page and percent(0.01) in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_a_loss_that_did_not_fall_is_not_called_good() -> None:
    assert "did not fall" in headline(result(1.0, 1.2))
    assert "did not fall" in render(result(1.0, 1.0), [])
