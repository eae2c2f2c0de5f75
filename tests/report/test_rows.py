import re

from clearhead.report import render


def cells(html, name):
    table = re.search(rf'aria-label="{name}".*?<tbody>(.*?)</tbody>', html, re.S)[1]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.S)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_the_data_of_each_task_stand_in_one_table():
    tasks = {
        "a": {"rows": 3000, "share_with_steps": 0.25, "split": "by hash", "augmented": True, "<b>": "<i>"},
        "b": {"rows": 10, "minutes": None},
    }
    html = render({"preflight": {"tasks": tasks}, "tasks": [{"name": "a", "title": "Dates"}]})
    assert cells(html, "the data of each task") == [
        ["rows", "3,000", "10"],
        ["share with steps", "0.25", "–"],
        ["split", "by hash", "–"],
        ["augmented", "yes", "–"],
        ["&lt;b&gt;", "&lt;i&gt;", "–"],
    ]
    assert ">Dates</th>" in html and ">B</th>" in html


def test_warnings_and_how_the_rows_were_read_are_told():
    found = {"warnings": ["8 < 12"], "intake": ["a: 3 rows"], "run": {"context": 384}, "seconds": 255}
    html = render({"preflight": found}).replace("\u202f", " ")
    assert "8 &lt; 12</span></li>" in html and "<li>a: 3 rows</li>" in html
    assert "<dt>context</dt><dd>384</dd>" in html and "<dt>estimated time</dt><dd>4 min 15 s</dd>" in html


def test_the_accuracy_against_rows_is_drawn_with_its_advice():
    points = [{"rows": 750, "accuracy": 0.2, "low": 0.1, "high": 0.3}, {"rows": 3000, "accuracy": 0.5}]
    html = render({"rows_curve": {"points": points, "advice": "More rows would help."}}).replace("\u202f", " ")
    assert cells(html, "rows") == [["750", "20.0 %", "10.0 to 30.0 %"], ["3,000", "50.0 %", "–"]]
    assert "<p>More rows would help.</p>" in html and "3,000 rows: 50.0 % (–)" in html


def test_without_data_there_is_no_section():
    assert 'id="data"' not in render({"preflight": {"tasks": {"t": {}}}, "rows_curve": {"points": [{}]}})
