import re
from fractions import Fraction

import pytest

from clearhead.errors import UserError
from clearhead.tasks.checkers import NAMES, checker, compile_pattern, read_number


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
        ("number:0.01", "3.1416", ["3.14", "3.15", "22/7"], ["3.13", "3.16", "", "pi", "-3.14"]),
        ("number:1%", "-1,000", ["-990", "-1010"], ["-989", "990", "-1011"]),
        (
            "json",
            '{"a": [1, true, null], "b": 1.50}',
            ['{"b":1.5,"a":[1.0,true,null]}', ' {"b": 15e-1, "a": [1, true, null]}'],
            [
                '{"a": [1, true, null]}',
                '{"a": [true, 1, null], "b": 1.5}',
                '{"a": [1, 1, null], "b": 1.5}',
                '{"a": [1, true, null], "b": "1.5"}',
                '{"a": [1, true, null], "b": 1.5, "b": 1.5}',
                "{}",
            ],
        ),
        ("json", "1", ["1.0", "10e-1"], ["true", '"1"', "[1]", "2"]),
        (
            "lines",
            "b\na\na",
            ["a | b | a", "- a\n- a\n- b", "1. a\n2. b\n3. a", "a, a, b", '["a", "b", "a"]'],
            ["a | b", "a b a", "a | b | a | a", "A | b | a", "a"],
        ),
        ("lines", '["x, y", {"k": 1}]', ['[{"k": 1}, "x, y"]'], ['["x", "y", {"k": 1}]', '["x, y"]']),
        (
            "boxed",
            "1/2",
            [r"so \boxed{\frac{1}{2}}", r"\boxed{3}, no: \boxed{0.5}.", "it is 0.5", "3 then 1/2"],
            [r"\boxed{2}", "2", r"0.5 \boxed{}", "half", r"1/2 or \boxed{1/3}", "0.5 and 7"],
        ),
        ("boxed", r"we get \boxed{x+1}", [r"\boxed{1 + x}"], [r"\boxed{x-1}", "x"]),
        (
            "last-number",
            "so 1,072.",
            ["48+24 = 1072", "It is 1,072.0!", "7 or 1072", "$1,072"],
            ["1072 of 3", "one", "10721", "-1072"],
        ),
        (
            "choice",
            "B",
            [
                "b",
                "(B)",
                "B.",
                "B) Paris",
                "The answer is b",
                "Answer: (B)",
                r"\boxed{B}",
                "**B**",
                "Option B",
                "choose (B)",
            ],
            [
                "A",
                "(A)",
                "Bern",
                "answer is a dog",
                "(A) or (B)",
                "the answer is b or something",
                "AB",
                "The answer is not B. It is C: no",
            ],
        ),
        (
            "math",
            "x^2 - 1",
            ["(x-1)(x+1)", "x*x-1", r"x^{2}-1", "-1+x**2", "y = x^2-1"],
            ["x^2", "1-x^2", "x^2+1", "(y-1)(y+1)"],
        ),
        (
            "math",
            r"\frac{\sqrt{3}}{2}",
            ["sqrt(3)/2", "√3/2", r"\frac{3}{2\sqrt{3}}", "sqrt 3 / 2", "sin(pi/3)"],
            ["0.866", "sqrt(2)/3"],
        ),
        ("math", "(1, 2)", ["(2/2, 4/2)", "1, 2"], ["(2, 1)", "[1, 2]", "(1, 2, 3)", "1"]),
        ("math", r"\{1, 2\}", [r"\{2, 1\}", "{2,1.0}"], ["(1, 2)", r"\{1, 1\}", r"\{1\}"]),
        ("math", "1000000000001", ["1,000,000,000,001", "10^12 + 1"], ["1000000000002", "1000000000000"]),
        ("math", "x = 3", ["3", "x=3.0", "6/2"], ["y = 3", "x = 4", "x"]),
        ("math", "sqrt(x^2)", ["sqrt(x*x)"], ["x", "-x"]),
    ],
)
def test_checkers(name, expected, right, wrong):
    check = checker(name)
    assert [answer for answer in right if not check("?", answer, expected)] == []
    assert [answer for answer in wrong if check("?", answer, expected)] == []


@pytest.mark.parametrize("name", ["numbers", "number:", "number:x", "number:-1", "exact:1", ""])
def test_an_unknown_checker(name):
    with pytest.raises(UserError, match=r"is unknown; use exact, number, .*or the path|is no tolerance"):
        checker(name)


GARBAGE = [
    *(
        "",
        " ",
        "\0",
        "\n",
        " | ",
        "{",
        "(?",
        "a+",
        "{}",
        "[]",
        "null",
        "true",
        "()",
        "=",
        ",,,",
        "$$",
        "\ud800",
        "²",
        "٤",
    ),
    *("[" * 999, "(" * 999, "[" * 100_000, "9" * 100_000, "x" * 100_000, "-" * 300, "1e999999999", "NaN", "Infinity"),
    *("9**9**9", "e^e^e^e^e", "i^i^i", "0^0", "1/0", "1/(x-x)", "sqrt", "\\boxed{", "\\frac", "lambda: 0", "import os"),
]


@pytest.mark.parametrize("name", [*(name for name in NAMES if ":" not in name), "number:0.5"])
@pytest.mark.parametrize("expected", ["2", "B", '{"a": [1]}'])
def test_garbage_is_wrong_and_never_an_error(name, expected):
    check = checker(name, seconds=30)
    assert [garbage for garbage in GARBAGE if check("?", garbage, expected) is not False] == []
    assert not check.troubles
    assert {check("?", expected, garbage) for garbage in GARBAGE} <= {False, True}  # a strange row is no error either


@pytest.mark.parametrize(
    "pattern", ["(a+)+", "(a|a)+", "(a?b?)*", "(a{2,}){3}", "a*a*a*b", "(red|blue) ?x", r"\d{1,3}(,\d{3})+"]
)
def test_patterns_that_can_go_two_ways_are_tried_apart(pattern):
    check = checker("regex", seconds=30)
    assert [bool(re.fullmatch(pattern, text)) for text in TEXTS] == [check("?", text, pattern) for text in TEXTS]


TEXTS = ["aaaa", "ab", "aab", "red x", "bluex", "1,000", "12", "", "b"]


def test_a_pattern_that_takes_for_ever_is_wrong_and_told(capfd):
    check = checker("regex", seconds=1)
    for _ in range(2):
        assert not check("?", "a" * 40 + "!", "(a+)+")
        assert check("?", "aaa", "(a+)+")
    assert check.troubles == {"the checker regex took longer than 1 s": 2}
    assert capfd.readouterr().err == ("the checker regex took longer than 1 s on 1 answer so far; counted as wrong\n")


@pytest.mark.parametrize("pattern", ["(", "a**", "[", "(?P<1>a)", "a{99999999999}"])
def test_broken_patterns(pattern):
    with pytest.raises(UserError, match="is not a regular expression"):
        compile_pattern(pattern)


def test_a_pattern_sees_no_long_answer():
    assert not checker("regex")("?", "a" * 100_000, "a*")


def script(tmp_path, text, seconds=30.0):
    (tmp_path / "check.py").write_text(text, encoding="utf-8")
    return checker(str(tmp_path / "check.py"), seconds)


@pytest.mark.parametrize(
    "head",
    [
        "def check(problem, answer, expected):",
        "def check(problem, answer, expected='c'):",
        "def check(problem, answer, *, expected):",
        "def check(*given):\n    problem, answer, expected = given",
    ],
)
def test_the_expected_answer_always_arrives(tmp_path, head):
    check = script(tmp_path, head + "\n    return (problem, answer) == ('a', 'b') and expected == 'x'\n")
    assert check("a", "b", "x") is True
    assert check("a", "b", "y") is False
    assert not check.troubles


def test_a_check_of_two(tmp_path):
    check = script(tmp_path, "def check(problem, answer):\n    return problem + answer == 'ab'\n")
    assert check("a", "b", "x") is True
    assert check("a", "c", "x") is False
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
        ("import os; os._exit(0)", "ended its own process"),
    ],
)
def test_a_file_that_is_no_check(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as error:
        script(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", "gave None for the answer 'b'; return True or False"),
        ("return 1", "gave 1"),
        ("return 'yes'", "gave 'yes'"),
        ("return int(answer) == 3", r"check.py fails on the answer 'b': line 2: ValueError"),
        ("exit()", "fails on the answer"),
        ("import os; os._exit(0)", "ended its own process"),
    ],
)
def test_a_check_that_fails_is_told_and_the_answer_wrong(tmp_path, capfd, body, message):
    check = script(tmp_path, f"def check(problem, answer):\n    {body}\n")
    with pytest.raises(UserError, match=message):
        check.is_right("a", "b", "c")
    assert check("a", "b", "c") is False
    assert sum(check.troubles.values()) == 1
    told = capfd.readouterr().err
    assert re.search(f"on 1 answer so far; counted as wrong; this one: .*{message}", told)
    assert told.count("\n") == 1


def test_there_is_no_such_file(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        checker(str(tmp_path / "none.py"))
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(UserError, match="there is no file"):
        checker(str(tmp_path / "folder.py"))
    with pytest.raises(UserError, match="check_seconds = 0 must be above 0"):
        checker("exact", 0)
