"""`clearhead chat` on a tiny checkpoint: from arguments, from a pipe, and at a terminal with Ctrl-C and Ctrl-D."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tokenizers
from tiny import SOURCE

from clearhead.cli.main import main

Capture = pytest.CaptureFixture[str]
TEMPLATE = "{% for m in messages %}{{ m.role }}\n{{ m.content }}\n{% endfor %}{{ 'assistant\n' }}"
ARGS = ["--tokens", "8", "--temperature", "1"]


def checkpoint(path: Path, context: int) -> Path:
    """Random weights, and bytes as tokens."""
    import transformers

    transformers.set_seed(0)
    transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=256, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=context,
        )
    ).save_pretrained(path)  # fmt: skip
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(tokenizers.models.BPE({char: i for i, char in enumerate(alphabet)}, []))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("model"), 256)


def told(capsys: Capture) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def test_turns_as_arguments_and_as_lines(model: Path, capsys: Capture, tmp_path: Path) -> None:
    assert main(["chat", str(model), "--message", "hi", "--message", "why?", *ARGS, "--json"]) == 0
    turns = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [turn["message"] for turn in turns] == ["hi", "why?"]
    assert turns[0]["settings"]["max_tokens"] == 8
    assert turns[1]["read"] < turns[0]["read"] + len("user\nwhy?\nassistant\n")
    assert main(["chat", str(model), "--message", "hi", *ARGS]) == 0
    shown = capsys.readouterr()
    assert shown.out == turns[0]["answer"] + "\n"
    assert turns[0]["ended"] == "tokens"
    assert shown.err == "(cut off: --tokens allows no more)\n"

    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "clearhead", "chat", str(model), *ARGS, "--json"], input=b"hi\n\nwhy?\n",
        capture_output=True, env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, timeout=120, check=True,
    )  # fmt: skip
    piped = [json.loads(line) for line in done.stdout.splitlines()]
    assert [turn["answer"] for turn in piped] == [turn["answer"] for turn in turns]


def test_a_long_conversation_says_what_it_drops(model: Path, capsys: Capture) -> None:
    messages = [part for _ in range(6) for part in ("--message", "x" * 60)]
    assert main(["chat", str(model), *messages, *ARGS]) == 0
    assert "oldest turn was dropped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--message", ""], "--message is empty"),
        (["--message", "hi", "--stop", ""], "--stop"),
        (["--message", "x" * 400], "context is 256"),
        (["--message", "hi", "--top-k", "-1"], "top_k"),
    ],
)
def test_wrong_input_is_one_line(model: Path, capsys: Capture, args: list[str], message: str) -> None:
    assert main(["chat", str(model), *args]) == 2
    assert message in told(capsys)


def test_a_model_that_never_learned_to_chat_is_told(tiny_run: Path, capsys: Capture) -> None:
    assert main(["chat", str(tiny_run), "--message", "abc"]) == 2
    line = told(capsys)
    assert "no chat template" in line
    assert "clearhead generate" in line


class Terminal:
    """A process that believes in a terminal."""

    def __init__(self, *args: str, cwd: Path) -> None:
        path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clearhead", *args], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TERM": "dumb"}, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""

    def some(self) -> None:
        """Wait for it to say anything."""
        assert self.seen or select.select([self.ours], [], [], 60)[0]

    def until(self, wanted: str) -> str:
        """What it says up to and with `wanted`."""
        deadline = time.monotonic() + 20
        while wanted not in self.seen:
            assert select.select([self.ours], [], [], deadline - time.monotonic())[0], f"no {wanted!r} in {self.seen!r}"
            try:
                self.seen += os.read(self.ours, 4096).decode(errors="replace")
            except OSError:  # it has ended
                raise AssertionError(f"no {wanted!r} in {self.seen!r}") from None
        before, _, self.seen = self.seen.partition(wanted)
        return before

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())


@pytest.fixture
def terminal(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Terminal]:
    model = checkpoint(tmp_path_factory.mktemp("long"), 20_000)
    terminal = Terminal("chat", str(model), "--tokens", "19000", cwd=tmp_path)  # answers that take long
    yield terminal
    terminal.end()


def test_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    terminal.until("> ")
    terminal.type("/help\n")
    assert "/save FILE" in terminal.until("Ctrl-C ends an answer")
    terminal.until("> ")
    terminal.type("hello\n")
    terminal.until("hello\r\n")
    terminal.some()
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.until("\r\n(stopped)\r\n> ")
    terminal.type("/nonsense\n")
    terminal.until("is no command here")
    terminal.until("> ")
    terminal.type("/save talk.jsonl\n")
    terminal.until("messages in talk.jsonl")
    terminal.until("> ")
    terminal.type("/system Be brief.\n")
    terminal.until("begun again")
    terminal.until("> ")
    terminal.type("\x04")
    assert terminal.process.wait(timeout=60) == 0
    messages = json.loads((tmp_path / "talk.jsonl").read_text())["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert messages[0]["content"] == "hello"


def test_saving_where_nothing_can_be(model: Path, tmp_path: Path) -> None:
    from clearhead.cli.chat import save
    from clearhead.errors import UserError

    class Chat:
        messages = [{"role": "user", "content": "x"}]  # noqa: RUF012

    for path in (tmp_path, tmp_path / "no" / "file"):
        with pytest.raises(UserError, match="cannot be written"):
            save(Chat(), path)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
