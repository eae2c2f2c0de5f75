"""Decoding and prompts with weights of 8 and 4 bits against llama.cpp on the same file, and 16 texts against float32.

SmolLM2-135M is written as Q8_0 and as Q4_0 (`clearhead convert`), and both programs read that. The two take turns in
one run, with as many threads, and the median ratio of the turns is reported; the processor, the kernel that was chosen
here and how much of the memory's speed each reaches are named. llama.cpp is the build of the package xllamacpp (AVX2),
in a process of its own; what it says of its own time is believed. ATEN_CPU_CAPABILITY=avx2 keeps ours to AVX2, too.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from decoding import bandwidth, seconds

from clearhead.checkpoints.convert import convert
from clearhead.checkpoints.load import LoadedModel, load_model
from clearhead.cli.display import Display
from clearhead.generation.contiguous import ContiguousBackend
from clearhead.generation.engine import Engine
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.trie_backend import TrieBackend
from clearhead.kernels.quantized import best_kernel

PROMPT, LONG, TEXTS = 16, 512, 16
FILES = {"int8": "q8_0", "int4": "q4_0"}
PEER = """
import json, sys, xllamacpp
asked = xllamacpp.CommonParams()
asked.model.path, asked.n_ctx, asked.n_parallel, asked.warmup, asked.verbosity = sys.argv[1], 2048, 1, True, 0
asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = int(sys.argv[2])
server = xllamacpp.Server(asked)
print("ready", flush=True)
for line in sys.stdin:
    prompt, new = json.loads(line)
    told = server.handle_completions({
        "prompt": prompt, "n_predict": new, "temperature": 0.0, "ignore_eos": True, "cache_prompt": False,
    })
    print(json.dumps(told["timings"]), flush=True)
"""


class LlamaCpp:
    """A process that completes prompts of ids."""

    def __init__(self, file: Path) -> None:
        command = [sys.executable, "-c", PEER, str(file), str(torch.get_num_threads())]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None and self.process.stdin is not None
        self.out, self.into = self.process.stdout, self.process.stdin
        while "ready" not in self.out.readline():
            pass

    def rates(self, ids: list[int], new: int) -> tuple[float, float]:
        """Tokens a second of the prompt, and of what is written."""
        self.into.write(json.dumps([ids, new]) + "\n")
        self.into.flush()
        while not (line := self.out.readline()).startswith("{"):
            assert line, "llama.cpp ended"
        told = json.loads(line)
        return told["prompt_per_second"], told["predicted_per_second"]

    def close(self) -> None:
        self.into.close()
        self.process.wait()


def ids_of(count: int) -> list[int]:
    return torch.randint(10, 40_000, (count,), generator=torch.Generator().manual_seed(1)).tolist()


def run(engine: Engine, prompt: list[int], new: int, n: int = 1, temperature: float = 0.0) -> None:
    engine.add(Request(prompt, SamplingParams(temperature=temperature, max_tokens=new), n=n))
    while engine.unfinished:
        engine.step()


def our_rates(loaded: LoadedModel, new: int) -> Callable[[list[int]], tuple[float, float]]:
    """As `LlamaCpp.rates`: the first token is the prompt's, and the others are written."""
    backend = ContiguousBackend(loaded.decoder)
    engine = Engine(backend, loaded.tokenizer)

    def rates(ids: list[int]) -> tuple[float, float]:
        backend.tokens = []
        engine.add(Request(ids, SamplingParams(temperature=0.0, max_tokens=new + 1)))
        first = seconds(engine.step)
        started, steps = seconds_of_rest(engine)
        return len(ids) / first, steps / started

    return rates


def seconds_of_rest(engine: Engine) -> tuple[float, int]:
    steps = 0

    def rest() -> None:
        nonlocal steps
        while engine.unfinished:
            steps += len(engine.step())

    return seconds(rest), steps


def told(what: str, ours: list[float], theirs: list[float], peer: str, more: str = "") -> None:
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(
        f"  {what:<22} {statistics.median(ours):7.1f} tokens/s, {peer} {statistics.median(theirs):7.1f}: "
        f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f}){more}",
        flush=True,
    )


def against_llama_cpp(kind: str, file: Path, turns: int, new: int, memory: float) -> None:
    loaded, peer = load_model(str(file), torch.device("cpu"), weights="auto"), LlamaCpp(file)
    ours, short, long = our_rates(loaded, new), ids_of(PROMPT), ids_of(LONG)
    for ids in (short, long):  # what happens only the first time
        ours(ids), peer.rates(ids, new)
    found = [(ours(ids), peer.rates(ids, new)) for _ in range(turns) for ids in (short, long)]
    weights = file.stat().st_size
    rates = [pair[0][1] for pair in found[::2]]
    share = f", {statistics.median(rates) * weights / memory:.0%} of the memory's {memory / 1e9:.1f} GB/s"
    print(f"{kind}: {file.stat().st_size / 1e6:,.0f} MB")
    told("one text", rates, [pair[1][1] for pair in found[::2]], "llama.cpp", share)
    told("a prompt of 512", [pair[0][0] for pair in found[1::2]], [pair[1][0] for pair in found[1::2]], "llama.cpp")
    peer.close()


def many_texts(file: Path, turns: int, new: int) -> None:
    engines = {}
    for weights in ("float", "auto"):
        loaded = load_model(str(file), torch.device("cpu"), torch.float32, weights)
        engines[weights] = Engine(TrieBackend(loaded.decoder, torch.float32), loaded.tokenizer)
    rates: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(turns + 1):
        for name, engine in engines.items():
            took = seconds(lambda engine=engine: run(engine, ids_of(PROMPT), new, TEXTS, 1.0))  # type: ignore[misc]
            if turn:
                rates[name].append(TEXTS * new / took)
    told(f"{TEXTS} texts at once", rates["auto"], rates["float"], "our float32")


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--weights", choices=list(FILES), action="append")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--texts", action="store_true", help="Measure many texts at once, too.")
    options = parser.parse_args()
    memory = bandwidth()
    print(f"{processor()}, {torch.get_num_threads()} threads, kernel {best_kernel().name}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.weights or FILES:
            file = Path(folder) / f"{kind}.gguf"
            convert(options.model, file, FILES[kind], False, Display().progress)
            against_llama_cpp(kind, file, options.turns, options.tokens, memory)
            if options.texts:
                many_texts(file, options.turns, options.tokens)


if __name__ == "__main__":
    main()
