"""What a run directory says, put together as the plain data that the report draws and the headline figures."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from clearhead.alignment.labels import share_positive
from clearhead.errors import UserError
from clearhead.pipeline.data import load_tasks
from clearhead.pipeline.measure import read_units, read_usage
from clearhead.pipeline.recipe import Recipe, to_plain
from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.pipeline.stages import load_tokenizer, read_rollouts
from clearhead.reasoning.evaluate import Row, Unit, compare, label, table
from clearhead.reasoning.strategies import SAMPLED, SEARCHES, family
from clearhead.tasks.task import Task
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import SPECIALS, CharTokenizer
from clearhead.training.record import read

CURVE_POINTS = 300  # more cannot be seen in a plot
TITLES = {"game24": ("Game of 24", "hard Game of 24 puzzles"), "multiplication": ("Multiplication", "products")}


def report_data(run: RunDir) -> dict[str, Any]:
    """Everything the report shows; parts that the run has not reached are missing."""
    recipe, state = run.recipe(), run.read_state()
    tasks = load_tasks(recipe, run.drawn)
    pretrain, reward = events(run, "pretrain"), events(run, "reward")
    data: dict[str, Any] = {
        "run": {
            "name": recipe.name, "seed": recipe.seed, "recipe": to_plain(recipe), "stages": state["stages"],
            "seconds": sum(stage["seconds"] for stage in state["stages"]),
            **{key: state[key] for key in ("started", "command", "versions", "machine") if key in state},
        },
        "tasks": [task_info(name, task, recipe) for name, task in tasks.items()],
    }  # fmt: skip
    if pretrain:
        data["model"] = model_info(run, recipe, pretrain)
        data["training"] = {
            "curve": curve(pretrain),
            "evals": [_eval_point(event, pretrain) for event in pretrain if event["kind"] == "eval"],
            "samples": [{"step": e["step"], "text": e["sample"]} for e in pretrain if e.get("sample")],
        }
    measured = {name: evaluation(run, name, recipe) for name in tasks}
    data["evaluation"] = {name: found for name, found in measured.items() if found}
    data["examples"] = {name: examples(read_units(run, name), recipe) for name in data["evaluation"]}
    if reward:
        count, positive = share_positive(read_rollouts(run))
        data["reward"] = {"curve": curve(reward), "labels": {"count": count, "positive": positive}}
        first = next((name for name in tasks if (run.evaluation / name / "quality.json").is_file()), None)
        if first:
            data["reward"]["quality"] = _without(read_json(run.evaluation / first / "quality.json"), "ece")
    data["trees"] = [_tree(read_json(path)) for path in sorted(run.evaluation.glob("tree-*.json"))]
    if (run.evaluation / "attention.json").is_file():
        data["attention"] = read_json(run.evaluation / "attention.json")
    return data


def events(run: RunDir, stage: str) -> list[dict[str, Any]]:
    return read(run.record(stage)) if run.record(stage).is_file() else []


def task_info(name: str, task: Task, recipe: Recipe) -> dict[str, Any]:
    rng = random.Random(recipe.seed)
    drawn = {problem: list(task.solve(problem, rng)) for problem in task.problems("train", 20, recipe.seed)}
    problem = max(drawn, key=lambda problem: len(drawn[problem]))  # a task may train on parts of problems as well
    title, noun = TITLES.get(task.name, (name, "problems"))
    return {
        "name": name, "title": title, "noun": noun, "statement": task.statement, "example_problem": problem,
        "test_problems": len(task.problems("test", recipe.evaluation.problems, recipe.seed)),
        "example_solution": drawn[problem],
    }  # fmt: skip


def model_info(run: RunDir, recipe: Recipe, pretrain: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    steps = [event for event in pretrain if event["kind"] == "step"]
    tokenizer = load_tokenizer(run)
    config = recipe.decoder(tokenizer.vocab_size)
    tokens, seconds = sum(event["tokens"] for event in steps), sum(event["seconds"] for event in steps)
    usual = sorted(event["seconds"] for event in steps)[len(steps) // 2] if steps else float("nan")
    return {
        "parameters": config.parameters,
        "flops_per_token": 3 * config.flops_per_token(keys=recipe.pretrain.tokens // 2),
        "config": {**vars(config)},
        "alphabet": alphabet(tokenizer),
        "training_tokens": tokens,
        "training_seconds": seconds,
        "tokens_per_second": recipe.pretrain.rows * recipe.pretrain.tokens * recipe.pretrain.accumulate / usual,
    }


def alphabet(tokenizer: CharTokenizer | SubwordTokenizer) -> list[str]:
    """The tokens, where they are so few that a person can look at them."""
    return [*SPECIALS, *tokenizer.alphabet] if isinstance(tokenizer, CharTokenizer) else []


def curve(recorded: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Loss against steps and tokens, each point the mean of a stretch."""
    steps = [event for event in recorded if event["kind"] == "step"]
    stretch = max(1, len(steps) // CURVE_POINTS)
    points, tokens = [], 0
    for start in range(0, len(steps), stretch):
        group = steps[start : start + stretch]
        tokens += sum(event["tokens"] for event in group)
        points.append(
            {
                "step": group[-1]["step"], "tokens": tokens, "lr": group[-1]["lr_scale"],
                "loss": sum(event["loss"] for event in group) / len(group),
            }
        )  # fmt: skip
    return points


def evaluation(run: RunDir, name: str, recipe: Recipe) -> dict[str, Any] | None:
    """The strategies of one task as table and plot need them; None if nothing was measured."""
    units = read_units(run, name)
    if not units:
        return None
    usage = read_usage(run, name)
    rows = table(units, recipe.evaluation.budgets)
    found: dict[str, Any] = {
        "problems": len(units[0]["problems"]),
        "seeds": len({unit["seed"] for unit in units}),
        "strategies": strategies(rows),
        "engine": {key: usage[key] for key in ("computed", "unique", "reused")},
    }
    matched = comparison(units, recipe)
    return found | ({"comparison": matched, "search": matched["a"]} if matched else {})


def strategies(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows grouped into lines of the plot: all widths of a beam are one line."""
    lines: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = family(row.strategy)
        line = lines.setdefault(name, {"name": name, "label": label(name), "unit": "tokens", "points": []})
        keys = ("budget", "accuracy", "low", "high", "generated", "reward", "seconds")
        line["points"].append({key: getattr(row, key) for key in keys})
    return list(lines.values())


def comparison(units: Sequence[Unit], recipe: Recipe) -> dict[str, Any] | None:
    """The search of the recipe against best-of-N with the same reward model, at the largest budget both can spend."""
    a, b = recipe.report.compare
    if not {a, b} <= {unit["strategy"] for unit in units}:
        return None
    for budget in [recipe.report.compare_at] if recipe.report.compare_at else sorted(recipe.evaluation.budgets)[::-1]:
        try:
            matched = compare(units, a, b, budget)
        except UserError:  # best-of-N never spent as much
            continue
        estimate, low, high = matched.difference
        return {
            "a": family(a), "b": family(b), "tokens_a": matched.cost_a, "tokens_b": matched.cost_b,
            "difference": estimate, "low": low, "high": high,
        }  # fmt: skip
    return None


def examples(units: Sequence[Unit], recipe: Recipe) -> list[dict[str, Any]]:
    """Problems that search solved and greedy did not, that both solved, and that search failed, side by side."""
    first = {unit["strategy"]: unit for unit in units if unit["seed"] == 0}
    search = next((s for s in (recipe.report.compare[0], *SEARCHES, *SAMPLED) if s in first), None)
    if "greedy" not in first or search is None:
        return []
    kinds: dict[tuple[bool, bool], list[dict[str, Any]]] = {}
    for quick, slow in zip(first["greedy"]["problems"], first[search]["problems"], strict=True):
        ok = (bool(quick["marks"][-1][3]), bool(slow["marks"][-1][3]))
        kinds.setdefault(ok, []).append(
            {
                "problem": quick["problem"], "greedy_ok": ok[0], "search_ok": ok[1],
                "greedy_steps": quick["steps"] or [], "greedy_answer": quick["answer"],
                "search_steps": slow["steps"] or [], "search_answer": slow["answer"],
            }
        )  # fmt: skip
    share = max(1, recipe.report.examples // 3)
    wanted = [(False, True), (True, True), (False, False), (True, False)]
    return [example for kind in wanted for example in kinds.get(kind, [])[:share]][: recipe.report.examples]


def headline(run: RunDir, data: Mapping[str, Any]) -> dict[str, Any]:
    """The figures for the terminal and for `--json`."""
    lines, figures = [], {}
    for name, found in data["evaluation"].items():
        best = {line["name"]: line["points"][-1] for line in found["strategies"]}
        figures[name] = best
        for key, point in best.items():
            tokens = point["generated"] + point["reward"]
            lines.append(
                f"{name:>16}  {label(key):<44} {point['accuracy']:6.1%}  [{point['low']:.0%}, {point['high']:.0%}]"
                f"  {tokens:7,.0f} tokens"
            )
    return {"run": str(run.path), "report": str(run.report), "lines": lines, "accuracy": figures}


def _tree(data: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("text", "visits", "prior", "chosen", "done", "correct")

    def node(plain: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **{key: plain.get(key) for key in keys}, "value": plain["mean_value"], "reward": plain["raw_value"],
            "children": [node(child) for child in plain["children"]],
        }  # fmt: skip

    return {**{key: data[key] for key in ("title", "problem", "strategy", "answer")}, "root": node(data["root"])}


def _eval_point(event: Mapping[str, Any], recorded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    tokens = sum(e["tokens"] for e in recorded if e["kind"] == "step" and e["step"] <= event["step"])
    return {
        "step": event["step"], "tokens": tokens, "loss": event.get("held_out_loss"), "accuracy": event["accuracy"],
    }  # fmt: skip


def _without(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k != key}
