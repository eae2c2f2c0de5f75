"""`clearhead serve`: models behind an OpenAI-compatible API, and a page to work in."""

import functools
import sys
from pathlib import Path

import click

from clearhead.cli.examples import examples
from clearhead.cli.generate import dtype_named
from clearhead.cli.options import device_option, dtype_option
from clearhead.cli.sampling import kv_memory_option
from clearhead.errors import UserError
from clearhead.terminal import echo

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@click.command(
    epilog=examples(
        ("clearhead serve smollm2", "http://127.0.0.1:8000/ is a page, /v1 the API"),
        ("clearhead serve runs/demo chat=DIR --port 9000", "several models; one under a name of your choice"),
        ("clearhead serve DIR --host 0.0.0.0 --api-key-file keys.txt", "for others, who need a key"),
    )
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    help="A file of keys, one a line, one of which clients must send.",
)
@click.option(
    "--runs",
    "folder",
    type=click.Path(path_type=Path),
    default="runs",
    show_default=True,
    help="Runs that the page shows.",
)
@click.option("--origin", "origins", multiple=True, help="Let pages of this origin ask, such as http://localhost:3000.")
@click.option(
    "--max-samples", type=click.IntRange(min=1), default=256, show_default=True,
    help="Texts that wait or are written at once; more are refused with 429.",
)  # fmt: skip
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=1024, show_default=True,
    help="Tokens of a chat's answer where a request says nothing.",
)  # fmt: skip
@click.option(
    "--drain", type=click.IntRange(min=0), default=30, show_default=True,
    help="Seconds for what was begun, after Ctrl-C or SIGTERM.",
)  # fmt: skip
@kv_memory_option
@dtype_option
@device_option
def command(
    models: tuple[str, ...], host: str, port: int, api_key_file: Path | None, folder: Path, origins: tuple[str, ...],
    max_samples: int, max_tokens: int, drain: int, kv_memory: int | None, dtype: str, device: str,
) -> None:  # fmt: skip
    """Serve MODELs to clients of OpenAI's API, all requests in one batch, and a page for a browser.

    MODEL is what `clearhead chat` takes; NAME=MODEL gives it another name than the last part of its path. An adapter's
    folder is a model with its base. Requests name what they mean by `model`. A run's directory also answers
    /v1/reason. Only this computer may ask, unless --host says otherwise, and then a key is needed.
    """
    names, keys = _names(models), _keys(api_key_file)
    if host not in LOOPBACK and not keys:
        raise UserError(f"--host {host} lets others ask; give --api-key-file, a file of keys, one a line")
    _serve(names, host, port, keys, folder, origins, max_samples, max_tokens, drain, kv_memory, dtype, device)


def _names(models: tuple[str, ...]) -> dict[str, str]:
    try:
        from clearhead.server.served import served_names
    except ImportError as error:
        raise UserError(f"serving needs the package {error.name}: pip install 'clearhead[server]'") from None
    return served_names(models)


def _keys(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    found = tuple(filter(None, (line.strip() for line in file.read_text(encoding="utf-8").splitlines())))
    if not found:
        raise UserError(f"{file} holds no key; write one a line")
    return found


def _serve(
    names: dict[str, str], host: str, port: int, keys: tuple[str, ...], folder: Path, origins: tuple[str, ...],
    max_samples: int, max_tokens: int, drain: int, kv_memory: int | None, dtype: str, device: str,
) -> None:  # fmt: skip
    from clearhead.kernels.machine import choose_device
    from clearhead.server.run import bind, load, serve
    from clearhead.server.service import Service, Settings

    hosts = () if keys and host not in LOOPBACK else tuple({*LOOPBACK, host})
    service = Service(Settings(max_samples, max_tokens, keys=keys, hosts=hosts, origins=origins))
    service.runs.folder = folder
    listening = bind(host, port)
    at = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    echo(f"http://{shown}:{at}/ (Ctrl-C ends)")
    sys.stdout.flush()
    say = functools.partial(echo, err=True)
    serve(service, listening, drain,
          lambda: load(service, names, choose_device(device), dtype_named(dtype), kv_memory, say))  # fmt: skip
