"""`clearhead eval`: strategies compared on the same problems at the same price."""

from pathlib import Path

import click

from clearhead.cli.eval_agent import agent
from clearhead.cli.examples import examples
from clearhead.cli.intake import allow, parse_columns, trust_option
from clearhead.cli.options import (
    device_option,
    json_option,
    local_only,
    refuse_before,
    run_option,
    set_option,
    skip_bad_option,
)
from clearhead.cli.sampling import kv_memory_option
from clearhead.errors import UserError
from clearhead.terminal import echo_json


@click.group(
    invoke_without_command=True,
    subcommand_metavar="[agent ...]",
    epilog=examples(
        ("clearhead eval --run runs/demo --task game24", "the test problems, the usual strategies"),
        ("clearhead eval --run runs/demo --task game24 --strategies greedy,halving --budget 300", "choose"),
        ("clearhead eval --run runs/demo --task multiplication --problems mine.txt --json", "problems of your own"),
        ("clearhead eval --run runs/own-task --data new.jsonl --out predictions.jsonl", "new rows with their answers"),
        ("clearhead eval --run runs/demo --set search.samples=48", "a wider search"),
        ("clearhead eval agent smollm2 --data sums.jsonl --tools calculator", "an agent with its tools"),
    ),
)
@run_option
@click.option("--task", "task_name", help="A task of the run. Default: its first.")
@click.option(
    "--problems",
    "file",
    type=click.Path(path_type=Path),
    help="A text file, one problem a line. Default: the test split.",
)
@click.option("--data", type=click.Path(path_type=Path), help="A file of rows with problem and answer.")
@click.option("--columns", metavar="KEY=COLUMN,...", help="What --data calls problem and answer.")
@skip_bad_option
@click.option("--strategies", help="Names separated by commas; beam:8 sets a width. Default: the usual ones.")
@click.option("--budget", "budgets", type=click.IntRange(min=1), multiple=True, default=(1000,), show_default=True,
              help="Tokens a problem may cost; may be given several times.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many sampling seeds.")
@click.option("--limit", type=click.IntRange(min=1), help="How many problems at most. Default: a whole file, else 100.")
@set_option("search.KEY")
@click.option("--out", type=click.Path(path_type=Path), help="Write every answer there, one JSON object a line.")
@kv_memory_option
@device_option
@trust_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, directory: str | None, task_name: str | None, file: Path | None, data: Path | None,
    columns: str | None, skip_bad: bool, strategies: str | None, budgets: tuple[int, ...], seeds: int,
    limit: int | None, settings: tuple[str, ...], out: Path | None, kv_memory: int | None, device: str, trust: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Measure strategies on problems of a task: accuracy with its 95% interval, tokens and seconds a problem.

    Strategies: direct, greedy, in-context, self-consistency, best-of-n-outcome, best-of-n-last, best-of-n-min,
    best-of-n-product, best-of-n-joint, weighted-vote, likelihood-vote, odds-vote, beam, tree-of-thought, mcts-ucb,
    mcts-puct, halving, and auto, which is at each budget what answered the run's held-out problems best.

    --data names new rows with answers, in any form that a task may have (see the README). They are checked as the task
    checks its own.
    """
    if ctx.invoked_subcommand:
        refuse_before(ctx)
        return
    if directory is None:
        raise UserError("name a finished run, as in --run DIR; or measure an agent: clearhead eval agent MODEL")
    if data and file:
        raise UserError("--problems and --data both name problems; give one of them")
    if (columns or skip_bad) and not data:
        raise UserError(f"{'--columns' if columns else '--skip-bad'} is about the rows of --data FILE; name that file")
    if out and out.exists():
        raise UserError(f"{out} already exists; choose another --out, or delete it")

    from clearhead.cli.display import Display
    from clearhead.files import write_whole
    from clearhead.generation.remote import RemoteModel, is_address
    from clearhead.kernels.machine import choose_device
    from clearhead.pipeline import compare
    from clearhead.pipeline.answer import endpoint_task, unreadable, with_search
    from clearhead.pipeline.journal import line
    from clearhead.pipeline.rundir import RunDir
    from clearhead.pipeline.stages import load_models, run_strategy_context
    from clearhead.reasoning.evaluate import table
    from clearhead.reasoning.strategy import SearchConfig, StrategyContext

    display, remote = Display(), is_address(directory)
    if remote:
        local_only("device", "kv_memory", "trust")
        seed, (name, task) = 0, endpoint_task(task_name)
    else:
        run = RunDir(Path(directory))
        allow(run, trust)
        recipe = run.recipe()
        seed, (name, task) = recipe.seed, compare.chosen_task(run, task_name)
    if data:
        task = compare.with_labels(task, data, parse_columns(columns) if columns else {}, skip_bad)
    many = limit or (MOST if file or data else compare.TEST_PROBLEMS)
    problems = compare.chosen_problems(task, file, many, seed)
    if remote:
        context = StrategyContext(RemoteModel.at(directory), None, with_search(SearchConfig(), settings), task.answer)
    else:
        search, most = with_search(recipe.search, settings), recipe.kv_bytes if kv_memory is None else kv_memory
        models = load_models(run, {name: task}, choose_device(device), most)
        context = run_strategy_context(run, name, task, models, search)
    named = [part.strip() for part in (strategies or "").split(",") if part.strip()]
    chosen = named or compare.usual(context)
    unread = {problem: why for problem in problems if (why := unreadable(context.model, problem, chosen[0]))}
    if unread:
        first = next(iter(unread.values()))
        display.say(f"{len(unread)} of {len(problems)} problems cannot be read and count as unanswered: {first}")
    results = compare.evaluate(
        context, name, task, problems, chosen, sorted(budgets), seeds, display.progress, unread
    )  # fmt: skip
    if out:
        write_whole(out, "".join(map(line, compare.lines(results))))
    rows = table(results, sorted(budgets))
    if as_json:
        echo_json([row._asdict() for row in rows])
        return
    display.table(rows)


command.add_command(agent)

MOST = 1 << 40  # problems: all of them
