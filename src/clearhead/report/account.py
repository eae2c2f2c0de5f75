"""The sections that account for the run: what it cost in computation and time, and how to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w

from clearhead.charts.markup import Child, Html, join, tag
from clearhead.charts.svg import COLORS
from clearhead.charts.wording import big, count, duration, known, memory, moment, number, percent
from clearhead.report.data import EngineInfo, ModelInfo, Report, RunInfo, StageInfo
from clearhead.report.parts import Column, facts, fold, section, table
from clearhead.report.summary import task_info


def compute_section(report: Report) -> Html | None:
    pairs = _model_facts(report.model) if report.model else []
    stages = [s for s in report.run.stages if known(s.seconds) and s.seconds >= 0]
    engines = {task_info(report, name).title: e.engine for name, e in report.evaluation.items() if e.engine}
    if not (pairs or stages or engines):
        return None
    return section(
        "compute",
        "What it cost",
        facts(pairs) if pairs else None,
        _stages(stages) if stages else None,
        _engines(engines) if engines else None,
    )


def _model_facts(model: ModelInfo) -> list[tuple[str, Child]]:
    pairs: list[tuple[str, Child]] = []
    if known(model.parameters):
        pairs.append(("parameters", count(model.parameters)))
    if known(model.training_tokens):
        pairs.append(("training tokens", count(model.training_tokens)))
    if known(model.flops_per_token):
        pairs.append(("operations per training token", big(model.flops_per_token)))
    if known(model.flops_per_token * model.training_tokens):
        pairs.append(("operations of the training", big(model.flops_per_token * model.training_tokens)))
    if known(model.tokens_per_second):
        pairs.append(("training tokens a second", count(model.tokens_per_second)))
    if known(model.flops_per_token * model.tokens_per_second):
        speed = model.flops_per_token * model.tokens_per_second
        pairs.append(("operations a second", f"{big(speed)} ({number(speed / 1e9)} GFLOP/s)"))
    return pairs if len(pairs) > 1 else []  # the size alone stands in another section


def _stages(stages: list[StageInfo]) -> Html:
    """One bar, cut in proportion to the time of each stage."""
    total = sum(s.seconds for s in stages) or 1.0
    shares = [s.seconds / total for s in stages]
    cuts = [tag("i", style=f"width:{100 * share:.2f}%", cls=f"s{i % COLORS}") for i, share in enumerate(shares)]
    rows = [
        tag(
            "li",
            tag("span", cls=f"swatch s{i % COLORS}", aria_hidden="true"),
            tag("span", s.name, cls="who"),
            tag("b", duration(s.seconds)),
            tag("span", percent(share), cls="share-of"),
        )
        for i, (s, share) in enumerate(zip(stages, shares, strict=True))
    ]
    bar = tag("div", *cuts, cls="stack", aria_hidden="true")
    return tag(
        "figure",
        tag("h3", "Time of each stage"),
        bar,
        tag("ul", *rows, cls="stages"),
        tag("figcaption", f"Where the time went: {duration(total)} in all."),
    )


def _engines(engines: Mapping[str, EngineInfo]) -> Html:
    """The token account of the search: what was computed, computed twice, and not computed at all."""
    columns = [
        Column("task", numeric=False),
        Column("tokens computed"),
        Column("computed twice"),
        Column("served from the cache"),
        Column("work saved"),
    ]
    rows = []
    for title, e in engines.items():
        needed = e.computed + e.reused
        saved = e.reused / needed if needed > 0 else float("nan")
        rows.append([title, count(e.computed), count(e.computed - e.unique), count(e.reused), percent(saved)])
    caption = (
        "A search asks for the same beginnings again and again. They are kept in a tree, so that a beginning is"
        " computed once however many branches share it; without it, every token in the last but one column would have"
        " been computed again."
    )
    body = table("tokens computed and reused", columns, rows, stacked=True)
    return tag("figure", tag("h3", "Tokens of the whole evaluation"), body, tag("figcaption", caption))


def reproduce_section(run: RunInfo) -> Html | None:
    pairs: list[tuple[str, Child]] = []
    if known(run.seed):
        pairs.append(("seed", str(int(run.seed))))
    if run.started:
        pairs.append(("started", moment(run.started)))
    pairs += [(package, version) for package, version in run.versions.items()]
    machine = run.machine
    if machine.cpu:
        pairs.append(("processor", machine.cpu))
    if known(machine.cores):
        pairs.append(("cores", count(machine.cores)))
    if known(machine.memory):
        pairs.append(("memory", memory(machine.memory)))
    if machine.device:
        pairs.append(("device", machine.device))
    if not (pairs or run.command or run.recipe):
        return None
    command = None
    if run.command:
        button = tag("button", "Copy", type="button", data_copy=True, cls="scripted")
        command = tag("div", tag("pre", tag("code", run.command), tabindex="0"), button, cls="command")
        told = (
            "The same command with the same seed on the same versions gives the same numbers on a processor; times"
            " differ from machine to machine."
        )
        command = join(tag("p", told, cls="lead"), command)
    recipe = (
        fold("The whole recipe", tag("pre", tag("code", recipe_text(run.recipe)), tabindex="0")) if run.recipe else None
    )
    return section("reproduce", "Do it again", command, facts(pairs) if pairs else None, recipe)


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """The settings as TOML, ready to be saved and run again; TOML has no null, so what is unset is left out."""
    return tomli_w.dumps(_without_nulls(recipe))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value if item is not None] if isinstance(value, list | tuple) else value
