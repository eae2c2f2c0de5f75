"""The application: which path is answered by what, in OpenAI's forms, errors among them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

import clearhead
from clearhead.server import chat, completions, embeddings, page, reason, responses, runs, study
from clearhead.server.bodies import ChatBody, CompletionBody, EmbeddingBody, ReasonBody, ResponseBody
from clearhead.server.errors import HANDLERS, Json
from clearhead.server.gate import HELD, App, Gate
from clearhead.server.service import Service

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": told, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    for status, told in {
        400: "The request cannot be honored.", 401: "No key, or a wrong one.", 403: "Another host or page.",
        404: "No such model.", 408: "Too slow.", 413: "Too large.", 429: "Too many texts already.",
        503: "The models are being loaded.",
    }.items()
}  # fmt: skip
ERROR_SCHEMA = {
    "type": "object", "required": ["error"],
    "properties": {"error": {
        "type": "object", "required": ["message", "type", "param", "code"],
        "properties": {
            "message": {"type": "string"}, "type": {"type": "string"},
            "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]},
        },
    }},
}  # fmt: skip


def held_by(request: Request) -> AsyncExitStack:
    """What is closed when the request is over, however it ends."""
    found: AsyncExitStack = request.scope[HELD]
    return found


Held = Annotated[AsyncExitStack, Depends(held_by)]


def make_app(service: Service) -> App:
    """The application behind its gate. Its loop starts and stops the service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.stop()

    app = FastAPI(
        title="Clearhead", version=clearhead.__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json", exception_handlers=HANDLERS, responses=ERRORS, redirect_slashes=False,
    )  # fmt: skip
    add_routes(app, service)
    add_page(app, service)
    app.openapi = lambda: described(app)  # type: ignore[method-assign]
    return Gate(app, service)


def add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/chat/completions", response_model=None)
    async def chat_completions(body: ChatBody, held: Held) -> Response:
        return await chat.create(service, body, held)

    @app.post("/v1/completions", response_model=None)
    async def text_completions(body: CompletionBody, held: Held) -> Response:
        return await completions.create(service, body, held)

    @app.post("/v1/embeddings", response_model=None)
    async def text_embeddings(body: EmbeddingBody) -> Response:
        return await embeddings.create(service, body)

    @app.post("/v1/responses", response_model=None)
    async def text_responses(body: ResponseBody, held: Held) -> Response:
        return await responses.create(service, body, held)

    @app.post("/v1/reason", response_model=None)
    async def reasoned(body: ReasonBody, held: Held) -> Response:
        return await reason.create(service, body, held)

    @app.get("/v1/models", response_model=None)
    async def models() -> Response:
        return Json({"object": "list", "data": [one.plain() for one in service.models.by_name.values()]})

    @app.get("/v1/models/{name:path}", response_model=None)
    async def model(name: str) -> Response:
        return Json(service.models.find(name).plain())

    @app.get("/health", response_model=None)
    async def health() -> Response:
        ready = service.models.ready
        return Json({"status": "ok" if ready else "loading"}, 200 if ready else 503)

    @app.get("/metrics", response_model=None)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def add_page(app: FastAPI, service: Service) -> None:
    """The page at / and what it asks for, which is no API for others and stands in no schema."""
    hidden: dict[str, Any] = {"response_model": None, "include_in_schema": False}

    @app.get("/", **hidden)
    async def index() -> Response:
        return page.file("index.html")

    @app.get("/page/{name}", **hidden)
    async def file(name: str) -> Response:
        return page.file(name)

    @app.get("/guide/{name}", **hidden)
    async def guide(name: str) -> Response:
        return await service.read(partial(page.guide, name))

    @app.post("/api/markdown", **hidden)
    async def markdown(body: page.MarkdownBody) -> Response:
        return await service.read(partial(page.markdown, body))

    @app.get("/api/reason", **hidden)
    async def reasoners() -> Response:
        return Json({"runs": await service.read(service.reasoner.plain)})

    @app.get("/api/runs", **hidden)
    async def all_runs() -> Response:
        return Json(await service.read(service.runs.plain))

    @app.get("/api/runs/{name}", **hidden)
    async def run(name: str, other: str | None = None) -> Response:
        found = {one: service.runs.find(one) for one in filter(None, (name, other))}
        return Json(await service.read(partial(runs.described, found)))

    @app.get("/api/runs/{name}/report", **hidden)
    async def report(name: str) -> Response:
        return await service.read(partial(runs.report, service.runs.find(name)))

    @app.get("/api/study/decks", **hidden)
    async def study_decks() -> Response:
        return Json(await service.read(study.listed))

    @app.get("/api/study/next", **hidden)
    async def next_card(deck: str) -> Response:
        return Json(await service.read(partial(study.following, deck)))

    @app.post("/api/study/rate", **hidden)
    async def rate(body: study.RatingBody) -> Response:
        return Json(await service.read(partial(study.rated, body)))

    @app.get("/api/practice", **hidden)
    async def exercises() -> Response:
        return Json(await service.read(study.exercises))

    @app.get("/api/practice/{name}", **hidden)
    async def exercise(name: str) -> Response:
        return Json(await service.read(partial(study.described, name)))

    @app.post("/api/practice/{name}", **hidden)
    async def grade(name: str, body: study.SolutionBody) -> Response:
        return Json(await service.read(partial(study.graded, name, body)))


def described(app: FastAPI) -> dict[str, Any]:
    """The schema of the API: what is wrong with a body is told with 400, never 422."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        schema["components"]["schemas"]["Error"] = ERROR_SCHEMA
    assert app.openapi_schema is not None
    return app.openapi_schema
