import json

import pytest

from clearhead.cli.main import main
from clearhead.tasks import available

Capture = pytest.CaptureFixture[str]


def test_it_lists_names_and_statements(capsys: Capture) -> None:
    assert main(["tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [name for name, _ in available()]
    for line, (_, statement) in zip(lines, available(), strict=True):
        assert line.endswith(f"  {statement}")
    assert lines[0].index(available()[0][1]) == lines[1].index(available()[1][1])  # one column


def test_json_says_the_same(capsys: Capture) -> None:
    assert main(["tasks", "--json"]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert [(task["name"], task["statement"]) for task in listing] == available()
    assert {"multiplication", "game24", "countdown"} <= {task["name"] for task in listing}
