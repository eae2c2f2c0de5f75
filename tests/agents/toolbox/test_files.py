"""Files below a folder, and every way out of it that is tried."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clearhead.agents.calls import allow, carry_out
from clearhead.agents.steps import Action, Observation
from clearhead.agents.toolbox import files as module
from clearhead.agents.toolbox.files import files, listed, read, write
from clearhead.agents.tools import ToolError


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder with a secret beside it, and links to that."""
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "outside").mkdir()
    folder = tmp_path / "top"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "a.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "up").symlink_to("..")
    (folder / "inner").symlink_to("notes")
    os.mkfifo(folder / "fifo")
    (folder / "binary").write_bytes(b"\xff\x00")
    return folder


OUT = [
    "../secret.txt", "notes/../../secret.txt", "/etc/passwd", "//etc/passwd", "link.txt", "out/new.txt",
    "up/secret.txt", "up/top/notes/a.txt", "inner/a.txt", "./../secret.txt", "notes/./../../secret.txt", "..",
]  # fmt: skip


@pytest.mark.parametrize("path", OUT)
def test_nothing_leads_out(top: Path, path: str) -> None:
    for attempt in (lambda: read(top, path), lambda: write(top, path, "x"), lambda: listed(top, path)):
        with pytest.raises(ToolError):
            print(attempt())
    assert (top.parent / "secret.txt").read_text() == "secret" and not list((top.parent / "outside").iterdir())


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none.txt", "No such file"), ("notes", "is no file"), ("fifo", "is no file"), ("binary", "holds no text"),
        ("notes/a.txt/b", "Not a directory"), ("a\0b", "is no path"), ("a/" * 100, "is no path"),
        ("x" * 300, "too long"), ("\ud800", "is no path"), ("", "is no file"), (".", "is no file"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(top: Path, path: str, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        read(top, path)


def test_a_device_is_no_file(top: Path) -> None:
    with pytest.raises(ToolError, match="is no file"):
        read(Path("/dev"), "zero")


def test_lines_of_a_file(top: Path) -> None:
    assert read(top, "notes/a.txt") == read(top, "./notes//a.txt") == "one\ntwo\nthree\n"
    assert read(top, "notes/a.txt", 2) == "[lines 2 to 3 of 3]\ntwo\nthree\n"
    for line in (0, -1, 4):
        with pytest.raises(ToolError, match="has 3 lines"):
            read(top, "notes/a.txt", line)


def test_a_long_file_is_read_in_parts(top: Path) -> None:
    lines = [f"line {i}\n" for i in range(1000)]
    write(top, "long.txt", "".join(lines))
    found, line = list[str](), 1
    while line <= 1000:
        head, _, text = read(top, "long.txt", line).partition("\n")
        assert len(text) <= module.SHOWN and head.endswith("of 1000]")
        found += text.splitlines(keepends=True)
        line = len(found) + 1
    assert found == lines
    write(top, "one-line.txt", "x" * 10_000)
    assert read(top, "one-line.txt") == "x" * 10_000
    write(top, "empty.txt", "")
    assert read(top, "empty.txt") == ""


def test_sizes_are_bounded(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    (top / "large").write_text("x" * 11)
    with pytest.raises(ToolError, match="more than 10 bytes"):
        read(top, "large")
    with pytest.raises(ToolError, match="at most 10"):
        write(top, "new", "x" * 11)
    assert not (top / "new").exists()
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    assert listed(top, ".")[2:] == ["and 6 more"]


def test_a_folder_is_listed_without_following_links(top: Path) -> None:
    assert listed(top, ".") == [
        "binary (2 bytes)", "fifo (0 bytes)", "inner (a link, which is not followed)",
        "link.txt (a link, which is not followed)", "notes/", "out (a link, which is not followed)",
        "up (a link, which is not followed)",
    ]  # fmt: skip
    assert listed(top, "notes") == ["a.txt (14 bytes)"]


def test_writing_is_whole_and_makes_folders(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert write(top, "new/deeper/b.txt", "é\n") == "written: new/deeper/b.txt, 3 bytes"
    assert (top / "new/deeper/b.txt").read_bytes() == "é\n".encode()
    write(top, "notes/a.txt", "other")
    monkeypatch.setattr(os, "replace", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(ToolError, match="No space left"):
        write(top, "notes/a.txt", "lost")
    assert (top / "notes/a.txt").read_text() == "other" and [p.name for p in (top / "notes").iterdir()] == ["a.txt"]
    for path in ("notes", "fifo", "link.txt", "", "."):
        with pytest.raises(ToolError, match=r"take another name|the folder itself"):
            write(top, path, "x")


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check and the use are one: the descriptor that was opened is the one that is used."""
    real = os.open

    def swapped(path: str, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        fd = real(path, flags, *rest, dir_fd=dir_fd)
        if path == "notes":
            (top / "notes").rename(top / "moved")
            (top / "notes").symlink_to(top.parent / "outside")
        return fd

    monkeypatch.setattr(os, "open", swapped)
    write(top, "notes/b.txt", "x")
    assert (top / "moved" / "b.txt").read_text() == "x" and not list((top.parent / "outside").iterdir())


def test_as_tools(top: Path) -> None:
    tools = {tool.name: tool for tool in files(top)}
    assert {name: (each.writes, each.seconds) for name, each in tools.items()} == {
        "list_files": (False, math.inf), "read_file": (False, math.inf), "write_file": (True, math.inf),
    }  # fmt: skip
    asked = list[str]()

    def refuse(action: Action, tool: object) -> bool:
        asked.append(action.tool)
        return False

    call: Callable[..., list[Observation]] = carry_out
    actions = [
        Action("write_file", {"path": "n.txt", "text": "n"}),
        Action("read_file", {"path": "notes/a.txt", "line": 3}),
    ]
    denied, seen = call(actions, tools, refuse)
    assert asked == ["write_file"] and not denied.ok and not (top / "n.txt").exists()
    assert seen.text == "[lines 3 to 3 of 3]\nthree\n"
    assert all(seen.ok for seen in call([actions[0], Action("list_files", {})], tools, allow))
    assert (top / "n.txt").read_text() == "n"


def test_no_descriptor_is_left_open(top: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for path in (*OUT, "notes/a.txt", "fifo", "none"):
        for attempt in (lambda: read(top, path), lambda: listed(top, path)):  # noqa: B023
            try:
                attempt()
            except ToolError:
                continue
    assert not before or len(os.listdir("/proc/self/fd")) == before
