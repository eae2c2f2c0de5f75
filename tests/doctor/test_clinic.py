"""Every fault of the clinic is named by its evidence, healthy programs are not accused, and a learner is graded."""

import json
from pathlib import Path

import pytest

from clearhead.cli.main import main
from clearhead.doctor.clinic import consult
from clearhead.doctor.clinic.faults import BY_NAME, FAULTS, Fault
from clearhead.doctor.clinic.runs import PROGRAMS, cases, run, source
from clearhead.doctor.finding import alarms
from clearhead.doctor.table import KINDS

COST = ("policy", "regression", "mlp", "rnn", "decoder")  # the quickest first


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_healthy_program_is_not_accused(program: str) -> None:
    assert [f.name for f in alarms(run(source(program), 1).findings())] == []


# Two signs that the doctor does not tell from a healthy run of so few steps. Whoever mends that takes them out here.
MISSED = ("kl-sign", "entropy-sign")
CASES = [
    pytest.param(fault, id=fault.name, marks=[pytest.mark.xfail(strict=True)] if fault.name in MISSED else [])
    for fault in FAULTS
]


@pytest.mark.filterwarnings("ignore:Using a target size")  # which is what one of the faults does
@pytest.mark.parametrize("fault", CASES)
def test_a_fault_is_named(fault: Fault) -> None:
    program = min(fault.patches, key=COST.index)
    found = [f.name for f in alarms(run(source(program, fault.patches[program]), 0).findings())]
    assert found and set(found) <= set(fault.names)


def test_there_are_forty_faults_and_each_can_be_put_into_its_programs() -> None:
    assert len(FAULTS) >= 40 and len({fault.name for fault in FAULTS}) == len(FAULTS)
    for fault, program in cases():
        assert source(program, fault.patches[program]) != source(program)
        assert set(fault.names) <= set(KINDS)


def test_a_case_hides_its_name_and_has_it_among_the_choices() -> None:
    case = consult.case(None, None, 5)
    assert case == consult.case(None, None, 5)
    assert case.fault.name in case.choices and len(set(case.choices)) == len(case.choices) > 1
    assert case.text != source(case.program) and case.changes


def test_a_learner_is_graded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ["clinic", "all-answers-alike", "--json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert "all-answers-alike" in told["choices"] and "fault" not in told and "def train" in told["code"]
    assert main([*asked, "--answer", "kl-sign"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["right"] is False and told["fault"] == "all-answers-alike"
    assert [f["name"] for f in told["findings"] if f["severity"] != "note"] == ["no_variance"]
    assert main(["clinic", "all-answers-alike", "--answer", "all-answers-alike", "--code", str(tmp_path / "a.py")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("right") and "no_variance" in out
    patch = BY_NAME["all-answers-alike"].patches["policy"]
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == source("policy", patch)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["no-such"], "no fault"),
        (["kl-sign", "--program", "mlp"], "cannot be put into"),
        (["kl-sign", "--answer", "x"], "no fault"),
    ],
)
def test_wrong_words_are_one_line(args: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clinic", *args]) == 2
    err = capsys.readouterr().err
    assert line in err and len(err.strip().splitlines()) == 1
