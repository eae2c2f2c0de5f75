"""Bits per byte against the definition, computed another way."""

import json
import math
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from clearhead.checkpoints import own
from clearhead.kernels.attention import causal_attend
from clearhead.pipeline.context import Context
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_policy, load_tokenizer
from clearhead.pipeline.text_measure import (
    batches,
    by_position,
    embedding_gradient,
    measure,
    reach,
    token_bytes,
    whole_windows,
)
from clearhead.pipeline.text_recipe import TextEvaluationConfig, TextRecipe
from clearhead.text.corpus import documents, held_out
from clearhead.text.shards import Shards
from clearhead.training.step import hidden_states, to_tensors


def test_bits_per_byte_by_the_definition(text_run: Path) -> None:
    """Token by token, each window and each document alone, against the true bytes of the held-out documents."""
    found = json.loads((text_run / "evaluation" / "decoder.json").read_text())
    run, length = RunDir(text_run), 48
    model, tokenizer = load_policy(run, torch.device("cpu")), load_tokenizer(run)
    (file,) = text_run.parent.glob("*.jsonl")
    texts = [text for text in documents([file]) if held_out(text, 0.2)]
    stream = [1, *(i for text in texts for i in [*tokenizer.encode(text), 1])]
    nats = 0.0
    for at in range(0, len(stream) - 1, length):
        window = stream[at : at + length + 1]
        cuts = [0, *(i for i in range(1, len(window) - 1) if window[i] == 1), len(window) - 1]
        for low, high in pairwise(cuts):
            piece = torch.tensor([window[low:high]])
            with torch.no_grad():
                hidden = model(piece, torch.arange(high - low)[None], causal_attend())
                log_p = model.logits(hidden)[0].log_softmax(-1)
            nats -= sum(float(log_p[i, window[low + i + 1]]) for i in range(high - low))
    size = sum(len(text.encode()) for text in texts)
    assert found["bytes"] == size
    assert found["tokens"] == len(stream) - 1
    assert found["nats"] == pytest.approx(nats, rel=1e-5)
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(nats / (len(stream) - 1)), rel=1e-5)
    assert sum(place["count"] for place in found["by_position"]) == found["tokens"]
    assert sum(place["count"] * place["loss"] for place in found["by_position"]) == pytest.approx(nats, rel=1e-5)


def test_every_stretch_of_positions_is_there_once() -> None:
    for length in (1, 2, 3, 7, 48, 256):
        places = by_position(np.ones(length), np.ones(length, np.int64))
        assert sum(place["count"] for place in places) == length
        assert [place["seen"] for place in places] == sorted(place["seen"] for place in places)
    places = by_position(np.array([3.0, 0, 5]), np.array([1, 0, 1]))
    assert [place["seen"] for place in places] == [1.0, 3.0], "where nothing was seen there is no point"


def test_a_part_of_the_held_out_text_is_spread_over_all_of_it(text_run: Path) -> None:
    shards = Shards(text_run / "tokens")
    tokens = shards.index.held.tokens
    assert batches(shards, 2, 10, TextEvaluationConfig(tokens=10**9))[1] == 1
    n, every = batches(shards, 2, 10, TextEvaluationConfig(tokens=tokens // 3))
    assert every == 4 or every == 3
    assert n == len(list(shards.windows("held", 2, 10))[::every])
    assert n * 2 * 10 <= tokens // 3 + 20


def test_bytes_of_tokens_are_the_bytes_of_the_text(text_run: Path) -> None:
    tokenizer = load_tokenizer(RunDir(text_run))
    text = "the 猫 sees füchse"
    assert token_bytes(tokenizer)[tokenizer.encode(text)].sum() == len(text.encode())
    assert token_bytes(tokenizer)[:2].tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["decoder", "lstm", "rnn", "conv"])
def test_the_gradient_at_an_embedding_by_differences(text_run: Path, kind: str) -> None:
    """Nudge the embedding of a token that occurs once in its row, and see the loss of the last place change."""
    run, cpu = RunDir(text_run), torch.device("cpu")
    recipe = run.any_recipe()
    assert isinstance(recipe, TextRecipe)
    model = own.load_model(run.model(kind), cpu).double()
    windows = whole_windows(Shards(run.tokens), 12, 4)
    assert windows is not None
    batch = to_tensors(windows, cpu)
    gradient = embedding_gradient(model, batch)
    row, at = next((r, t) for t in (8, 7, 6, 5) for r in range(4) if (batch.tokens[r] == batch.tokens[r, t]).sum() == 1)
    direction = torch.randn(gradient.shape[-1], generator=torch.Generator().manual_seed(0)).double()
    one = type(batch)(*(part[row : row + 1] for part in batch))

    def loss(step: float) -> float:
        with torch.no_grad():
            model.embed.weight[batch.tokens[row, at]] += step * direction
            log_p = model.logits(hidden_states(model, one))[0, -1].log_softmax(-1)
            model.embed.weight[batch.tokens[row, at]] -= step * direction
        return -float(log_p[one.targets[0, -1]])

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert float(gradient[row, at] @ direction) == pytest.approx(slope, rel=1e-3, abs=1e-9)
    assert gradient[row].any(-1).all()


def test_reach_begins_at_the_last_token(text_run: Path) -> None:
    run = RunDir(text_run)
    recipe = run.any_recipe()
    assert isinstance(recipe, TextRecipe)
    model = own.load_model(run.model("rnn"), torch.device("cpu"))
    places = reach(model, Shards(run.tokens), 12)
    assert places[0] == {"distance": 0.0, "share": 1.0}
    assert [place["distance"] for place in places] == sorted(place["distance"] for place in places)
    assert places[-1]["share"] < 0.5, "through a plain state it fades"
    assert reach(model, Shards(run.tokens), 4000) == [], "no document is so long"


def test_bytes_of_a_part_are_those_of_its_targets(text_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, cpu = RunDir(text_run), torch.device("cpu")
    recipe = run.text_recipe()
    part = replace(recipe, evaluation=TextEvaluationConfig(tokens=400))
    quiet = nullcontext(lambda count: None)
    monkeypatch.setattr(RunDir, "text_recipe", lambda run: part)
    context = Context(run, cpu, lambda label: quiet, print, lambda label, total: quiet)
    tokenizer, shards = load_tokenizer(run), Shards(run.tokens)
    found = measure(context, "rnn", own.load_model(run.model("rnn"), cpu), tokenizer)
    every = batches(shards, 32, 48, part.evaluation)[1]
    picked = list(shards.windows("held", 32, 48))[::every]
    learned = np.concatenate([batch.targets[batch.targets != -1] for batch in picked])
    assert every > 1 and found["tokens"] == len(learned)
    assert found["bytes"] == len(tokenizer.decode(learned.tolist()).encode()), "whole characters, as it happens"
