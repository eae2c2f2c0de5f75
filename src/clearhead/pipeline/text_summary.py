"""What the directory of a run on text says, as the plain data of the report and the headline figures."""

from collections.abc import Mapping
from typing import Any

from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.pipeline.stages import load_tokenizer
from clearhead.pipeline.summary import alphabet, curve, events
from clearhead.pipeline.text_models import new_model, record_name
from clearhead.pipeline.text_recipe import TextRecipe, to_plain
from clearhead.text.shards import Shards


def report_data(run: RunDir) -> dict[str, Any]:
    """Everything the report shows; parts that the run has not reached are missing."""
    recipe, state = run.text_recipe(), run.read_state()
    recorded = events(run, record_name(recipe.kinds[0]))
    data: dict[str, Any] = {
        "run": {
            "name": recipe.name, "seed": recipe.seed, "recipe": to_plain(recipe), "stages": state["stages"],
            "seconds": sum(stage["seconds"] for stage in state["stages"]),
            **{key: state[key] for key in ("started", "command", "versions", "machine") if key in state},
        },
        "text": {"corpus": corpus(run, recipe), "models": models(run, recipe)},
    }  # fmt: skip
    if recorded:
        data["model"] = model_info(run, recipe, recorded)
        data["training"] = training(recorded)
    return data


def corpus(run: RunDir, recipe: TextRecipe) -> dict[str, Any]:
    names = [path.name for path in recipe.data.paths]
    found: dict[str, Any] = {"source": ", ".join(names) or "Python's own documentation"}
    if run.corpus.is_file():
        keys = ("documents", "bytes", "held_out")
        counts = read_json(run.corpus, dict.fromkeys(keys, object))
        found |= {key: counts[key] for key in keys}
    if run.tokens.is_dir():
        index = Shards(run.tokens).index
        found |= {
            "train_tokens": index.train.tokens, "held_out_bytes": index.held.bytes, "vocabulary": index.vocab_size,
            "bytes_per_token": (index.train.bytes + index.held.bytes) / (index.train.tokens + index.held.tokens),
        }  # fmt: skip
    return found


def models(run: RunDir, recipe: TextRecipe) -> list[dict[str, Any]]:
    keys = ("parameters", "tokens", "bytes", "bits_per_byte", "loss", "perplexity", "by_position", "reach", "samples")
    found = []
    for kind in recipe.kinds:
        path = run.evaluation / f"{kind}.json"
        if path.is_file():
            measured = read_json(path, dict.fromkeys(keys, object))
            progress = held_out_curve(events(run, record_name(kind)))
            found.append({"name": kind, **{key: measured[key] for key in keys}, "curve": progress})
    return found


def held_out_curve(recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The held-out loss against tokens and seconds of training. The first step, in which code may be compiled, counts
    as much as the usual one.
    """
    steps = [event for event in recorded if event["kind"] == "step"]
    usual = sorted(event["seconds"] for event in steps)[len(steps) // 2] if steps else 0.0
    points, tokens, seconds = [], 0, 0.0
    for event in recorded:
        if event["kind"] == "step":
            tokens += event["tokens"]
            seconds += event["seconds"] if event["step"] > 1 else usual
        elif event["kind"] == "eval":
            points.append({"tokens": tokens, "seconds": seconds, "loss": event["held_out_loss"]})
    return points


def model_info(run: RunDir, recipe: TextRecipe, recorded: list[dict[str, Any]]) -> dict[str, Any]:
    steps = [event for event in recorded if event["kind"] == "step"]
    tokenizer = load_tokenizer(run)
    config = new_model(recipe, recipe.kinds[0], tokenizer.vocab_size).config
    usual = sorted(event["seconds"] for event in steps)[len(steps) // 2] if steps else float("nan")
    return {
        "parameters": config.parameters,
        "flops_per_token": 3 * config.flops_per_token(keys=recipe.pretrain.seq_len // 2),
        "config": {**vars(config)},
        "alphabet": alphabet(tokenizer),
        "training_tokens": sum(event["tokens"] for event in steps),
        "training_seconds": sum(event["seconds"] for event in steps),
        "tokens_per_second": recipe.pretrain.batch_size * recipe.pretrain.seq_len * recipe.pretrain.accumulate / usual,
    }


def training(recorded: list[dict[str, Any]]) -> dict[str, Any]:
    tokens, evals = 0, []
    for event in recorded:
        tokens += event["tokens"] if event["kind"] == "step" else 0
        if event["kind"] == "eval":
            evals.append({"step": event["step"], "tokens": tokens, "loss": event["held_out_loss"]})
    samples = [{"step": event["step"], "text": event["sample"]} for event in recorded if event.get("sample")]
    return {"curve": curve(recorded), "evals": evals, "samples": samples}


def headline(run: RunDir, data: Mapping[str, Any]) -> dict[str, Any]:
    """The figures for the terminal and for `--json`."""
    measured = data["text"]["models"]
    lines = [
        f"{model['name']:>8}  {model['parameters']:,} parameters, {model['bits_per_byte']:.4f} bits per byte of "
        f"held-out text, perplexity {model['perplexity']:,.2f} and {model['loss']:.4f} nats per token"
        for model in measured
    ]
    keys = ("parameters", "bits_per_byte", "perplexity", "loss", "tokens", "bytes")
    figures = {model["name"]: {key: model[key] for key in keys} for model in measured}
    return {"run": str(run.path), "report": str(run.report), "lines": lines, "models": figures}
