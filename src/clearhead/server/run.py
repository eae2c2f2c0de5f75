"""The server as a process: a socket, models loaded behind it, connections that may not dawdle, and an end in order."""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from clearhead.checkpoints.load import load_model
from clearhead.errors import UserError
from clearhead.generation.backend import memory_limit
from clearhead.generation.engine import Engine, backend_for
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.rundir import RunDir
from clearhead.server.app import make_app
from clearhead.server.served import Served
from clearhead.server.service import Service

HEADER_SECONDS = 10.0  # for the head of a request to arrive, and before the first one
KEEP_ALIVE = 30  # seconds
BACKLOG = 512  # clients that wait to be let in
MANY = 2  # texts at once, or more


class Connection(H11Protocol):
    """uvicorn's, which would wait for the head of a request forever."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def bind(host: str, port: int) -> socket.socket:
    """A socket whose clients wait until the server is there. UserError where there can be none."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(f"{host}:{port} cannot be listened at: {error.strerror}; choose another --port") from None


def load(service: Service, names: Mapping[str, str], device: torch.device, dtype: torch.dtype | None,
         kv_memory: int | None, say: Callable[[str], None], weights: str = "float") -> None:  # fmt: skip
    """Load every model, each with its share of the memory for keys and values."""
    share = memory_limit(device, kv_memory) // len(names)
    service.reasoner.device, service.reasoner.kv_memory = device, kv_memory
    for name, model in names.items():
        loaded = load_model(model, device, dtype, weights)
        if isinstance(loaded.model, EncoderDecoder):
            raise UserError(f"{model} is an encoder-decoder, and these are not served; ask it by clearhead generate")
        engine = Engine(backend_for(loaded.model, MANY, share), loaded.tokenizer)
        service.models.by_name[name] = Served(name, loaded, engine)
        if (run := run_of(model)) is not None:
            service.reasoner.runs[name], service.runs.served[name] = run, run.path
        say(f"{name}: loaded")
    service.models.ready = True


def run_of(model: str) -> RunDir | None:
    """The run on tasks that a model is the policy of, None for another model."""
    path = Path(model).expanduser()
    if not (path / "config.toml").is_file():
        return None
    run = RunDir(path)
    return run if isinstance(run.any_recipe(), Recipe) else None


def config_of(service: Service, drain: int) -> Config:
    """How uvicorn runs the application: what was begun may end within `drain` seconds."""
    return Config(
        make_app(service), http=Connection, ws="none", lifespan="on", log_level="warning", access_log=False,
        server_header=False, timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=drain,
    )  # fmt: skip


def serve(service: Service, listening: socket.socket, drain: int, prepare: Callable[[], None]) -> None:
    """Answer until a signal comes, then finish what was begun within `drain` seconds.

    `prepare` loads the models meanwhile; what it raises ends the server and is raised here.
    """
    server = Server(config_of(service, drain))
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}

    async def run() -> None:
        async def ready() -> None:
            while not server.started:
                await asyncio.sleep(0.01)
            try:
                await asyncio.get_running_loop().run_in_executor(None, prepare)
            except BaseException:
                server.should_exit = True
                raise

        loading = asyncio.create_task(ready())
        await server.serve([listening])
        if loading.done():
            loading.result()
        loading.cancel()

    try:
        asyncio.run(run())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
