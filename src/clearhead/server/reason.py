"""/v1/reason: a problem for the models of a run, answered by a strategy within a budget, with tree and price."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

from starlette.responses import Response

from clearhead.errors import UserError
from clearhead.pipeline.answer import SolveResult
from clearhead.server.bodies import ReasonBody
from clearhead.server.errors import ApiError, Json, refused
from clearhead.server.forms import events, new_id, now
from clearhead.server.reasoner import Reasoner
from clearhead.server.service import Service

EVERY = 0.2  # seconds between two looks at a tree that grows


async def create(service: Service, body: ReasonBody, held: AsyncExitStack) -> Response:
    service.models.find(body.model)
    if body.stream:
        return events(stream(service.reasoner, body, held))
    solved = await service.reasoner.answer(body, lambda tree: None)
    return Json(told(body, solved))


def told(body: ReasonBody, solved: SolveResult) -> dict[str, Any]:
    plain = solved.plain(with_tree=True)
    tree = plain.pop("tree")
    price = {"generated": solved.generated, "reward": solved.reward, "tokens": solved.generated + solved.reward,
             "budget": body.budget, "seconds": solved.seconds}  # fmt: skip
    for key in ("generated", "reward", "seconds"):
        del plain[key]
    return {"id": new_id("reason-"), "object": "reason", "created": now(), "model": body.model, **plain,
            "price": price, "tree": tree}  # fmt: skip


async def stream(reasoner: Reasoner, body: ReasonBody, held: AsyncExitStack) -> AsyncIterator[dict[str, Any]]:
    """Events of type tree while it grows, and one of type answer."""
    loop, found = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any]]()
    last = 0.0

    def look(tree: Callable[[], Any]) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY:
            loop.call_soon_threadsafe(found.put_nowait, {"type": "tree", "tree": tree()})
            last = time.monotonic()

    async def solved() -> None:
        try:
            found.put_nowait({"type": "answer", **told(body, await reasoner.answer(body, look))})
        except (ApiError, UserError) as error:
            line = error if isinstance(error, ApiError) else refused(str(error))
            found.put_nowait({"type": "error", **line.plain()})

    work = asyncio.create_task(solved())
    held.callback(work.cancel)
    while True:
        event = await found.get()
        yield event
        if event["type"] != "tree":
            return
