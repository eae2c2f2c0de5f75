"""What is added to logits before they are drawn from, by formula and in the engine; a constraint that fails alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from clearhead.errors import UserError
from clearhead.generation.constraint import Unfollowable
from clearhead.generation.engine import RULES, Engine, backend_for
from clearhead.generation.language_model import SamplingParams, json_schema
from clearhead.generation.request import Bias, Request
from clearhead.generation.sampling import apply_bias
from clearhead.generation.text_stream import generate
from clearhead.models.decoder import Decoder
from clearhead.text.tokenizer import CharTokenizer

MakeDecoder = Callable[..., Decoder]


@pytest.fixture(scope="module")
def engine(make_decoder: MakeDecoder) -> Engine:
    return Engine(backend_for(make_decoder(), 4), CharTokenizer("0123456789"))


def test_the_formula() -> None:
    logits = torch.zeros(2, 5)
    apply_bias(logits, [(1, 3.0), (4, -100.0)], 0.5, 0.25, [[0, 0, 1], []])
    assert logits.tolist() == [[-1.0, 2.25, 0.0, 0.0, -100.0], [0.0, 3.0, 0.0, 0.0, -100.0]]


def test_a_bias_decides(engine: Engine) -> None:
    token = engine.tokenizer.encode("7")[0]
    for temperature in (0.0, 1.0):
        request = Request([3, 4], SamplingParams(temperature, max_tokens=6), bias=Bias(((token, 100.0),)), n=2)
        assert [text.text for text in generate(engine, request)] == ["7" * 6] * 2


def test_penalties_look_at_what_was_drawn_and_not_at_the_prompt(engine: Engine) -> None:
    """Greedy with a large penalty writes each token once, and those of the prompt as well."""
    wanted = [Bias((), presence=100.0), Bias((), frequency=100.0)]
    for bias in wanted:
        (text,) = generate(engine, Request([3, 4, 5], SamplingParams(0.0, max_tokens=9), bias=bias))
        ids = [token.id for token in text.tokens]
        assert len(set(ids)) == len(ids)
    plain = generate(engine, Request([3], SamplingParams(0.0, max_tokens=9)))
    none = generate(engine, Request([3], SamplingParams(0.0, max_tokens=9), bias=Bias(((3, 0.0),))))
    assert plain == none


def test_a_bias_is_no_ones_but_its_requests(engine: Engine) -> None:
    request = Request([3, 4], SamplingParams(max_tokens=8), seed=5)
    alone = generate(engine, request)[0].text
    beside = engine.add(Request([3, 4], SamplingParams(max_tokens=8), seed=5, bias=Bias(((4, 9.0),), 1.0)))
    mine, ids = engine.add(request), list[int]()
    while engine.unfinished:
        ids += [event.token.id for event in engine.step() if event.request == mine and event.finish != "end"]
    assert engine.tokenizer.decode(ids) == alone and beside != mine


def test_beams_take_none() -> None:
    with pytest.raises(UserError, match="bias"):
        Request([1], beams=2, bias=Bias(presence=1.0))


def test_a_constraint_that_fails_names_its_request(engine: Engine) -> None:
    other = engine.add(Request([3], SamplingParams(max_tokens=9), constraint=json_schema({"enum": [12345678]})))
    broken = engine.add(Request([3], SamplingParams(max_tokens=9), constraint=json_schema({"enum": [87654321]})))

    class Broken:
        def unsafe_compute_mask_ptr(self, *_: int) -> None: ...
        def get_error(self) -> str:
            return "too hard"

    engine._admit()
    engine._running[broken].samples[0].matcher.state = Broken()
    with pytest.raises(Unfollowable) as caught:
        engine.step()
    assert caught.value.request == broken
    engine.cancel(broken)
    assert {event.request for event in engine.step()} == {other}
    engine.cancel(other)


def test_stop_rules_are_remembered_within_bounds(engine: Engine) -> None:
    for i in range(RULES + 5):
        engine.rule((str(i),))
    assert len(engine._rules) <= RULES
    assert engine.rule(("5",)).find("125") == 2 and np.array(engine.rule(()).may_complete(np.array([3]))).tolist() == [
        False
    ]
