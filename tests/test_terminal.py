"""Nothing that others wrote steers a terminal: the functions on any text, and that all verbs print by them alone."""

import ast
import contextlib
import io
import json
import os
import random
import re
import sys
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text
from safetensors.torch import save_file

from clearhead import terminal
from clearhead.console import SafeConsole
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.huggingface import config_to, tensors_to
from clearhead.terminal import Shown, joined, one_line, spelled, styled, to_json

SOURCE = Path(__file__).parents[1] / "src" / "clearhead"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
HOSTILE = "a\x1b[2Jb\x07\x9b31m\rc\u202ed\x1b]0;name\x07\ud800"
hostile = st.text(st.characters() | st.sampled_from("\x1b\x07\x9b\x08\r\u202e\u2066\x7f\ud800"))


@given(hostile)
def test_no_text_steers(text: str) -> None:
    assert not STEERS.search(spelled(text)) and not STEERS.search(one_line(text)) and "\n" not in one_line(text)
    assert not STEERS.search(to_json(text)) and json.loads(to_json(text)) == text


def test_plain_text_stays_as_it_is() -> None:
    text = "Straße\t∑ᵢ ℓᵢ\n日本語\u3000\u00a0👩\u200d🔬 עברית"
    assert spelled(text) == text and json.loads(to_json(text)) == text


def test_only_our_own_styles_are_kept() -> None:
    assert styled("a\x1b[2J", bold=True) == "\x1b[1ma\\x1b[2J\x1b[0m"
    assert joined(["\x1b", styled("x", dim=True), "\n"]) == "\\x1b\x1b[2mx\x1b[0m\n"
    assert spelled(Shown("\x1b[1m")) == "\x1b[1m"
    assert spelled(styled("x", bold=True) + "\x1b") == "\\x1b[1mx\\x1b[0m\\x1b", "a part that is not ours spoils it"


def test_a_console_of_rich_spells_out_what_it_is_given() -> None:
    file = io.StringIO()
    page = SafeConsole(file=file, width=200)
    table = Table(HOSTILE)
    table.add_row(HOSTILE)
    for content in (HOSTILE, Text(HOSTILE), table):
        page.print(content, markup=False)
    assert "a\\x1b[2J" in file.getvalue() and not STEERS.search(file.getvalue())


def printing(path: Path) -> list[str]:
    """Calls that print past `terminal`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    names = {"print", "click.echo", "click.secho", "click.style", "Console", "sys.stdout.write", "sys.stderr.write"}
    return [f"{path.name}:{call.lineno}" for call in calls if ast.unparse(call.func) in names]


@pytest.mark.parametrize("folder", ["cli", "study", "pipeline", "training", "tasks"])
def test_everything_is_printed_by_one_module(folder: str) -> None:
    mine = {"child.py", "examples.py"}  # processes whose output is read by the one that started them
    paths = [path for path in sorted((SOURCE / folder).rglob("*.py")) if path.name not in mine]
    assert paths and [call for path in paths for call in printing(path)] == []
    assert printing(Path(terminal.__file__)) != []


FIRST = ("\x1b[2J", "\x1b]0;name\x07", "\x9b31m", "\x1bP1$q\x1b\\", "\x08", "\x0c", "\x7f", "\u202e", "\u2066")
SECOND = (
    "\x1b[6n",
    "\x07",
    "\x85",
    "\u2069",
    "\x90",
    "\x1bc",
    "\u2028",
    "\x1b]52;c;eA==\x07",
    "\x1b[?1049h",
    "\x9d0;x\x9c",
)
RNG = random.Random(0)
STRINGS = ["".join([f"h{i}h", RNG.choice(FIRST), *RNG.choices("ax", k=2), RNG.choice(SECOND)]) for i in range(1000)]
# Styles, and bars that are drawn anew.
OURS = re.compile(r"\x1b\[[0-9;]*[mK]|\x1b\[1A|\x1b\[\?25[lh]|\r(?=\n|\x1b\[2K|\x1b\[1A)")
VERBS = """
import json, sys, warnings
from clearhead.cli.main import main
for args in json.loads(sys.argv[1]):
    print("code", main(args), flush=True)
warnings.warn(sys.argv[2])
raise RuntimeError(sys.argv[2])
"""


# Each verb with a word of others', which it takes for a file, a model, a task, a question or an option.
EVERY = [line.split() for line in """
BAD;guide BAD;inspect BAD;run BAD;run BAD.toml;solve BAD 1;solve rows.jsonl BAD;eval BAD;report BAD;tasks BAD
generate BAD x;chat BAD --message x;tune BAD --data rows.jsonl;tune BAD --data BAD;align BAD --data BAD;diff BAD BAD
convert BAD BAD.gguf;calc --BAD;calc params BAD;tokenize x --tokenizer BAD;tokenize BAD --tokenizer model
practice grade BAD;practice problems BAD;practice BAD;practice grade softmax --file BAD;study search BAD
study --deck BAD;study check BAD;study import BAD;study export BAD;study restore BAD;study stats --deck BAD
embed BAD notes.md;embed model BAD;vectors BAD;vectors BAD.vec;vectors BAD.bin --near BAD;graph BAD --labels BAD
graph --depths BAD;study interview --minutes BAD;study settings BAD;study write-back BAD;run demo --set BAD=1
""".replace("\n", ";").strip(";").split(";")]  # fmt: skip


def write_model(folder: Path) -> None:
    """A tiny model whose tokens, template and settings are such strings."""
    config = DecoderConfig(
        vocab=2000, d_model=32, n_layers=1, n_heads=2, n_kv_heads=1, d_ff=48, max_positions=4096, mlp="swiglu",
        qk_norm=False, norm_weight="plain",
    )  # fmt: skip
    folder.mkdir()
    alphabet = sorted({*"abc", *"".join(STRINGS)})
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*alphabet, *STRINGS]))}
    vocabulary |= {f"{STRINGS[i % 1000]}{i}": i for i in range(len(vocabulary), config.vocab)}
    library = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="a"))
    library.add_special_tokens(STRINGS[:20])
    library.save(str(folder / "tokenizer.json"))
    told = {"chat_template": "{{ messages[0].content }}", "tokenizer_class": STRINGS[2], **{s: s for s in STRINGS[:50]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config_to(config) | {STRINGS[3]: STRINGS[3]}), encoding="utf-8")
    save_file(tensors_to(Decoder(config, seed=1), "llama"), folder / "model.safetensors")


def on_a_terminal(arguments: list[str], folder: Path) -> str:
    """What a real terminal is sent."""
    import pty  # not everywhere

    pid, terminal = pty.fork()
    if not pid:
        os.chdir(folder)
        os.environ.update(
            PYTHONPATH=str(SOURCE.parent),
            HOME=str(folder),
            XDG_DATA_HOME=str(folder),
            TERM="xterm-256color",
            PAGER="cat",
        )
        os.execv(sys.executable, [sys.executable, *arguments])
    sent = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(terminal, 1 << 16):
            sent += part
    os.close(terminal)
    os.waitpid(pid, 0)
    return sent.decode("utf-8", "surrogateescape")


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
def test_nothing_steers_a_real_terminal(tmp_path: Path) -> None:
    """Notes, names of files, tokens, settings and templates of others, errors, foreign warnings and tracebacks."""
    tmp_path = tmp_path / STRINGS[0].replace("/", "")
    tmp_path.mkdir()
    items = (f"## What is {s}?\n\n{s} `{s}` **{s}**\n\n```\n{s}\n```\n\nTODO {s}" for s in STRINGS)
    (tmp_path / "notes.md").write_text("\n\n".join(items), encoding="utf-8")
    here, bad = str(tmp_path / "model"), STRINGS[6]
    write_model(tmp_path / "model")
    (tmp_path / f"{STRINGS[4]}.toml").write_text(f"name = {json.dumps(STRINGS[5])}", encoding="utf-8")
    said = json.dumps(STRINGS[100:200])
    (tmp_path / "softmax.py").write_text(f"for text in {said}:\n    print(text)\nraise ValueError({said})", "utf-8")
    rows = [{"prompt": s, "response": {s: s}} for s in STRINGS]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    verbs = [
        ["study", "check", "notes.md"], ["study", "import", "notes.md", "--deck", "mine"], ["study", "search", "h1h"],
        ["study", "stats", "--deck", "mine"], ["inspect", here],
        ["tokenize", "--file", "notes.md", "--tokenizer", here],
        ["tokenize", " ".join(STRINGS), "--tokenizer", here, "--special"], ["convert", here, f"{bad}.gguf"],
        ["convert", here, bad], ["diff", here, bad], ["diff", here, f"{bad}.gguf"], ["run", f"{STRINGS[4]}.toml"],
        ["tune", here, "--data", "rows.jsonl", "--out", bad], ["practice", "grade", "softmax", "--file", "softmax.py"],
        ["generate", here, "a", "--tokens", "100", "--temperature", "1", "--n", "2", "--probabilities"],
        ["chat", here, "--message", STRINGS[7], "--tokens", "100", "--temperature", "1", "--control-tokens"],
        ["chat", here, "--message", STRINGS[8], "--tokens", "100", "--temperature", "1", "--json"],
    ]  # fmt: skip
    verbs += [[part.replace("BAD", bad) for part in EVERY[i % len(EVERY)]] for i, bad in enumerate(STRINGS)]
    sent = on_a_terminal(["-c", VERBS, json.dumps(verbs), " ".join(STRINGS)], tmp_path)
    assert sent.count("code ") >= len(verbs) and "\\x1b[2J" in sent and "RuntimeError" in sent
    assert not STEERS.search(OURS.sub("", sent))
    assert all(f"h{i}h" in sent.partition("Traceback")[0] for i in range(len(STRINGS))), "one was never shown"
