"""Accuracy against rows: the power law on known curves, what is advised, and when it is measured."""

import json
import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clearhead.pipeline import few_rows, layout, rows_curve
from clearhead.pipeline.context import Context
from clearhead.pipeline.recipe import parse
from clearhead.pipeline.rows_curve import RowsPoint, advice, extrapolated, point, rows_curve_stage
from clearhead.pipeline.rundir import create, read_json
from clearhead.pipeline.stages import pretrain_stage, tokenizer_stage


def curve(*accuracies: float, tried: int = 300) -> list[RowsPoint]:
    return [point(600 * 2**i, round(a * tried), tried) for i, a in enumerate(accuracies)]


def test_a_power_law_goes_on_as_it_did() -> None:
    exact = curve(0.2, 0.6, 0.8, tried=100_000)  # halves twice over two doublings, but not evenly: the line is between
    median, low, high = extrapolated(exact, 9600)
    assert low < median < high and high - low < 0.01
    even = curve(0.2, 0.6, 0.8, tried=1_000_000)[1:]
    assert extrapolated(even, 4800)[0] == pytest.approx(0.9, abs=0.002)
    assert extrapolated(even, 2400)[0] == pytest.approx(0.8, abs=0.002)


def test_fewer_problems_leave_more_open() -> None:
    widths = []
    for tried in (50, 300, 5000):
        _, low, high = extrapolated(curve(0.2, 0.4, 0.55, tried=tried), 9600)
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True) and widths[0] > 0.1


def test_accuracy_never_falls_with_rows() -> None:
    points = curve(0.5, 0.45, 0.4)
    assert extrapolated(points, 9600)[0] == pytest.approx(0.45, abs=0.02)


@pytest.mark.parametrize(
    ("accuracies", "seen", "begins", "has"),
    [
        ((0.2, 0.45, 0.7), 0.99, "More rows would help: with 9,600 rows about", "more training would not"),
        ((0.02, 0.05, 0.06), 0.99, "More rows", "more training would not. A pretrained model may: --set model.from="),
        ((0.06, 0.06, 0.06), 0.10, "More rows like these would hardly help", "more training would help as well"),
        ((0.97, 0.98, 0.98), 0.99, "More rows like these would hardly help", ""),
    ],
)
def test_advice(accuracies: tuple[float, ...], seen: float, begins: str, has: str) -> None:
    told = advice(curve(*accuracies), seen, base=True)
    assert told.startswith(begins) and has in told
    assert "clearhead" not in advice(curve(*accuracies), seen, base=False)


def test_it_is_measured_unasked_only_where_it_is_short() -> None:
    recipe = parse({"tasks": {"mine": {"source": "game24"}}, "pretrain": {"batch_size": 8, "seq_len": 64}})
    assert few_rows.curve(recipe, 2400, 100) and not few_rows.curve(recipe, 2400, 10_000)
    assert not few_rows.curve(recipe, 0, 100) and not few_rows.curve(recipe, 50_000, 100)
    asked = replace(recipe, data=replace(recipe.data, curve=True))
    assert few_rows.curve(asked, 2400, 10_000) and not few_rows.curve(asked, 0, 100)
    assert not few_rows.curve(replace(recipe, data=replace(recipe.data, curve=False)), 2400, 100)


def test_the_stage_leaves_points_and_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_curve, "TRIED", 20)
    file = tmp_path / "letters.jsonl"
    words = sorted({"".join(random.Random(i).choices("abc", k=4)) for i in range(200)})
    rows = [{"problem": word, "answer": word[::-1]} for word in words]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = parse(
        {
            "tasks": {"mine": {"source": f"file:{file}"}}, "model": {"preset": "tiny", "max_positions": 64},
            "pretrain": {
                "steps": 20, "batch_size": 4, "seq_len": 64, "warmup": 10, "eval_every": 10,
                "save_every": 5, "compile": "off",
            },
        }
    )  # fmt: skip
    said: list[str] = []
    run = create(tmp_path / "run", given, {})
    display = nullcontext(lambda event: None)
    context = Context(run, torch.device("cpu"), lambda label: display, said.append, lambda label, n: nullcontext(print))
    for stage in (tokenizer_stage, pretrain_stage, rows_curve_stage):
        stage(context)
    found = read_json(run.rows_curve, layout.ROWS_CURVE)
    total = context.tasks()["mine"].rows
    assert [p["rows"] for p in found["points"]] == [round(total / 4), round(total / 2), total]
    assert all(0 <= p["low"] <= p["accuracy"] <= p["high"] <= 1 for p in found["points"])
    assert found["advice"] in said
    assert not list(run.path.glob("rows-*.checkpoint*"))
