"""The page of an agent's episode: answer, plan as a graph, every step, calls, prompt sizes, what was forgotten when."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from clearhead.agents.steps import Action, Answer, Expectation, Observation, Plan, Step, Summary, Task, Thought
from clearhead.agents.trace import PartDone, answer, calls, forgotten, plans, totals, turns
from clearhead.agents.transcript import Entry, Transcript
from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Child, Html, tag
from clearhead.charts.svg import LETTER, Axis, drawing, path, text_at
from clearhead.charts.wording import count, duration, plural
from clearhead.report.page import document
from clearhead.report.parts import Column, facts, figure, fold, section, table

SHOWN = 1200  # characters of a step that are shown at once
LETTERS, ROW, GAP = 26, 62.0, 46.0  # letters in a line of a part's box, the height of a row of them, what lies between
ENDS = {
    "answered": "It answered.",
    "steps": "It came to no answer within its steps.",
    "repeats": "It made the same call again and again and was ended.",
    None: "It was stopped before its end.",
}


def render(transcript: Transcript) -> str:
    """The page as one HTML text."""
    entries = transcript.entries
    told = headline(transcript)
    sections = (
        plan_section(plans(entries)),
        size_section(entries),
        steps_section(entries),
        calls_section(entries),
        settings_section(transcript),
    )
    return document("An agent at work", told, opening(transcript, told), *(part for part in sections if part))


def headline(transcript: Transcript) -> str:
    said = answer(transcript.entries)
    return ENDS.get(transcript.ended, "It ended.") if said is None else said


def opening(transcript: Transcript, told: str) -> Html:
    spent = totals(transcript.entries)
    task = next((e.step.text for e in transcript.entries if isinstance(e.step, Task)), "")
    failed = f", {count(spent.failed_calls)} without a result" if spent.failed_calls else ""
    cards = [
        (count(spent.calls), f"calls of tools{failed}, in {plural(spent.turns, 'decision')}"),
        (count(spent.prompt_tokens), f"tokens of prompts, {count(spent.computed_tokens)} tokens computed"),
        (count(spent.generated_tokens), "tokens written"),
        (duration(spent.model_seconds), f"of the model, {duration(spent.tool_seconds)} of tools"),
    ]
    return tag(
        "header",
        tag("p", f"{transcript.header['model'] or 'no model'} · {shortened(task, 300)}", cls="origin"),
        tag("h1", shortened(told, 300)),
        tag("ul", *(tag("li", tag("b", value), tag("span", text)) for value, text in cards), cls="cards"),
    )


def plan_section(made: Sequence[Sequence[PartDone]]) -> Html | None:
    if not made:
        return None
    lead = (
        "The task in parts. A part begins when all that it needs is done; parts of one column ran at once. One that"
        " failed was tried again, and then planned anew."
    )
    figures = [
        figure(plan_graph(parts, f"Plan {i}"), caption(parts, i, len(made)), outcomes(parts))
        for i, parts in enumerate(made, start=1)
    ]
    return section("plan", "The plan", tag("p", lead, cls="lead"), *figures)


def caption(parts: Sequence[PartDone], number: int, of: int) -> str:
    done = sum(bool(part.attempts) and part.attempts[-1][1] for part in parts)
    which = f"Plan {number} of {of}: " if of > 1 else ""
    return f"{which}{done} of {plural(len(parts), 'part')} done."


def outcomes(parts: Sequence[PartDone]) -> Html:
    rows: list[list[Child]] = []
    for i, part in enumerate(parts, start=1):
        result = part.attempts[-1][2] if part.attempts else "not begun"
        rows.append([str(i), part.part.text, count(len(part.attempts)), shortened(result, 200)])
    columns = (Column("part"), Column("what", False), Column("attempts"), Column("result", False))
    return table("parts", columns, rows, stacked=True)


def columns_of(parts: Sequence[PartDone]) -> list[list[int]]:
    """The numbers of the parts in columns, each behind all that its parts need."""
    depth: dict[int, int] = {}
    while len(depth) < len(parts):
        ready = [
            i
            for i, part in enumerate(parts, start=1)
            if i not in depth and all(need in depth for need in part.part.needs)
        ]
        if not ready:  # a circle, which no plan of ours has
            ready = [i for i in range(1, len(parts) + 1) if i not in depth]
        for i in ready:
            depth[i] = 1 + max((depth.get(need, 0) for need in parts[i - 1].part.needs), default=0)
    return [[i for i in depth if depth[i] == at] for at in sorted(set(depth.values()))]


def plan_graph(parts: Sequence[PartDone], name: str) -> Html:
    """Boxes in columns, a line from each part to those that need it; a sign says what became of it."""
    columns = columns_of(parts)
    width, box = LETTERS * LETTER + 16, ROW - 12
    height = max(map(len, columns)) * ROW
    at: dict[int, tuple[float, float]] = {}
    for c, column in enumerate(columns):
        for r, number in enumerate(sorted(column)):
            at[number] = (1 + c * (width + GAP), 6 + r * ROW + (height - len(column) * ROW) / 2)
    lines = [
        tag(
            "path",
            d=path([(at[need][0] + width, at[need][1] + box / 2), (at[i][0], at[i][1] + box / 2)]),
            cls="s5 stroke line",
        )
        for i, part in enumerate(parts, start=1)
        for need in part.part.needs
    ]
    boxes = [_box(i, part, *at[i], width, box) for i, part in enumerate(parts, start=1)]
    whole = len(columns) * (width + GAP) - GAP + 2
    drawn = tag("div", drawing(whole, height + 2, name, [lines, boxes]), style=f"min-width:{whole:.0f}px")
    return tag("div", drawn, cls="scroll", role="region", aria_label=name, tabindex="0")  # its words stay readable


def _box(number: int, part: PartDone, x: float, y: float, width: float, height: float) -> Html:
    done = bool(part.attempts) and part.attempts[-1][1]
    sign, color = ("✓", 2) if done else ("✗", 1) if part.attempts else ("·", 5)
    words = wrap(f"{sign} {number}. {part.part.text}", LETTERS) or [f"{sign} {number}."]
    if len(words) > 2:
        words = [words[0], words[1][: LETTERS - 1] + "…"]
    top = y + height / 2 + 4 - 7.5 * (len(words) - 1)
    tip = part.part.text + (f": {shortened(part.attempts[-1][2], 200)}" if part.attempts else "")
    return tag(
        "g",
        tag("title", tip),
        tag("rect", x=x, y=y, width=width, height=height, rx=6.0, cls=f"s{color} band"),
        *(text_at(x + 8, top + 15 * i, line, "start", "label") for i, line in enumerate(words)),
    )


def steps_section(entries: Sequence[Entry]) -> Html:
    """Every step in order, a turn in one block; the steps of a part are folded behind its call."""
    main = [entry.step for entry in entries if not entry.agent]
    return section("steps", "Step by step", *(_turn(block, entries) for block in blocks(main)))


def blocks(steps: Sequence[Step]) -> list[list[Step]]:
    """Thought, calls and what they gave belong together; every other step stands alone."""
    found: list[list[Step]] = []
    for step in steps:
        before = found[-1][-1] if found else None
        called = isinstance(step, Action | Expectation) and isinstance(before, Thought | Action | Expectation)
        if before is not None and (called or isinstance(step, Observation)):
            found[-1].append(step)
        else:
            found.append([step])
    return found


def _turn(steps: Sequence[Step], entries: Sequence[Entry]) -> Html:
    return tag("article", *(_step(step, entries) for step in steps), cls="example")


def _step(step: Step, entries: Sequence[Entry]) -> list[Child]:
    name, text = said(step)
    inner: Child = None
    if isinstance(step, Action):
        own = [entry.step for entry in entries if entry.agent == str(step.id)]
        inner = fold(plural(len(own), "step"), *(_turn(block, ()) for block in blocks(own))) if own else None
    failed = isinstance(step, Observation) and not step.ok
    whole = fold("All of it", tag("pre", text, cls="said")) if len(text) > SHOWN else None
    return [
        tag("h5", name + (" (no result)" if failed else "")),
        tag("pre", shortened(text, SHOWN), cls="said"),
        whole,
        inner,
    ]


def said(step: Step) -> tuple[str, str]:
    """What a step is called, and its text."""
    match step:
        case Action():
            arguments = ", ".join(f"{name}={value!r}" for name, value in step.arguments.items())
            return f"Call {step.id}", f"{step.tool}({arguments})"
        case Expectation():
            return f"Expected of call {step.id}", step.text
        case Observation():
            return f"Result of call {step.id}", step.text
        case Summary():
            return f"Steps up to {step.last} left the prompt", step.text
        case Plan():
            return "Plan", "\n".join(f"{i}. {part.text}" for i, part in enumerate(step.subtasks, start=1))
        case Task() | Thought() | Answer():
            return type(step).__name__, step.text


def calls_section(entries: Sequence[Entry]) -> Html | None:
    made = calls(entries)
    if not made:
        return None
    rows: list[list[Child]] = [
        [
            call.tool + (f" (in part {call.agent})" if call.agent else ""),
            shortened(call.arguments, 120),
            "stopped" if call.result is None else ("" if call.ok else "✗ ") + shortened(call.result, 160),
            duration(call.seconds),
        ]
        for call in made
    ]
    columns = (Column("tool", False), Column("arguments", False), Column("result", False), Column("time"))
    lead = "Calls of one step are made at once, and their time is that of all of them."
    return section(
        "calls",
        "Calls of tools",
        tag("p", lead, cls="lead"),
        tag("div", table("calls", columns, rows, stacked=True), cls="given"),
    )


def size_section(entries: Sequence[Entry]) -> Html | None:
    """Prompt sizes by step, and what left the prompt when."""
    main = [turn for turn in turns(entries) if not turn.agent]
    if len(main) < 2:
        return None
    x = list(range(1, len(main) + 1))
    series = [
        Series("prompt", x, [turn.prompt for turn in main], color=0, marks=len(main) <= 40),
        Series("computed", x, [turn.computed for turn in main], color=1, marks=len(main) <= 40),
    ]
    axes = Axis("decisions"), Axis("tokens", low=0.0)
    wide, narrow = (
        line_chart(series, *axes, *size, "Prompt size by step") for size in ((640.0, 300.0), (350.0, 300.0))
    )
    drawn = [tag("div", wide, cls="wide"), tag("div", narrow, cls="narrow")]
    told = (
        "Tokens of the prompt at each decision, and those that the model had to compute: what a prompt shares with the"
        " one before is known already. Where it falls, old steps left and a summary stands in for them."
    )
    rows: list[list[Child]] = [
        [count(gone.turn), count(gone.steps), count(gone.last), shortened(gone.text, 240)]
        for gone in forgotten(entries)
    ]
    columns = (
        Column("after decision"),
        Column("steps that left"),
        Column("up to step"),
        Column("what stands in", False),
    )
    left = table("forgotten", columns, rows, stacked=True) if rows else tag("p", "Nothing left the prompt.")
    return section("memory", "What it had in mind", figure(drawn, told), tag("h3", "Forgotten"), left)


def settings_section(transcript: Transcript) -> Html:
    header = transcript.header
    pairs: list[tuple[str, Child]] = [
        ("model", header["model"] or "–"),
        ("tools", ", ".join(header["tools"]) or "none"),
        ("style", header["style"] or "the model's"),
        ("seed", str(header["seed"])),
        ("steps at most", count(header["max_steps"])),
        ("ended", transcript.ended or "stopped"),
    ]
    return section("settings", "How it was asked", facts(pairs))


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
