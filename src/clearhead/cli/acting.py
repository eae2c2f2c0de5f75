"""An agent made of what the command line says: its model, tools, memory and planner; and what a person sees of it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rich.text import Text

from clearhead.agents import transcript
from clearhead.agents.calls import Approve, allow
from clearhead.agents.loop import Emit, Limits, Outcome, interrupted, run, run_together
from clearhead.agents.memory import Memory
from clearhead.agents.opening import ChatOpener, counter, spelled
from clearhead.agents.planner import ModelPlanner, Parts, PlanPolicy
from clearhead.agents.policy import ModelPolicy, Open, Policy
from clearhead.agents.prompt import Count, Prompt, Style, load_style
from clearhead.agents.scratchpad import NOTE, note_tool
from clearhead.agents.steps import Action, Answer, Expectation, Observation, Plan, Step, Summary, Task, Thought
from clearhead.agents.toolbox.spec import make_tools
from clearhead.agents.tools import Tool
from clearhead.agents.transcript import Entry
from clearhead.agents.world_model import WorldModelPolicy
from clearhead.checkpoints.load import LoadedModel, load_model
from clearhead.cli.generate import dtype_named
from clearhead.cli.options import local_only
from clearhead.cli.sampling import USUAL, checked, of_model
from clearhead.console import SafeConsole
from clearhead.errors import UserError
from clearhead.generation.language_model import LanguageModel, SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.generation.remote import RemoteModel, is_address
from clearhead.kernels.machine import choose_device
from clearhead.tasks.task import CALL_END
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer

REMOTE_CONTEXT = 8192  # tokens, where neither person nor server says
BYTES_OF_TOKEN = 3  # of an endpoint, whose tokens have more in most languages: counts are on the safe side
SHOWN = 600  # characters of a step at the terminal
STYLES: Mapping[type[Step], tuple[str, str]] = {
    Task: ("Task", "bold"), Plan: ("Plan", "bold cyan"), Thought: ("Thought", "italic"), Action: ("Action", "cyan"),
    Expectation: ("Expected", "dim cyan"), Observation: ("Observation", "dim"), Summary: ("Summary", "magenta"),
    Answer: ("Answer", "bold green"),
}  # fmt: skip


class Shown:
    """Steps on standard error as they come, with a sign that the model is at work while none does."""

    def __init__(self) -> None:
        self.console = SafeConsole(stderr=True)
        self.status = self.console.status("thinking") if self.console.is_terminal else None

    def __call__(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.console.print(shown(entry), soft_wrap=True, highlight=False)

    def waiting(self, on: bool) -> None:
        if self.status is not None:
            self.status.start() if on else self.status.stop()

    def approve(self, action: Action, tool: Tool) -> bool:
        """Ask at the terminal; where there is none nothing is allowed."""
        if not (self.console.is_terminal and sys.stdin.isatty()):
            return False
        self.waiting(False)
        self.console.print(Text(f"{tool.name} changes something: {action.arguments}"), soft_wrap=True)
        try:
            said = self.console.input("Allow it? y/N ")
        except EOFError:
            said = ""
        self.waiting(True)
        return said.strip().lower() in ("y", "yes")


def shown(entry: Entry) -> Text:
    """A step in its style, cut where it is long; the steps of a part behind the number of its call."""
    name, style = STYLES[type(entry.step)]
    text = spoken(entry.step)
    rest = f" … {len(text) - SHOWN:,} characters more" if len(text) > SHOWN else ""
    failed = isinstance(entry.step, Observation) and not entry.step.ok
    part = (f"  [{entry.agent}] ", "dim") if entry.agent else ""
    return Text.assemble(part, (f"{name}: ", "bold red" if failed else style), text[:SHOWN], (rest, "dim"))


def spoken(step: Step) -> str:
    """A step as a person reads it."""
    if isinstance(step, Action):
        return f"{step.tool} {dict(step.arguments)}"
    if isinstance(step, Plan):
        parts = (
            f"\n  {i}. {part.text}" + (f" (after {', '.join(map(str, part.needs))})" if part.needs else "")
            for i, part in enumerate(step.subtasks, start=1)
        )
        return "".join(parts)
    if isinstance(step, Summary):
        return f"of the steps up to {step.last}: {step.text}"
    return step.text


class Ready(NamedTuple):
    """A language model, and how this agent speaks with it."""

    model: LanguageModel
    style: Style
    count: Count
    context: int
    sampling: SamplingParams
    open: Open | None = None


def local_model(header: Mapping[str, Any], settings: Mapping[str, Any]) -> Ready:
    """A checkpoint in our engine, in the style that fits it."""
    device, dtype = choose_device(settings["device"]), dtype_named(settings["dtype"])
    loaded = load_model(header["model"], device, dtype, settings["weights"])
    given = {**dict.fromkeys(USUAL), **header["sampling"]}
    sampling = of_model(checked(given, int(header["tokens"])), given, loaded)
    style = load_style(header["style"] or usual_style(loaded))
    engine = LocalEngine(loaded.decoder, loaded.tokenizer, kv_memory=settings["kv_memory"])
    opener: Open | None = None
    frame = 0
    if isinstance(loaded.tokenizer, CharTokenizer):
        readable = spelled(loaded.tokenizer)

        def opener(prompts: Sequence[Prompt]) -> list[int]:
            return engine.open([readable(prompt.text) for prompt in prompts])

    if style.chat:
        if loaded.template is None:
            raise UserError(f"{header['model']} has no chat template; use --style react, or leave --style out")
        opener = ChatOpener(engine, loaded.template)
        frame = opener.frame
    most = engine.max_positions
    if (asked := int(header["context"])) > most:
        raise UserError(f"--context {asked} is more than the model's {most}; leave it out, or give at most {most}")
    context = (asked or most) - frame
    return Ready(engine, style, counter(loaded.tokenizer), context, sampling, opener)


def usual_style(loaded: LoadedModel) -> str:
    """What fits a model: its chat template, or the lines that it has learned."""
    if isinstance(loaded.tokenizer, SubwordTokenizer):
        return "chat" if loaded.template else "react"
    learned = isinstance(loaded.tokenizer, CharTokenizer) and CALL_END in loaded.tokenizer.alphabet
    return "inline" if learned else "bare"


def remote_model(header: Mapping[str, Any], settings: Mapping[str, Any]) -> Ready:
    """An endpoint, whose tokens are only estimated."""
    local_only("weights", "dtype", "device", "kv_memory")
    given = {**dict.fromkeys(USUAL), **header["sampling"]}
    model = RemoteModel.at(header["model"])
    asked, most = int(header["context"]), model.context
    if most is not None and asked > most:
        raise UserError(f"--context {asked} is more than the server's {most}; leave it out, or give at most {most}")

    def count(text: str) -> int:
        return -(-len(text.encode()) // BYTES_OF_TOKEN)

    style = load_style(header["style"] or "react")
    if style.chat:
        raise UserError("--style chat is for models here, whose template is known; leave --style out")
    return Ready(model, style, count, asked or most or REMOTE_CONTEXT, checked(given, int(header["tokens"])))


@dataclass
class Acting:
    """One agent while it is at work; what it holds is let go of at the end."""

    header: Mapping[str, Any]
    settings: Mapping[str, Any]
    yes: bool
    unsafe: bool
    quiet: bool
    given: Mapping[str, Tool] | None = None  # in place of the tools that the header names

    def __post_init__(self) -> None:
        header = self.header
        named = make_tools(",".join(header["tools"]), unsafe=self.unsafe) if header["tools"] else {}
        self.tools = named if self.given is None else dict(self.given)
        self.memory = Memory(Path(header["memory"])) if header["memory"] else None
        if self.memory:
            self.tools.setdefault(NOTE, note_tool())
        ready = remote_model if is_address(header["model"]) else local_model
        self.model = ready(header, self.settings)
        self.policy, self.show = self._policy(self.memory), Shown()
        self.decide = self._decide(self.policy)
        self.approve: Approve = allow if self.yes else self.show.approve

    def __enter__(self) -> "Acting":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.show.waiting(False)
        if self.memory:
            self.memory.close()

    def run(self, path: Path, header: Mapping[str, Any], entries: list[Entry], task: str | None) -> Outcome:
        """Begin with a task, or go on behind the entries; every step is in the file before the next begins."""
        if entries:
            transcript.rewrite(path, header)
        else:
            transcript.create(path, header)
            first = [Task(task or ""), *(self.memory.known() if self.memory else ())]
            entries = [Entry(step) for step in first]
            self._emit(path)(entries)
        emit, steps = self._emit(path), [entry.step for entry in entries if not entry.agent]
        if lost := [Entry(seen) for seen in interrupted(steps, self.tools)]:
            emit(lost)
            steps += [entry.step for entry in lost]
        self.show.waiting(not self.quiet)
        try:
            made = self.go({"": steps}, emit)[""]
        except UserError as error:
            raise UserError(f"{error} (the steps so far are in {path}; --resume goes on)") from None
        except KeyboardInterrupt:
            self.show.waiting(False)
            told = f"stopped; the steps so far are in {path}: clearhead agent --resume --trace {path} goes on"
            self.show.console.print(Text(told), soft_wrap=True)
            raise
        transcript.end(path, made.ended)
        if self.memory:
            self.memory.keep(made.steps)
        return made

    def _emit(self, path: Path) -> Emit:
        def emit(entries: Sequence[Entry]) -> None:
            transcript.append(path, entries)
            if not self.quiet:
                self.show(entries)

        return emit

    def go(self, episodes: Mapping[str, Sequence[Step]], emit: Emit) -> dict[str, Outcome]:
        """Bring episodes to their ends, all at once; with a plan, a single one."""
        limits = Limits(int(self.header["max_steps"]))
        if not self.header["plan"]:
            return run_together(episodes, self.decide, self.tools, limits, self.approve, emit)
        [(name, steps)] = episodes.items()
        planner, crew = ModelPlanner(self.policy), self._policy()
        parts = Parts(self._decide(crew), self.tools, limits, planner.check, emit, list(steps))
        policy: Policy = PlanPolicy(planner.decompose, self.decide)
        return {name: run(steps, policy, self.tools, limits, self.approve, parts.watch, parts.act)}

    def _decide(self, policy: ModelPolicy) -> Policy:
        return WorldModelPolicy(policy) if self.header.get("world_model") else policy

    def _policy(self, memory: Memory | None = None) -> ModelPolicy:
        ready, seed = self.model, int(self.header["seed"])
        return ModelPolicy(
            ready.model, self.tools, ready.style, ready.count, ready.context, ready.sampling, seed, memory, ready.open
        )
