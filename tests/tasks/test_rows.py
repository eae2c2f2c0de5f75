import json

import pytest

from clearhead.errors import UserError
from clearhead.tasks.rows import Row, read_rows


def jsonl(tmp_path, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogatepass")
    return path


def plain(n, start=0):
    return [{"problem": f"{i}+1", "answer": i + 1} for i in range(start, start + n)]


def test_jsonl(tmp_path):
    rows = read_rows(
        jsonl(tmp_path, "\ufeff" + json.dumps({"problem": " 2\n+3 ", "answer": 5, "more": [1]}), "", *plain(9))
    )
    assert rows[:2] == [Row(1, "2 | +3", "5", (), ""), Row(3, "0+1", "1", (), "")]
    assert len(rows) == 10


def test_numbers_stay_as_they_are_written(tmp_path):
    rows = read_rows(
        jsonl(
            tmp_path, '{"problem": "x", "answer": 0.10}', '{"problem": 7, "answer": 12345678901234567890.0}', *plain(8)
        )
    )
    assert [(row.problem, row.answer) for row in rows[:2]] == [("x", "0.10"), ("7", "12345678901234567890.0")]


def test_steps_are_a_list_or_lines(tmp_path):
    more = [{**row, "steps": "a\n\n b \r\nc"} for row in plain(8)]
    rows = read_rows(
        jsonl(
            tmp_path, {"problem": "p", "answer": "b", "steps": ["a", " b"]}, *more, {**plain(1, 8)[0], "steps": ["x"]}
        )
    )
    assert [rows[0].steps, rows[1].steps, rows[9].steps] == [("a", "b"), ("a", "b", "c"), ("x",)]


def test_csv(tmp_path):
    path = tmp_path / "mine.CSV"
    lines = [
        "problem,answer,steps,split",
        '"2, and\n3",5,"2+3\n=5",train',
        *(f"{i}+1,{i + 1},={i + 1},test" for i in range(9)),
    ]
    path.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    rows = read_rows(path)
    assert rows[0] == Row(2, "2, and | 3", "5", ("2+3", "=5"), "train")
    assert rows[9] == Row(13, "8+1", "9", ("=9",), "test")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r"line 11: this is not JSON \(.* at column 2\)"),
        ("[1, 2]", "line 11: this is not an object"),
        ("[" * 100_000, "line 11: this JSON is nested too deeply"),
        ({"problem": "x"}, "line 11: there is no 'answer' among 'problem'"),
        ({"answer": "x"}, "line 11: there is no 'problem'"),
        ({"problem": "", "answer": "x"}, "line 11: problem is empty"),
        ({"problem": "x", "answer": " \n"}, "line 11: answer is empty"),
        ({"problem": "x", "answer": None}, "line 11: answer is None; it must be text or a number"),
        ({"problem": "x", "answer": ["y"]}, "line 11: answer is"),
        ({"problem": "x", "answer": "y\nz"}, "line 11: the answer has more than one line"),
        ({"problem": "0+1", "answer": "1"}, "line 11: the problem of line 1 again"),
        ({"problem": " 0+1\n", "answer": "1"}, "line 11: the problem of line 1 again"),
        ({"problem": "x", "answer": "y", "steps": 3}, "line 11: steps is '3'|line 11 has steps"),
        ({"problem": "x", "answer": "y", "steps": {"a": 1}}, "line 11: steps is"),
        ({"problem": "x", "answer": "y", "steps": ["a", ""]}, "line 11: a step is empty"),
        ({"problem": "x", "answer": "y", "steps": ["a\nb"]}, "line 11: a step is empty or has more than one line"),
        ({"problem": "x", "answer": "y", "steps": ["y"]}, "line 11 has steps and line 1 has none"),
        ({"problem": "x", "answer": "y", "split": "train"}, "line 11 has split and line 1 has none"),
        ({"problem": "x", "answer": "y", "split": "dev"}, "line 11: split 'dev' is unknown"),
        ({"problem": "x", "answer": "y", "split": ["train"]}, "line 11: split"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(tmp_path, row, message):
    read_rows(jsonl(tmp_path, *plain(10)))
    with pytest.raises(UserError, match=message) as error:
        read_rows(jsonl(tmp_path, *plain(10), row))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; it needs at least 10 problems"),
        (b"\n \n", "is empty"),
        (b'{"problem": "x", "answer": "y"}\n\n{"problem": "\xff", "answer": "y"}', "line 3: this is not UTF-8 text"),
        (b'{"problem": "x", "answer": "y"}\n', "has 1 problems; give at least 10"),
    ],
)
def test_a_wrong_file(tmp_path, content, message):
    (tmp_path / "mine.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_rows(tmp_path / "mine.jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("problem,answer\n", "is empty"),
        ("problem;answer\na;b\n", "line 2: there is no 'problem' among 'problem;answer'"),
        ("problem,answer\na,b\nc\n", "line 3: this row does not have the 2 fields of the first line"),
        ("problem,answer\na,b\nc,d,e\n", "line 3: this row does not have the 2 fields"),
        ('problem,answer\na,"b"c\n', "line 2: this is not CSV"),
        ('problem,answer\na,"b\n', "this is not CSV"),
        ("problem,answer\n" + "a" * 200_000 + ",b\n", "this is not CSV"),
    ],
)
def test_a_wrong_csv(tmp_path, text, message):
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_rows(tmp_path / "mine.csv")


def test_no_such_file_and_no_such_form(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_rows(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match=r"neither \.jsonl nor \.csv"):
        read_rows(tmp_path / "mine.xlsx")
