"""Reading ahead changes no text, whatever is guessed; and it is left where it does not pay."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from clearhead.errors import UserError
from clearhead.generation.contiguous import ContiguousBackend
from clearhead.generation.draft_model import ModelDraft, check_tokens
from clearhead.generation.engine import Engine, backend_for, banned_tokens
from clearhead.generation.language_model import Constraint, SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.speculation import LENGTHS, Draft, Lookup, Speculation
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.quantize import from_floats, quantize_linears
from clearhead.models.recurrent import Recurrent, RecurrentConfig
from clearhead.reference.speculative import speculative_outcomes
from clearhead.text.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer("*+,0123456789=")
SHAPE = {"vocab": TOKENIZER.vocab_size, "d_model": 32, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "d_ff": 32}
PROMPT = TOKENIZER.encode("1+2=3,1+2=")


def decoder_of(seed: int = 0) -> Decoder:
    decoder = Decoder(DecoderConfig(**SHAPE)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for weight in decoder.parameters():
        torch.nn.init.normal_(weight, std=0.5, generator=generator)
    quantize_linears(decoder, from_floats("int8"))
    return decoder


class Always:
    """The same guess."""

    def __init__(self, *guess: int) -> None:
        self.guess = list(guess)

    def propose(self, text: Sequence[int], most: int) -> list[int]:
        return self.guess[:most]


class Told:
    """What was told will be written."""

    def __init__(self, text: list[int]) -> None:
        self.text = text

    def propose(self, text: Sequence[int], most: int) -> list[int]:
        return self.text[len(text) : len(text) + most]


def written(decoder: Decoder, draft: Draft | None, request: Request) -> tuple[list[tuple[int, float]], Engine]:
    engine = Engine(backend_for(decoder, draft=draft, ahead=False), TOKENIZER)
    engine.add(request)
    found = []
    while engine.unfinished:
        found += [(event.token.id, event.token.logprob) for event in engine.step()]
    return found, engine


def drafts(decoder: Decoder, request: Request) -> dict[str, Draft]:
    right = [*request.prompt_ids, *(token for token, _ in written(decoder, None, request)[0])]
    return {
        "lookup": Lookup(), "right": Told(right), "wrong": Always(3), "half right": Told(right[:-10] + [3] * 10),
        "itself": ModelDraft(decoder), "another": ModelDraft(decoder_of(1)), "silent": Always(),
    }  # fmt: skip


@pytest.mark.parametrize(
    "request_",
    [
        Request(PROMPT, SamplingParams(temperature=0.0, max_tokens=40), 0),
        Request(PROMPT, SamplingParams(temperature=1.0, max_tokens=40), 1),
        Request(PROMPT, SamplingParams(temperature=1.3, top_p=0.9, repetition_penalty=1.2, max_tokens=40), 2),
        Request(PROMPT, SamplingParams(temperature=1.0, max_tokens=40), 3, ("=",)),
        Request(PROMPT, SamplingParams(max_tokens=30), 4, constraint=Constraint("regex", "[0-9]+[+][0-9]+=[0-9]{2}")),
    ],
)
def test_every_guess_leaves_the_same_text_and_log_p(request_: Request) -> None:
    decoder = decoder_of()
    want, _ = written(decoder, None, request_)
    for name, draft in drafts(decoder, request_).items():
        got, _ = written(decoder, draft, request_)
        assert got == want, name


def test_what_came_true_is_counted_and_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Speculation, "length", lambda self: 3)  # whatever the processor
    decoder, request = decoder_of(), Request(PROMPT, SamplingParams(temperature=1.0, max_tokens=60), 5)
    n = len(written(decoder, None, request)[0])
    for name, draft in drafts(decoder, request).items():
        _, engine = written(decoder, draft, request)
        assert isinstance(engine.backend, ContiguousBackend) and engine.backend.speculation is not None
        found = engine.backend.speculation
        assert 0 <= found.accepted <= found.drafted
        assert name != "right" or found.accepted == found.drafted > n // 3
        assert name != "wrong" or found.accepted <= found.drafted // 2
        assert engine.usage.total.computed == engine.usage.total.unique == len(PROMPT) + n - 1


def test_the_distribution_is_the_targets() -> None:
    """By going through all that one call can add, the draft being certain of its tokens; and by many seeds."""
    decoder, guess = decoder_of(), (4, 5)
    vocab, banned = SHAPE["vocab"], banned_tokens(TOKENIZER, SHAPE["vocab"])

    def target(text: tuple[int, ...]) -> np.ndarray:
        backend = ContiguousBackend(decoder)
        seq = np.array([backend.open([*PROMPT, *text], 1, 4)])
        with torch.inference_mode():
            backend.compute(seq)
            logits = backend.logits(seq)[0].double().masked_fill(banned, -torch.inf)
        return logits.softmax(-1).numpy()

    outcomes = speculative_outcomes(target, lambda text: np.eye(vocab)[guess[len(text)]], 2)
    first = np.zeros(vocab)
    for text, probability in outcomes.items():
        first[text[0]] += probability
    np.testing.assert_allclose(first, target(()), atol=1e-12)

    seeds, backend = 300, ContiguousBackend(decoder, draft=Always(*guess))
    engine, counts = Engine(backend, TOKENIZER), np.zeros((vocab, vocab))
    for seed in range(seeds):
        engine.add(Request(PROMPT, SamplingParams(temperature=1.0, max_tokens=2), seed))
        text = []
        while engine.unfinished:
            text += [event.token.id for event in engine.step()]
        if len(text) == 2:
            counts[tuple(text)] += 1
    for a in np.argsort(target(()))[-2:].tolist():
        expected = target(())[a] * target((a,)) * seeds
        assert (np.abs(counts[a] - expected) < 4.5 * np.sqrt(expected + 1)).all()


def test_a_lookup_finds_the_longest_and_latest_and_forgets_other_texts() -> None:
    lookup = Lookup()
    assert lookup.propose([1, 2, 3, 9, 2, 3, 8, 1, 2, 3], 2) == [
        9,
        2,
    ]
    assert lookup.propose([1, 2, 3, 9, 2, 3, 8, 1, 2, 3, 9], 2) == [2, 3]
    assert lookup.propose([1, 2, 3, 7, 1, 2, 3, 6, 1, 2, 3], 1) == [6]
    assert lookup.propose([9, 2], 3) == [] and lookup.propose([4], 3) == [] and lookup.propose([], 3) == []


def test_guesses_end_where_they_do_not_pay_and_grow_where_they_do() -> None:
    def ran(comes_true: bool, each: float) -> tuple[Speculation, int]:
        found, guesses = Speculation(Always(*range(20))), 0
        for _ in range(400):
            guess = found.propose([1], 100)
            guesses += bool(guess)
            found.took(len(guess), 1.0 + each * len(guess))
            if guess:
                found.judge(len(guess), len(guess) if comes_true else 0)
        return found, guesses

    good, many = ran(True, 0.1)
    assert good.length() == LENGTHS[-1] and many > 390
    bad, few = ran(False, 0.1)
    assert bad.length() == 0 and few < 16
    dear, few = ran(True, 1.5)  # a token more takes longer than one read by itself
    assert dear.length() == 0 and few < 40


def test_what_cannot_be_read_ahead_is_refused() -> None:
    with pytest.raises(UserError, match="quantized"):
        ContiguousBackend(Decoder(DecoderConfig(**SHAPE)), draft=Lookup())
    for model, texts in ((decoder_of(), 2), (Recurrent(RecurrentConfig(vocab=9)), 1)):
        with pytest.raises(UserError, match="one text of a decoder"):
            backend_for(model, texts, draft=Lookup())
    with pytest.raises(UserError, match="the same family"):
        check_tokens(TOKENIZER, CharTokenizer("abc"))
    check_tokens(TOKENIZER, TOKENIZER)


def test_one_text_is_read_ahead_by_default_where_it_changes_nothing() -> None:
    backend = backend_for(decoder_of())
    assert isinstance(backend, ContiguousBackend) and backend.speculation is not None
    for other in (backend_for(Decoder(DecoderConfig(**SHAPE))), backend_for(decoder_of(), ahead=False)):
        assert isinstance(other, ContiguousBackend) and other.speculation is None
