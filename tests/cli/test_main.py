import os
import resource
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import clearhead
from clearhead.cli import main as module
from clearhead.cli.main import VERBS, main
from clearhead.errors import UserError

ROOT = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]


def clearhead_process(*args: str, **options: object) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "clearhead", *args]
    return subprocess.Popen(command, env=env, text=True, **options)  # type: ignore[call-overload]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Make `clearhead solve` run a function of the test."""

    def install(body: Callable[[], object]) -> None:
        fake = types.ModuleType("fake_verb")
        fake.command = click.Command("solve", callback=body)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "fake_verb", fake)
        monkeypatch.setitem(VERBS, "solve", ("fake_verb", "help"))

    return install


def test_help_lists_every_verb_and_loads_none_of_them(run_python: Callable[..., str]) -> None:
    printed = run_python(
        "import sys; from clearhead.cli.main import main; assert main(['--help']) == 0; "
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    for name, (_, line) in VERBS.items():
        assert f"\n  {name}" in printed
        assert line in printed
    loaded = set(printed.splitlines()[-1].split())
    assert "click" in loaded
    assert not loaded & {"torch", "numpy", "rich", "safetensors", "tokenizers", "jaxtyping", "tomli_w"}


def test_help_answers_at_once() -> None:
    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with clearhead_process("--help", stdout=subprocess.DEVNULL) as process:
            assert process.wait() == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cpu_seconds() for _ in range(3)) < 0.3  # processor time: a busy machine does not fail it


def test_without_arguments_it_shows_the_help(capsys: Capture) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("Usage: clearhead [OPTIONS] VERB")


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"clearhead {clearhead.__version__}\n"


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_examples(name: str, capsys: Capture) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"  Examples:\n    clearhead {name}" in out


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["slove"], f"error: no verb 'slove'; did you mean 'solve'? There are: {', '.join(sorted(VERBS))}\n"),
        (["--color"], "error: No such option '--color'.\n"),
        (["tasks", "--jsn"], "error: No such option '--jsn'. Did you mean '--json'?\n"),
        (["tasks", "game24"], "error: Got unexpected extra argument (game24)\n"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(args: list[str], told: str, capsys: Capture) -> None:
    assert main(args) == 2
    assert capsys.readouterr() == ("", told)


def test_a_user_error_is_one_line_and_code_2(verb: Callable[..., None], capsys: Capture) -> None:
    def body() -> None:
        raise UserError("steps is -1;\n make it positive")

    verb(body)
    assert main(["solve"]) == 2
    assert capsys.readouterr() == ("", "error: steps is -1; make it positive\n")


def test_a_defect_keeps_its_traceback(verb: Callable[..., None]) -> None:
    verb(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["solve"])


def test_what_the_system_refuses_is_one_line_and_code_2(verb: Callable[..., None], capsys: Capture) -> None:
    def body() -> None:
        Path("/dev/null/run").mkdir()

    verb(body)
    assert main(["solve"]) == 2
    told = "error: /dev/null/run: Not a directory; choose another place, or make room\n"
    assert capsys.readouterr() == ("", told)

    def full() -> None:
        raise OSError("2 requested and 1 written")  # NumPy's own, without a number

    verb(full)
    assert main(["solve"]) == 2
    assert capsys.readouterr().err == "error: 2 requested and 1 written; choose another place, or make room\n"


def test_a_verb_may_choose_its_exit_code(verb: Callable[..., None]) -> None:
    verb(lambda: 3)
    assert main(["solve"]) == 3
    verb(lambda: None)
    assert main(["solve"]) == 0


def test_an_interrupt_is_one_line_and_code_130(verb: Callable[..., None], capsys: Capture) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    verb(lambda: signal.raise_signal(signal.SIGINT))
    assert main(["solve"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("set_by_user", "seen"),
    [
        ({}, ("PASSIVE", "2000")),
        ({"GOMP_SPINCOUNT": "7"}, ("PASSIVE", "7")),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ("ACTIVE", None)),
    ],
)
def test_threads_wait_briefly_unless_the_user_says_otherwise(
    verb: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    set_by_user: dict[str, str],
    seen: tuple[str, str | None],
) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    for name in names:
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    for name, value in set_by_user.items():
        monkeypatch.setenv(name, value)
    at_work = []
    verb(lambda: at_work.append(tuple(os.environ.get(name) for name in names)))
    main(["solve"])
    assert at_work == [seen]


@pytest.mark.parametrize("lines", [1, 100_000])  # less than a buffer, and more
def test_a_reader_who_leaves_is_no_error(lines: int) -> None:
    code = f"import sys, click, clearhead.cli.main as m; m.VERBS['solve'] = ('__main__', '')\n\
command = click.Command('solve', callback=lambda: [print('line') for _ in range({lines})])\n\
sys.exit(m.main(['solve']))"
    reader, writer = os.pipe()
    os.close(reader)  # nobody reads
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": ""}
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, env=env)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_the_module_runs_like_the_command() -> None:
    process = clearhead_process("nonsense", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.startswith("error: no verb 'nonsense'")


def test_the_table_names_every_verb_there_is() -> None:
    folder = Path(module.__file__).parent
    files = [path for path in folder.rglob("*.py") if "\ndef command(" in path.read_text(encoding="utf-8")]
    verbs = {".".join(("clearhead.cli", *path.relative_to(folder).with_suffix("").parts)) for path in files}
    assert {name for name, _ in VERBS.values()} == verbs


def options(command: click.Command) -> list[click.Option]:
    """Of a verb and the verbs below it."""
    found = [option for option in command.params if isinstance(option, click.Option)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found += options(command.get_command(context, name))
    return found


@pytest.mark.parametrize(
    "name", ["--json", "--device", "--set", "--run", "--resume", "--skip-bad", "--stop", "--control-tokens", "--dir"]
)
def test_an_option_says_the_same_wherever_it_stands(name: str) -> None:
    found = [option for option in options(module.group) if name in option.opts]
    told = {option.help for option in found if option.is_flag or name != "--json"}  # of `study export` it names a file
    assert len(found) > 1 and len(told) == 1
