"""A chat by hand: what is rendered, what is computed for it, and what happens when it ends early or grows too long."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from clearhead.errors import UserError
from clearhead.generation.conversation import Conversation
from clearhead.generation.engine import Engine, backend_for, banned_tokens
from clearhead.generation.language_model import GREEDY, SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.sampling import cumulative, draw, uniforms
from clearhead.generation.text_stream import TextStream
from clearhead.models.decoder import Decoder
from clearhead.models.recurrent import Recurrent, RecurrentConfig
from clearhead.nn.recurrent import Cell
from clearhead.text.chat import ChatTemplate
from clearhead.text.tokenizer import CharTokenizer

MakeDecoder = Callable[..., Decoder]
TEMPLATE = (
    "{% for m in messages %}{{ m.role[0] }}{{ m.content }}.{% endfor %}{% if add_generation_prompt %}a{% endif %}"
)
SHORT = replace(GREEDY, max_tokens=5)
LETTERS = CharTokenizer("asu.01234")


@pytest.fixture(scope="module")
def template() -> ChatTemplate:
    return ChatTemplate(TEMPLATE)


@pytest.fixture(scope="module")
def decoder(make_decoder: MakeDecoder) -> Decoder:
    return make_decoder(max_positions=40)


@pytest.fixture
def chat(decoder: Decoder, template: ChatTemplate) -> Conversation:
    return Conversation(Engine(backend_for(decoder), LETTERS), template, system="00")


def rendered(chat: Conversation) -> str:
    return "".join(f"{message['role'][0]}{message['content']}." for message in chat.messages)


def test_an_answer_is_what_the_whole_text_gives(chat: Conversation, decoder: Decoder) -> None:
    for turn, message in enumerate(["1", "23", "4"]):
        answer = "".join(chat.say(message, SamplingParams(max_tokens=5), seed=9))
        prompt = LETTERS.encode(rendered(chat).removesuffix(f"{answer}."))
        alone = TextStream(
            Engine(backend_for(decoder), LETTERS), Request(prompt, SamplingParams(max_tokens=5), 9 + turn)
        )
        assert "".join(alone) == answer
        assert chat.messages[-1] == {"role": "assistant", "content": answer}
    assert [message["role"] for message in chat.messages] == ["system", *["user", "assistant"] * 3]


def test_only_the_new_turn_is_computed(chat: Conversation) -> None:
    answer = "".join(chat.say("1", SHORT, 0))
    assert chat.read == len("s00.u1.a")
    ended = len(chat.last.tokens)
    list(chat.say("23", SHORT, 0))
    # all but the last token of the answer was read as it was written; then it, the end of the turn and the new one
    assert chat.read <= len(answer) - (ended - 1) + len(".u23.a") + 1
    assert chat.read < len("s00.u1.a")


def test_an_answer_that_is_stopped_stays_as_far_as_it_came(chat: Conversation) -> None:
    pieces = chat.say("1", SHORT, 0)
    first = next(pieces)
    pieces.close()
    assert chat.messages[1:] == [{"role": "user", "content": "1"}, {"role": "assistant", "content": first}]
    assert "".join(chat.say("2", SHORT, 0)) == chat.messages[-1]["content"]
    pieces = chat.say("3", SHORT, 0)
    pieces.close()  # before it began
    list(chat.say("4", SHORT, 0))
    assert [m["content"] for m in chat.messages if m["role"] == "user"] == ["1", "2", "4"]


def test_the_oldest_turns_make_room(chat: Conversation) -> None:
    forgotten = []
    for message in ["1" * 6, "2" * 6, "3" * 6, "4" * 6]:
        list(chat.say(message, SHORT, 0))
        forgotten.append(chat.forgotten)
    assert forgotten[0] == 0
    assert sum(forgotten) == chat.dropped > 0
    assert chat.messages[0] == {"role": "system", "content": "00"}
    assert chat.messages[1]["role"] == "user"
    users = [m["content"] for m in chat.messages if m["role"] == "user"]
    assert users == [c * 6 for c in "1234"[chat.dropped :]]


def test_a_message_longer_than_the_context_is_refused_and_not_kept(chat: Conversation) -> None:
    list(chat.say("1", SHORT, 0))
    before = list(chat.messages)
    with pytest.raises(UserError, match=r"context is 40.*shorter"):
        chat.say("2" * 50, SHORT, 0)
    with pytest.raises(UserError, match="alphabet"):
        chat.say("é", SHORT, 0)
    assert chat.messages == before
    assert chat.dropped == 0
    list(chat.say("2", SHORT, 0))


def test_beginning_again(chat: Conversation, decoder: Decoder, template: ChatTemplate) -> None:
    first = "".join(chat.say("1", SHORT, 0))
    chat.restart(chat.system)
    assert "".join(chat.say("1", SHORT, 0)) == first
    chat.restart(None)
    assert chat.system is None
    plain = Conversation(Engine(backend_for(decoder), LETTERS), template)
    assert list(chat.say("1", SHORT, 0)) == list(plain.say("1", SHORT, 0))
    assert chat.messages == plain.messages


@pytest.mark.parametrize("cell", ["lstm", "rnn", "conv"])
def test_a_recurrent_model_chats_too(template: ChatTemplate, cell: Cell) -> None:
    """Every turn is what the model makes of the whole chat, however much of it there is: no context ends it."""
    model = Recurrent(RecurrentConfig(LETTERS.vocab_size, cell, 16)).requires_grad_(False)
    with torch.no_grad():
        model.head.weight.normal_(std=0.7, generator=torch.Generator().manual_seed(1))
    chat = Conversation(Engine(backend_for(model), LETTERS), template, system="00")
    for turn, message in enumerate(["1", "23" * 30, "4"]):
        answer = "".join(chat.say(message, SamplingParams(max_tokens=5), seed=9))
        ids = LETTERS.encode(rendered(chat).removesuffix(f"{answer}."))
        for token in chat.last.tokens:
            hidden = model(torch.tensor([ids]))[0, -1]
            assert token.logprob == pytest.approx(float(model.logits(hidden).log_softmax(-1)[token.id]), abs=1e-4)
            u = uniforms(np.array([9 + turn], np.uint64), np.array([0]), np.array([len(ids)]))
            allowed = model.logits(hidden)[None].masked_fill(banned_tokens(LETTERS, LETTERS.vocab_size), -torch.inf)
            assert draw(cumulative(allowed), torch.from_numpy(u)).item() == token.id
            ids.append(token.id)
        assert chat.messages[-1] == {"role": "assistant", "content": answer}
    assert chat.dropped == 0
