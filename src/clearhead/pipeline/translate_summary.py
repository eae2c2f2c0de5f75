"""What the directory of a run that translates says, as the plain data of the report and the headline figures."""

from collections.abc import Mapping
from typing import Any

from clearhead.pipeline.rundir import RunDir, read_json
from clearhead.pipeline.summary import about, events
from clearhead.pipeline.text_summary import held_out_curve
from clearhead.pipeline.translate_recipe import to_plain
from clearhead.pipeline.translate_stages import log_name


def report_data(run: RunDir) -> dict[str, Any]:
    """Everything the report shows; parts that the run has not reached are missing."""
    recipe = run.translate_recipe()
    told = read_json(run.pairs_told, {str: int}) if run.pairs_told.is_file() else {}
    names = [path.name for path in recipe.data.paths]
    source = " and ".join(names) or "lists of numbers in English and German words, made here"
    models = [found for name in recipe.trained if (found := model(run, name))]
    translation = {"source": source, "pairs": told, "beams": recipe.evaluation.beams, "models": models}
    return {"run": about(run, to_plain(recipe)), "translation": translation}


def model(run: RunDir, name: str) -> dict[str, Any] | None:
    """One model's figures, as far as there are any."""
    path = run.evaluation / f"{name}.json"
    if not path.is_file():
        return None
    recorded = events(run, log_name(name))
    steps = [event for event in recorded if event["kind"] == "step"]
    seconds = sum(event["seconds"] for event in steps)
    measured = read_json(path, {"parameters": int, "pairs": int, "loss": float, "greedy": {str: object}})
    return {
        "name": name, **measured, "curve": held_out_curve(recorded), "training_seconds": seconds,
        "training_tokens_per_second": sum(event["tokens"] for event in steps) / seconds if seconds else None,
    }  # fmt: skip


def headline(run: RunDir, data: Mapping[str, Any]) -> dict[str, Any]:
    """The figures for the terminal and for `--json`."""
    measured = data["translation"]["models"]
    width = max((len(model["name"]) for model in measured), default=0)
    lines = [f"{model['name']:>{width}}  {_told(model)}" for model in measured]
    keys = ("parameters", "loss", "greedy", "beam", "training_seconds", "training_tokens_per_second")
    figures = {model["name"]: {key: model[key] for key in keys} for model in measured}
    return {"run": str(run.path), "report": str(run.report), "lines": lines, "models": figures}


def _told(model: Mapping[str, Any]) -> str:
    beam = model["beam"]
    scored = f", BLEU {beam['bleu']:.1f}, chrF {beam['chrf']:.1f}" if "bleu" in beam else ""
    return (
        f"{model['parameters']:,} parameters, {model['loss']:.4f} nats per token, "
        f"{beam['exact']['estimate']:.1%} exact{scored}; trained in {model['training_seconds']:.0f} s"
    )
