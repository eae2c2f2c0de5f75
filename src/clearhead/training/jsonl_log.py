"""What happened in a run: one JSON object a line, appended as it happens. Progress, doctor and report read this.

Deliberately not here: what the numbers mean.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clearhead.files import write_whole

Event = Mapping[str, Any]
Callback = Callable[[Event], None]


class JsonlLog:
    """A callback that appends every event to a file; a line is with the system before `emit` returns."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _keep(self.path, lambda event: True)  # a line torn by a kill must not swallow the next one

    def emit(self, kind: str, **numbers: Any) -> None:
        self({"kind": kind, **numbers})

    def __call__(self, event: Event) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(event), ensure_ascii=False) + "\n")

    def truncate_after(self, step: int) -> None:
        """Forget the events of later steps, so that a resumed run writes them once."""
        _keep(self.path, lambda event: "step" not in event or event["step"] <= step)


def read(path: Path | str) -> list[dict[str, Any]]:
    """All complete events, oldest first; a line torn by a kill is left out, and what is no event."""
    events = []
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("kind"), str):
            events.append(event)
    return events


def _keep(path: Path, wanted: Callable[[Event], bool]) -> None:
    """Rewrite the file with the wanted events, if it holds any others; a kill leaves the old file or the new one."""
    old = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    kept = [event for event in (read(path) if old else []) if wanted(event)]
    new = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in kept)
    if new != old:
        write_whole(path, new)
