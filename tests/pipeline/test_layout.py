"""What a run's files hold is what `layout` says, and a file of another shape is told in one line."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clearhead.errors import UserError
from clearhead.pipeline import layout
from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.pipeline.summary import headline, report_data
from clearhead.plain import mismatch

FILES = {
    "state.json": layout.STATE,
    "sizes.json": layout.SIZES,
    "preflight.json": layout.PREFLIGHT,
    "auto.json": layout.AUTO,
    "rollouts/letters-*.json": layout.ROLLOUTS,
    "calibration/letters.json": layout.CALIBRATION,
    "calibration/letters-*.json": layout.SCORES,
    "evaluation/letters/*-*.json": layout.EVAL_RESULTS,
    "evaluation/*/quality.json": layout.QUALITY,
    "evaluation/tree-0.json": layout.TREE,
    "evaluation/attention.json": layout.ATTENTION,
}
READ_BY_THE_REPORT = [name for name in FILES if not name.startswith("calibration")]
STRANGE = (None, "x", [], {}, -1, [{}], [[]], {"a": 1})


@pytest.mark.parametrize("pattern", FILES)
def test_a_run_writes_what_is_said_here(tiny_run: Path, pattern: str) -> None:
    paths = list(tiny_run.glob(pattern))
    assert paths
    for path in paths:
        assert mismatch(json.loads(path.read_text()), FILES[pattern]) == ""


def damaged(value: Any) -> Iterator[Any]:
    """The value with one thing in it, anywhere, of another kind or gone."""
    yield from STRANGE
    if isinstance(value, dict):
        for key in value:
            yield {name: each for name, each in value.items() if name != key}
            for other in damaged(value[key]):
                yield {**value, key: other}
    elif isinstance(value, list) and value:
        yield value[:-1]
        for other in damaged(value[0]):
            yield [other, *value[1:]]


@pytest.mark.parametrize("pattern", READ_BY_THE_REPORT)
def test_a_report_of_damaged_files_is_an_error_in_one_line_or_a_report(
    tiny_run: Path, tmp_path: Path, pattern: str
) -> None:
    run = RunDir(tmp_path / "run")
    shutil.copytree(tiny_run, run.path)
    path = next(iter(sorted(run.path.glob(pattern))))
    whole = json.loads(path.read_text())
    refused = 0
    for other in random.Random(0).sample([*damaged(whole)], 8):
        path.write_text(json.dumps(other))
        try:
            headline(run, report_data(run))
        except UserError as error:
            assert path.name in str(error) and "\n" not in str(error)
            refused += 1
    assert refused


@pytest.mark.parametrize("text", ["", "{", "\x00", "[" * 100_000, "nul"])
def test_what_is_no_json_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a\.json cannot be read"):
        read_json(tmp_path / "a.json", layout.AUTO)


@pytest.mark.parametrize(
    ("value", "shape", "told"),
    [
        (1, int, ""),
        (1, float, ""),
        (1.5, int, "it is 1.5"),
        (True, int, "it is True"),
        (True, object, ""),
        (None, (None, str), ""),
        ([1, "a"], [int, str], ""),
        ([1], [int, str], "it has 1 entries and not 2"),
        ({"a": {"b": []}}, {str: {"b": [int]}}, ""),
        ({"a": {"b": [None]}}, {str: {"b": [int]}}, "it.a.b[0] is None"),
        ({}, {"a?": int}, ""),
        ({"a": "x"}, {"a?": int}, "it.a is 'x'"),
        ({}, {"a": int}, "it lacks a"),
        (3, lambda value: value > 3, "it is 3"),
        ("x" * 99, int, f"it is '{'x' * 39}"),
    ],
)
def test_shapes(value: Any, shape: Any, told: str) -> None:
    assert mismatch(value, shape) == told
