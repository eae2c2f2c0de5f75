"""Berkeley function calling: how many questions a model answers with the right call, as it is and under a grammar.

Data, prompt and checker are those of bfcl-eval, in an environment of its own, which gets nothing but what they import:

    python -m venv /tmp/bfcl
    /tmp/bfcl/bin/pip install --no-deps bfcl-eval==2026.3.23 tree-sitter==0.21.3 tree-sitter-java==0.21.0 \
        tree-sitter-javascript==0.21.4 tenacity filelock python-dotenv
    python benchmarks/bfcl.py smollm2 --env /tmp/bfcl [--mode free] [--limit 40] [--out made.jsonl]

`free`: the benchmark's own prompt and any text. `constrained`: our agent, whose step is one or several calls, or an
answer where no function fits. Both greedy. `irrelevance` is right where nothing is called.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from clearhead.agents.opening import ChatOpener, counter
from clearhead.agents.policy import ModelPolicy
from clearhead.agents.prompt import Style
from clearhead.agents.steps import Action, Stuck, Task
from clearhead.agents.tools import Tool
from clearhead.checkpoints.load import LoadedModel, load_model
from clearhead.generation.language_model import Constraint, SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.reasoning.statistics import wilson
from clearhead.text.control import chat_tokens
from clearhead.text.subword import SubwordTokenizer

CATEGORIES = ("simple_python", "multiple", "irrelevance")
TOKENS = 200  # of an answer
GREEDY = SamplingParams(temperature=0.0, max_tokens=TOKENS)
TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
STYLE = Style(
    instructions="Call the function that does what is asked, or answer if none of them can.\n$tools",
    tools="Functions:\n$tools\n", tool="$name$description", request="$task", chat=True,
)  # fmt: skip

THERE = """
import json, sys, types
stub = types.ModuleType("bfcl_eval.constants.model_config")  # it would import the client of every vendor
stub.MODEL_CONFIG_MAPPING = {"ours": types.SimpleNamespace(underscore_to_dot=False)}
sys.modules[stub.__name__] = stub
from bfcl_eval.constants.enums import Language
from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker
from bfcl_eval.model_handler.utils import default_decode_ast_prompting, system_prompt_pre_processing_chat_model
from bfcl_eval.utils import is_empty_output, is_function_calling_format_output, load_dataset_entry
from bfcl_eval.utils import load_ground_truth_entry

def decoded(made):
    if made["calls"] is not None:
        return made["calls"]
    try:
        return default_decode_ast_prompting(made["text"])
    except Exception:
        return None

def right(category, row, truth, made):
    calls = decoded(made)
    if category == "irrelevance":
        return calls is None or is_empty_output(calls)
    if calls is None or not is_function_calling_format_output(calls):
        return False
    return ast_checker(row["function"], calls, truth["ground_truth"], Language.PYTHON, category, "ours")["valid"]

asked = json.load(sys.stdin)
category, made = asked["category"], asked["made"]
rows = load_dataset_entry(category)
if made is None:
    for row in rows:
        row["messages"] = system_prompt_pre_processing_chat_model(row["question"][0], row["function"], row["id"])
    print(json.dumps(rows))
else:
    truths = [None] * len(rows) if category == "irrelevance" else load_ground_truth_entry(category)
    print(json.dumps([right(category, *each) for each in zip(rows, truths, made)]))
"""


def there(env: Path, category: str, made: list[dict[str, Any]] | None = None) -> Any:
    """The rows of a category, or which of these are right."""
    asked = json.dumps({"category": category, "made": made})
    command = [str(env.absolute() / "bin" / "python"), "-c", THERE]
    return json.loads(subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=True).stdout)


def schema(told: Mapping[str, Any]) -> dict[str, Any]:
    """The benchmark's description of a value as a JSON Schema.

    >>> schema({"type": "dict", "properties": {"x": {"type": "float", "description": "how far"}}, "required": ["x"]})
    {'type': 'object', 'properties': {'x': {'type': 'number'}}, 'required': ['x'], 'additionalProperties': False}
    """
    found: dict[str, Any] = {"type": TYPES.get(told["type"], told["type"])}
    if "enum" in told:
        return {"enum": told["enum"]}
    if "items" in told:
        found["items"] = schema(told["items"])
    if "properties" in told:
        found["properties"] = {name: schema(value) for name, value in told["properties"].items()}
        found["required"] = [name for name in told.get("required", ()) if name in told["properties"]]
        found["additionalProperties"] = False
    return found


def described(function: Mapping[str, Any]) -> str:
    """The parameters and what they mean, in one line."""
    told = function["parameters"]
    required, properties = told.get("required", ()), told.get("properties", {})
    short = ", ".join(
        f"{name}{'' if name in required else '?'}: {TYPES.get(value['type'], value['type'])}"
        for name, value in properties.items()
    )
    words = "; ".join(f"{name}: {value['description']}" for name, value in properties.items() if "description" in value)
    about = function["description"].replace(" Note that the provided function is in Python 3 syntax.", "")
    return f"({short}) {about}" + (f" {words}" if words else "")


def tools_of(functions: list[dict[str, Any]]) -> dict[str, Tool]:
    """The functions as tools, without the dots in their names."""
    made = [
        Tool(function["name"].replace(".", "_"), described(function), schema(function["parameters"]), print)
        for function in functions
    ]
    return {tool.name: tool for tool in made}


def free(loaded: LoadedModel) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    engine, template = LocalEngine(loaded.decoder, loaded.tokenizer), loaded.template
    assert template is not None and isinstance(loaded.tokenizer, SubwordTokenizer)

    def answer(row: Mapping[str, Any]) -> dict[str, Any]:
        nodes = engine.open_tokens([chat_tokens(loaded.tokenizer, template, row["messages"])[0]])
        text = engine.extend(nodes, 1, GREEDY, [0], stop=None)[0][0].text
        engine.close(nodes)
        return {"calls": None, "text": text}

    return answer


def constrained(loaded: LoadedModel) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    engine = LocalEngine(loaded.decoder, loaded.tokenizer)
    assert loaded.template is not None
    opener = ChatOpener(engine, loaded.template)
    count, context = counter(loaded.tokenizer), engine.max_positions - opener.frame

    def answer(row: Mapping[str, Any]) -> dict[str, Any]:
        policy = ModelPolicy(engine, tools_of(row["function"]), STYLE, count, context, GREEDY, open=opener)
        policy.grammar = Constraint("lark", policy.grammar.text.replace("thought? ", ""))  # at once, as is asked
        names = {function["name"].replace(".", "_"): function["name"] for function in row["function"]}
        try:
            steps = policy([[Task(row["question"][0][-1]["content"])]])[0].steps
        except Stuck as error:
            return {"calls": [], "text": str(error)}
        finally:
            policy.close()
        calls = [{names[step.tool]: step.arguments} for step in steps if isinstance(step, Action)]
        return {"calls": calls, "text": str(steps)}

    return answer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--env", type=Path, required=True)
    parser.add_argument("--mode", choices=["free", "constrained"], default="constrained")
    parser.add_argument("--category", choices=CATEGORIES, action="append")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    loaded = load_model(asked.model, torch.device("cpu"))
    answer = {"free": free, "constrained": constrained}[asked.mode](loaded)
    for category in asked.category or CATEGORIES:
        rows, started = there(asked.env, category)[: asked.limit], time.process_time()
        made = [answer(row) for row in rows]
        right = there(asked.env, category, made)[: len(made)]
        share, low, high = wilson(sum(right), len(right))
        print(
            f"{asked.mode} {category}: {sum(right)} of {len(right)} right: {share:.1%} ({low:.1%} to {high:.1%}), "
            f"{(time.process_time() - started) / len(rows):.2f} s of processor each",
            flush=True,
        )
        if asked.out:
            with asked.out.open("a", encoding="utf-8") as file:
                for row, one, ok in zip(rows, made, right, strict=True):
                    file.write(json.dumps({"id": row["id"], "right": ok, **one}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
