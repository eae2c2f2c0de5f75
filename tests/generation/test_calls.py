"""Tools inside a text: what they give stands behind the call, whoever extends the text, and costs the model nothing."""

import re
from collections.abc import Callable

import pytest
import torch

from clearhead.generation.calls import Calls
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.text.prompt_format import given_tokens
from clearhead.text.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer("ab0123456789→\n")


def decoder(context: int = 128) -> Decoder:
    model = Decoder(DecoderConfig(vocab=TOKENIZER.vocab_size, **{**PRESETS["tiny"], "max_positions": context}), 0)  # type: ignore[arg-type]
    torch.manual_seed(3)
    for p in model.parameters():
        p.data += 0.05 * torch.randn_like(p)  # nearly uniform
    return model


MODEL = decoder()


def counts(text: str) -> str | None:
    """How many letters the line of the call has; no call without any."""
    line = text.rpartition("\n")[2]
    return str(sum(c in "ab" for c in line)) if set(line) & set("ab") else None


def engine(respond: Callable[[str], str | None] = counts, context: int = 128) -> LocalEngine:
    model = MODEL if context == 128 else decoder(context)
    return LocalEngine(model, TOKENIZER, dtype=torch.float32, tools=Calls("→", respond))


def test_what_tools_give_stands_behind_every_call() -> None:
    made = engine()
    (root,) = made.open(["a\n"])
    (texts,) = made.extend([root], 200, SamplingParams(max_tokens=40), [5], stop=None)
    lines = [line for text in texts for line in text.text.split("\n")[:-1] if "→" in line]
    called = [line for line in lines if set(line.partition("→")[0]) & set("ab")]
    assert len(called) > 50
    for line in called:
        call, _, result = line.partition("→")
        if not set(result) & set("ab"):  # else an arrow that was no call stood before
            assert result == str(sum(c in "ab" for c in call)), line
    assert len({text.text for text in texts}) > 150, "samples that called the same still differ"


def test_a_call_is_a_whole_step() -> None:
    made = engine()
    (root,) = made.open(["a\n"])
    (texts,) = made.extend([root], 300, SamplingParams(max_tokens=40), [5], stop="\n")
    called = [text for text in texts if re.fullmatch("[ab]+→[0-9]+", text.text)]
    assert called and all("\n" not in text.text for text in texts)
    for text in called:
        assert made.written(text.node) == f"a\n{text.text}\n"
    (more,) = made.extend([called[0].node], 3, SamplingParams(max_tokens=5), [0], stop="\n")
    assert all(made.written(text.node).startswith(f"a\n{called[0].text}\n") for text in more)


def test_log_p_and_counts_are_the_models_own() -> None:
    """`logprob` sums over what the model wrote; `tokens` counts what stands there."""
    made = engine()
    (root,) = made.open(["a\n"])
    (texts,) = made.extend([root], 300, SamplingParams(max_tokens=40), [5], stop=None)
    text = next(t for t in texts if re.match("[ab]+→[0-9]+\n.+", t.text) and t.text.count("→") == 1)
    ids = made.tokens(text.node)[2:]
    given = given_tokens(TOKENIZER, ids, "→")
    assert text.tokens == len(ids) and sum(given) == len(re.search("→([0-9]+\n)", text.text)[1])  # type: ignore[index]
    logits = MODEL.logits(MODEL(torch.tensor([[*TOKENIZER.encode("a\n"), *ids]]))).detach().log_softmax(-1)[0]
    own = sum(float(logits[1 + i, token]) for i, token in enumerate(ids) if not given[i])
    assert text.logprob == pytest.approx(own, abs=1e-3)


def test_without_a_call_every_text_is_the_engines_own() -> None:
    silent = engine(lambda text: None)
    plain = LocalEngine(MODEL, TOKENIZER, dtype=torch.float32)
    found = []
    for made in (silent, plain):
        (root,) = made.open(["a\n"])
        (texts,) = made.extend([root], 20, SamplingParams(temperature=0.0, max_tokens=40), [5], stop=None)
        found.append([(text.text, text.tokens, text.done, text.truncated) for text in texts])
    assert found[0] == found[1]


def test_an_answer_that_finds_no_room_is_cut_off() -> None:
    made = engine(lambda text: "1" * 60, context=64)
    (root,) = made.open(["a\n"])
    (texts,) = made.extend([root], 50, SamplingParams(max_tokens=60), [5], stop=None)
    cut = [text for text in texts if text.text.endswith("→")]
    assert cut and all(text.truncated and not text.done for text in cut)
    long = engine(lambda text: "1" * 30)
    (root,) = long.open(["a\n"])
    (texts,) = long.extend([root], 50, SamplingParams(max_tokens=20), [5], stop=None)
    assert any("1" * 30 in text.text and text.truncated for text in texts), "what tools give counts as written"


def test_nothing_is_held_that_was_not_handed_out() -> None:
    made = engine()
    (root,) = made.open(["a\n"])
    (texts,) = made.extend([root], 30, SamplingParams(max_tokens=40), [5], stop=None)
    made.release([text.node for text in texts])
    made.release([root])
    made.backend.forget()
    assert made.trie.used == LocalEngine(MODEL, TOKENIZER, dtype=torch.float32).trie.used


def test_given_tokens_of_a_tokenizer_whose_arrow_is_several() -> None:
    bytes_only = CharTokenizer("ab17\n", byte_fallback=True)
    ids = bytes_only.encode("ab→17\nb")
    given = given_tokens(bytes_only, ids, "→")
    assert [bytes_only.decode([i]) for i, g in zip(ids, given, strict=True) if g] == ["1", "7", "\n"]
