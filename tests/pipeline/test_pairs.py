"""Pairs from every kind of file, and what is told of those that are none."""

import json
from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.pipeline.pairs import TextPair, read_pairs, split

WANTED = [TextPair("a b", "x"), TextPair("né", "ü, y")]
FORMS = {
    "p.tsv": "a  b\tx\tCC-BY\nné\tü, y\n",
    "q.tsv": "source\ttarget\na b\tx\nné\tü, y\n",
    "p.csv": 'id,source,target\n1,a b,x\n2,né,"ü, y"\n',
    "p.jsonl": "".join(json.dumps(dict(zip(("source", "target"), p, strict=True))) + "\n" for p in WANTED),
    "p.json": json.dumps([dict(zip(("target", "source"), p[::-1], strict=True)) for p in WANTED]),
}


def read(*paths: Path, skip: bool = False, source: str = "source"):  # type: ignore[no-untyped-def]
    return read_pairs(paths, source, "target", skip)


def written(folder: Path, **files: str) -> list[Path]:
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return [folder / name.replace("__", ".") for name in files]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_pairs(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FORMS[name], encoding="utf-8")
    assert read(tmp_path / name).pairs == WANTED


def test_two_files_are_pairs_line_by_line(tmp_path: Path) -> None:
    assert read(*written(tmp_path, a__en="a b\nné\n", a__de="x\r\nü, y\n")).pairs == WANTED


def test_the_same_again_is_counted_and_left_out(tmp_path: Path) -> None:
    found = read(*written(tmp_path, p__tsv="a\tx\na\tx\na\ty\n"))
    assert (found.pairs, found.duplicates, found.bad) == ([TextPair("a", "x"), TextPair("a", "y")], 1, 0)


def test_empty_sides_are_told_or_left_out(tmp_path: Path) -> None:
    (path,) = written(tmp_path, p__tsv="a\tx\n \ty\n")
    with pytest.raises(UserError, match=r"p.tsv, line 2: the source is empty.*data.skip_bad = true"):
        read(path)
    found = read(path, skip=True)
    assert (found.pairs, found.bad) == ([TextPair("a", "x")], 1)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"a__en": "a\nb\n", "a__es": "x\n"}, "a.en has 2 lines and .*a.es has 1; a line of one must be"),
        ({"p__tsv": "a\tx\nb y\n"}, "p.tsv, line 2: there is no tab"),
        ({"p__csv": "en,es\na,x\n"}, "no field 'source'; it has en, es: name two .*data.source=NAME"),
        ({"p__csv": "source,target\na,x\nb\n"}, "p.csv, line 3: this row has 1 fields"),
        ({"p__jsonl": '{"source": "a", "target": ["x"]}\n'}, "line 1: target = .* is no text"),
        ({"p__tsv": ""}, "hold no pair"),
        ({"p__bin": "a\tx\n"}, "is none of"),
        ({"a__en": "a\n", "a__es": "x\n", "a__fr": "y\n"}, "names 3 files"),
    ],
)
def test_what_is_no_pair_is_told_in_a_line(tmp_path: Path, files: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        read(*written(tmp_path, **files))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no file"):
        read(tmp_path / "none.tsv")


def test_a_source_is_on_one_side_only() -> None:
    pairs = [TextPair(str(i // 2), str(i)) for i in range(400)]
    kept, held = split(pairs, 0.3)
    assert not {pair.source for pair in kept} & {pair.source for pair in held}
    assert len(kept) + len(held) == 400 and 80 < len(held) < 160
    with pytest.raises(UserError, match="holds out 0"):
        split(pairs[:4], 1e-9)
