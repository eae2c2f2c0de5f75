"""Lines that are made one handful after the other, and a file of them that is there whole or not at all.

Until the last line is made they stand in `NAME.part`, below one line that says what they answer; whoever asks for the
same again goes on after them. A line that a kill cut short is dropped.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhead.errors import UserError
from clearhead.files import write_whole
from clearhead.pipeline.rundir import differences
from clearhead.terminal import to_json


@dataclass(frozen=True)
class Journal:
    path: Path
    about: Mapping[str, Any]  # what the lines depend on

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    def begin(self) -> list[str]:
        """The lines that are there already, of an earlier attempt at the same."""
        if self.path.exists():
            raise UserError(f"{self.path} already exists; choose another --out, or delete it")
        if not self.path.parent.is_dir():
            raise UserError(f"there is no folder {self.path.parent} for {self.path.name}; make it first")
        if not self.part.exists():
            write_whole(self.part, line(self.about))
            return []
        first, *lines = self._whole_lines()
        if changed := differences(_table(first), self.about):
            told = ", ".join(f"{key}: {how}" for key, how in sorted(changed.items()))
            raise UserError(f"{self.part} was begun with something else ({told}); delete it, or choose another --out")
        return lines

    def add(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """On the disk when this returns."""
        with self.part.open("ab") as file:
            file.write("".join(map(line, entries)).encode())
            file.flush()
            os.fsync(file.fileno())

    def count(self) -> int:
        """How many lines are there, whatever was interrupted."""
        return len(self._whole_lines()) - 1

    def end(self) -> None:
        """Give the lines their name."""
        _, *lines = self._whole_lines()
        write_whole(self.path, "".join(lines))
        self.part.unlink()

    def _whole_lines(self) -> list[str]:
        """The heading and the lines; what a kill left behind the last of them is cut off."""
        data = self.part.read_bytes()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            os.truncate(self.part, end)
        return [f"{line}\n" for line in data[:end].decode(errors="replace").split("\n")[:-1]] or [""]


def line(entry: Mapping[str, Any]) -> str:
    """An entry as one line of JSON."""
    return to_json(entry) + "\n"


def _table(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
