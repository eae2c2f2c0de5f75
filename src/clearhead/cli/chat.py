"""`clearhead chat`: a conversation at the terminal, or from a pipe."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearhead.cli.examples import examples
from clearhead.cli.generate import backend_drafted, dtype_named, printable
from clearhead.cli.options import (
    control_tokens_option,
    device_option,
    draft_option,
    dtype_option,
    json_option,
    sampling_seed_option,
    stop_option,
    weights_option,
)
from clearhead.cli.sampling import checked, kv_memory_option, of_model, sampling_options
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json

if TYPE_CHECKING:
    from clearhead.generation.conversation import Conversation
    from clearhead.generation.language_model import SamplingParams

COMMANDS = {
    "/help": "these lines",
    "/reset": "begin again with the same instructions",
    "/system TEXT": "other instructions, or none; begins again",
    "/save FILE": "write the conversation as a line of JSON",
    "/quit": "leave, as Ctrl-D does; Ctrl-C ends an answer",
}

CUT = {  # why an answer is not whole, when it is not
    "tokens": "(cut off: --tokens allows no more)",
    "context": "(cut off: the model's context is full; /reset begins again)",
}


@click.command(
    epilog=examples(
        ("clearhead chat smollm2", "talk to a package's model"),
        ('clearhead chat DIR --system "Answer in French."', "with instructions"),
        ('clearhead chat model.gguf --message "Who are you?"', "one question, one answer"),
        ("clearhead chat DIR --json < questions.txt", "each line a turn"),
    )
)
@click.argument("model")
@click.option(
    "--message", "messages", multiple=True, help="A turn in place of the terminal; may be given several times."
)
@click.option("--system", help="Instructions before the conversation.")
@click.option(
    "--tokens", type=click.IntRange(min=1), default=512, show_default=True, help="Tokens of an answer at most."
)
@sampling_options
@stop_option
@sampling_seed_option
@control_tokens_option
@kv_memory_option
@weights_option
@draft_option
@dtype_option
@device_option
@json_option
def command(
    model: str, messages: tuple[str, ...], system: str | None, tokens: int, stop: tuple[str, ...], seed: int,
    control_tokens: bool, kv_memory: int | None, weights: str, draft: str | None, dtype: str, device: str,
    as_json: bool, **given: float | None,
) -> None:  # fmt: skip
    """Talk to MODEL: a folder with a checkpoint, a GGUF file, a hub id, a tuned run, or smollm2.

    Turns come from the terminal, from --message, or from the lines of standard input. When the conversation outgrows
    the model's context, its oldest turns are dropped, and that is said. With --json each turn is an object, with the
    settings used.

    Control tokens are the chat template's to write. What a message spells like a special token, or like another one
    that the template writes, such as <think>, is read as text, and that is said; --control-tokens reads it as such.
    """
    from clearhead.checkpoints.load import load_model
    from clearhead.generation.conversation import Conversation
    from clearhead.generation.engine import Engine
    from clearhead.kernels.machine import choose_device

    sampling = checked(given, tokens)
    if "" in stop:
        raise UserError("--stop '' would end every answer at once; leave it out")
    if any(not message.strip() for message in messages):
        raise UserError("--message is empty; say something")
    at_terminal = not messages and sys.stdin.isatty()
    if at_terminal and as_json:
        raise UserError("--json is for programs; give the turns by --message or on standard input")
    loaded = load_model(model, choose_device(device), dtype_named(dtype), weights)
    if loaded.template is None:
        raise UserError(
            f"{model} has no chat template: it was never taught to take turns; use `clearhead generate {model}` to "
            "complete a prompt, or `clearhead solve` for the problems of a run"
        )
    sampling = of_model(sampling, given, loaded)
    engine = Engine(backend_drafted(loaded, draft, 1, kv_memory), loaded.tokenizer)
    chat = Conversation(engine, loaded.template, system, control_tokens)
    if at_terminal:
        talk(chat, model, sampling, seed, stop)
        return
    settings = {**asdict(sampling), "seed": seed, "stop": list(stop)}
    for message in messages or lines():
        turn(chat, message, sampling, seed, stop, settings if as_json else None)


def lines() -> Iterator[str]:
    """The lines of standard input that say something."""
    from clearhead.text.subword import readable

    for line in sys.stdin.buffer:
        if message := readable(line).strip():
            yield message


def turn(
    chat: "Conversation", message: str, sampling: "SamplingParams", seed: int, stop: Sequence[str],
    settings: dict[str, Any] | None,
) -> None:  # fmt: skip
    """One message and its answer: streamed, or with settings as one line of JSON."""
    started = time.perf_counter()
    pieces = chat.say(message, sampling, seed, stop)
    if chat.spelled:
        echo("(control tokens in messages are read as text; --control-tokens reads them as such)", err=True)
    if chat.forgotten and settings is None:
        echo(forgotten(chat), err=True)
    with contextlib.closing(pieces):  # so that an answer that was stopped is noted before anything else happens
        for piece in pieces:
            if settings is None:
                echo(printable(piece), nl=False)
                sys.stdout.flush()
    answer = chat.last
    assert answer is not None
    if settings is None:
        echo()
        if answer.ended in CUT:
            echo(CUT[answer.ended], err=True)
        return
    echo_json({
        "message": message, "answer": answer.text, "ended": answer.ended, "tokens": len(answer.tokens),
        "read": chat.read, "dropped_turns": chat.forgotten, "seconds": round(time.perf_counter() - started, 3),
        "settings": settings,
    })  # fmt: skip
    sys.stdout.flush()


def forgotten(chat: "Conversation") -> str:
    turns = "turn was" if chat.forgotten == 1 else f"{chat.forgotten} turns were"
    return f"(the conversation outgrew the model's context: its oldest {turns} dropped)"


def talk(chat: "Conversation", model: str, sampling: "SamplingParams", seed: int, stop: Sequence[str]) -> None:
    """The loop at a terminal. Ctrl-C stops an answer or clears the line, Ctrl-D leaves."""
    import readline  # noqa: F401 - makes `input` edit its line and remember earlier ones

    echo(f"{model}. /help lists what you can do, Ctrl-D leaves.")
    while True:
        try:
            typed = input("> ").strip()
        except EOFError:
            echo()
            return
        except KeyboardInterrupt:
            echo()
            continue
        if typed == "/quit":
            return
        try:
            if typed.startswith("/"):
                obey(chat, typed)
            elif typed:
                turn(chat, typed, sampling, seed, stop, None)
        except KeyboardInterrupt:
            echo("\n(stopped)")
        except UserError as error:
            echo(f"error: {' '.join(str(error).split())}", err=True)


def obey(chat: "Conversation", typed: str) -> None:
    """One of COMMANDS."""
    verb, _, rest = typed.partition(" ")
    rest = rest.strip()
    if verb == "/help" and not rest:
        width = max(map(len, COMMANDS))
        for name, meaning in COMMANDS.items():
            echo(f"  {name:<{width}}  {meaning}")
    elif verb == "/reset" and not rest:
        chat.restart(chat.system)
        echo("(begun again)")
    elif verb == "/system":
        chat.restart(rest or None)
        echo("(begun again, with these instructions)" if rest else "(begun again, without instructions)")
    elif verb == "/save" and rest:
        save(chat, Path(rest).expanduser())
        echo(f"({len(chat.messages)} messages in {rest})")
    else:
        raise UserError(f"{typed!r} is no command here; /help lists them")


def save(chat: "Conversation", path: Path) -> None:
    """The conversation as one line of JSON, {"messages": [...]}, the form in which `clearhead tune` reads chats."""
    from clearhead.files import write_text

    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'its folder is not there'}")
    try:
        write_text(path, json.dumps({"messages": chat.messages}, ensure_ascii=False) + os.linesep)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; give a path that can be") from None
