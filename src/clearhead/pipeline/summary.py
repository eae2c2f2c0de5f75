"""What a run directory says, put together as the plain data that the report draws and the headline figures."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clearhead.alignment.labels import share_positive
from clearhead.alignment.methods import METHODS, AlignConfig
from clearhead.doctor.checkup import round_lines, run_health
from clearhead.models.decoder import DecoderConfig
from clearhead.models.encoder import EncoderConfig
from clearhead.models.recurrent import RecurrentConfig
from clearhead.pipeline import layout
from clearhead.pipeline.data import run_tasks
from clearhead.pipeline.graded import answers, comparison, examples, limit_values, strategies
from clearhead.pipeline.measure import read_units, read_usage
from clearhead.pipeline.recipe import Recipe, to_plain
from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.pipeline.sizes import Sizes, cut_off_line
from clearhead.pipeline.stages import load_tokenizer, read_rollouts, rollouts_cut_off
from clearhead.plain import mismatch
from clearhead.reasoning.statistics import wilson
from clearhead.tasks.task import Task
from clearhead.text.protocol import Tokenizer
from clearhead.text.tokenizer import SPECIALS, CharTokenizer
from clearhead.training.jsonl_log import read
from clearhead.training.loop import TrainConfig

CURVE_POINTS = 300  # more cannot be seen in a plot
TITLES = {"game24": ("Game of 24", "hard Game of 24 puzzles"), "multiplication": ("Multiplication", "products")}


def report_data(run: RunDir) -> dict[str, Any]:
    """Everything the report shows; parts that the run has not reached are missing."""
    recipe, tasks = run.recipe(), run_tasks(run)
    pretrain, reward = events(run, "pretrain"), events(run, "reward")
    data: dict[str, Any] = {
        "run": about(run, to_plain(recipe)),
        "tasks": [task_info(name, task, recipe) for name, task in tasks.items()],
        "preflight": _preflight(_if_there(run.preflight, layout.PREFLIGHT)),
        "rows_curve": _rows_curve(_if_there(run.rows_curve, layout.ROWS_CURVE)),
        "health": run_health(run.path),
    }
    if pretrain:
        config = recipe.decoder(load_tokenizer(run).vocab_size)
        data["model"] = model_info(run, config, recipe.pretrain, pretrain)
        data["training"] = training(pretrain)
    measured = {name: evaluation(run, name, recipe) for name in tasks}
    data["evaluation"] = {name: found for name, found in measured.items() if found}
    data["examples"] = {name: examples(read_units(run, name), recipe) for name in data["evaluation"]}
    if reward:
        (count, positive), (cut, drawn, limits) = share_positive(read_rollouts(run)), rollouts_cut_off(run)
        measured_on = {name: _if_there(run.evaluation / name / "quality.json", layout.QUALITY) for name in tasks}
        data["reward"] = {
            "curve": curve(reward),
            "evals": [_eval_point(event, reward) for event in reward if event["kind"] == "eval"],
            "kept": kept(reward),
            "labels": {
                "count": count, "positive": positive,
                "cut": cut, "drawn": drawn, "limits": limit_values(recipe, limits, run.read_sizes()),
            },
            "quality": {name: _quality(found) for name, found in measured_on.items() if found},
        }  # fmt: skip
    if rounds := [event for event in events(run, "align") if event["kind"] == "round"]:
        measured = _if_there(run.alignment, layout.ALIGNMENT) or {}
        data["alignment"] = alignment(recipe.align, rounds) | {
            "tasks": measured.get("tasks", {}),
            "overoptimization": _if_there(run.overoptimization, layout.OVEROPTIMIZATION),
        }
    if taught := events(run, "in_context"):
        data["in_context"] = training(taught)
    if rounds := [event for event in events(run, "in_context_align") if event["kind"] == "round"]:
        data["in_context_align"] = alignment(recipe.in_context_align, rounds)
    data["trees"] = [_tree(read_json(path, layout.TREE)) for path in sorted(run.evaluation.glob("tree-*.json"))]
    if (run.evaluation / "attention.json").is_file():
        data["attention"] = read_json(run.evaluation / "attention.json", layout.ATTENTION)
    return data


def training(recorded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The curves of a language model's training."""
    evals = [_eval_point(event, recorded) for event in recorded if event["kind"] == "eval"]
    return {"curve": curve(recorded), "evals": evals, "kept": kept(recorded), "samples": samples(recorded)}


def alignment(config: AlignConfig, rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How a policy learned from its own answers."""
    keys = {"number": "round", "even": "without_variance"}
    names = ("number", "reward", "truth", "kl", "entropy", "length", "even")
    return {
        "method": METHODS[config.method].label if config.method in METHODS else config.method,
        "reward": config.reward,
        "rounds": [{name: event.get(keys.get(name, name)) for name in names} for event in rounds],
        "samples": [{"step": event["round"] + 1, "text": event["sample"]} for event in rounds],
        "health": list(round_lines(rounds).values()),
    }


def about(run: RunDir, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A run of any kind: its recipe, when and on what it was made, and what every stage has taken."""
    state = run.read_state()
    spent = stages(state)
    return {
        "name": recipe["name"], "seed": recipe["seed"], "recipe": recipe,
        "stages": spent, "seconds": sum(stage["seconds"] for stage in spent),
        **{key: state[key] for key in ("started", "command", "versions", "machine") if key in state},
    }  # fmt: skip


def samples(recorded: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"step": event["step"], "text": event["sample"]} for event in recorded if event.get("sample")]


def stages(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The seconds of every stage over all attempts at it, those of one that is not finished included."""
    finished = [{key: stage[key] for key in ("name", "seconds")} for stage in state["stages"]]
    going = [{"name": f"{name}, not finished", "seconds": s} for name, s in state.get("going", {}).items()]
    return finished + going


def events(run: RunDir, stage: str) -> list[dict[str, Any]]:
    recorded = read(run.log(stage)) if run.log(stage).is_file() else []
    return [event for event in recorded if not mismatch(event, layout.EVENTS.get(event["kind"], object))]


def kept(recorded: Sequence[Mapping[str, Any]]) -> int | None:
    """The step whose weights a training kept; None where it kept the last."""
    return next((event["best_step"] for event in recorded if event["kind"] == "kept"), None)


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


def model_info(
    run: RunDir,
    config: DecoderConfig | RecurrentConfig | EncoderConfig,
    training: TrainConfig,
    recorded: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """A language model and what its training took."""
    steps = [event for event in recorded if event["kind"] == "step"]
    tokens, seconds = sum(event["tokens"] for event in steps), sum(event["seconds"] for event in steps)
    usual = sorted(event["seconds"] for event in steps)[len(steps) // 2] if steps else float("nan")
    return {
        "parameters": config.parameters,
        "flops_per_token": 3 * config.flops_per_token(keys=training.seq_len // 2),
        "config": {**vars(config)},
        "alphabet": alphabet(load_tokenizer(run)),
        "training_tokens": tokens,
        "training_seconds": seconds,
        "tokens_per_second": training.batch_size * training.seq_len * training.accumulate / usual,
    }


def alphabet(tokenizer: Tokenizer) -> list[str]:
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
    results = read_units(run, name)
    if not results:
        return None
    usage = read_usage(run, name)
    auto = (_if_there(run.auto, layout.AUTO) or {}).get(name)
    found: dict[str, Any] = {
        "problems": len(results[0]["problems"]),
        "seeds": len({result["seed"] for result in results}),
        "strategies": [*_before(run, name, recipe), *strategies(results, recipe, run.read_sizes())],
        "engine": {key: usage[key] for key in ("computed", "unique", "reused")},
        "auto": _auto(auto) if auto else None,
        "answers": answers(results, recipe.evaluation.budgets),
    }
    matched = comparison(results, recipe)
    return found | ({"comparison": matched, "search": matched["a"]} if matched else {})


def _before(run: RunDir, name: str, recipe: Recipe) -> list[dict[str, Any]]:
    """A line beside the strategies for what the checkpoint of a run that starts from one answered untaught."""
    found = (_if_there(run.before, layout.BEFORE) or {}).get(name)
    if not found or not found["asked"]:
        return []
    accuracy, low, high = wilson(found["right"], found["asked"])
    point = {
        "budget": min(recipe.evaluation.budgets), "accuracy": accuracy, "low": low, "high": high,
        "generated": found["tokens"], "reward": 0.0, "seconds": found["seconds"],
    }  # fmt: skip
    return [
        {
            "name": "before", "label": f"{Path(recipe.base).name} before it was taught", "unit": "tokens",
            "points": [point], "cut": 0, "drawn": found["asked"], "cut_unit": "solution", "limits": [], "kinds": {},
        }
    ]  # fmt: skip


def headline(run: RunDir, data: Mapping[str, Any]) -> dict[str, Any]:
    """The figures for the terminal and for `--json`."""
    lines, figures, cut = [], {}, {}
    recipe, found_sizes = run.recipe(), run.read_sizes()
    for name, found in data["evaluation"].items():
        figures[name] = {line["name"]: line["points"][-1] for line in found["strategies"]}
        for line in found["strategies"]:
            point = line["points"][-1]
            tokens = point["generated"] + point["reward"]
            lines.append(
                f"{name:>16}  {line['label']:<44} {point['accuracy']:6.1%}  [{point['low']:.0%}, {point['high']:.0%}]"
                f"  {tokens:7,.0f} tokens"
            )
        cut[name] = {
            line["name"]: {key: line[key] for key in ("cut", "drawn", "limits")} for line in found["strategies"]
        }
        lines += [f"{name:>16}  {told}" for told in cut_off(found["strategies"], recipe, found_sizes)]
    return {"run": str(run.path), "report": str(run.report), "lines": lines, "accuracy": figures, "cut_off": cut}


def cut_off(lines: Sequence[Mapping[str, Any]], recipe: Recipe, found: Sizes | None) -> list[str]:
    """What limits cut off, and what to do about it; a line for strategies that choose among the same samples."""
    shared: dict[tuple[Any, ...], list[str]] = {}
    for line in lines:
        if line["cut"]:
            limits = tuple(limit["setting"] for limit in line["limits"])
            shared.setdefault((line["cut"], line["drawn"], limits, line["cut_unit"]), []).append(line["name"])
    told = []
    for (cut, drawn, limits, _), (first, *others) in shared.items():
        _, _, rest = cut_off_line(first, cut, drawn, limits, recipe, found).partition(": ")
        told.append(f"{first}{f' and {len(others)} more' if others else ''}: {rest}")
    return told


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
        "step": event["step"], "tokens": tokens, "loss": event.get("held_out_loss"),
        "accuracy": event.get("accuracy", {}), "seen_loss": event.get("seen_loss"),
    }  # fmt: skip


def _preflight(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the report shows of preflight.json: facts of each task, of the whole run, and lines in words."""
    if not found:
        return None
    model, tasks = found.get("model", {}), found.get("tasks", {})
    return {
        "tasks": {name: _task_facts(task) for name, task in tasks.items()},
        "run": {"context": model.get("context"), "tokens of a row": model.get("tokens")},
        "seconds": found.get("seconds", {}).get("all"),
        "warnings": found.get("warnings"),
        "intake": [f"{name}: {line}" for name, task in tasks.items() for line in task.get("intake", ())],
    }  # fmt: skip


def _task_facts(task: Mapping[str, Any]) -> dict[str, Any]:
    rows, lengths, splits = task.get("rows") or {}, task.get("lengths", {}), task.get("splits", {})
    contradictions, stepped = rows.get("contradictions"), _ratio(lengths.get("stepped"), lengths.get("solved"))
    return {
        "rows in the file": rows.get("rows"), "rows used": rows.get("used"), "duplicates": rows.get("duplicates"),
        "contradictions": None if contradictions is None else len(contradictions), "rows left out": rows.get("skipped"),
        "problems to train on": splits.get("train"), "problems to watch": splits.get("valid"),
        "problems to test": splits.get("test"),
        "with steps": None if stepped is None else f"{stepped:.0%}",
        "longest problem": lengths.get("problem"), "longest step": lengths.get("step"),
        "most steps": lengths.get("steps"), "longest solution": lengths.get("solution"),
        "times each is seen": task.get("seen"),
    }  # fmt: skip


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _quality(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the report shows of a quality.json; pairs within a problem are one table instead of two."""
    keys = ("auc_process", "auc_outcome", "label_auc", "brier", "calibration", "first_error", "by_depth")
    shown = {key: found[key] for key in keys if key in found}
    if within := found.get("within"):
        every = ("pairs", "right_first", "low", "high")
        shown["within"] = {
            **{key: (within.get("all") or {}).get(key) for key in every},
            "by_depth": [{key: row.get(key) for key in ("depth", *every[:2])} for row in within.get("by_depth", ())],
        }
    return shown


def _auto(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the report shows of a task's part of auto.json."""
    keys = ("budget", "strategy", "accuracy", "low", "high")
    return {
        "choices": [{key: choice.get(key) for key in keys} for choice in found.get("budgets", ())],
        "reward_model_helps": found.get("reward_model_helps"), "why": found.get("why"),
    }  # fmt: skip


def _rows_curve(found: Any) -> dict[str, Any] | None:
    """Points, and perhaps an advice on them; a bare list is points alone."""
    if not found:
        return None
    points, advice = (found, None) if isinstance(found, list) else (found.get("points", ()), found.get("advice"))
    keys = ("rows", "accuracy", "low", "high")
    return {"points": [{key: point.get(key) for key in keys} for point in points], "advice": advice}


def _if_there(path: Path, shape: Any) -> Any:
    """What a file of the run holds, None where the run has none."""
    return read_json(path, shape) if path.is_file() else None
