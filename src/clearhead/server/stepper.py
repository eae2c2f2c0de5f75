"""One thread that steps the engines of all models, and hands each request's tokens to the loop that asked.

Deliberately not here: what is made of the tokens (drawing.py). Nobody else may touch an engine while the thread runs.
"""

import asyncio
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from clearhead.errors import UserError
from clearhead.generation.constraint import Unfollowable
from clearhead.generation.engine import Engine
from clearhead.generation.request import Request, TokenEvent

T = TypeVar("T")
Told = list[TokenEvent] | Exception


class Ticket(NamedTuple):
    """A request that was handed in, and who is told of its tokens."""

    engine: Engine
    request: Request
    tell: Callable[[Told], None]


class Stepper:
    """Requests are added and canceled between steps; every engine that has some is stepped in turn."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._tickets: dict[tuple[Engine, int], Ticket] = {}
        self._ids: dict[int, tuple[Engine, int]] = {}  # by the identity of a ticket
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def held(self) -> int:
        """Requests whose tokens somebody waits for."""
        return len(self._tickets)

    def start(self) -> None:
        """Called in the loop that is told."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended; what still runs is dropped."""
        self._asked.put(None)
        self._thread.join()

    def add(self, ticket: Ticket) -> None:
        self._asked.put(lambda: self._add(ticket))

    def cancel(self, ticket: Ticket) -> None:
        """Nothing more is told of it, and its place is free before the next step."""
        self._asked.put(lambda: self._cancel(ticket))

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns, done between two steps."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

        def do() -> None:
            if done.cancelled():
                return
            try:
                self._call(settle, work(), None)
            except Exception as error:
                self._call(settle, None, error)

        self._asked.put(do)
        return await done

    def _run(self) -> None:
        """Do what was asked since the last step, then step: neither waits for the other without end."""
        while True:
            busy = {engine for engine, _ in self._tickets}
            for _ in range(max(not busy, self._asked.qsize())):
                asked = self._asked.get()
                if asked is None:
                    return
                asked()
            for engine in busy:
                if engine.unfinished:
                    self._step(engine)

    def _add(self, ticket: Ticket) -> None:
        try:
            key = ticket.engine, ticket.engine.add(ticket.request)
        except Exception as error:
            self._call(ticket.tell, error)
            return
        self._tickets[key] = ticket
        self._ids[id(ticket)] = key

    def _cancel(self, ticket: Ticket) -> None:
        key = self._ids.pop(id(ticket), None)
        if key is not None and self._tickets.pop(key, None) is not None:
            key[0].cancel(key[1])

    def _step(self, engine: Engine) -> None:
        try:
            events = engine.step()
        except Unfollowable as error:
            self._fail([self._tickets[engine, error.request]], error)
            return
        except Exception as error:  # no request of this engine can go on
            if not isinstance(error, UserError):
                traceback.print_exc(file=sys.stderr)
            self._fail([ticket for (of, _), ticket in self._tickets.items() if of is engine], error)
            return
        told: dict[int, list[TokenEvent]] = {}
        for event in events:
            told.setdefault(event.request, []).append(event)
        self._call(_tell_all, [(self._tickets[engine, request].tell, some) for request, some in told.items()])

    def _fail(self, tickets: Sequence[Ticket], error: Exception) -> None:
        for ticket in tickets:
            self._cancel(ticket)
            self._call(ticket.tell, error)

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        """In the loop, unless it is over."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            self._asked.put(None)


def _tell_all(told: Sequence[tuple[Callable[[Told], None], list[TokenEvent]]]) -> None:
    for tell, events in told:
        tell(events)
