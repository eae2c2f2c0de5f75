"""A remote model whose server is our own engine: the same texts as the local one, and strategies that run on it."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from scripted_endpoint import Reply, Server, served

from clearhead.generation.language_model import Constraint, SamplingParams, choices, json_schema
from clearhead.generation.local import LocalEngine
from clearhead.generation.remote import RemoteModel
from clearhead.generation.request import Request
from clearhead.generation.text_stream import generate
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.reasoning.strategies import run_strategies
from clearhead.reasoning.strategy import SearchConfig, StrategyContext
from clearhead.tasks import load as load_task
from clearhead.text.tokenizer import CharTokenizer

ALPHABET = CharTokenizer("\n" + "".join(map(chr, range(32, 127))) + "×=÷")


def decoder() -> Decoder:
    model = Decoder(DecoderConfig(vocab=ALPHABET.vocab_size, **{**PRESETS["tiny"], "max_positions": 256}))  # type: ignore[arg-type]
    torch.manual_seed(0)
    for p in model.parameters():
        p.data += 0.3 * torch.randn_like(p)
    return model


MODEL = decoder()


def constraint_in(body: dict[str, Any]) -> Constraint | None:
    if "response_format" in body:
        return json_schema(body["response_format"]["json_schema"]["schema"])
    if "regex" in body.get("structured_outputs", {}):
        return Constraint("regex", body["structured_outputs"]["regex"])
    return None


def completions(path: str, body: dict[str, Any]) -> Reply:
    """A faithful part of /v1/completions: n, seed, stop, logprobs, echo."""
    assert path == "completions" and body["model"] == "tiny"
    engine = LocalEngine(MODEL, ALPHABET, dtype=torch.float32)
    ids = ALPHABET.encode(body["prompt"])
    if body.get("echo"):
        log_p = MODEL.logits(MODEL(torch.tensor([ids])))[0, :-1].log_softmax(-1)
        each = log_p.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()
        told = {"tokens": list(body["prompt"]), "token_logprobs": [None, *each]}
        choice = {"index": 0, "text": body["prompt"], "finish_reason": "length", "logprobs": told}
        return Reply({"choices": [choice], "usage": {"prompt_tokens": len(ids), "completion_tokens": 0}})
    sampling = SamplingParams(body["temperature"], top_p=body["top_p"], max_tokens=body["max_tokens"])
    stop = tuple(body.get("stop", ()))
    request = Request(ids, sampling, body["seed"], stop, body["n"], constraint=constraint_in(body))
    texts = generate(engine.engine, request)
    rows = []
    for i, text in enumerate(texts):
        tokens = [ALPHABET.decode([token.id]) for token in text.tokens]
        told = {"tokens": tokens, "token_logprobs": [token.logprob for token in text.tokens]}
        reason = "length" if text.ended in ("tokens", "context") else "stop"
        hit = stop[0] if text.ended == "stop" else None
        rows.append({"index": i, "text": text.text, "finish_reason": reason, "stop_reason": hit, "logprobs": told})
    written = sum(len(text.tokens) for text in texts)
    return Reply({"choices": rows, "usage": {"prompt_tokens": len(ids), "completion_tokens": written}})


@pytest.fixture
def server() -> Iterator[Server]:
    with torch.inference_mode(), served(torch.inference_mode()(completions)) as told:
        yield told


@pytest.mark.parametrize("stop", [None, "e", "zz"])
@pytest.mark.parametrize("constraint", [None, json_schema({"type": "object"}), choices(["ab", "b e"])])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_its_texts_are_the_local_engines(
    server: Server, stop: str | None, constraint: Constraint | None, temperature: float
) -> None:
    remote, local = RemoteModel(server.url), LocalEngine(MODEL, ALPHABET, dtype=torch.float32)
    sampling = SamplingParams(temperature, max_tokens=20)
    found = []
    for model in (remote, local):
        roots = model.open(["one ", "two "])
        texts = model.extend(roots, 3, sampling, [5, 6], stop, constraint)
        found.append([[(text.text, text.done, text.truncated, text.tokens) for text in row] for row in texts])
        scores = model.score(roots, ["more", "less"])
        found.append([round(score, 3) for score in scores])
        found.append([round(text.logprob, 3) for row in texts for text in row])
        alive = [text.node for row in texts for text in row if not (text.done or text.truncated)]
        if constraint is None and alive:
            longer = model.extend(alive, 1, sampling, [7] * len(alive), stop)
            found.append([row[0].text for row in longer])
        model.close(roots)
    assert found[: len(found) // 2] == found[len(found) // 2 :]
    assert remote.usage().generated >= 4  # the shortest choice, after two prompts


def test_strategies_run_on_it_as_on_the_local_one(server: Server) -> None:
    task = load_task("multiplication")
    problems = task.problems("test", 2, 0)
    config = SearchConfig(samples=3, fewest=2, depth=2, step_tokens=8, solution_tokens=24)
    made = [RemoteModel(server.url), LocalEngine(MODEL, ALPHABET, dtype=torch.float32)]
    for name in ("greedy", "self-consistency"):
        found = []
        for model in made:
            context = StrategyContext(model, None, config, task.answer)
            traces, _ = run_strategies([name], context, problems, 60, 0)
            found.append([[point.steps for point in trace.points] for trace in traces[name]])
        assert found[0][-1][-1] == found[1][-1][-1] and len(found[0]) == len(found[1]) == 2
