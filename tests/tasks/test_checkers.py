import time
from fractions import Fraction

import pytest

from clearhead.errors import UserError
from clearhead.tasks.checkers import checker, compile_pattern, load_check, read_number


@pytest.mark.parametrize(
    ("text", "value", "decimal"),
    [
        ("42", 42, False),
        (" -1,000 ", -1000, False),
        ("1,234,567.5", Fraction(2469135, 2), True),
        ("0.25", Fraction(1, 4), True),
        (".5", Fraction(1, 2), True),
        ("5.", 5, True),
        ("3/4", Fraction(3, 4), False),
        ("−7", -7, False),
        ("+7", 7, False),
        ("007", 7, False),
    ],
)
def test_read_number(text, value, decimal):
    assert read_number(text) == (value, decimal)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-",
        "1,00",
        "1,0000",
        "1/0",
        "1/2.5",
        "1.5/2",
        "1e9",
        "5 apples",
        "$5",
        "٤٢",
        "²",
        "1 2",
        "9" * 10_000,
    ],
)
def test_read_number_refuses(text):
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("name", "expected", "right", "wrong"),
    [
        ("exact", "Paris", ["Paris", " Paris "], ["paris", "", "Paris.", "Paris, France"]),
        (
            "number",
            "1,000",
            ["1000", "1,000", "1000.0", "2000/2", "1000.0000001"],
            ["1001", "1000.1", "", "a", "1000 m"],
        ),
        ("number", "1/3", ["1/3", "2/6", "0.3333333"], ["0.333", "1/4", "-1/3"]),
        ("number", "0.1", ["0.1", ".10", "1/10", "0.10000000001"], ["0.11", "0", "1"]),
        ("number", "1000000", ["1000000"], ["1000001"]),
        ("regex", r"(red|blue) \d{2}", ["red 12", "blue 99"], ["red 1", "a red 12", "red 12!", ""]),
        ("regex", r"\d{1,3}(,\d{3})+", ["1,000", "12,345,678"], ["1,00", "1000"]),
    ],
)
def test_checkers(name, expected, right, wrong):
    check = checker(name)
    assert [answer for answer in right if not check("?", answer, expected)] == []
    assert [answer for answer in wrong if check("?", answer, expected)] == []


def test_an_unknown_checker():
    with pytest.raises(UserError, match=r"'numbers' is unknown; use exact, number, regex or the path"):
        checker("numbers")


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(a*)*b", "(a|a)+", "((a+)b)*", r"(\d+,?)+", "(a?b?)*", "(?:x{1,9})*", "(a{2,}){3}", r"([+\]]+)*"],
)
def test_patterns_that_could_take_for_ever_are_refused(pattern):
    with pytest.raises(UserError, match="can take for ever"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["a+b*", "(ab)+", "(red|blue)", "(a+)?", r"(\+\*)+", "([+*|])+", r"(,\d{3})*", "(?:-)+", r"[^+)]+(x)+", "[]+]+"],
)
def test_harmless_patterns_are_taken(pattern):
    assert compile_pattern(pattern).pattern == pattern


@pytest.mark.parametrize("pattern", ["(", "a**", "[", "(?P<1>a)", "a{99999999999}"])
def test_broken_patterns(pattern):
    with pytest.raises(UserError, match="is not a regular expression"):
        compile_pattern(pattern)


def test_a_pattern_sees_no_long_answer():
    before = time.perf_counter()
    assert not checker("regex")("?", "a" * 100_000, "a*a*a*b")
    assert time.perf_counter() - before < 1


def script(tmp_path, text):
    (tmp_path / "check.py").write_text(text, encoding="utf-8")
    return checker(str(tmp_path / "check.py"))


def test_a_check_of_ones_own(tmp_path):
    two = script(tmp_path, "def check(problem, answer):\n    return problem + answer == 'ab'\n")
    assert two("a", "b", "x") is True
    assert two("a", "c", "x") is False
    three = script(tmp_path, "import re\ndef check(problem, answer, expected='b'):\n    return answer == expected\n")
    assert three("a", "x", "x") is True
    assert three("a", "b", "x") is False
    data = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n"
    assert script(tmp_path, data + "def check(problem, answer):\n    return A(1).x == 1\n")("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no function check"),
        ("check = 3", "has no function check"),
        ("def check(answer): return True", "must take"),
        ("def check(a, b, c, d): return True", "must take"),
        ("def check(:", "fails when it is loaded: SyntaxError"),
        ("\n1 / 0", r"check.py fails when it is loaded: line 2: ZeroDivisionError"),
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_file_that_is_no_check(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        script(tmp_path, text)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", "gave None for the answer 'b'; return True or False"),
        ("return 1", "gave 1"),
        ("return 'yes'", "gave 'yes'"),
        ("return int(answer) == 3", r"check.py fails on the answer 'b': line 2: ValueError"),
        ("exit()", "fails on the answer"),
    ],
)
def test_a_check_that_fails_is_the_users_mistake(tmp_path, body, message):
    check = script(tmp_path, f"def check(problem, answer):\n    {body}\n")
    with pytest.raises(UserError, match=message):
        check("a", "b", "c")


def test_there_is_no_such_file(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        load_check(tmp_path / "none.py")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(UserError, match="there is no file"):
        load_check(tmp_path / "folder.py")
