"""What the files of a run directory hold, as shapes (clearhead.plain): whoever reads one can rely on it.

A key that older runs lack has a "?".
"""

from typing import Any

from clearhead.pipeline.sizes import FIELDS, LATER_FIELDS
from clearhead.pipeline.time_limit import LEAST
from clearhead.plain import mismatch
from clearhead.reasoning.strategies import STRATEGIES, family

NUMBER = (float, None)


def _strategy(value: Any) -> bool:
    return isinstance(value, str) and family(value) in STRATEGIES


def _marks(value: Any) -> bool:
    """[generated, reward, seconds, right] of one or more points on the way of an attempt."""
    numbers = isinstance(value, list) and value and all(isinstance(mark, list) and len(mark) == 4 for mark in value)
    return bool(numbers) and all(isinstance(each, int | float) for mark in value for each in mark)


def _path(value: Any) -> bool:
    """A solution with a label for each state on its way, the empty one first."""
    shape = {"problem": str, "steps": [str], "done": bool, "labels": [float]}
    return not mismatch(value, shape) and len(value["labels"]) == len(value["steps"]) + 1


STATE = {
    "stages": [{"name": str, "seconds": float}],
    "going?": {str: float},
    "inputs?": [{"name": str, "original": str, "sha256": str, "bytes": int, "modified": int, "copied": bool}],
    "started?": str, "command?": str, "versions?": {str: str}, "machine?": {str: object},
}  # fmt: skip
SIZES = {
    **{name: int for name in FIELDS if name not in LATER_FIELDS},
    **{f"{name}?": int for name in LATER_FIELDS},
    "rows?": int,
    "limits?": {f"{key}?": int for key in LEAST},
}
BASE = {"name": str, "model": {str: object}}
BEFORE = {str: {"right": int, "asked": int, "tokens": float, "seconds": float, "cut": int, "sample": str}}
PREFLIGHT = {
    "tasks": {
        str: {
            "splits": {str: int}, "lengths": {str: int}, "intake": [str], "seen": NUMBER,
            "rows": (None, {"rows": int, "used": int, "duplicates": int, "skipped": int, "contradictions": [object]}),
        }
    },
    "model": {str: int}, "seconds": {str: float}, "warnings": [str],
}  # fmt: skip
_POINT = {"rows": int, "accuracy": float, "low": float, "high": float}
EVENTS = {  # of a training's log, by kind; what is of another shape is no event
    "step": {"step": int, "loss": float, "lr_scale": float, "tokens": int, "seconds": float},
    "eval": {"step": int, "held_out_loss?": float, "seen_loss?": float, "accuracy?": {str: float}, "sample?": str},
    "kept": {"step": int, "best_step": int},
    "round": {
        "step": int,
        "round": int,
        "reward": float,
        "truth?": float,
        "kl": float,
        "kl_token": float,
        "entropy": float,
        "length": float,
        "cut": float,
        "without_variance": float,
        "sample": str,
    },
}
ROWS_CURVE = ([_POINT], {"points": [_POINT], "advice": str})
ROLLOUTS = ([_path], {"paths": [_path], "cut": int, "drawn": int, "limits": [str]})
_HEAD = {"scale": float, "reward": float, "policy": float, "bias": float}
_INTERVAL = {"estimate": float, "low": float, "high": float}
_BEFORE_AFTER = {"before": _INTERVAL, "after": _INTERVAL, "gain": _INTERVAL}
ALIGNMENT = {
    "method": str, "health": [str],
    "tasks": {str: {"problems": int, "greedy": _BEFORE_AFTER, "sampled": _BEFORE_AFTER}},
}  # fmt: skip
_STANDING = {"kl": float, "proxy": _INTERVAL, "truth": _INTERVAL}
OVEROPTIMIZATION = {
    "kept": float, "best_of_n": [{"n": int, **_STANDING}],
    "lines": [
        {"beta": float, "held_out": float, **_STANDING, "fooled": [{"problem": str, "answer": str, "proxy": float}]}
    ],
}  # fmt: skip
CALIBRATION = {"outcome": _HEAD, "process": _HEAD, "step": _HEAD, "sharpness": float}
SCORES = {str: {str: [float]}}  # right or wrong of each problem, by strategy and budget
_CHOICE = {
    "budget": int, "strategy": _strategy, "spend": int, "accuracy": float, "low": float, "high": float,
    "candidates": {str: float},
}  # fmt: skip
AUTO = {
    str: {
        "problems": int, "calibration": (None, CALIBRATION), "reward_model_helps": bool, "why": str,
        "budgets": lambda value: isinstance(value, list) and bool(value) and not mismatch(value, [_CHOICE]),
    }
}  # fmt: skip
EVAL_RESULTS = {
    "units": [
        {
            "strategy": _strategy, "seed": int, "budget": int,
            "problems": [
                {
                    "problem": str, "marks": _marks, "steps": ([str], None), "answer": (str, None),
                    "expected?": (str, None), "cut?": int, "drawn?": int, "limits?": [str],
                }
            ],
        }
    ],
    "usage": {"computed": int, "unique": int, "reused": int, "generated": int},
}  # fmt: skip
_SHARE = {"pairs": int, "right_first": NUMBER, "low": NUMBER, "high": NUMBER}
_BY_DEPTH = [{"depth": int, "auc": NUMBER, "n": int}]
QUALITY = {
    "within?": {"all": _SHARE, "by_depth": [{"depth": int, **_SHARE}]},
    "auc_outcome": NUMBER, "brier": NUMBER, "ece": NUMBER,
    "calibration": [{"predicted": NUMBER, "observed": NUMBER, "count": int}],
    "auc_process?": NUMBER, "label_auc?": NUMBER, "by_depth?": _BY_DEPTH,
    "first_error?": (None, {"accuracy": NUMBER, "n": int}),
}  # fmt: skip
_NODE: dict[str, Any] = {
    "text": str, "visits": int, "mean_value": NUMBER, "prior": NUMBER, "raw_value": NUMBER, "done": bool,
    "chosen": bool, "correct?": (bool, None),
}  # fmt: skip
_NODE["children"] = [_NODE]
TREE = {"title": str, "problem": str, "strategy": _strategy, "answer": (str, None), "root": _NODE}
ATTENTION = {"title": str, "tokens": [str], "layers": [[[[float]]]]}
