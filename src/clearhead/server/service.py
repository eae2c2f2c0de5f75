"""What all endpoints share: the models, the thread that steps their engines, limits and counts."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from clearhead.generation.request import Request, TokenEvent
from clearhead.server.drawing import Drawing, Piece, Written
from clearhead.server.errors import ApiError, refused
from clearhead.server.metrics import Metrics
from clearhead.server.reasoner import Reasoner
from clearhead.server.runs import Runs
from clearhead.server.served import Models, Served
from clearhead.server.stepper import Stepper

T = TypeVar("T")
READERS = 4  # threads that read prompts and schemas


@dataclass(frozen=True)
class Settings:
    """The limits of a server, and whom it lets in. No `keys`: anybody; no `hosts`: by any name."""

    max_samples: int = 256  # that wait or run
    max_tokens: int = 1024  # of an answer in a chat that sets no limit
    max_body: int = 8 << 20  # bytes
    body_seconds: float = 30.0  # for a body to arrive
    send_seconds: float = 60.0  # for a client to take what it is sent
    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


class Service:
    """Made once for each server; `start` and `stop` belong to its loop."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.models, self.stepper, self.metrics = Models(), Stepper(), Metrics()
        self.reasoner, self.runs = Reasoner(), Runs()
        self._readers = ThreadPoolExecutor(READERS, "reader")
        self._samples = 0

    def start(self) -> None:
        self.stepper.start()

    def stop(self) -> None:
        self.stepper.stop()
        self.reasoner.stop()
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def read(self, work: Callable[[], T]) -> T:
        """What `work` returns, in a thread of its own: prompts and schemas may take a while."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    @asynccontextmanager
    async def drawing(self, served: Served, requests: Sequence[Request], after: bool) -> AsyncGenerator["Counted"]:
        """The requests at work. ApiError where they can never be, or where there are too many already."""
        samples, most = sum(request.n for request in requests), self.settings.max_samples
        if samples > most:
            raise refused(f"the request asks for {samples} texts, and {most} are possible; ask for fewer", "n")
        if self._samples + samples > most:
            raise ApiError(429, f"{self._samples} texts wait or are being written, and {most} may; try again later",
                           code="queue_full")  # fmt: skip
        self._hold(samples)
        started = time.perf_counter()
        drawing = Drawing(self.stepper, served.engine, requests, after)
        try:
            await self.read(lambda: check(served, requests))
            self.metrics.prompt_tokens.labels(served.name).inc(sum(len(one.prompt_ids) for one in requests))
            async with drawing:
                yield Counted(self, served, drawing, started)
        finally:
            self._hold(-samples)
            self.metrics.generated_tokens.labels(served.name).inc(drawing.tokens)

    def _hold(self, samples: int) -> None:
        self._samples += samples
        self.metrics.samples.set(self._samples)


def check(served: Served, requests: Sequence[Request]) -> None:
    """UserError where one could never run. What it makes of a schema is remembered, and ready when the engine asks."""
    for request in requests:
        served.engine.check(request)


@dataclass
class Counted:
    """A drawing whose first token is timed."""

    service: Service
    served: Served
    drawing: Drawing
    started: float

    async def events(self) -> AsyncGenerator[tuple[Piece, TokenEvent]]:
        first = True
        async for piece, event in self.drawing.events():
            if first:
                seconds = time.perf_counter() - self.started
                self.service.metrics.first_token.labels(self.served.name).observe(seconds)
                first = False
            yield piece, event

    async def whole(self) -> dict[tuple[int, int], Written]:
        return await self.drawing.whole(self.events())
