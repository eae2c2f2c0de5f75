import csv

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from clearhead.errors import UserError
from clearhead.tasks import records as module
from clearhead.tasks.records import BadRow, read_records, sniff

ROWS = [{"q": "wie viel, 1; 2|3?", "a": "1,5"}, {"q": 'say "hi"\nand go', "a": "é"}]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_separator_and_encoding_is_found(tmp_path, separator, encoding, end):
    path = tmp_path / "mine.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, ["q", "a"], delimiter=separator, lineterminator=end)
        writer.writeheader()
        writer.writerows(ROWS)
    records = read_records(path)
    assert [dict(fields) for _, fields in records.rows] == ROWS
    assert [line for line, _ in records.rows] == [2, 3]
    assert records.separator == {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}[separator]
    names = {"utf-8-sig": "UTF-8 with BOM", "cp1252": "Windows-1252"}
    assert records.encoding == names.get(encoding, encoding.upper())


def test_quoted_everywhere_and_excels_own_line(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(b'sep=;\r\n"q";"a"\r\n"x, y";"1,5"\r\n')
    records = read_records(path)
    assert (records.rows, records.separator) == ([(3, {"q": "x, y", "a": "1,5"})], "semicolon")


def test_separator_and_encoding_may_be_told(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes("q#a\n\xe9,x#1\n".encode("latin-1"))
    records = read_records(path, separator="#", encoding="latin-1")
    assert records.rows == [(2, {"q": "é,x", "a": "1"})]
    with pytest.raises(UserError, match="encoding = 'utf-9' is unknown"):
        read_records(path, encoding="utf-9")
    with pytest.raises(UserError, match="separator = '##' has 2 characters"):
        read_records(path, separator="##")
    with pytest.raises(UserError, match="line 2: this is not text in utf-8"):
        read_records(path, encoding="utf-8")


def test_a_row_of_other_width_does_not_mislead(tmp_path):
    assert sniff("problem;answer\na,b;1\nc;1\nd,e\n") == ";"
    assert sniff("a|b|c,answer\n1,2\n3,4\n") == ","
    path = tmp_path / "mine.csv"
    path.write_text("q,a\n1,2\n3\n\n4,5,6\n7,8\n")
    records = read_records(path)
    assert [fields["q"] for _, fields in records.rows] == ["1", "7"]
    assert records.bad == [
        BadRow(3, "this row has 1 fields and the first line 2"),
        BadRow(5, "this row has 3 fields and the first line 2"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"q": 0.10, "a": [1.0, "x"]}\n\n{"q": 7}\n'),
        ("a.json", '[{"q": 0.10, "a": [1.0, "x"]},\n {"q": 7}]'),
        ("a.json", '{"version": 1, "data": [{"q": 0.10, "a": [1.0, "x"]}, {"q": 7}]}'),
        ("a.json", '{"q": 0.10, "a": [1.0, "x"]}\n{"q": 7}\n'),  # lines, whatever the name says
        ("a.jsonl", '[{"q": 0.10, "a": [1.0, "x"]}, {"q": 7}]'),
    ],
)
def test_json_in_every_form(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    records = read_records(tmp_path / name)
    assert [fields for _, fields in records.rows] == [{"q": "0.10", "a": ["1.0", "x"]}, {"q": "7"}]
    assert records.columns == ("q", "a")
    assert records.bad == []


def test_parquet(tmp_path):
    rows = [{"q": "x", "a": 1, "steps": ["a", "b"]}, {"q": None, "a": 2, "steps": None}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "mine.parquet")
    records = read_records(tmp_path / "mine.parquet")
    assert (records.rows, records.unit) == ([(1, rows[0]), (2, rows[1])], "row")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match="is no Parquet file that can be read"):
        read_records(tmp_path / "broken.parquet")


def test_lines_that_are_no_json_are_noted(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"q": 1}\n{\n[1]\n' + "[" * 100_000 + '\n{"q": 2}\n')
    records = read_records(tmp_path / "a.jsonl")
    assert [line for line, _ in records.rows] == [1, 5]
    assert [bad.line for bad in records.bad] == [2, 3, 4]
    assert [bad.why.split("(")[0].split(";")[0].strip() for bad in records.bad] == [
        "this is not JSON",
        "this is not an object",
        "this JSON is nested too deeply",
    ]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b'q,a\n1,2\nx,"b"c\n', "after line 2: this is not CSV"),
        ("a.csv", b'q,a\nx,"b\n', "this is not CSV"),
        ("a.csv", b"q,a\n" + b"a" * 200_000 + b",b\n", "this is not CSV"),
        ("a.csv", b"a,q,a\n1,2,3\n", "the first line names a more than once"),
        ("a.csv", "q,a\n1,2\n".encode("utf-16-le"), "is no text in UTF-8 or UTF-16 with its mark"),
        ("a.csv", b"q,a\n1,2\n\x81", "line 3: this is not text in cp1252"),
        ("a.json", b'{"a": [1], "b": [2]}', "holds 2 lists"),
        ("a.json", b'{"a": 1}', "holds 0 lists"),
        ("a.json", b"3", "holds 1 lists"),
        ("a.json", b'[{"a": 1},\n{]', "line 2: this is not JSON"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_none(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        read_records(tmp_path / name)
    assert "\n" not in str(error.value)


def test_no_such_file_and_no_such_form(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_records(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match=r"is none of \.jsonl"):
        read_records(tmp_path / "mine.xlsx")


def test_a_parquet_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    """Equal values take hardly any room in the file."""
    path = tmp_path / "rows.parquet"
    rows = [{"problem": "x" * 1000, "answer": "y"}] * 3000
    parquet.write_table(pa.Table.from_pylist(rows), path)
    assert path.stat().st_size < 10_000 and len(read_records(path).rows) == 3000
    monkeypatch.setattr(module, "LARGEST_UNPACKED", 1 << 20)
    with pytest.raises(UserError, match="unpacks to more than 1 MiB in its first 1,000 rows"):
        read_records(path)
