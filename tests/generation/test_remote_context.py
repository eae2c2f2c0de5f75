"""What a remote model knows of its server's context: as servers tell it, as they refuse, and by asking."""

from typing import Any

import pytest
from scripted_endpoint import Reply, served, text

from clearhead.errors import UserError
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.remote import RemoteModel

REFUSALS = [  # of vLLM, SGLang, llama.cpp and OpenAI, word for word
    "This model's maximum context length is 100 tokens. However, you requested 300 tokens (200 in the messages, 100 in "
    "the completion). Please reduce the length of the messages or completion.",
    "The decoder prompt (length 200) is longer than the maximum model length of 100.",
    "Input length (200 tokens) exceeds the maximum allowed length (99 tokens). Use a shorter input.",
    "the request exceeds the available context size. try increasing the context size or enable context shift",
]


def models(**told: Any) -> Reply:
    return Reply({"data": [{"id": "other", "max_model_len": 7}, {"id": "tiny", **told}]})


def of_size(most: int, refusal: str, reports: bool = True):  # type: ignore[no-untyped-def]
    """A server whose tokens are the bytes of a text, and whose context holds `most` of them."""

    def answer(path: str, body: dict[str, Any]) -> Reply:
        prompt = len(body["prompt"].encode())
        if prompt + body["max_tokens"] > most:
            return Reply({"error": {"message": refusal}}, 400)
        usage = {"prompt_tokens": prompt, "completion_tokens": body["max_tokens"]} if reports else {}
        return Reply({"choices": [{"text": "a" * body["max_tokens"], "finish_reason": "length"}], "usage": usage})

    return answer


@pytest.mark.parametrize(
    ("told", "context"),
    [
        ({"max_model_len": 4096}, 4096),
        ({"meta": {"n_ctx_train": 2048, "n_vocab": 9}}, 2048),
        ({"context_length": 1024}, 1024),
        ({}, None),
        ({"max_model_len": "long", "meta": None}, None),
    ],
)
def test_the_context_is_what_the_server_tells_of_this_model(told: dict[str, Any], context: int | None) -> None:
    with served(lambda path, body: text("a"), models(**told)) as server:
        assert RemoteModel(server.url, "tiny").context == context


@pytest.mark.parametrize("reply", [Reply(None, 404), Reply(b"<html>")])
def test_without_a_list_of_models_nothing_is_known(reply: Reply) -> None:
    with served(lambda path, body: text("a"), reply) as server:
        assert RemoteModel(server.url, "tiny").context is None


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_prompt_fits_if_it_leaves_room_for_a_token(refusal: str) -> None:
    with served(of_size(2000, refusal)) as server:
        model = RemoteModel(server.url)
        assert model.fits("a" * 1023) and not server.asked, "what is short enough for any context is not asked"
        assert model.fits("a" * 1999) and not model.fits("a" * 2000)
        assert all(body["max_tokens"] == 1 for _, body in server.asked)


def test_a_prompt_of_fewer_bytes_than_the_context_has_tokens_fits_and_nobody_is_asked() -> None:
    with served(of_size(100, REFUSALS[0]), models(max_model_len=100)) as server:
        model = RemoteModel(server.url, "tiny")
        assert model.fits("a" * 99) and not server.asked
        assert not model.fits("a" * 100)


def test_a_server_that_cuts_long_prompts_and_says_nothing_is_found_out_by_its_counts() -> None:
    with served(of_size(10**6, ""), models(max_model_len=1500)) as server:
        assert not RemoteModel(server.url, "tiny").fits("a" * 1600)


def test_another_refusal_is_no_answer() -> None:
    with served(lambda path, body: Reply({"error": {"message": "no such model"}}, 400)) as server:
        model = RemoteModel(server.url)
        with pytest.raises(UserError, match="no such model"):
            model.fits("a" * 5000)


def test_a_continuation_ends_where_the_context_does() -> None:
    """As here: fewer tokens than were asked for, and marked as cut off."""
    with served(of_size(1600, REFUSALS[0])) as server:
        model = RemoteModel(server.url)
        ((made,),) = model.extend(model.open(["a" * 1500]), 1, SamplingParams(max_tokens=400), [0], stop=None)
        assert made.truncated and made.text == "a" * 100
        assert [body["max_tokens"] for _, body in server.asked] == [400, 200, 100]
        assert all("top_k" in body for _, body in server.asked), "the length was refused, and not a setting"
