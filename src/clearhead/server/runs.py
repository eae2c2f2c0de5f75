"""Runs for the page: which there are, their curves while they train and after, and what differs between two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.responses import Response

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.svg import Axis
from clearhead.charts.wording import number, percent
from clearhead.config import load_toml
from clearhead.errors import UserError
from clearhead.pipeline.rundir import RunDir
from clearhead.report.learning import BUCKETS, bucketed
from clearhead.server.errors import ApiError
from clearhead.server.page import ALONE, html
from clearhead.training.jsonl_log import read

WIDTH, HEIGHT = 420.0, 280.0
SHOWN = 24  # settings in a table
CURVES = (  # (kind of event, key, what it is called, on a logarithm)
    ("step", "loss", "loss in training", True), ("eval", "held_out_loss", "loss on held-out text", True),
    ("eval", "accuracy", "solved at first try", False), ("round", "reward", "reward", False),
    ("round", "truth", "right answers", False), ("round", "kl", "KL to the start", False),
)  # fmt: skip


@dataclass
class Runs:
    """Those in a folder, and those that are served."""

    folder: Path = Path("runs")
    served: dict[str, Path] = field(default_factory=dict)

    def all(self) -> dict[str, RunDir]:
        """Every run by its name: what is asked for is looked up here, and never made a path."""
        found = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        paths = {path.name: path for path in found if (path / "config.toml").is_file()}
        return {name: RunDir(path) for name, path in {**self.served, **paths}.items()}

    def find(self, name: str) -> RunDir:
        runs = self.all()
        if name not in runs:
            raise ApiError(404, f"there is no run {name[:80]!r}", code="not_found")
        return runs[name]

    def plain(self) -> dict[str, Any]:
        told = [{"name": name, "told": _told(run), "report": run.report.is_file()} for name, run in self.all().items()]
        return {"folder": str(self.folder), "runs": told}


def _told(run: RunDir) -> str:
    try:
        state = run.read_state()
    except (UserError, OSError) as error:
        return str(error)
    done = [stage["name"] for stage in state["stages"]]
    going = ", ".join(state.get("going", {}))
    return f"{len(done)} stages done" + (f", {going} begun" if going else "") + (f", last {done[-1]}" if done else "")


def described(runs: Mapping[str, RunDir]) -> dict[str, Any]:
    """One run, or two that are compared: a table of settings, and a drawing of each curve."""
    events = {name: _events(run) for name, run in runs.items()}
    logs = sorted({log for found in events.values() for log in found})
    figures = [
        figure for log in logs for figure in _figures(log, {name: of.get(log, []) for name, of in events.items()})
    ]
    return {"runs": [{"name": name} for name in runs], "rows": _rows(list(runs.values())), "figures": figures}


def _events(run: RunDir) -> dict[str, list[dict[str, Any]]]:
    return {path.stem: read(path) for path in sorted(run.path.glob("*.jsonl"))}


def _figures(log: str, events: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, str]]:
    found = []
    for kind, key, told, log_scale in CURVES:
        series = [
            one
            for color, (name, recorded) in enumerate(events.items())
            for one in _series(
                name, [event for event in recorded if event["kind"] == kind], key, color, len(events) > 1
            )
        ]
        share = key in ("accuracy", "truth")
        axis = Axis(told, log_scale, 0.0 if share else None, 1.0 if share else None, percent if share else number)
        svg = line_chart(series, Axis("steps", low=0.0), axis, WIDTH, HEIGHT, f"{log}: {told}")
        if svg is not None:
            found.append({"title": f"{log}: {told}", "svg": str(svg)})
    return found


def _series(name: str, events: Sequence[Mapping[str, Any]], key: str, color: int, many: bool) -> list[Series]:
    """The points of one run; of accuracies a line for each task."""
    values: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        step, value = event.get("step"), event.get(key)
        for task, one in (value if isinstance(value, dict) else {"": value}).items():
            if isinstance(step, int | float) and isinstance(one, int | float):
                values.setdefault(str(task), []).append((float(step), float(one)))
    found = []
    for i, (task, points) in enumerate(values.items()):
        label = " ".join(filter(None, [name if many or not task else "", task]))
        runs = bucketed([x for x, _ in points], [y for _, y in points], BUCKETS)
        x, mean, low, high = ([run[k] for run in runs] for k in range(4))
        tips = [f"{label}: {number(y)} at step {number(at)}" for at, y in zip(x, mean, strict=True)]
        tone = (color + 2 * i) % 6
        found.append(Series(label, x, mean, low, high, tips, tone, marks=len(x) < BUCKETS // 2))
    return found


def _rows(runs: Sequence[RunDir]) -> list[list[str]]:
    """What was done, and the settings: of two runs those alone that differ."""
    rows = [["state", *map(_told, runs)]]
    settings = [_flat(load_toml(run.config)) for run in runs]
    names = [name for one in settings for name in one]
    told = [[name, *(one.get(name, "") for one in settings)] for name in dict.fromkeys(names)]
    return rows + [row for row in told if len(runs) == 1 or len(set(row[1:])) > 1][:SHOWN]


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in table.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": str(value)[:60]}
    return found


def report(run: RunDir) -> Response:
    if not run.report.is_file():
        raise ApiError(404, "this run has no report yet", code="not_found")
    return html(run.report.read_text(encoding="utf-8"), ALONE)
