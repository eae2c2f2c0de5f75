"""constraints.txt pins what pyproject.toml asks for: exact public versions, nothing tied to one machine."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>\d+(\.\d+)*)")  # no local suffix, address or path


def pins(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in text.splitlines())):
        pin = PIN.fullmatch(line)
        assert pin, f"{line!r} is not an exact public pin"
        assert pin["name"] not in found, f"{pin['name']} is pinned twice"
        found[pin["name"]] = pin["version"]
    return found


def unpinned(project: dict, build: list[str], pinned: dict[str, str]) -> list[str]:
    """The requirements that no pin meets."""
    extras = project.get("optional-dependencies", {}).values()
    wanted = [Requirement(line) for lines in (project["dependencies"], build, *extras) for line in lines]
    wanted = [w for w in wanted if w.name != project["name"]]  # an extra that includes another
    return [str(w) for w in wanted if not w.specifier.contains(pinned.get(canonicalize_name(w.name), "0"))]


def test_every_requirement_is_pinned() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert unpinned(data["project"], data["build-system"]["requires"], pinned) == []


@pytest.mark.parametrize(
    "line", ["torch==2.13.0+cpu", "torch>=2", "x @ file:///x.whl", "-f https://x", "-e .", "a==1\na==1"]
)
def test_what_is_no_pin_is_refused(line: str) -> None:
    with pytest.raises(AssertionError):
        pins(line)


def test_a_missing_or_unfit_pin_is_found() -> None:
    project = {
        "name": "clearhead",
        "dependencies": ["tomli_w>=1", "rich>=14"],
        "optional-dependencies": {"dev": ["ruff>=1"]},
    }
    assert unpinned(project, ["hatchling>=2"], {"tomli-w": "1.0", "rich": "13.9"}) == [
        "rich>=14",
        "hatchling>=2",
        "ruff>=1",
    ]
