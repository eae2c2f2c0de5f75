"""A whole run: the stages in order, each done once, whatever interrupts them."""

import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import clearhead
from clearhead.errors import UserError
from clearhead.files import held, write_json
from clearhead.pipeline import trust
from clearhead.pipeline.kinds import Stage, kind_of
from clearhead.pipeline.recipes import AnyRecipe, plain
from clearhead.pipeline.rundir import RunDir, create, differences

BEAT = 2.0  # seconds of a stage's time that a kill can lose


def go(context: Any, stages: Sequence[Stage]) -> None:
    """Do every stage that is not done yet, with the run's directory for this process alone."""
    with held(context.run.path):
        for stage in stages:
            if context.run.finished(stage.name):
                context.say(f"{stage.name}: done before")
                continue
            with _timed(context.run, stage.name) as seconds:
                stage.do(context)
            context.run.finish(stage.name, seconds())
            context.say(f"{stage.name}: {seconds():.0f} s")


@contextmanager
def _timed(run: RunDir, stage: str) -> Iterator[Callable[[], float]]:
    """The seconds of a stage over all attempts, noted now and then so that those before a kill count as well."""
    before, started, over = run.spent(stage), time.perf_counter(), threading.Event()

    def seconds() -> float:
        return before + time.perf_counter() - started

    def beat() -> None:
        while not over.wait(BEAT):
            run.note(stage, seconds())

    noting = threading.Thread(target=beat, daemon=True)
    noting.start()
    try:
        yield seconds
    finally:
        over.set()
        noting.join()
        run.note(stage, seconds())


def begin_from(source: RunDir, redo: str, out: Path, recipe: AnyRecipe, facts: Mapping[str, Any]) -> RunDir:
    """A new run that takes over what `source` has finished before the stage `redo`; what follows is done anew."""
    trust.require(source.path, source.python_files())
    stages = kind_of(recipe).stages
    names = [stage.name for stage in stages]
    if redo not in names:
        raise UserError(f"there is no stage {redo!r} to redo; the stages are {', '.join(names)}")
    taken = stages[: names.index(redo)]
    changed = {stage_of(name, stages): name for name in differences(plain(source.any_recipe()), plain(recipe))}
    done = {entry["name"]: entry for entry in source.read_state()["stages"]}
    for stage in taken:
        if stage.name in changed:
            raise UserError(
                f"{changed[stage.name]} belongs to the stage {stage.name}, which is taken over; "
                f"leave it as it is, or write --redo {stage.name}"
            )
        if stage.name not in done:
            raise UserError(f"{source.path} has not finished the stage {stage.name}; write --redo {stage.name}")
    run = create(out, recipe, {**facts, "from": {"run": str(source.path), "redo": redo}})
    try:
        for stage in taken:
            _copy(stage.leaves, source.path, run.path)
        write_json(run.state, {**run.read_state(), "stages": [done[stage.name] for stage in taken]})
    except BaseException:  # half of it would look like a run to go on with
        shutil.rmtree(run.path)
        raise
    return run


def stage_of(setting: str, stages: Sequence[Stage]) -> str | None:
    """The first stage that reads a setting, None of one that no stage reads (the run's name).

    >>> from clearhead.pipeline.kinds import KINDS
    >>> stages = KINDS["task"].stages
    >>> stage_of("pretrain.steps", stages), stage_of("tasks.game24.rollouts", stages), stage_of("name", stages)
    ('pretrain', 'rollouts', None)
    """
    fits = [
        (len(pattern), stage.name)
        for stage in stages
        for pattern in stage.reads
        if fnmatchcase(setting, pattern) or fnmatchcase(setting, f"{pattern}.*")
    ]
    return max(fits)[1] if fits else None


def _copy(patterns: Sequence[str], source: Path, target: Path) -> None:
    for path in {found for pattern in patterns for found in source.glob(pattern)}:
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        else:
            shutil.copy2(path, target / path.name)


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
