"""Constrained decoding: every text is allowed, complete, and drawn from the model's own distribution over what is."""

import json
import math
import re
from collections import Counter
from typing import Any

import pytest
import torch

from clearhead.errors import UserError
from clearhead.generation.backend import Backend
from clearhead.generation.constraint import Grammar, Matcher
from clearhead.generation.contiguous import ContiguousBackend
from clearhead.generation.engine import Engine
from clearhead.generation.language_model import Constraint, SamplingParams, choices, json_schema
from clearhead.generation.local import LocalEngine
from clearhead.generation.request import Request
from clearhead.generation.trie_backend import TrieBackend
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.text.tokenizer import CharTokenizer

ASCII = CharTokenizer("\n" + "".join(map(chr, range(32, 127))), byte_fallback=True)
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["celsius", "kelvin"]},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "where": {"type": "object", "properties": {"lat": {"type": "number"}}, "additionalProperties": False},
    },
    "required": ["city", "days", "tags"],
    "additionalProperties": False,
}


def decoder(seed: int = 0, context: int = 512) -> Decoder:
    """Random weights that like some tokens much more than others."""
    shape = {**PRESETS["tiny"], "max_positions": context}
    model = Decoder(DecoderConfig(vocab=ASCII.vocab_size, **shape), seed)  # type: ignore[arg-type]
    torch.manual_seed(seed)
    for p in model.parameters():
        p.data += 0.3 * torch.randn_like(p)
    return model


MODEL = decoder()


def written(constraint: Constraint, most: int, n: int = 20, temperature: float = 1.0) -> list[str]:
    engine = LocalEngine(MODEL, ASCII, dtype=torch.float32)
    sampling = SamplingParams(temperature=temperature, max_tokens=most)
    (texts,) = engine.extend(engine.open(["a "]), n, sampling, [3], None, constraint)
    assert not any(text.truncated for text in texts)
    return [text.text for text in texts]


@pytest.mark.parametrize("most", [60, 400])
def test_a_model_of_random_weights_writes_what_the_schema_asks_for(most: int) -> None:
    found = written(json_schema(SCHEMA), most)
    assert len(set(found)) > 15
    for text in found:
        value = json.loads(text)
        assert next(iter(value)) == "city" and isinstance(value["days"], int) and value["tags"]
        assert set(value) <= set(SCHEMA["properties"])  # type: ignore[arg-type]


def test_without_the_way_to_an_ending_texts_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Matcher, "completable", lambda self, token, left: token)
    engine = LocalEngine(MODEL, ASCII, dtype=torch.float32)
    texts = engine.extend(engine.open(["a "]), 20, SamplingParams(max_tokens=60), [3], None, json_schema(SCHEMA))[0]
    assert any(text.truncated for text in texts)


def test_the_fewest_tokens_are_enough_and_one_less_is_told() -> None:
    shortest = Grammar(json_schema(SCHEMA), ASCII).shortest
    assert shortest == len('{"city": "", "days": 0, "tags": [""]}')
    assert set(written(json_schema(SCHEMA), shortest)) <= {
        f'{{"city": "", "days": {d}, "tags": [""]}}' for d in range(10)
    }
    with pytest.raises(UserError, match=rf"has {shortest} tokens, but only {shortest - 1} may be written; raise max_"):
        written(json_schema(SCHEMA), shortest - 1)


@pytest.mark.parametrize(
    ("constraint", "pattern"),
    [
        (choices(["red", "green (dark)", "a|b", "re"]), r"red|green \(dark\)|a\|b|re"),
        (Constraint("regex", "[0-9]{2}/[0-9]{2}"), r"\d\d/\d\d"),
        (Constraint("regex", "[a-z]+(, [a-z]+)*"), r"[a-z]+(, [a-z]+)*"),
        (Constraint("lark", 'start: "(" start ")" | "x"'), r"(\()*x(\))*"),
    ],
)
def test_expressions_choices_and_grammars(constraint: Constraint, pattern: str) -> None:
    for text in written(constraint, 40):
        assert re.fullmatch(pattern, text), text
        assert text.count("(") == text.count(")")


def test_the_distribution_is_the_models_own_over_what_is_allowed() -> None:
    """Exact probabilities of the four words, token by token, against 4,000 samples."""
    words = ["aa", "ab", "ba", "b"]

    def share(before: str, pick: str, others: list[str]) -> float:
        """p(pick) among the tokens allowed after a text; "" is its end."""
        ids = torch.tensor([ASCII.encode(before)])
        p = MODEL.logits(MODEL(ids, torch.arange(ids.shape[1])[None]))[0, -1].detach().double().softmax(-1)
        of = {token: float(p[ASCII.encode(token)[0] if token else ASCII.end_id]) for token in others}
        return of[pick] / sum(of.values())

    exact = {
        "aa": share("x", "a", ["a", "b"]) * share("xa", "a", ["a", "b"]),
        "ab": share("x", "a", ["a", "b"]) * share("xa", "b", ["a", "b"]),
        "ba": share("x", "b", ["a", "b"]) * share("xb", "a", ["a", ""]),
        "b": share("x", "b", ["a", "b"]) * share("xb", "", ["a", ""]),
    }
    assert sum(exact.values()) == pytest.approx(1) and min(exact.values()) > 0.01
    engine = LocalEngine(MODEL, ASCII, dtype=torch.float32)
    (root,) = engine.open(["x"])
    n = 4000
    drawn = engine.extend([root], n, SamplingParams(max_tokens=400), [0], None, choices(words))[0]
    counts = Counter(text.text for text in drawn)
    assert set(counts) <= set(words)
    for word in words:
        p = exact[word]
        assert abs(counts[word] / n - p) < 4 * math.sqrt(p * (1 - p) / n) + 1e-3, word


@pytest.mark.parametrize("backend", [TrieBackend, ContiguousBackend])
def test_a_text_does_not_depend_on_its_company(backend: Any) -> None:
    ids = ASCII.encode("a ")
    asked = [
        Request(ids, SamplingParams(max_tokens=50), 1, constraint=json_schema(SCHEMA)),
        Request(ids, SamplingParams(max_tokens=50), 1),
        Request(ids, SamplingParams(max_tokens=50), 1, constraint=Constraint("regex", "[a-z]+ [0-9]+")),
        Request(ids, SamplingParams(0.0, max_tokens=50), 2, constraint=json_schema(SCHEMA)),
        Request(ids, SamplingParams(max_tokens=50), beams=3, constraint=Constraint("regex", "(ab|c){1,3}")),
    ]

    def texts(made: Backend, requests: list[Request]) -> list[list[int]]:
        engine, found = Engine(made, ASCII), [list[int]() for _ in requests]
        for request in requests:
            engine.add(request)
        while engine.unfinished:
            for event in engine.step():
                found[event.request].append(event.token.id)
        return found

    together = texts(TrieBackend(MODEL, torch.float32), asked)
    alone = asked if backend is TrieBackend else asked[:-1]  # one text at a time has no beams
    assert together[: len(alone)] == [texts(backend(MODEL, torch.float32), [request])[0] for request in alone]
    json.loads(ASCII.decode(together[0]))
    assert re.fullmatch("(ab|c){1,3}", ASCII.decode(together[4]))


def test_it_ends_without_a_token_more_and_says_why() -> None:
    engine = Engine(TrieBackend(MODEL, torch.float32), ASCII)
    engine.add(Request(ASCII.encode("a"), SamplingParams(max_tokens=50), constraint=Constraint("regex", "abc")))
    events = [event for _ in range(3) for event in engine.step()]
    assert [event.finish for event in events] == [None, None, "complete"] and not engine.unfinished


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        (Constraint("regex", "[0-9"), "regular expression cannot be used: .*unclosed character class"),
        (Constraint("json-schema", '{"type": "strin"}'), "JSON schema cannot be used: Invalid type: strin"),
        (Constraint("json-schema", "[1"), "JSON schema cannot be used"),
        (Constraint("json-schema", '{"type": "string", "minLength": 5, "maxLength": 2}'), "Unsatisfiable"),
        (Constraint("json-schema", '{"not": {"type": "object"}}'), 'Unimplemented keys: ."not".'),
        (Constraint("lark", "start: foo"), "grammar cannot be used: .*foo"),
    ],
)
def test_what_is_no_constraint_is_told_in_a_line(constraint: Constraint, told: str) -> None:
    engine = Engine(TrieBackend(MODEL, torch.float32), ASCII)
    with pytest.raises(UserError, match=told) as error:
        engine.add(Request([5], constraint=constraint))
    assert "\n" not in str(error.value) and not engine.unfinished


def test_no_choice_is_told() -> None:
    for texts in ([], ["a", ""]):
        with pytest.raises(UserError, match="at least one text"):
            choices(texts)


def test_a_character_that_is_no_token_is_written_byte_by_byte() -> None:
    assert set(written(choices(["é", "漢"]), 8)) == {"é", "漢"}
