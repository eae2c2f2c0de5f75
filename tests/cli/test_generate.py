"""`clearhead generate` as a person types it, on a tiny run."""

import json
from pathlib import Path

import pytest
from scripted_endpoint import served
from scripted_endpoint import text as reply

from clearhead.cli.main import main

Capture = pytest.CaptureFixture[str]
ARGS = ["--temperature", "1", "--tokens", "12"]


def told(capsys: Capture) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def test_a_text_and_all_that_made_it(tiny_run: Path, capsys: Capture) -> None:
    assert main(["generate", str(tiny_run), "abc\n", *ARGS, "--seed", "3"]) == 0
    shown = capsys.readouterr().out
    assert main(["generate", str(tiny_run), "abc\n", *ARGS, "--seed", "3", "--json", "--probabilities"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert shown == data["texts"][0]["text"] + "\n"
    assert data["settings"]["temperature"] == 1
    assert data["settings"]["seed"] == 3
    tokens = data["texts"][0]["probabilities"]
    assert len(tokens) == data["texts"][0]["tokens"]
    assert sum(token["logprob"] for token in tokens) == pytest.approx(data["texts"][0]["logprob"], abs=0.01)
    assert all(len(token["likeliest"]) == 4 for token in tokens)


def test_several_samples_begin_with_the_one(tiny_run: Path, capsys: Capture) -> None:
    texts = []
    for n in ("1", "3"):
        assert main(["generate", str(tiny_run), "abc\n", *ARGS, "--n", n, "--json"]) == 0
        texts.append([text["text"] for text in json.loads(capsys.readouterr().out)["texts"]])
    assert len(texts[1]) == 3
    assert texts[0][0] == texts[1][0]


def test_probabilities_fit_a_narrow_terminal(tiny_run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["generate", str(tiny_run), "abc\n", *ARGS, "--probabilities"]) == 0
    out = capsys.readouterr().out
    assert "%" in out
    assert max(map(len, out.splitlines()[1:])) <= 60


def test_beams_come_best_first(tiny_run: Path, capsys: Capture) -> None:
    args = ["--beams", "4", "--tokens", "12", "--length-penalty", "0"]
    assert main(["generate", str(tiny_run), "abc\n", *args, "--n", "4", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["settings"] == {"beams": 4, "length_penalty": 0, "max_tokens": 12, "n": 4, "stop": []}
    scores = [text["logprob"] for text in data["texts"]]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert main(["generate", str(tiny_run), "abc\n", *args]) == 0
    assert capsys.readouterr().out == data["texts"][0]["text"] + "\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["abc", "--temperature", "-1"], "temperature"),
        (["abc", "--top-p", "0"], "top_p"),
        (["abc", "--repetition-penalty", "0"], "repetition_penalty"),
        (["abc", "--stop", ""], "--stop"),
        (["a" * 200], "context"),
        ([], "type a prompt"),
        (["abc", "--device", "tpu"], "device"),
        (["abc", "--beams", "2", "--temperature", "0.7"], "--temperature is for sampling"),
        (["abc", "--beams", "2", "--repetition-penalty", "1.1"], "--repetition-penalty is for sampling"),
        (["abc", "--beams", "2", "--seed", "0"], "--seed is for sampling"),
        (["abc", "--beams", "2", "--n", "3"], "--n 3"),
        (["abc", "--beams", "2", "--length-penalty", "-1"], "length penalty"),
        (["abc", "--length-penalty", "1"], "--beams"),
    ],
)
def test_wrong_input_is_one_line(tiny_run: Path, capsys: Capture, args: list[str], message: str) -> None:
    assert main(["generate", str(tiny_run), *args]) == 2
    assert message in told(capsys)


def test_no_model_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    assert main(["generate", str(tmp_path), "abc"]) == 2
    told(capsys)


def test_a_character_that_the_run_never_saw_is_read_in_bytes(tiny_run: Path, capsys: Capture) -> None:
    assert main(["generate", str(tiny_run), "abc€", "--tokens", "2", "--json"]) == 0
    assert 1 <= json.loads(capsys.readouterr().out)["texts"][0]["tokens"] <= 2


PERSON = (
    '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false}'
)


@pytest.mark.parametrize("more", [[], ["--n", "2"], ["--beams", "2"]])
def test_a_text_that_a_schema_allows(tiny_run: Path, tmp_path: Path, capsys: Capture, more: list[str]) -> None:
    (tmp_path / "a.json").write_text(PERSON)
    asked = ["generate", str(tiny_run), "abc", "--tokens", "12", "--json-schema", str(tmp_path / "a.json")]
    assert main([*asked, *more, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["settings"]["constraint"] == {"kind": "json-schema", "text": PERSON}
    for text in data["texts"]:
        assert "a" in json.loads(text["text"]) and text["ended"] == "complete"
    if not more:
        assert main(asked) == 0
        assert capsys.readouterr().out == data["texts"][0]["text"] + "\n"


@pytest.mark.parametrize(
    ("args", "texts"),
    [
        (["--choices", 'ab,"a,c"'], {"ab", "a,c"}),
        (["--regex", "a[bc]"], {"ab", "ac"}),
        (["--grammar", "g.lark"], {"ab", "cab"}),
    ],
)
def test_choices_expressions_and_grammars(
    tiny_run: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, args: list[str], texts: set[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("g.lark").write_text('start: "c"? "ab"')
    for seed in "01":
        assert main(["generate", str(tiny_run), "abc", "--seed", seed, *args]) == 0
        assert capsys.readouterr().out.strip() in texts


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--regex", "a", "--choices", "b"], "leave one out"),
        (["--regex", "(a"], "regular expression cannot be used"),
        (["--choices", ","], "at least one text"),
        (["--json-schema", "no.json"], "No such file"),
        (["--json-schema", "bad.json"], "is not JSON"),
        (["--json-schema", "none.json"], "JSON schema cannot be used"),
        (["--json-schema", "long.json", "--tokens", "9"], "raise max_tokens"),
    ],
)
def test_a_constraint_that_cannot_be_is_told_in_a_line(
    tiny_run: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, args: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, schema in {"bad": "{", "none": '{"type": "x"}', "long": '{"const": "longer than nine"}'}.items():
        Path(f"{name}.json").write_text(schema)
    assert main(["generate", str(tiny_run), "abc", *args]) == 2
    assert message in told(capsys)


def test_a_model_behind_an_address(capsys: Capture) -> None:
    with served(lambda path, body: reply(f"said {body['model']}")) as server:
        assert main(["generate", f"{server.url}#big", "abc", "--n", "2"]) == 0
        assert capsys.readouterr().out == "--- 1 of 2\nsaid big\n--- 2 of 2\nsaid big\n"
        assert main(["generate", server.url, "abc", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["texts"] == [{"text": "said tiny", "ended": "end", "tokens": 0}]
    assert main(["generate", "http://127.0.0.1:9/v1#m", "abc"]) == 2
    assert "cannot be reached" in told(capsys)
