"""`clearhead agent`: a model at work on a task with tools, or an earlier episode again, or the tools for others."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import device_option, dtype_option, json_option, sampling_seed_option
from clearhead.cli.sampling import USUAL, checked, kv_memory_option, sampling_options
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json

if TYPE_CHECKING:
    from clearhead.agents.loop import Outcome
    from clearhead.agents.transcript import Transcript


OPTIONS = (
    click.option(
        "--tools", "spec", help="A list: calculator, python, clock, table:FILE, docs:FOLDER, files:FOLDER, mcp:COMMAND."
    ),
    click.option("--plan", is_flag=True, help="Divide the task into parts, and have each done by an agent of its own."),
    click.option("--world-model", is_flag=True, help="Look ahead: imagine what calls would give, and take the best."),
    click.option(
        "--max-steps", type=click.IntRange(min=1), help="Steps with calls or an answer at most. Default: 20."
    ),
    click.option(
        "--tokens", type=click.IntRange(min=1), default=512, show_default=True, help="Tokens of a step at most."
    ),
    click.option(
        "--context", type=click.IntRange(min=64), help="Tokens of prompt and step. Default: the model's."
    ),
    click.option(
        "--style", help="Words of the prompt: bare, react, chat, or a TOML file. Default: what fits the model."
    ),
    click.option("--unsafe", is_flag=True, help="Run Python even where the system has no walls to keep it in."),
    sampling_options, sampling_seed_option, kv_memory_option, dtype_option, device_option,
)  # fmt: skip


def agent_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What an agent is made of, for every verb that makes one."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command(
    epilog=examples(
        ('clearhead agent smollm2 "What is 17 * 24?" --tools calculator', "thoughts, calls and an answer"),
        ('clearhead agent runs/agent "what do 3 pears and 2 figs cost?" --tools calculator,table:prices.csv', "yours"),
        ('clearhead agent smollm2 "Who ...?" --tools docs:notes --plan', "divided into parts first"),
        ('clearhead agent http://localhost:8000/v1 "..." --tools python', "any OpenAI-compatible endpoint"),
        ("clearhead agent --resume --max-steps 40", "go on with the one that was stopped, or came to no answer"),
        ("clearhead agent --replay trace.jsonl --report page.html", "again, without a model, and as a page"),
        ("clearhead agent --mcp --tools calculator,docs:notes", "these tools for others, as an MCP server"),
    )
)
@click.argument("model", required=False)
@click.argument("task", required=False)
@agent_options
@click.option("--memory", type=click.Path(path_type=Path), help="Keep facts and results here for other tasks.")
@click.option(
    "--trace", type=click.Path(path_type=Path), help="The transcript. Default: one of your data, written over."
)
@click.option("--report", type=click.Path(path_type=Path), help="Write the episode as one HTML page.")
@click.option("--yes", is_flag=True, help="Allow every call that changes something, without asking.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option("--replay", type=click.Path(path_type=Path), help="Show a transcript again.")
@click.option("--mcp", is_flag=True, help="Serve the tools over standard input and output, or over HTTP at --port.")
@click.option("--port", type=click.IntRange(0, 65535), help="Of --mcp; 0: any that is free.")
@json_option
def command(
    model: str | None, task: str | None, spec: str | None, trace: Path | None, report: Path | None, yes: bool,
    unsafe: bool, resume: bool, replay: Path | None, mcp: bool, port: int | None, as_json: bool, **settings: Any,
) -> int:  # fmt: skip
    """Let MODEL do TASK with tools: it thinks, calls, reads what came back, and answers. `-` reads TASK from a pipe.

    MODEL is a run, a folder with a checkpoint, a GGUF file, a hub id, smollm2, or the address of an OpenAI-compatible
    endpoint, with #NAME behind it where that serves several models. Whatever the model, a call has the arguments that
    its tool asks for. A call that changes something is asked about first. Every step is in the transcript before the
    next begins, so nothing is lost to Ctrl-C.
    """
    from clearhead.agents import transcript
    from clearhead.cli.acting import Acting

    refuse_together(model, task, spec, resume=resume, replay=replay, mcp=mcp, port=port)
    if mcp:
        return serve(spec or "", port, yes, unsafe)
    if replay:
        return show_again(transcript.read(replay), report, as_json)
    path = trace or last_transcript()
    if resume:
        found = transcript.read(path)
        transcript.repair(path)
        header = resumed(found.header, model, spec, settings)
        entries = list(found.entries)
    else:
        if trace and trace.exists():
            raise UserError(f"{trace} already exists; --resume goes on with it, or choose another --trace")
        header, entries = begun(model or "", spec or "", settings), []
        task = sys.stdin.read().strip() if task == "-" else (task or "").strip()
        if not task:
            raise UserError("the task is empty; say what to do")
    with Acting(header, settings, yes, unsafe, quiet=as_json) as acting:
        made = acting.run(path, header, entries, task)
    tell(transcript.read(path), made, path, report, as_json)
    return 0


def refuse_together(
    model: str | None, task: str | None, spec: str | None, *, resume: bool, replay: Path | None, mcp: bool,
    port: int | None,
) -> None:  # fmt: skip
    """UserError for what does not go together."""
    if sum(map(bool, (resume, replay, mcp))) > 1:
        raise UserError("--resume, --replay and --mcp are three different things; give one of them")
    if mcp and not spec:
        raise UserError("--mcp serves tools, and none is named; add --tools calculator, say")
    if port is not None and not mcp:
        raise UserError("--port is for --mcp; leave it out")
    if (mcp or replay) and model:
        raise UserError(f"{'--mcp' if mcp else '--replay'} needs no model; leave out {model!r:.60}")
    if resume and task:
        raise UserError("--resume goes on with the task of the transcript; leave the task out")
    if not (mcp or replay or resume) and not (model and task):
        raise UserError('name a model and a task, as in: clearhead agent smollm2 "What is 17 * 24?" --tools calculator')


def last_transcript() -> Path:
    from clearhead.files import data_folder

    return data_folder(os.environ) / "agent" / "last.jsonl"


def serve(spec: str, port: int | None, yes: bool, unsafe: bool) -> int:
    from clearhead.agents.mcp_server import serve as serve_tools
    from clearhead.agents.toolbox.spec import make_tools

    serve_tools(make_tools(spec, unsafe=unsafe), port=port, writes=yes, ready=lambda where: echo(where, err=True))
    return 0


def begun(model: str, spec: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The first line of a transcript: what its steps depend on."""
    from clearhead.agents.toolbox.spec import entries

    sampling = {name: settings[name] for name in USUAL if settings[name] is not None}
    checked({name: settings[name] for name in USUAL}, settings["tokens"])
    memory = settings.get("memory")
    return {
        "model": model, "tools": entries(spec) if spec else [], "style": settings["style"] or "",
        "seed": settings["seed"], "max_steps": settings["max_steps"] or 20, "plan": settings["plan"],
        "world_model": settings["world_model"],
        "tokens": settings["tokens"], "context": settings["context"] or 0, "sampling": sampling,
        "memory": str(memory.resolve()) if memory else "",
    }  # fmt: skip


def resumed(
    header: Mapping[str, Any], model: str | None, spec: str | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The same with what is said anew: another model, other tools, more steps."""
    from clearhead.agents.toolbox.spec import entries

    told: dict[str, Any] = {"model": model, "tools": entries(spec) if spec else None}
    told |= {"max_steps": settings["max_steps"], "style": settings["style"], "context": settings["context"]}
    usual = {"tokens": settings["tokens"], "context": 0, "sampling": {}, "memory": ""}
    return {**usual, **header, **{name: value for name, value in told.items() if value is not None}}


def tell(found: "Transcript", made: "Outcome", path: Path, report: Path | None, as_json: bool) -> None:
    """The answer on standard output; the rest beside it."""
    from clearhead.agents.steps import to_plain
    from clearhead.agents.trace import summary

    if report:
        write_report(found, report)
    if as_json:
        steps = [to_plain(step) for step in found.steps()]
        echo_json({**summary(found.entries, made.ended), "transcript": str(path), "steps": steps})
        return
    if made.answer is not None:
        echo(made.answer)
        return
    more = {
        "steps": f"no answer in {found.header['max_steps']} steps; --resume --max-steps "
        f"{2 * int(found.header['max_steps'])} goes on",
        "repeats": "it made the same call again and again, so it was ended; another --seed or --style may do better",
    }
    echo(more[made.ended], err=True)


def show_again(found: "Transcript", report: Path | None, as_json: bool) -> int:
    """The steps of a transcript, run again by the loop without model and tools."""
    from clearhead.agents.replay import replay
    from clearhead.agents.trace import summary
    from clearhead.cli.acting import Shown

    if not found.entries:
        raise UserError("the transcript has no step; it was stopped before the first")
    made = replay(found)
    if made is not None and made.steps != found.steps():
        raise UserError("the transcript goes on behind its own end, which no run writes; it was changed by hand")
    if report:
        write_report(found, report)
    if as_json:
        echo_json(summary(found.entries, made.ended if made else None))
        return 0
    shown = Shown()
    shown(found.entries)
    echo(f"ended: {made.ended if made else 'stopped before its end; --resume --trace FILE goes on'}", err=True)
    return 0


def write_report(found: "Transcript", path: Path) -> None:
    from clearhead.files import write_text
    from clearhead.report.agent import render

    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'its folder is not there'}")
    write_text(path, render(found))
