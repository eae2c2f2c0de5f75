"""Tokens/s of `clearhead serve` with 16 clients over the bare engine's with their prompts, and p95 to the first token.

The two take turns in one run, each with an engine of its own over one model; the clients are a process of their own and
stream chats of equal length, each with its own prompt, so that nothing is shared. Reported: the median ratio of the
turns, and the 95th percentile of the time from a request to its first token when all 16 come at once.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

CLIENTS = 16
WORDS = ["red", "blue", "green", "tall", "small", "old", "new", "soft"]


def prompt(client: int) -> str:
    return " ".join(WORDS[(client + k * k) % len(WORDS)] for k in range(12 + client))


async def one(port: int, client: int, tokens: int) -> tuple[float, int]:
    """Seconds to the first token, and tokens, of one client."""
    body = json.dumps({
        "model": "m", "prompt": prompt(client), "max_tokens": tokens, "seed": client, "stream": True, "logprobs": 0,
        "stream_options": {"include_usage": True}, "temperature": 1,
    }).encode()  # fmt: skip
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    first, used = 0.0, 0
    async for line in reader:
        if line.startswith(b"data: {"):
            first = first or time.perf_counter() - started
            event = json.loads(line[6:])
            used = event["usage"]["completion_tokens"] if event.get("usage") else used
    writer.close()
    return first, used


async def clients(port: int, tokens: int) -> dict[str, float | list[float]]:
    started = time.perf_counter()
    found = await asyncio.gather(*(one(port, client, tokens) for client in range(CLIENTS)))
    return {
        "seconds": time.perf_counter() - started,
        "tokens": sum(n for _, n in found),
        "first": [at for at, _ in found],
    }


def measure(model: str, tokens: int, turns: int) -> dict[str, object]:
    import torch
    from uvicorn import Server

    from clearhead.checkpoints.load import load_model
    from clearhead.generation.engine import Engine, backend_for
    from clearhead.generation.language_model import SamplingParams
    from clearhead.generation.request import Request
    from clearhead.server.run import bind, config_of, load
    from clearhead.server.service import Service
    from clearhead.text.begin import prompt_tokens

    service, memory = Service(), 1 << 30
    load(service, {"m": model}, torch.device("cpu"), None, memory, lambda line: None)
    listening = bind("127.0.0.1", 0)
    server = Server(config_of(service, 1))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    loaded = load_model(model, torch.device("cpu"))
    engine = Engine(backend_for(loaded.model, CLIENTS, memory), loaded.tokenizer)
    own = dict(loaded.sampling) | {"temperature": 1.0}

    def bare() -> float:
        for client in range(CLIENTS):
            ids = prompt_tokens(loaded.tokenizer, prompt(client))
            engine.add(Request(ids, SamplingParams(**own, max_tokens=tokens), seed=client))
        started, n = time.perf_counter(), 0
        while engine.unfinished:
            n += len(engine.step())
        rate = n / (time.perf_counter() - started)
        engine.flush()
        engine.backend.forget()
        return rate

    def served() -> tuple[float, list[float]]:
        service.models.by_name["m"].engine.backend.forget()
        command = [sys.executable, __file__, "--port", str(listening.getsockname()[1]), "--tokens", str(tokens)]
        told = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        return told["tokens"] / told["seconds"], told["first"]

    bare(), served()
    ratios, firsts, rates = [], [], []
    for turn in range(turns):
        if turn % 2:
            ours, theirs = served(), bare()
        else:
            theirs, ours = bare(), served()
        ratios.append(ours[0] / theirs)
        firsts += ours[1]
        rates.append((round(ours[0], 1), round(theirs, 1)))
    server.should_exit = True
    thread.join()
    return {
        "ratio": round(statistics.median(ratios), 3),
        "p95_first_token_seconds": round(statistics.quantiles(firsts, n=20)[-1], 3),
        "tokens_per_second": rates, "clients": CLIENTS, "tokens": tokens,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="a folder, a GGUF file, or smollm2")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    told = (
        asyncio.run(clients(args.port, args.tokens)) if args.port else measure(str(args.model), args.tokens, args.turns)
    )
    print(json.dumps(told))


if __name__ == "__main__":
    main()
