"""A whole run: the stages in order, each done once, whatever interrupts them."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import torch

import clearhead
from clearhead.errors import UserError
from clearhead.pipeline import text_measure, text_stages
from clearhead.pipeline.calibration import calibration_stage
from clearhead.pipeline.measure import evaluation_stage
from clearhead.pipeline.rows_curve import rows_curve_stage
from clearhead.pipeline.stages import (
    Context,
    pretrain_stage,
    reader_stage,
    reward_stage,
    rollouts_stage,
    tokenizer_stage,
)
from clearhead.pipeline.text_stages import TextContext

STAGES: tuple[tuple[str, Callable[[Context], None]], ...] = (
    ("tokenizer", tokenizer_stage),
    ("pretrain", pretrain_stage),
    ("rows-curve", rows_curve_stage),
    ("reader", reader_stage),
    ("rollouts", rollouts_stage),
    ("reward", reward_stage),
    ("calibration", calibration_stage),
    ("evaluation", evaluation_stage),
)


TEXT_STAGES: tuple[tuple[str, Callable[[TextContext], None]], ...] = (
    ("corpus", text_stages.corpus_stage),
    ("tokenizer", text_stages.tokenizer_stage),
    ("shards", text_stages.shards_stage),
    ("pretrain", text_stages.pretrain_stage),
    ("evaluation", text_measure.evaluation_stage),
)
C = TypeVar("C", Context, TextContext)


def go(context: C, stages: Sequence[tuple[str, Callable[[C], None]]]) -> None:
    """Do every stage that is not done yet."""
    for name, stage in stages:
        if context.run.finished(name):
            context.say(f"{name}: done before")
            continue
        started = time.perf_counter()
        stage(context)
        seconds = time.perf_counter() - started
        context.run.finish(name, seconds)
        context.say(f"{name}: {seconds:.0f} s")


def choose_device(name: str) -> torch.device:
    """auto takes the GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda was asked for, but torch finds no GPU here; use --device cpu or auto")
    if name not in ("cpu", "cuda"):
        raise UserError(f"device {name!r} is unknown; use auto, cpu or cuda")
    return torch.device(name)


def facts(command: str, device: torch.device) -> dict[str, Any]:
    """When, how and on what a run was started: what a reader needs to repeat it."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "versions": {
            "clearhead": clearhead.__version__, "python": platform.python_version(), "torch": torch.__version__,
            **{name: _version(name) for name in ("numpy", "safetensors")},
        },
        "machine": {
            "cpu": _cpu(), "cores": os.cpu_count(), "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        },
    }  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
