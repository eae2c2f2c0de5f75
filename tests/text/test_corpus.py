import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.errors import Ignored, UserError
from clearhead.text.corpus import (
    DOCUMENT,
    MAX_DOCUMENT,
    default_corpus,
    docstrings,
    documents,
    files_of,
    held_out,
    python_documentation,
    split,
)


def test_plain_text_comes_back_whole_and_is_cut_at_blank_lines(tmp_path: Path) -> None:
    text = "".join(f"line {i} é\r\n" + ("\n" if i % 7 == 0 else "") for i in range(3000))
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = list(documents([tmp_path / "a.txt"]))
    assert "".join(found) == text
    assert len(found) > 5
    assert all(DOCUMENT <= len(document) < DOCUMENT + 200 and document.endswith("\n\n") for document in found[:-1])


@given(st.lists(st.sampled_from(["a" * 3000 + "\n", "\n", "b" * 9000, "x\n", "é \n\n"]), min_size=1, max_size=60))
@settings(deadline=None, max_examples=40)
def test_no_document_is_longer_than_the_longest(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("corpus") / "a"
    text = "x" + "".join(lines)
    path.write_text(text, encoding="utf-8", newline="")
    found = list(documents([path]))
    assert "".join(found).rstrip() == text.rstrip()  # a last document of white space alone is none
    assert all(len(document) < MAX_DOCUMENT + DOCUMENT for document in found)


def test_one_long_line_is_many_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("é" * 500_000, encoding="utf-8")
    found = list(documents([tmp_path / "a.txt"]))
    assert "".join(found) == "é" * 500_000
    assert max(map(len, found)) < MAX_DOCUMENT + DOCUMENT


def test_jsonl_and_parquet_have_a_document_a_row(tmp_path: Path) -> None:
    rows = ["one\n\ntwo", "é 👋", " ", "three"]
    (tmp_path / "a.jsonl").write_text("\n\n".join(json.dumps({"text": row, "n": 1}) for row in rows), encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.table({"n": [1] * 5, "text": [*rows, None]}), tmp_path / "b.parquet")
    wanted = [row for row in rows if row.strip()]
    assert list(documents([tmp_path / "a.jsonl"])) == wanted
    assert list(documents([tmp_path / "b.parquet"])) == wanted
    assert list(documents([tmp_path])) == wanted * 2
    pyarrow.parquet.write_table(pyarrow.table({"body": ["x"]}), tmp_path / "c.parquet")
    assert list(documents([tmp_path / "c.parquet"], field="body")) == ["x"]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("z.txt", "a.md", "b/c.TXT", "b/picture.png", "noise"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert list(documents([tmp_path, tmp_path / "z.txt", tmp_path / "noise"])) == ["a.md", "b/c.TXT", "z.txt", "noise"]
    assert len(files_of([tmp_path, tmp_path])) == 3


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b" \n \n", "is empty"),
        ("a.txt", b"ok\nab\x00c", "is binary"),
        ("a.txt", b"ok\nab\xffc", "byte 0xff in line 2"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"\n', "line 2: this is not JSON"),
        ("a.jsonl", b'{"text": "a"}\n{"txt": "b"}\n', "line 2: no text in the field 'text'; its fields are 'txt'"),
        ("a.txt", b"ok\n" * 500_000 + b"\xc3", "byte 0xc3 in line 500001"),
        ("a.jsonl", b'{"text": 7}\n', "line 1: the field 'text' holds 7, which is no text"),
        ("a.jsonl", b"[1]\n", "line 1: this is a JSON array"),
        ("a.jsonl", b"[" * 100_000, "is one JSON array"),
        ("a.parquet", b"PAR1 and no more", "no Parquet file"),
        ("a.parquet", b"", "no Parquet file"),
    ],
)
def test_what_is_no_text_is_told(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=told) as raised:
        list(documents([tmp_path / name]))
    assert "\n" not in str(raised.value)


def test_half_a_parquet_file_and_wrong_columns_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"n": [1, 2], "text": ["a", "b"]}), path)
    with pytest.raises(UserError, match="no column 'body'; its columns are n, text"):
        list(documents([path], field="body"))
    with pytest.raises(UserError, match="'n' holds 1, which is no text"):
        list(documents([path], field="n"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="no Parquet file"):
        list(documents([path]))


def test_a_row_without_text_is_none_and_half_a_pair_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": null}\n{"text": "a\\ud83d b"}\n{"text": "\\ud83d\\udc4b"}\n', encoding="utf-8"
    )
    assert list(documents([tmp_path / "a.jsonl"])) == ["a\ufffd b", "👋"]


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.txt does not exist"):
        files_of([tmp_path / "gone.txt"])
    with pytest.raises(UserError, match="has no text in it"):
        files_of([tmp_path])


def test_without_the_package_parquet_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r"pip install 'clearhead\[data\]'"):
        list(documents([tmp_path / "a.parquet"]))


def test_the_split_is_by_the_text_alone() -> None:
    texts = [f"document {i}" for i in range(2000)]
    kept, held = split([*texts, *texts], 0.1)
    assert sorted(kept + held) == sorted([*texts, *texts])
    assert not set(kept) & set(held)
    assert 0.08 < len(held) / 4000 < 0.12
    assert {text for text in texts if held_out(text, 0.05)} <= set(held)  # a smaller share is a part of a larger


def test_neither_side_is_empty() -> None:
    assert [len(side) for side in split(["a", "b"], 0.0)] == [1, 1]
    assert [len(side) for side in split(["a", "b"], 1.0)] == [1, 1]
    assert split(["a"], 0.0) == (["a"], [])


def test_the_default_corpus_is_there_without_a_download() -> None:
    texts = list(default_corpus())
    assert len(texts) > 50 and sum(map(len, texts)) > 300_000


def test_docstrings_of_a_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        '"""Top.\n\n    In."""\nclass A:\n    "Of A."\n    def f(self):\n        "Of f."\nx = "none"  # no\n'
    )
    assert docstrings(file) == "Top.\n\nIn.\n\nOf A.\n\nOf f."
    file.write_text("def broken(:\n")
    assert docstrings(file) == ""
    file.write_text('"""old \\d"""')  # a spelling that Python warns of
    assert docstrings(file) == "old \\d"


def test_the_documentation_goes_on_with_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("json/__init__.py", "test/test_json.py", "site-packages/numpy.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'"""{name}"""')
    monkeypatch.setattr("clearhead.text.corpus.sysconfig.get_path", lambda name: str(tmp_path))
    assert list(python_documentation()) == [*default_corpus(), "json/__init__.py"]


def test_a_large_file_is_never_held_whole(tmp_path: Path, run_python: Callable[..., str]) -> None:
    with open(tmp_path / "large.txt", "w", encoding="utf-8") as file:
        for _ in range(1000):
            file.write("some words of text, again and again\n" * 2000 + "\n")  # 72 MB
    printed = run_python(
        "import sys, resource; from pathlib import Path; from clearhead.text.corpus import documents\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "count = sum(len(d) for d in documents([Path(sys.argv[1])]))\n"
        "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)",
        str(tmp_path / "large.txt"),
    )
    count, grown = map(int, printed.split())
    assert count == (tmp_path / "large.txt").stat().st_size
    assert grown * 1024 < 10 << 20


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.ndjson", '{"text": "one"}\n{"text": "two"}'), ("a.jsonl", '\ufeff{"text": "one"}\n\ufeff{"text": "two"}\n'),
        ("a.json", '[{"text": "one"}, {"text": "two"}]'), ("a.json", '\n ["one", "two"]'),
        ("a.json", '{"text": "one"}\n{"text": "two"}'), ("a.csv", 'id,text\n1,one\n2,two\n'),
        ("a.csv", '\ufefftext\n"one"\n"two"\n'), ("a.tsv", "text\tid\none\t1\ntwo\t2\n"),
    ],
)  # fmt: skip
def test_rows_are_read_as_what_their_file_is_called(name: str, data: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(data, encoding="utf-8")
    assert list(documents([tmp_path / name])) == list(documents([tmp_path])) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        # without the time, since the data are part of the test's name and every worker must find the same tests
        ("a.jsonl.gz", gzip.compress(b'{"text": "a"}', mtime=0), r"compressed \(gzip\); unpack it first"),
        ("a.jsonl", gzip.compress(b'{"text": "a"}', mtime=0), "compressed"),
        ("a.zip", b"PK\x03\x04rest", r"compressed \(zip\)"),
        ("a.json", b'[{"text": 1}]', "row 1: the field 'text' holds 1"), ("a.json", b'["a", 2]', "row 2: no text"),
        ("a.json", b'["a"', "is no JSON that can be read"),
        ("a.csv", b"a,b\n1,2\n", "no column 'text'; its first row is 'a', 'b'"),
        ("a.csv", b'text\n"a\n', "is no CSV that can be read"), ("a.csv", b"text,b\nx\n", "row 1: 1 cells where 2"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_read_are_told(name: str, data: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=told):
        list(documents([tmp_path / name]))


@pytest.mark.parametrize("name", ["rows.txt", "rows", "rows.jsonlines"])
def test_text_that_begins_like_rows_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('\n{"text": "a"}\n{"text": "b"}\n')
    with pytest.warns(Ignored, match=r"begins like JSON; call it \.jsonl"):
        assert len(list(documents([tmp_path / name]))) == 1
    (tmp_path / name).write_text('{braces} and {"quotes"} are text\n')
    assert len(list(documents([tmp_path / name]))) == 1


def test_what_other_readers_of_csv_may_take_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\none\n")
    (tmp_path / "b.csv").write_text("none\n")
    before = csv.field_size_limit()
    assert list(documents([tmp_path / "a.csv"])) == ["one"]
    with pytest.raises(UserError):
        list(documents([tmp_path / "b.csv"]))
    assert csv.field_size_limit() == before
