"""What the directory of a run on text says, as the plain data of the report and the headline figures."""

from collections.abc import Mapping
from typing import Any

from clearhead.doctor.checkup import run_health
from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.pipeline.stages import load_tokenizer
from clearhead.pipeline.summary import about, curve, events, model_info, samples
from clearhead.pipeline.text_models import config_of, log_name
from clearhead.pipeline.text_recipe import TextRecipe, to_plain
from clearhead.text.shards import Shards


def report_data(run: RunDir) -> dict[str, Any]:
    """Everything the report shows; parts that the run has not reached are missing."""
    recipe = run.text_recipe()
    recorded = events(run, log_name(recipe.kinds[0]))
    data: dict[str, Any] = {
        "run": about(run, to_plain(recipe)),
        "text": {"corpus": corpus(run, recipe), "models": models(run, recipe), "encoder": encoder(run)},
        "health": run_health(run.path),
    }
    if recorded:
        config = config_of(recipe, recipe.kinds[0], load_tokenizer(run).vocab_size)
        data["model"] = model_info(run, config, recipe.pretrain, recorded)
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
    for kind in recipe.writers:
        path = run.evaluation / f"{kind}.json"
        if path.is_file():
            measured = read_json(path, dict.fromkeys(keys, object))
            progress = held_out_curve(events(run, log_name(kind)))
            apart = read_json(file, {}) if (file := run.comparison / f"{kind}.json").is_file() else {}
            found.append({"name": kind, **{key: measured[key] for key in keys}, "curve": progress, **apart})
    return found


def encoder(run: RunDir) -> dict[str, Any] | None:
    """What the encoder makes of hidden tokens; None where there is none, or it is not measured yet."""
    path, keys = run.evaluation / "encoder.json", ("parameters", "loss", "accuracy", "tokens", "filled")
    return read_json(path, dict.fromkeys(keys, object)) if path.is_file() else None


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


def training(recorded: list[dict[str, Any]]) -> dict[str, Any]:
    tokens, evals = 0, []
    for event in recorded:
        tokens += event["tokens"] if event["kind"] == "step" else 0
        if event["kind"] == "eval":
            evals.append({"step": event["step"], "tokens": tokens, "loss": event["held_out_loss"]})
    return {"curve": curve(recorded), "evals": evals, "samples": samples(recorded)}


def headline(run: RunDir, data: Mapping[str, Any]) -> dict[str, Any]:
    """The figures for the terminal and for `--json`."""
    measured = data["text"]["models"]
    lines = [
        f"{model['name']:>8}  {model['parameters']:,} parameters, {model['bits_per_byte']:.4f} bits per byte of "
        f"held-out text, perplexity {model['perplexity']:,.2f} and {model['loss']:.4f} nats per token"
        for model in measured
    ]
    if masked := data["text"]["encoder"]:
        lines.append(
            f" encoder  {masked['parameters']:,} parameters, {masked['accuracy']:.1%} of {masked['tokens']:,} hidden "
            f"tokens of held-out text told right, {masked['loss']:.4f} nats each; {run.encoder}"
        )
    keys = ("parameters", "bits_per_byte", "perplexity", "loss", "tokens", "bytes")
    figures = {model["name"]: {key: model[key] for key in keys} for model in measured}
    if masked:
        figures["encoder"] = {key: masked[key] for key in ("parameters", "accuracy", "loss", "tokens")}
    return {"run": str(run.path), "report": str(run.report), "lines": lines, "models": figures}
