"""`clearhead eval agent`: an agent on problems whose answers are known."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from clearhead.cli.agent import agent_options, begun
from clearhead.cli.examples import examples
from clearhead.cli.intake import parse_columns
from clearhead.cli.options import json_option, skip_bad_option
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json

if TYPE_CHECKING:
    from clearhead.agents.evaluation import Check
    from clearhead.pipeline.journal import Journal
    from clearhead.tasks.rows import Typed

MARKET = "market"  # the task whose steps are calls of tools
TEST_PROBLEMS = 100  # of it, where nothing is said


@click.command(
    "agent",
    short_help="Measure an agent with its tools.",
    epilog=examples(
        ("clearhead eval agent smollm2 --data sums.jsonl --tools calculator", "rows with problem and answer"),
        ("clearhead eval agent runs/agent --task market --temperature 0", "tables that nobody has seen"),
        ("clearhead eval agent http://localhost:8000/v1 --data qa.csv --tools docs:notes --out a.jsonl", "an address"),
    ),
)  # fmt: skip
@click.argument("model")
@click.option("--data", type=click.Path(path_type=Path), help="A file of rows with problem and answer.")
@click.option("--columns", metavar="KEY=COLUMN,...", help="What --data calls problem and answer.")
@skip_bad_option
@click.option("--task", type=click.Choice([MARKET]), help="In place of --data: test problems that bring their tools.")
@click.option("--checker", help="How answers are compared. Default: last-number for numbers, else exact.")
@click.option("--limit", type=click.IntRange(min=1), help="How many problems at most. Default: a whole file, else 100.")
@click.option("--yes", is_flag=True, help="Allow every call that changes something; else none is.")
@click.option("--out", type=click.Path(path_type=Path), help="Write every prediction with its steps there, JSON lines.")
@agent_options
@json_option
def agent(
    model: str, data: Path | None, columns: str | None, skip_bad: bool, task: str | None, checker: str | None,
    limit: int | None, yes: bool, unsafe: bool, out: Path | None, as_json: bool, spec: str | None, **settings: Any,
) -> None:  # fmt: skip
    """Measure MODEL as an agent: the share of problems that it answers right, with its 95% interval, and what one cost.

    MODEL is whatever `clearhead agent` takes. A problem that comes to no answer counts as wrong. With --out this may be
    stopped at any time: the same command goes on.
    """
    from clearhead.agents.calls import allow, deny
    from clearhead.agents.evaluation import AT_ONCE, market_tools, predict, summarize
    from clearhead.cli.acting import Acting
    from clearhead.pipeline.journal import Journal

    if bool(data) == bool(task):
        raise UserError(f"problems come from --data FILE or from --task {MARKET}; give one of them")
    if not data and (columns or skip_bad or checker):
        name = "--columns" if columns else "--skip-bad" if skip_bad else "--checker"
        raise UserError(f"{name} is about the rows of --data FILE; name that file")
    if task and (spec or settings["plan"]):
        raise UserError(f"--task {task} brings its own tools; leave out {'--tools' if spec else '--plan'}")
    asked = from_file(data, columns, skip_bad, checker) if data else from_market(limit or TEST_PROBLEMS)
    problems, header = asked.problems[:limit], begun(model, spec or "", settings)
    given = market_tools(problems[0].problem) if task else None
    journal = Journal(out, header | {"checker": asked.checker, "problems": fingerprint(problems)}) if out else None
    made: list[dict[str, Any]] = [json.loads(text) for text in journal.begin()] if journal else []
    with Acting(header, settings, yes, unsafe, quiet=True, given=given) as acting:
        acting.approve = allow if yes else deny

        def some(chunk: "Sequence[Typed]") -> list[dict[str, Any]]:
            if task:  # the table is another for each
                acting.tools = market_tools(chunk[0].problem)
            return predict(chunk, acting.go, asked.check)

        go_on(made, problems, 1 if task or settings["plan"] else AT_ONCE, some, journal)
    tell(summarize(made) | {"checker": asked.checker}, out, as_json)


class Asked(NamedTuple):
    problems: "list[Typed]"
    check: "Check"
    checker: str


def from_file(path: Path, columns: str | None, skip_bad: bool, name: str | None) -> Asked:
    """The rows of a file. UserError where some of them cannot be used, or contradict each other."""
    from clearhead.tasks.checkers import checker, read_number
    from clearhead.tasks.rows import Typed, faults, read

    found = read(path, columns=parse_columns(columns) if columns else {}, skip_bad=skip_bad)
    if told := faults(found.report):
        raise UserError(told)
    problems = [Typed(row.problem, row.answer) for row in found.rows]
    if not problems:
        raise UserError(f"{path} holds no problem with an answer")
    name = name or ("last-number" if all(read_number(typed.answer or "") for typed in problems) else "exact")
    return Asked(problems, checker(name), name)


def from_market(number: int) -> Asked:
    from clearhead.tasks.market import Market
    from clearhead.tasks.rows import Typed

    market = Market()
    problems = [Typed(problem, market.expected(problem)) for problem in market.problems("test", number, 0)]
    return Asked(problems, lambda problem, answer, expected: market.check(problem, answer), MARKET)


def fingerprint(problems: "Iterable[Typed]") -> str:
    return sha256(json.dumps(list(problems)).encode()).hexdigest()


def go_on(
    made: list[dict[str, Any]], problems: "Sequence[Typed]", at_once: int,
    some: "Callable[[Sequence[Typed]], list[dict[str, Any]]]", journal: "Journal | None",
) -> None:  # fmt: skip
    """Add the predictions that are missing; Ctrl-C tells what is known by then."""
    from clearhead.cli.display import Display

    display = Display()
    if made:
        display.say(f"{len(made):,} of {len(problems):,} problems were done before")
    try:
        with display.progress("eval agent", len(problems)) as advance:
            advance(len(made))
            while len(made) < len(problems):
                new = some(problems[len(made) : len(made) + at_once])
                if journal:
                    journal.add(new)
                made += new
                advance(len(new))
    except KeyboardInterrupt:
        right = sum(prediction["correct"] for prediction in made)
        kept = f"they are in {journal.part}; the same command goes on" if journal else "with --out FILE they are kept"
        display.say(f"stopped after {len(made):,} of {len(problems):,} problems, {right:,} of them right; {kept}")
        raise
    if journal:
        journal.end()


def tell(found: Mapping[str, Any], out: Path | None, as_json: bool) -> None:
    if as_json:
        echo_json({**found, **({"predictions": str(out)} if out else {})})
        return
    mean, ended = found["mean"], found["ended"]
    interval = f"95% interval {found['low']:.1%} to {found['high']:.1%}"
    echo(
        f"{found['right']:,} of {found['problems']:,} right: {found['accuracy']:.1%}, {interval} (compared as "
        f"{found['checker']})"
    )
    words = {"steps": "out of steps", "repeats": "the same call again and again", "stuck": "stuck"}
    if unanswered := [f"{ended[reason]:,} {word}" for reason, word in words.items() if ended[reason]]:
        echo(f"without an answer: {', '.join(unanswered)}")
    calls = f"{mean['calls']:.1f} calls ({mean['failed_calls']:.1f} without a result)"
    tokens = f"{mean['prompt_tokens']:,.0f} prompt and {mean['generated_tokens']:,.0f} written tokens"
    echo(f"each: {mean['turns']:.1f} decisions, {calls}, {tokens}, {mean['seconds']:.2f} s")
