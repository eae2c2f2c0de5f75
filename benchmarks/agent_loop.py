"""What the loop costs beside the model and its tools: 500 steps of an agent whose model answers at once.

    python benchmarks/agent_loop.py [--steps 500] [--context 4096]

Counted is all else: the prompt, its tokens, memory, the transcript on the disk, the call of a tool that does nothing.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from clearhead.agents import transcript
from clearhead.agents.calls import deny
from clearhead.agents.loop import Limits, run
from clearhead.agents.memory import Memory
from clearhead.agents.opening import counter
from clearhead.agents.policy import ModelPolicy
from clearhead.agents.prompt import load_style
from clearhead.agents.steps import Summary, Task
from clearhead.agents.tools import tool
from clearhead.agents.transcript import Entry
from clearhead.generation.language_model import Constraint, Continuation, SamplingParams, Usage
from clearhead.text.tokenizer import CharTokenizer

ASCII = CharTokenizer("\n" + "".join(map(chr, range(32, 127))), byte_fallback=True)


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


class Instant:
    """A `LanguageModel` that has always thought already."""

    def __init__(self) -> None:
        self.calls = 0

    def fits(self, prompt: str) -> bool:
        return True

    def open(self, prompts: Sequence[str]) -> list[int]:
        return list(range(len(prompts)))

    def fork(self, node: int) -> int:
        return node

    def extend(
        self, nodes: Sequence[int], n: int, sampling: SamplingParams, seeds: Sequence[int], stop: str | None = "\n",
        constraint: Constraint | None = None,
    ) -> list[list[Continuation]]:  # fmt: skip
        self.calls += 1
        text = f'Thought: the sum number {self.calls}\nAction: add {{"a": {self.calls}, "b": 1}}\nObservation:'
        return [[Continuation(node, text, 0.0, len(text), False)] for node in nodes]

    def score(self, nodes: Sequence[int], texts: Sequence[str]) -> list[float]:
        raise NotImplementedError

    def release(self, nodes: Sequence[int]) -> None: ...

    def close(self, nodes: Sequence[int]) -> None: ...

    def usage(self, node: int | None = None) -> Usage:
        return Usage()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--context", type=int, default=4096)
    asked = parser.parse_args()
    tools = {"add": tool(add)}
    with tempfile.TemporaryDirectory() as folder:
        path, entries = Path(folder) / "trace.jsonl", list[Entry]()
        header = {"model": "", "tools": [], "style": "", "seed": 0, "max_steps": asked.steps, "plan": False}
        transcript.create(path, header)
        sampling = SamplingParams(max_tokens=min(512, asked.context // 4))
        memory = Memory(Path(folder) / "memory.db")
        policy = ModelPolicy(
            Instant(), tools, load_style("bare"), counter(ASCII), asked.context, sampling, memory=memory
        )

        def emit(some: Sequence[Entry]) -> None:
            transcript.append(path, some)
            entries.extend(some)

        started, busy = time.perf_counter(), time.process_time()
        run([Task("Add for ever.")], policy, tools, Limits(asked.steps), deny, emit)
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
    sizes = [entry.prompt for entry in entries if entry.prompt and not isinstance(entry.step, Summary)]
    print(f"{1000 * seconds / asked.steps:.2f} ms a step ({1000 * busy / asked.steps:.2f} ms of the processor)")
    if len(sizes) >= 500:
        second, last = (sum(sizes[start : start + 100]) / 100 for start in (100, 400))
        print(f"prompt tokens a step: {second:.0f} in the second hundred, {last:.0f} in the fifth: {last / second:.3f}")


if __name__ == "__main__":
    main()
