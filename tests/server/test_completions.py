"""/v1/completions and /v1/embeddings, held to the older forms, to the bare engine and to the model itself."""

import base64
import math
from typing import Any

import numpy as np
import pytest
import torch
from api_bodies import told_by
from starlette.testclient import TestClient

from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.text_stream import generate
from clearhead.server.service import Service

PATH = "/v1/completions"


def ask(client: TestClient, status: int = 200, **more: Any) -> Any:
    reply = client.post(PATH, json={"model": "tiny", "prompt": "say red", "max_tokens": 8, "seed": 2, **more})
    assert reply.status_code == status, reply.text
    return reply.json()


def test_many_prompts_as_text_or_tokens(client: TestClient, service: Service) -> None:
    loaded = service.models.by_name["tiny"].loaded
    texts = ["say red", "say blue"]
    ids = [loaded.tokenizer.encode(text) for text in texts]
    engine = Engine(backend_for(loaded.model, 8), loaded.tokenizer)
    bare = [generate(engine, Request(one, SamplingParams(max_tokens=8), seed=2, n=2)) for one in ids]
    wanted = [text.text for one in bare for text in one]
    for prompt in (texts, ids):
        found = ask(client, prompt=prompt, n=2)
        assert [choice["text"] for choice in found["choices"]] == wanted
        assert [choice["index"] for choice in found["choices"]] == [0, 1, 2, 3]
        assert found["usage"]["prompt_tokens"] == sum(map(len, ids))
    assert ask(client, prompt=ids[0])["choices"][0]["text"] == wanted[0]
    assert found["object"] == "text_completion" and found["id"].startswith("cmpl-")


def test_a_stream_joined_is_the_text(client: TestClient) -> None:
    more = {"prompt": ["say red", "say"], "n": 2, "echo": True, "logprobs": 1, "max_tokens": 20}
    whole = ask(client, **more)
    reply = client.post(PATH, json={"model": "tiny", "seed": 2, **more, "stream": True})
    found = told_by(reply.text)
    for choice in whole["choices"]:
        own = [one for chunk in found for one in chunk["choices"] if one["index"] == choice["index"]]
        assert "".join(one["text"] for one in own) == choice["text"]
        assert [offset for one in own if one["logprobs"] for offset in one["logprobs"]["text_offset"]] == (
            choice["logprobs"]["text_offset"]
        )
        assert own[-1]["finish_reason"] == choice["finish_reason"]


def test_echo_tells_log_p_of_the_prompt(client: TestClient, service: Service) -> None:
    loaded = service.models.by_name["tiny"].loaded
    ids = loaded.tokenizer.encode("say red, say blue")
    found = ask(client, prompt="say red, say blue", echo=True, max_tokens=0, logprobs=2)["choices"][0]
    told = found["logprobs"]
    assert found["text"] == "say red, say blue" == "".join(told["tokens"]) and found["finish_reason"] == "length"
    with torch.inference_mode():
        log_p = loaded.decoder.logits(loaded.decoder(torch.tensor([ids])))[0].log_softmax(-1)
    assert told["token_logprobs"][0] is None and told["top_logprobs"][0] is None
    wanted = [float(log_p[i, ids[i + 1]]) for i in range(len(ids) - 1)]
    assert told["token_logprobs"][1:] == pytest.approx(wanted, abs=1e-3)
    assert [found["text"][at : at + 1] for at in told["text_offset"]] == [token[:1] for token in told["tokens"]]
    longer = ask(client, prompt="say red, say blue", echo=True, max_tokens=5, logprobs=2)["choices"][0]
    assert longer["text"].startswith(found["text"]) and len(longer["logprobs"]["tokens"]) > len(told["tokens"])


def test_log_p_in_the_older_form(client: TestClient) -> None:
    told = ask(client, logprobs=3, max_tokens=12)["choices"][0]["logprobs"]
    assert len({len(told[key]) for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset")}) == 1
    for value, top in zip(told["token_logprobs"], told["top_logprobs"], strict=True):
        assert value <= max(top.values()) and any(math.isclose(value, one) for one in top.values())
    assert ask(client)["choices"][0]["logprobs"] is None


def test_the_best_of_several(client: TestClient) -> None:
    def mean(choice: Any) -> float:
        return float(np.mean(choice["logprobs"]["token_logprobs"]))

    ends = {"300": -100, "301": -100}
    some = ask(client, n=6, logprobs=0, max_tokens=6, logit_bias=ends)["choices"]
    best = ask(client, n=2, best_of=6, logprobs=0, max_tokens=6, logit_bias=ends)
    wanted = sorted(map(mean, some), reverse=True)[:2]
    assert sorted(map(mean, best["choices"]), reverse=True) == pytest.approx(wanted)
    assert best["usage"]["completion_tokens"] == 36


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"suffix": "x"}, "suffix"), ({"best_of": 1, "n": 2}, "best_of"), ({"best_of": 3, "stream": True}, "best_of"),
        ({"max_tokens": 0}, "echo"), ({"prompt": []}, "prompt"), ({"prompt": [[]]}, "prompt"),
        ({"prompt": [99999]}, "99999"), ({"prompt": [-1]}, "prompt"), ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"), ({"logprobs": 21}, "logprobs"), ({"logprobs": True}, "logprobs"),
        ({"prompt": ["a"] * 17}, "16 are possible"), ({"prompt": "red " * 2000}, "context"),
    ],
)  # fmt: skip
def test_what_cannot_be_honored(client: TestClient, more: dict[str, Any], told: str) -> None:
    error = ask(client, 400, **more)["error"]
    assert told in error["message"] + str(error["param"])


def test_an_embedding_is_the_mean_of_the_last_hidden_states(client: TestClient, service: Service) -> None:
    loaded = service.models.by_name["tiny"].loaded
    texts = ["say red", "a tall old thing"]
    reply = client.post("/v1/embeddings", json={"model": "tiny", "input": texts})
    found = reply.json()
    for text, one in zip(texts, found["data"], strict=True):
        with torch.inference_mode():
            mean = loaded.decoder(torch.tensor([loaded.tokenizer.encode(text)]))[0].double().mean(0)
        assert np.allclose(one["embedding"], mean / mean.norm(), atol=1e-3)
    coded = client.post("/v1/embeddings", json={"model": "tiny", "input": texts, "encoding_format": "base64"}).json()
    vector = np.frombuffer(base64.b64decode(coded["data"][1]["embedding"]), "<f4")
    assert vector.tolist() == pytest.approx(found["data"][1]["embedding"], abs=1e-6)
    assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("more", [{"input": []}, {"input": "a", "dimensions": 5}, {"input": ""}, {"input": [[]]}])
def test_no_embedding(client: TestClient, more: dict[str, Any]) -> None:
    reply = client.post("/v1/embeddings", json={"model": "tiny", **more})
    assert reply.status_code == (200 if more == {"input": ""} else 400), reply.text
