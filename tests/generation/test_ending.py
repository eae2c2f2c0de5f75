"""The way to a text's end: random schemas, each with as many tokens as its shortest text needs or a few more."""

import json
import random
import re
import warnings
from collections.abc import Callable

import jsonschema
import numpy as np
import pytest
import schemas
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from clearhead.errors import UserError
from clearhead.generation.constraint import Grammar
from clearhead.generation.ending import example
from clearhead.generation.language_model import Constraint, choices, json_schema
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer

ASCII = CharTokenizer("\n" + "".join(map(chr, range(32, 127))), byte_fallback=True)
SAID = ['{"name": "Ada Lovelace", "age": 36, "tags": ["first", "red"]}', "the answer is no (or yes), the end"] * 4


def walk(grammar: Grammar, most: int, seed: int) -> tuple[list[int], bool]:
    """What a model without any sense writes, which likes few tokens, and whether it is whole."""
    rng, matcher, ids = np.random.default_rng(seed), grammar.begin(), list[int]()
    likes = rng.dirichlet(np.full(grammar.tokens.vocab_size, 0.3)) + 1e-12
    while len(ids) < most and not matcher.complete:
        p = likes * matcher.mask()
        token = matcher.completable(int(rng.choice(len(p), p=p / p.sum())), most - len(ids) - 1)
        matcher.consume(token)
        ids.append(token)
    return ids, matcher.complete


@pytest.mark.parametrize("part", range(3))
def test_texts_of_random_schemas_are_whole_and_valid(part: int) -> None:
    for seed in range(100 * part, 100 * part + 100):
        rng = random.Random(seed)
        schema = schemas.recursive(rng) if seed % 4 == 0 else schemas.schema(rng)
        grammar = Grammar(json_schema(schema), ASCII)
        assert grammar.shortest is not None, schema
        ids, whole = walk(grammar, grammar.shortest + rng.choice([0, 5, 30]), seed)
        assert whole, (seed, schema, ASCII.decode(ids))
        jsonschema.validate(json.loads(ASCII.decode(ids)), schema)


NODE = {
    "type": "object", "properties": {"op": {"const": "add"}, "l": {"$ref": "#/$defs/e"}, "r": {"$ref": "#/$defs/e"}},
    "required": ["op", "l", "r"], "additionalProperties": False,
}  # fmt: skip
VALUE = {"type": "number", "exclusiveMinimum": 12.3, "maximum": 12.31}
LEAF = {
    "type": "object", "properties": {"op": {"const": "num"}, "v": VALUE},
    "required": ["op", "v"], "additionalProperties": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("constraint", "most"),
    [
        (json_schema({"$defs": {"e": {"anyOf": [NODE, LEAF]}}, "$ref": "#/$defs/e"}), 30),
        (json_schema({"type": "array", "minItems": 120, "items": {"type": "string", "minLength": 3}}), 1100),
        (json_schema({"type": "string", "minLength": 1500}), 1510),
        (json_schema({"type": "integer", "minimum": 100, "multipleOf": 7}), 4),
        (json_schema({"type": "string", "format": "email"}), 40),
        (json_schema({"type": "string", "pattern": "[^}]+!$"}), 10),
        (json_schema({"type": "string", "pattern": "-42%$"}), 6),
        (json_schema({"type": "string", "pattern": "(foo|ba+r)\\.$"}), 6),
        (json_schema({"type": "string", "pattern": "\\d\\d-\\d\\d$"}), 7),
        (Constraint("regex", r"[^x]*-\$%"), 10),
        (Constraint("regex", "(?s).*ab"), 10),
        (Constraint("regex", r"https?://[a-z.]+/[^ ]*end"), 60),
        (Constraint("lark", 'start: e\ne: "add(" e "," e ")" | "mul(" e "," e ")" | "leaf"'), 5),
    ],
)  # fmt: skip
def test_hard_endings_are_found(constraint: Constraint, most: int) -> None:
    shortest = Grammar(constraint, ASCII).shortest
    assert shortest is not None and shortest <= most


@pytest.mark.parametrize("of", [{}, {"additionalProperties": {"type": "integer"}}])
def test_a_key_of_one_s_own_stands_once(of: dict[str, object]) -> None:
    schema = {"type": "object", "minProperties": 4, **of}
    grammar = Grammar(json_schema(schema), ASCII)
    found = grammar.ending(grammar.start, 100)
    assert found is not None
    jsonschema.validate(json.loads(ASCII.decode(found)), schema)


def test_where_no_ending_is_known_texts_are_drawn_all_the_same() -> None:
    grammar = Grammar(Constraint("regex", r'[^"]{3,}\p{Lu}[0-9]{10}'), ASCII)
    assert grammar.shortest is None
    assert len(walk(grammar, 20, 0)[0]) == 20


@pytest.mark.parametrize(
    "pattern", [r"^\S+@\w+\.com$", "[^a-z]{3}x?", "(ab|c){2}[-+]+", "(?s).*=>", "a[[b]", "[^\\d!]y"]
)
def test_an_example_is_a_text_of_its_expression(pattern: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        assert example(pattern) and re.search(pattern, example(pattern))


@pytest.mark.parametrize("pattern", ["(?=x)a", "[a", r"(a)\1", "((a{999}){999}){999}", r"\p{L}", "(" * 5000])
def test_an_expression_that_is_hard_to_read_has_none(pattern: str) -> None:
    assert example(pattern) == ""


def byte_level() -> SubwordTokenizer:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        SAID, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=["<end>"])
    )
    return SubwordTokenizer(backend, end_id=0)


def sentencepiece() -> SubwordTokenizer:
    """As Llama 2 has it: a space before every text, which the decoder drops, and bytes for what has no token."""
    named = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    backend = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.train_from_iterator(
        [*SAID, "".join(map(chr, range(33, 127)))], trainers.BpeTrainer(vocab_size=600, special_tokens=named)
    )
    model = json.loads(backend.to_str())
    model["added_tokens"] = model["added_tokens"][:2]  # bytes are tokens of text
    return SubwordTokenizer(tokenizers.Tokenizer.from_str(json.dumps(model)), end_id=1)


@pytest.mark.parametrize("made", [byte_level, sentencepiece])
def test_subword_tokenizers_write_what_is_allowed(made: Callable[[], SubwordTokenizer]) -> None:
    tokenizer = made()
    properties = {"name": {"type": "string"}, "age": {"type": "integer"}, "é": {"enum": ["ü", None]}}
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    asked = {
        json_schema(schema): lambda text: jsonschema.validate(json.loads(text), schema),
        choices([" the answer", "yes", "漢 or no"]): lambda text: text in (" the answer", "yes", "漢 or no") or 1 / 0,
        Constraint("regex", " ?[a-z]+( [a-z]+)*!"): lambda text: re.fullmatch(" ?[a-z]+( [a-z]+)*!", text) or 1 / 0,
    }
    for constraint, check in asked.items():
        grammar = Grammar(constraint, tokenizer)
        assert grammar.shortest is not None
        for seed in range(20):
            ids, whole = walk(grammar, grammar.shortest + 10, seed)
            assert whole
            check(tokenizer.decode_after(ids))


def test_a_tokenizer_that_cannot_spell_it_is_told() -> None:
    with pytest.raises(UserError, match="tokenizer has no token for what the constraint asks for"):
        Grammar(json_schema({"type": "object"}), CharTokenizer("abc"))
    grammar = Grammar(Constraint("regex", "ab[0-9]"), CharTokenizer("abc"))
    with pytest.raises(UserError, match="has no token for what"):
        walk(grammar, 9, 0)
