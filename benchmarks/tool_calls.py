"""Calls of a model of random weights: how many of 10,000, over 50 schemas, are as their schema asks, and how fast.

python benchmarks/tool_calls.py [--calls 10000] [--schemas 50]
"""

import argparse
import random
import time
from typing import Any

import torch
from jsonschema import Draft202012Validator

from clearhead.agents.grammar import step_grammar
from clearhead.agents.policy import ModelPolicy
from clearhead.agents.prompt import load_style
from clearhead.agents.steps import Action, Task
from clearhead.agents.tools import Tool
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.text.tokenizer import CharTokenizer

ASCII = CharTokenizer("\n" + "".join(map(chr, range(32, 127))), byte_fallback=True)
TOOLS, TOGETHER, TOKENS = 5, 50, 300  # of a grammar; episodes at once; of a step


def schema(rng: random.Random, depth: int) -> dict[str, Any]:
    """A random schema of a value, nested twice at most."""
    simple: list[dict[str, Any]] = [
        {"type": "string"},
        {"type": "string", "maxLength": 12},
        {"type": "integer"},
        {"type": "integer", "minimum": -5, "maximum": 500},
        {"type": "number"},
        {"type": "boolean"},
        {"enum": ["red", 'a "b"', 3, None, True]},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    ]
    kind = rng.randrange(len(simple) + (2 if depth < 2 else 0))
    if kind < len(simple):
        return simple[kind]
    if kind == len(simple):
        return {"type": "array", "items": schema(rng, depth + 1), "minItems": rng.randrange(3), "maxItems": 4}
    return arguments(rng, depth + 1)


def arguments(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    names = [f"{rng.choice(['city', 'n of', 'x', 'über'])}{i}" for i in range(rng.randrange(0, 5))]
    required = [name for name in names if rng.random() < 0.6]
    properties = {name: schema(rng, depth) for name in names}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def random_engine(seed: int) -> LocalEngine:
    model = Decoder(DecoderConfig(vocab=ASCII.vocab_size, **{**PRESETS["tiny"], "max_positions": 1024}), seed)
    torch.manual_seed(seed)
    for p in model.parameters():
        p.data += 0.3 * torch.randn_like(p)
    return LocalEngine(model, ASCII, dtype=torch.float32)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--schemas", type=int, default=50)
    asked = parser.parse_args()
    rng, engine, started = random.Random(0), random_engine(0), time.perf_counter()
    tools = [Tool(f"tool_{i}", "Does it.", arguments(rng), print) for i in range(asked.schemas)]
    made = valid = round_ = 0
    wrong: list[str] = []
    while made < asked.calls:
        first = round_ * TOOLS % len(tools)
        offered = {tool.name: tool for tool in tools[first : first + TOOLS]}
        policy = ModelPolicy(engine, offered, load_style("bare"), len, 1000, SamplingParams(max_tokens=TOKENS), round_)
        only = list(offered)[round_ // len(tools) % len(offered)] if round_ % 2 else None  # by turns any, and one alone
        policy.grammar = step_grammar(offered, only=only)
        for decision in policy([[Task(f"task {round_} {i}")] for i in range(TOGETHER)]):
            for step in decision.steps:
                if isinstance(step, Action):
                    errors = list(
                        Draft202012Validator(dict(offered[step.tool].schema)).iter_errors(dict(step.arguments))
                    )
                    made, valid = made + 1, valid + (not errors)
                    wrong += [f"{step.tool} {step.arguments}: {error.message}" for error in errors]
        policy.close()
        round_ += 1
    seconds = time.perf_counter() - started
    print(f"{valid:,} of {made:,} calls over {len(tools)} schemas are valid; {1000 * seconds / made:.1f} ms a call")
    for line in wrong[:10]:
        print(line)


if __name__ == "__main__":
    main()
