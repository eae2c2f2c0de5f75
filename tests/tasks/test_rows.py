import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from clearhead.errors import UserError
from clearhead.tasks.records import BadRow
from clearhead.tasks.rows import Contradiction, Row, faults, read, told


def jsonl(tmp_path, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogatepass")
    return path


KEYS, NAMES = ("problem", "answer", "steps", "split"), ("prompt", "target", "rationale", "fold")


def plain(n, start=0):
    return [{"problem": f"{i}+1", "answer": i + 1} for i in range(start, start + n)]


def test_jsonl(tmp_path):
    intake = read(
        jsonl(tmp_path, "\ufeff" + json.dumps({"problem": " 2\n+3 ", "answer": 5, "more": [1]}), "", *plain(9))
    )
    assert intake.rows[:2] == (Row(1, "2 | +3", "5", (), ""), Row(3, "0+1", "1", (), ""))
    assert (intake.report.rows, intake.report.used, intake.report.encoding) == (10, 10, "UTF-8 with BOM")
    assert intake.report.unused == ("more",)
    assert faults(intake.report) == ""


def test_numbers_stay_as_they_are_written(tmp_path):
    rows = ['{"problem": "x", "answer": 0.10}', '{"problem": 7, "answer": 12345678901234567890.0}']
    assert [(row.problem, row.answer) for row in read(jsonl(tmp_path, *rows)).rows] == [
        ("x", "0.10"),
        ("7", "12345678901234567890.0"),
    ]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (True, "true"),
        ("y\n\n z", "y | z"),
        (["b", "é"], '["b", "é"]'),
        ({"b": {"a": None}, "c": [1]}, '{"b": {"a": null}, "c": [1]}'),
    ],
)
def test_answers_of_other_kinds(tmp_path, answer, text):
    assert read(jsonl(tmp_path, {"problem": "x", "answer": answer})).rows[0].answer == text


def test_numbers_inside_an_answer_stay_too(tmp_path):
    row = '{"problem": "x", "answer": {"price": 0.10, "id": 12345678901234567890}}'
    assert read(jsonl(tmp_path, row)).rows[0].answer == '{"price": 0.10, "id": 12345678901234567890}'


@pytest.mark.parametrize("steps", ["a\n\n b \r\nc", ["a", " b", "c"], ["a", "", "b\nc"]])
def test_steps_are_a_list_or_lines(tmp_path, steps):
    intake = read(jsonl(tmp_path, {"problem": "p", "answer": "c", "steps": steps}, *plain(2)))
    assert intake.rows[0].steps == ("a", "b", "c")
    assert (intake.report.with_steps, intake.report.without_steps) == (1, 2)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("{", r"this is not JSON (Expecting property name enclosed in double quotes at column 2)"),
        ("[1, 2]", 'this is not an object; write {"problem": ..., "answer": ...}'),
        ({"problem": "x"}, "there is no 'answer' among 'problem'"),
        ({"answer": "x"}, "there is no 'problem' among 'answer'"),
        ({"problem": "", "answer": "x"}, "problem is empty"),
        ({"problem": "x", "answer": " \n"}, "answer is empty"),
        ({"problem": "x", "answer": None}, "answer is empty"),
        ({"problem": ["x"], "answer": "y"}, "problem is ['x']; it must be text or a number"),
        ({"problem": "x", "answer": "y\n####"}, "nothing stands after the #### of the answer"),
        (
            {"problem": "x", "answer": "y", "steps": {"a": "b"}},
            "steps is {'a': 'b'}; give a list of texts, or one text with a line for each step",
        ),
        ({"problem": "x", "answer": "y", "steps": [["a"]]}, None),
        (
            {"problem": "x", "answer": "y", "split": "fold 3"},
            "split 'fold 3' is unknown; use one of train, valid, test",
        ),
        ('{"problem": "x", "answer": ' + "[" * 900 + "]" * 900 + "}", "this JSON is nested too deeply"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_with_its_line(tmp_path, row, why):
    report = read(jsonl(tmp_path, *plain(3), row)).report
    assert (report.rows, report.used, report.skipped) == (4, 3, 0)
    (bad,) = report.bad
    assert bad == BadRow(4, why or bad.why)
    assert f"1 of 4 rows cannot be used (line 4: {bad.why[:50]}" in faults(report)
    assert "\n" not in faults(report)
    assert len(faults(report)) < 500
    left_out = read(jsonl(tmp_path, *plain(3), row), skip_bad=True).report
    assert (faults(left_out), left_out.skipped, left_out.bad) == ("", 1, report.bad)


def test_all_faults_are_told_at_once(tmp_path):
    wrong = [{"problem": "x", "answer": ""}, "{", {"problem": "0+1", "answer": "7"}, {"problem": "1+1", "answer": "2"}]
    more = [{"problem": "", "answer": "a"}] * 3
    intake = read(jsonl(tmp_path, *plain(3), *wrong, *more))
    report = intake.report
    assert [row.problem for row in intake.rows] == ["1+1", "2+1"]
    assert [bad.line for bad in report.bad] == [4, 5, 8, 9, 10]
    assert report.contradictions == (Contradiction("0+1", (1, 6), ("1", "7")),)
    assert report.duplicates == 1
    fault = faults(report)
    assert "5 of 10 rows cannot be used (line 4: answer is empty; line 5: this is not JSON" in fault
    assert "and 2 more): mend them, or leave them out with skip_bad = true (--skip-bad)" in fault
    assert "; and 1 problem has different answers (lines 1, 6): mend them, or set contradictions" in fault
    assert "5 rows left out" in "\n".join(told(replace(report, skipped=5)))


@pytest.mark.parametrize(("choice", "kept"), [("first", ["1", "2"]), ("last", ["7", "2"]), ("drop", ["2"])])
def test_contradictions_by_choice(tmp_path, choice, kept):
    rows = [*plain(2), {"problem": " 0+1\n", "answer": 7, "steps": ["=7"]}]
    intake = read(jsonl(tmp_path, *rows), contradictions=choice)
    assert [row.answer for row in intake.rows] == kept
    assert faults(intake.report) == ""
    assert len(intake.report.contradictions) == 1
    assert any("1 problem with different answers (lines 1, 3)" in line for line in told(intake.report))


def test_duplicates_are_merged_and_steps_kept(tmp_path):
    rows = [*plain(2), {"problem": "0+1", "answer": "1", "steps": ["=1"]}, *plain(1)]
    intake = read(jsonl(tmp_path, *rows))
    assert [(row.problem, row.steps) for row in intake.rows] == [("0+1", ("=1",)), ("1+1", ())]
    assert intake.report.duplicates == 2
    assert "2 exact duplicates merged" in told(intake.report)


def test_splits_by_any_of_their_names_and_no_leak(tmp_path):
    names = ["train", "Training", "dev", "validation", "val", "TEST", "test"]
    rows = [row | {"split": name} for row, name in zip(plain(7), names, strict=True)]
    intake = read(jsonl(tmp_path, *rows, rows[5] | {"split": "train"}))
    assert [row.split for row in intake.rows] == ["train", "train", "valid", "valid", "valid", "test", "test"]
    assert intake.report.splits == {"train": 2, "valid": 3, "test": 2}
    assert intake.report.overlaps == 1
    without = read(jsonl(tmp_path, *rows, *plain(1, 9))).report
    assert without.bad == (BadRow(8, "split is empty; other rows have one"),)


def test_gsm8ks_form(tmp_path):
    answer = "She sold 48/2 = <<48/2=24>>24 clips.\n\nIn all 48+24 = <<48+24=72>>72.\n#### 72"
    intake = read(jsonl(tmp_path, {"question": "How many?", "answer": answer}))
    steps = ("She sold 48/2 = 24 clips.", "In all 48+24 = 72.", "#### 72")
    assert intake.rows[0] == Row(1, "How many?", "72", steps, "")
    assert intake.report.gsm8k == 1
    assert read(jsonl(tmp_path, {"question": "How many?", "answer": "72"})).report.gsm8k == 0


@pytest.mark.parametrize(
    ("names", "columns", "found"),
    [
        ("problem answer", {}, {"problem": "problem", "answer": "answer"}),
        ("Question Label", {}, {"problem": "Question", "answer": "Label"}),
        ("question answer solution", {}, {"problem": "question", "answer": "answer"}),
        (" ".join(NAMES), {}, dict(zip(KEYS, NAMES, strict=True))),
        ("a b cot", {"problem": "b", "answer": "a"}, {"problem": "b", "answer": "a", "steps": "cot"}),
        ("question input label cot", {"problem": "input", "steps": ""}, {"problem": "input", "answer": "label"}),
        ("answer label", {"problem": "answer"}, {"problem": "answer", "answer": "label"}),
    ],
)
def test_columns(tmp_path, names, columns, found):
    row = dict.fromkeys(names.split(), "train")
    assert read(jsonl(tmp_path, row), columns=columns).report.columns == found


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    [
        ("a b", {}, r"there is no 'problem' among 'a', 'b'; name the column with columns = \{problem"),
        ("question b", {}, "there is no 'answer' among"),
        ("question prompt answer", {}, "problem may be 'question' and 'prompt'; say which with columns"),
        ("question label output", {}, "answer may be 'label' and 'output'"),
        ("question answer", {"problem": "qestion"}, "has no column 'qestion' for problem; did you mean 'question'"),
        ("question answer", {"problm": "question"}, "columns: problm is not a setting; did you mean 'problem'"),
    ],
)
def test_columns_that_cannot_be_found(tmp_path, names, columns, message):
    with pytest.raises(UserError, match=message) as error:
        read(jsonl(tmp_path, dict.fromkeys(names.split(), "x")), columns=columns)
    assert "\n" not in str(error.value)


def test_a_table_of_another_program(tmp_path):
    rows = [{"prompt": "x", "label": 1.5, "cot": None, "i": 0}, {"prompt": "y", "label": float("nan"), "cot": ["=2"]}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "mine.parquet")
    intake = read(tmp_path / "mine.parquet", skip_bad=True)
    assert intake.rows == (Row(1, "x", "1.5", (), ""),)
    assert intake.report.bad == (BadRow(2, "label is empty"),)
    assert "1 row left out (row 2: label is empty)" in told(intake.report)


def test_the_report_in_sentences(tmp_path):
    (tmp_path / "mine.csv").write_text("question;label;id\na;1;x\nb;2;y\n")
    assert told(read(tmp_path / "mine.csv").report) == [
        "2 rows, 2 used: none with steps",
        "columns: problem from 'question', answer from 'label'",
        "columns not used: 'id'",
        "form: fields parted by semicolon, UTF-8",
    ]


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file(tmp_path, content):
    for name in ("mine.jsonl", "mine.csv", "mine.json"):
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match="is empty"):
            read(tmp_path / name)
