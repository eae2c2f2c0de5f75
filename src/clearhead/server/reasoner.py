"""The runs that reason by search: models that are loaded when first asked, and a thread for one problem at a time.

The search has engines of its own: those that draw for chats are the stepper's.
"""

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from clearhead.pipeline.answer import Solver, SolveResult, solve, solver, usual_strategy, with_search
from clearhead.pipeline.rundir import RunDir
from clearhead.reasoning.strategies import STRATEGIES, known
from clearhead.reasoning.strategy import StrategyContext
from clearhead.server.bodies import ReasonBody
from clearhead.server.errors import ApiError, refused

MOST_WAITING = 16  # problems


class Left(Exception):
    """The client is gone: the search ends where it looks next."""


@dataclass
class Reasoner:
    """The runs among the models, each loaded when it is first asked."""

    runs: dict[str, RunDir] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    kv_memory: int | None = None
    _solvers: dict[str, Solver] = field(default_factory=dict)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "reason"))
    _waiting: int = 0

    def plain(self) -> list[dict[str, Any]]:
        """The runs, and what they can be asked, as far as that is known without loading them."""
        return [
            {"model": name, "tasks": list(run.recipe().tasks), "strategies": able(run),
             "usual": usual_strategy(run, run.reward.is_file())}
            for name, run in self.runs.items()
        ]  # fmt: skip

    def solver(self, body: ReasonBody) -> Solver:
        run, seed = self.runs[body.model], body.seed or 0
        settings = [f"search.{key}={json.dumps(value)}" for key, value in (body.search or {}).items()]
        if body.model not in self._solvers:
            self._solvers[body.model] = solver(run, None, 1, 0, (), self.device, self.kv_memory)
        ready = self._solvers[body.model]
        strategy = body.strategy or usual_strategy(run, run.reward.is_file())
        known([strategy], run.reward.is_file(), run.auto.is_file(), run.searcher.is_file())
        search = with_search(ready.search, settings)

        def context(name: str) -> StrategyContext:
            return ready.context(name)._replace(config=search)

        budget = body.budget or 1000
        return replace(ready, context=context, search=search, strategy=strategy, budget=budget, seed=seed)

    async def answer(self, body: ReasonBody, look: Callable[[Callable[[], Any]], None]) -> SolveResult:
        """Solve it when its turn has come; `look` is called in the thread with a way to the tree as it is then."""
        if body.model not in self.runs:
            there = ", ".join(self.runs) or "none"
            raise refused(f"{body.model[:80]} is no run that reasons by search; here are: {there}", "model")
        if self._waiting >= MOST_WAITING:
            raise ApiError(429, f"{self._waiting} problems wait; try again later", code="queue_full")
        self._waiting += 1
        gone = threading.Event()

        def watch(tree: Callable[[], Any]) -> None:
            if gone.is_set():
                raise Left
            look(tree)

        def work() -> SolveResult:
            if gone.is_set():
                raise Left
            return solve(self.solver(body), body.problem, body.task, watch)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            gone.set()
            self._waiting -= 1

    def stop(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def able(run: RunDir) -> list[str]:
    """The strategies that have all they need in this run."""
    has = run.reward.is_file(), run.searcher.is_file()
    return [name for name, one in STRATEGIES.items() if one.able(*has) and (one.kind != "auto" or run.auto.is_file())]
