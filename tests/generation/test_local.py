"""The local engine against the plainest one there is: one row at a time, the whole text read again for every token."""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from clearhead.errors import UserError
from clearhead.generation.backend import NoRoom
from clearhead.generation.cache import REACH
from clearhead.generation.language_model import GREEDY, Continuation, SamplingParams, Usage
from clearhead.generation.local import LocalEngine
from clearhead.generation.sampling import apply_filters, cumulative, draw, uniforms
from clearhead.models.decoder import Decoder
from clearhead.text.tokenizer import END, PAD, CharTokenizer

MakeDecoder = Callable[..., Decoder]
FullForward = Callable[[Decoder, list[int]], torch.Tensor]
PLAIN = SamplingParams(max_tokens=9)
ROUNDING = 1e-4  # of a sum of log p in float32


class NaiveModel:
    """Knows no cache and no batch."""

    def __init__(self, decoder: Decoder, tokenizer: CharTokenizer, full_forward: FullForward) -> None:
        self.decoder, self.tokenizer, self.full_forward = decoder, tokenizer, full_forward
        self.logits = functools.cache(self._logits)  # whole texts only: the same text, the same answer

    def _logits(self, *tokens: int) -> torch.Tensor:
        with torch.no_grad():
            return self.decoder.logits(self.full_forward(self.decoder, list(tokens))[-1:])

    def extend(
        self, tokens: list[int], sampling: SamplingParams, seed: int, sample: int, stop: str | None
    ) -> tuple[list[int], Continuation]:
        """The whole text afterwards, and what the engine should say about it (but for the node)."""
        start, logprob, text = len(tokens), 0.0, ""
        tokens, done, stopped = list(tokens), False, False
        while not (done or stopped) and len(tokens) - start < sampling.max_tokens:
            if len(tokens) == self.decoder.config.max_positions:
                break
            logits = self.logits(*tokens)
            allowed = logits.clone()
            allowed[:, [PAD, *range(self.tokenizer.vocab_size, logits.shape[1])]] = float("-inf")
            u = uniforms(np.array([seed & (1 << 64) - 1], np.uint64), np.array([sample]), np.array([len(tokens)]))
            token = draw(cumulative(apply_filters(allowed, sampling)), torch.from_numpy(u)).item()
            logprob += logits.log_softmax(-1)[0, token].item()
            tokens.append(token)
            done = token == END
            text = self.tokenizer.decode(tokens[start:])
            stopped = stop is not None and stop in text
        text = text[: text.index(stop)] if stop is not None and stopped else text
        return tokens, Continuation(0, text, logprob, len(tokens) - start, done, not (done or stopped))

    def score(self, tokens: list[int], text: str) -> float:
        total = 0.0
        for token in self.tokenizer.encode(text):
            total += self.logits(*tokens).log_softmax(-1)[0, token].item()
            tokens = [*tokens, token]
        return total


def same(got: Continuation, want: Continuation) -> None:
    assert got.logprob == pytest.approx(want.logprob, abs=ROUNDING)
    assert replace(got, node=0, logprob=0) == replace(want, node=0, logprob=0)


def bigram(make_decoder: MakeDecoder, tokenizer: CharTokenizer, after: dict[str, str], **changes: object) -> Decoder:
    """A decoder that knows only the last character: what `after` lists for it is equally likely, `$` is the end."""
    decoder = make_decoder(**changes)
    with torch.no_grad():
        for block in decoder.blocks:
            block.attention.out.weight.zero_()
            block.mlp.down.weight.zero_()
        decoder.embed.weight.copy_(torch.eye(*decoder.embed.weight.shape))
        decoder.head.weight.zero_()
        for last, following in after.items():
            for token in following:
                decoder.head.weight[END if token == "$" else tokenizer.encode(token)[0], tokenizer.encode(last)[0]] = 10
    return decoder


@pytest.fixture(scope="module")
def decoder(make_decoder: MakeDecoder) -> Decoder:
    return make_decoder()


@pytest.fixture
def engine(decoder: Decoder, tokenizer: CharTokenizer) -> LocalEngine:
    return LocalEngine(decoder, tokenizer, dtype=torch.float32)


@pytest.fixture(scope="module")
def naive(decoder: Decoder, tokenizer: CharTokenizer, full_forward: FullForward) -> NaiveModel:
    return NaiveModel(decoder, tokenizer, full_forward)


# --- exactly what recomputing everything gives ------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"n_heads": 4, "n_kv_heads": 4}, {"positions": "learned", "tied": True}])
def test_greedy_with_cache_is_greedy_without(
    make_decoder: MakeDecoder, tokenizer: CharTokenizer, full_forward: FullForward, changes: dict[str, object]
) -> None:
    decoder, sampling = make_decoder(**changes), replace(GREEDY, max_tokens=REACH + 4)
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    prompts = ["0+1", "6", "3210+", "4"]
    drawn = engine.extend(engine.open(prompts), 1, sampling, [0] * 4, stop=None)
    naive = NaiveModel(decoder, tokenizer, full_forward)
    for prompt, (got,) in zip(prompts, drawn, strict=True):
        tokens, want = naive.extend(tokenizer.encode(prompt), sampling, 0, 0, None)
        assert engine.tokens(got.node) == tokens
        same(got, want)
    assert max(got.tokens for (got,) in drawn) == REACH + 4


SAMPLINGS = [
    SamplingParams(max_tokens=8),
    SamplingParams(temperature=0.7, top_k=3, max_tokens=8),
    SamplingParams(temperature=2.0, top_p=0.8, max_tokens=8),
    SamplingParams(min_p=0.3, max_tokens=8),
]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("stop", ["\n", None, "1+"])
def test_samples_are_those_of_the_naive_model(
    engine: LocalEngine, naive: NaiveModel, tokenizer: CharTokenizer, sampling: SamplingParams, stop: str | None
) -> None:
    prompts, seeds = ["0+1", "0", "6543210"], [7, 7, -3]
    drawn = engine.extend(engine.open(prompts), 3, sampling, seeds, stop)
    for prompt, seed, continuations in zip(prompts, seeds, drawn, strict=True):
        for j, got in enumerate(continuations):
            tokens, want = naive.extend(tokenizer.encode(prompt), sampling, seed, j, stop)
            same(got, want)
            assert engine.tokens(got.node) == tokens


@pytest.mark.parametrize("max_batch_tokens", [3, 4096])
def test_a_row_of_a_batch_is_that_row_alone(decoder: Decoder, tokenizer: CharTokenizer, max_batch_tokens: int) -> None:
    prompts = ["0+1", "0+2", "4", "0+1", "654321065432106"]
    seeds = [1, 2, 3, 4, 5]
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32, max_batch_tokens=max_batch_tokens)
    together = engine.extend(engine.open(prompts), 4, PLAIN, seeds, stop=None)
    for prompt, seed, want in zip(prompts, seeds, together, strict=True):
        alone = LocalEngine(decoder, tokenizer, dtype=torch.float32)
        (got,) = alone.extend(alone.open([prompt]), 2, PLAIN, [seed], stop=None)
        for one, other in zip(got, want[:2], strict=True):
            same(one, other)


def test_the_naive_model_can_disagree(engine: LocalEngine, naive: NaiveModel, tokenizer: CharTokenizer) -> None:
    """The comparison itself is shown a wrong seed, sample and prompt."""
    ((got,),) = engine.extend(engine.open(["0+1"]), 1, PLAIN, [7], stop=None)
    for prompt, seed, sample in (("0+1", 8, 0), ("0+1", 7, 1), ("0+2", 7, 0)):
        _, other = naive.extend(tokenizer.encode(prompt), PLAIN, seed, sample, None)
        with pytest.raises(AssertionError):
            same(got, other)


# --- the tree ---------------------------------------------------------------------------------------------------------


def test_equal_samples_share_a_node(engine: LocalEngine) -> None:
    (root,) = engine.open(["0+1"])
    (drawn,) = engine.extend([root], 30, SamplingParams(max_tokens=1), [0], stop=None)
    nodes: dict[str, set[int]] = {}
    for continuation in drawn:
        nodes.setdefault(continuation.text + "$" * continuation.done, set()).add(continuation.node)
    assert all(len(at) == 1 for at in nodes.values())
    assert len(set.union(*nodes.values())) == len(nodes) > 1
    assert engine.trie.used - 1 == 3 + len(nodes)


def test_forks_do_not_disturb_each_other(engine: LocalEngine, naive: NaiveModel, tokenizer: CharTokenizer) -> None:
    (root,) = engine.open(["0+1"])
    fork = engine.fork(root)
    ((a,),) = engine.extend([root], 1, PLAIN, [1], stop=None)
    ((b,),) = engine.extend([fork], 1, PLAIN, [2], stop=None)
    assert a.text != b.text
    engine.release([root, a.node])
    ((again,),) = engine.extend([fork], 1, PLAIN, [1], stop=None)
    same(again, a)
    tokens, want = naive.extend(tokenizer.encode("0+1"), PLAIN, 2, 0, None)
    same(b, want)
    assert engine.tokens(b.node) == tokens


def test_the_same_prompt_opened_twice_is_read_once(
    engine: LocalEngine, naive: NaiveModel, tokenizer: CharTokenizer
) -> None:
    first, second = engine.open(["0+1"])[0], engine.open(["0+1"])[0]
    assert first != second
    drawn = engine.extend([first, second], 1, PLAIN, [1, 2], stop=None)
    for (got,), seed in zip(drawn, (1, 2), strict=True):
        same(got, naive.extend(tokenizer.encode("0+1"), PLAIN, seed, 0, None)[1])
    (third,) = engine.open(["0+1"])  # all of it is known by now
    ((got,),) = engine.extend([third], 1, PLAIN, [1], stop=None)
    same(got, drawn[0][0])
    assert engine.usage(third) == Usage(generated=0, computed=0, unique=0, reused=3 + got.tokens)
    engine.release([first, second])
    assert engine.extend([third], 1, PLAIN, [2], stop=None)[0][0].text == drawn[1][0].text


def test_steps_with_one_seed_make_the_text_that_one_call_makes(
    make_decoder: MakeDecoder, tokenizer: CharTokenizer
) -> None:
    decoder = bigram(make_decoder, tokenizer, {"0": "01\n", "1": "02\n", "2": "1", "\n": "012$"})
    engine, sampling, steps_seen = (
        LocalEngine(decoder, tokenizer, dtype=torch.float32),
        SamplingParams(max_tokens=40),
        [],
    )
    for seed in range(4):
        root, other = engine.open(["0", "0"])
        ((whole,),) = engine.extend([root], 1, sampling, [seed], stop=None)
        node, steps, logprob = other, [], 0.0
        while True:
            ((step,),) = engine.extend([node], 1, sampling, [seed])
            node, logprob = step.node, logprob + step.logprob
            steps.append(step.text)
            if step.done or step.truncated:
                break
        assert "\n".join(steps) == whole.text
        assert engine.tokens(node) == engine.tokens(whole.node)
        assert logprob == pytest.approx(whole.logprob, abs=ROUNDING)
        assert (step.done, step.truncated) == (whole.done, whole.truncated)
        steps_seen.append(len(steps))
    assert max(steps_seen) > 3


@pytest.mark.parametrize("seed", range(2))
def test_random_operations_against_recomputing_everything(
    engine: LocalEngine, naive: NaiveModel, tokenizer: CharTokenizer, seed: int
) -> None:
    """Slots are freed and reused throughout: a live node always reads its own text, and nothing is computed twice."""
    rng = np.random.default_rng(seed)
    held: list[tuple[int, tuple[int, ...]]] = []  # one entry a reference
    sampling = SamplingParams(temperature=0.6, max_tokens=5)
    for _ in range(40):
        open_ended = [(node, text) for node, text in held if text[-1] != END]
        action = rng.choice(["open", "fork", "extend", "extend", "score", "release", "close"])
        if action == "open" or not open_ended:
            prompts = ["".join(rng.choice(list("01+"), rng.integers(1, 4))) for _ in range(2)]
            texts = [tuple(tokenizer.encode(prompt)) for prompt in prompts]
            held += zip(engine.open(prompts), texts, strict=True)
        elif action == "fork":
            node, text = held[rng.integers(len(held))]
            held.append((engine.fork(node), text))
        elif action == "extend":
            chosen = [open_ended[i] for i in rng.integers(len(open_ended), size=3)]
            seeds = rng.integers(5, size=3).tolist()
            drawn = engine.extend([node for node, _ in chosen], 2, sampling, seeds)
            for (_, text), s, continuations in zip(chosen, seeds, drawn, strict=True):
                for j, got in enumerate(continuations):
                    tokens, want = naive.extend(list(text), sampling, s, j, "\n")
                    same(got, want)
                    held.append((got.node, tuple(tokens)))
        elif action == "score":
            node, text = open_ended[rng.integers(len(open_ended))]
            (score,) = engine.score([node], ["1+0"])
            assert score == pytest.approx(naive.score(list(text), "1+0"), abs=ROUNDING)
        elif action == "release":
            gone = sorted(rng.permutation(len(held))[:6], reverse=True)
            engine.release([held.pop(i)[0] for i in gone])
        elif rng.random() < 0.3:
            engine.close([node for node, _ in held[:1]])
            held = held[1:]
            held = [(node, text) for node, text in held if is_open(engine, node)]
        for node, text in held:
            assert engine.tokens(node) == list(text)
        beginnings = {text[:i] for _, text in held for i in range(1, len(text) + 1)}
        assert engine.trie.used - 1 == len(beginnings)
        usage = engine.usage()
        assert usage.computed - usage.unique == 0
    assert usage.computed > 100
    engine.release([node for node, _ in held])
    assert engine.trie.used == 1


def is_open(engine: LocalEngine, node: int) -> bool:
    try:
        engine.tokens(node)
    except UserError:
        return False
    return True


def test_a_trie_that_finds_no_child_is_seen_in_the_usage(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.trie._children, "get", lambda keys: np.zeros(len(keys), np.int32))
    nodes = engine.open(["0+1"]) + engine.open(["0+1"])
    engine.extend(nodes, 1, PLAIN, [1, 1], stop=None)
    usage = engine.usage()
    assert usage.computed - usage.unique == usage.unique > 0
    assert engine.usage(nodes[0]).unique + engine.usage(nodes[1]).unique == usage.unique


# --- limits and ends --------------------------------------------------------------------------------------------------


def test_a_text_ends_at_end_stop_or_a_limit(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder = bigram(make_decoder, tokenizer, {"0": "1", "1": "2", "2": "\n", "\n": "3", "3": "$"}, max_positions=8)
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)

    def greedy(prompt: str, max_tokens: int, stop: str | tuple[str, ...] | None) -> Continuation:
        return engine.extend(engine.open([prompt]), 1, replace(GREEDY, max_tokens=max_tokens), [0], stop)[0][0]

    def facts(c: Continuation) -> tuple[str, int, bool, bool]:
        return c.text, c.tokens, c.done, c.truncated

    assert facts(greedy("0", 20, None)) == ("12\n3", 5, True, False)
    assert facts(greedy("0", 5, None)) == ("12\n3", 5, True, False)  # the end comes in time
    assert facts(greedy("0", 4, None)) == ("12\n3", 4, False, True)
    assert facts(greedy("0", 20, "\n")) == ("12", 3, False, False)
    assert facts(greedy("0", 3, "\n")) == ("12", 3, False, False)
    assert facts(greedy("0", 2, "\n")) == ("12", 2, False, True)
    assert facts(greedy("0", 20, "2\n3")) == ("1", 4, False, False)  # over several tokens
    assert facts(greedy("0", 20, "01")) == ("12\n3", 5, True, False)  # a stop string is not begun by the prompt
    assert facts(greedy("0", 20, "3")) == ("12\n", 4, False, False)
    assert facts(greedy("0", 20, ("\n", "2"))) == ("1", 2, False, False)
    assert facts(greedy("000", 20, None)) == ("12\n3", 5, True, False)  # fills the context of 8 to the last place
    assert facts(greedy("0000", 20, None)) == ("12\n3", 4, False, True)  # one place short
    assert facts(greedy("0000000", 20, "\n")) == ("1", 1, False, True)
    full = greedy("00000000", 20, "\n")
    assert (facts(full), full.logprob) == (("", 0, False, True), 0.0)
    assert facts(engine.extend([full.node], 1, GREEDY, [0])[0][0]) == ("", 0, False, True)


def test_a_text_cut_by_max_tokens_goes_on_where_it_was(engine: LocalEngine) -> None:
    root, other = engine.open(["0+1", "0+1"])
    ((whole,),) = engine.extend([root], 1, SamplingParams(max_tokens=10), [4], stop=None)
    ((half,),) = engine.extend([other], 1, SamplingParams(max_tokens=4), [4], stop=None)
    assert (half.truncated, half.done, half.tokens) == (True, False, 4)
    ((rest,),) = engine.extend([half.node], 1, SamplingParams(max_tokens=6), [4], stop=None)
    assert half.tokens + rest.tokens == whole.tokens > 5
    assert half.text + rest.text == whole.text


def test_a_stop_is_not_forwarded_before_somebody_goes_on(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder = bigram(make_decoder, tokenizer, {"0": "1", "1": "\n", "\n": "$"})
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    ((step,),) = engine.extend(engine.open(["0"]), 1, GREEDY, [0])
    assert engine.usage().computed == 2  # 0 1
    ((end,),) = engine.extend([step.node], 1, GREEDY, [0])
    assert end.done
    assert engine.usage().computed == 3  # and the newline
    hidden = engine.cache.hidden(engine.slots([step.node, end.node]))  # a reward model would ask for the end token
    assert hidden.shape == (2, 16)
    assert engine.cache.computed == 4


def test_tokens_without_text_are_never_sampled(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder = make_decoder()
    with torch.no_grad():
        decoder.head.weight[[PAD, tokenizer.vocab_size]] = 5 * decoder.head.weight.abs().sum(0)
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    for sampling in (PLAIN, replace(GREEDY, max_tokens=9), SamplingParams(temperature=5.0, max_tokens=9)):
        (drawn,) = engine.extend(engine.open(["0+1"]), 10, sampling, [0], stop=None)
        for continuation in drawn:
            assert not {PAD, tokenizer.vocab_size} & set(engine.tokens(continuation.node))


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_frequencies_match_the_softmax(engine: LocalEngine, naive: NaiveModel, tokenizer: CharTokenizer) -> None:
    n = 5000
    (drawn,) = engine.extend(engine.open(["0+1"]), n, SamplingParams(max_tokens=1), [11], stop=None)
    counts = Counter(engine.tokens(continuation.node)[-1] for continuation in drawn)
    logits = naive.logits(*tokenizer.encode("0+1"))[0, : tokenizer.vocab_size].clone()
    logits[PAD] = float("-inf")
    expected = n * logits.double().softmax(-1).numpy()
    usual = expected > 5
    chi_square = sum((counts[i] - expected[i]) ** 2 / expected[i] for i in np.flatnonzero(usual))
    rest = sum(counts[i] for i in np.flatnonzero(~usual))
    assert 3 <= usual.sum() - 1 <= 9
    assert chi_square < 27.9  # p = 0.001 for 9 degrees of freedom
    assert rest <= expected[~usual].sum() + 4 * expected[~usual].sum() ** 0.5 + 1


def test_seeds_reproduce_and_differ(decoder: Decoder, tokenizer: CharTokenizer) -> None:
    def texts(seed: int) -> list[str]:
        engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
        return [c.text for c in engine.extend(engine.open(["0+1"]), 5, PLAIN, [seed], stop=None)[0]]

    assert texts(3) == texts(3)
    assert texts(3) != texts(4)
    assert texts(-1) == texts((1 << 64) - 1)
    assert texts(1 << 70) == texts(0)
    assert len(set(texts(3))) > 1


def test_logprob_is_that_of_the_unfiltered_model_and_score_agrees(
    engine: LocalEngine, decoder: Decoder, full_forward: FullForward
) -> None:
    (root,) = engine.open(["0+1"])
    (drawn,) = engine.extend([root], 6, SamplingParams(temperature=0.5, top_k=4, max_tokens=9), [0], stop=None)
    for got in drawn:
        tokens = engine.tokens(got.node)
        logp = decoder.logits(full_forward(decoder, tokens)).double().log_softmax(-1)
        want = sum(logp[i - 1, tokens[i]].item() for i in range(3, len(tokens)))
        assert got.logprob == pytest.approx(want, abs=ROUNDING)
        if not got.done:
            assert engine.score([root], [got.text])[0] == pytest.approx(want, abs=ROUNDING)


def test_scores_of_a_batch(engine: LocalEngine, naive: NaiveModel, tokenizer: CharTokenizer) -> None:
    prompts, texts = ["0+1", "0+1", "2", "0+1"], ["123", "124", "1", ""]
    scores = engine.score(engine.open(prompts), texts)
    want = [naive.score(tokenizer.encode(p), text) for p, text in zip(prompts, texts, strict=True)]
    assert scores == pytest.approx(want, abs=ROUNDING)
    assert scores[3] == 0
    assert engine.trie.used - 1 == 4  # the scored texts are forgotten


def test_usage_of_a_hand_worked_example(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder = bigram(make_decoder, tokenizer, {"+": "12", "1": "\n", "2": "\n", "\n": "3", "3": "$"})

    def start(seed: int) -> tuple[LocalEngine, int, list[Continuation]]:
        engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
        (root,) = engine.open(["0+"])
        return engine, root, engine.extend([root], 3, SamplingParams(max_tokens=9), [seed])[0]

    engine, root, drawn = next(run for run in map(start, range(100)) if [c.text for c in run[2]] == ["1", "1", "2"])
    # written: 1 \n, 1 \n, 2 \n. Computed: 0 + 1 2. Reused: the prompt for two rows, and the second "1 \n".
    assert engine.usage(root) == Usage(generated=4, computed=4, unique=4, reused=2 * 2 + 2)
    assert drawn[0].node == drawn[1].node != drawn[2].node

    before = engine.usage(root)
    ((end,),) = engine.extend([drawn[0].node], 1, GREEDY, [0])
    # reads 0 + 1 \n, of which only \n is new; writes 3 and the end, and computes the 3
    assert (end.text, end.done) == ("3", True)
    assert engine.usage(root) - before == Usage(generated=2, computed=2, unique=2, reused=3)

    before = engine.usage(root)
    engine.extend([drawn[0].node], 2, GREEDY, [5])
    assert engine.usage(root) - before == Usage(generated=0, computed=0, unique=0, reused=2 * (4 + 2))

    before = engine.usage(root)
    engine.score([root, root], ["1\n", "13"])  # both read 0 + 1
    assert engine.usage(root) - before == Usage(generated=0, computed=0, unique=0, reused=2 * 3)

    (other,) = engine.open(["0+2\n"])
    assert engine.usage(other) == Usage()
    engine.extend([other], 1, GREEDY, [0])
    # 0 + 2 were read before; \n, 3 and the end are new after the 2
    assert engine.usage(other) == Usage(generated=2, computed=2, unique=2, reused=3)
    assert engine.usage() == engine.usage(root) + engine.usage(other)


def test_generate_gives_whole_texts_and_leaves_nothing_behind(
    engine: LocalEngine, naive: NaiveModel, tokenizer: CharTokenizer
) -> None:
    prompts = ["0+1", "2"]
    drawn = engine.generate(prompts, PLAIN, 2, [1, 2])
    for prompt, seed, continuations in zip(prompts, [1, 2], drawn, strict=True):
        for j, got in enumerate(continuations):
            same(got, naive.extend(tokenizer.encode(prompt), PLAIN, seed, j, None)[1])
    assert engine.trie.used == 1


def test_the_engine_is_frozen_when_it_is_made(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    """Training goes on; a cache filled by the old weights must not be read by the new ones."""
    decoder = make_decoder()
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    (root,) = engine.open(["0+1"])
    ((before,),) = engine.extend([root], 1, PLAIN, [1], stop=None)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.neg_()
    ((after,),) = engine.extend([root], 1, PLAIN, [1], stop=None)
    assert after == before


def test_bfloat16_is_close(decoder: Decoder, tokenizer: CharTokenizer) -> None:
    exact, rounded = (LocalEngine(decoder, tokenizer, dtype=dtype) for dtype in (torch.float64, torch.bfloat16))
    plain = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    text = "123456+0"
    truth, fine, coarse = (e.score(e.open(["0+1"]), [text])[0] for e in (exact, plain, rounded))
    assert abs(fine - truth) < ROUNDING
    assert coarse != fine and abs(coarse - truth) < 0.05 * abs(truth)


# --- what is refused --------------------------------------------------------------------------------------------------


def refused(message: str, act: Callable[[], object]) -> None:
    with pytest.raises(UserError, match=message):
        act()


def test_wrong_inputs_are_refused_and_change_nothing(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder = bigram(make_decoder, tokenizer, {"0": "$"}, max_positions=8)
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    (root,) = engine.open(["0"])
    used = engine.trie.used
    refused("9 tokens long, but the model's context is 8", lambda: engine.open(["1", "000000000"]))
    refused("from nothing", lambda: engine.open(["1", ""]))
    refused("'x' .* is not in the model's alphabet", lambda: engine.open(["1", "x"]))
    refused("n = 0", lambda: engine.extend([root], 0, PLAIN, [1]))
    refused("1 nodes need as many seeds, not 2", lambda: engine.extend([root], 1, PLAIN, [1, 2]))
    refused("empty stop string", lambda: engine.extend([root], 1, PLAIN, [1], stop=""))
    refused("empty stop string", lambda: engine.extend([root], 1, PLAIN, [1], stop=("\n", "")))
    refused("9 tokens long, but the model's context is 8", lambda: engine.score([root], ["00000000"]))
    refused("node 99 is not open", lambda: engine.extend([root, 99], 1, PLAIN, [1, 1]))
    refused("released 2 times, but only 1", lambda: engine.release([root, root]))
    assert engine.trie.used == used
    ((end,),) = engine.extend([root], 1, GREEDY, [1])
    refused("has ended", lambda: engine.extend([end.node], 1, PLAIN, [1]))
    refused("has ended", lambda: engine.score([end.node], ["1"]))
    assert engine.extend([], 3, PLAIN, []) == []
    assert engine.score([], []) == []


def test_a_released_node_is_refused_even_when_its_slot_is_in_use_again(engine: LocalEngine) -> None:
    (old,) = engine.open(["0+1"])
    slots = engine.slots([old])
    engine.release([old])
    (new,) = engine.open(["0+2"])
    assert engine.slots([new]).tolist() == slots.tolist()
    acts: Sequence[Callable[[], object]] = (
        lambda: engine.extend([old], 1, PLAIN, [1]),
        lambda: engine.score([old], ["1"]),
        lambda: engine.fork(old),
        lambda: engine.usage(old),
        lambda: engine.release([new, old]),
    )
    for act in acts:
        refused(f"node {old} is not open", act)
    assert engine.tokens(new) == engine.tokenizer.encode("0+2")


def test_a_failure_half_way_leaves_the_tree_as_it_was(
    engine: LocalEngine, naive: NaiveModel, tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root,) = engine.open(["0+1"])
    calls = iter([engine.cache.logits, engine.cache.logits, engine.cache.logits])

    def fails_at_the_fourth(slots: np.ndarray) -> torch.Tensor:
        call = next(calls, None)
        if call is None:
            raise KeyboardInterrupt
        return call(slots)

    with monkeypatch.context() as patch:
        patch.setattr(engine.cache, "logits", fails_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            engine.extend([root], 5, PLAIN, [1], stop=None)
    assert engine.trie.used - 1 == 3
    same(
        engine.extend([root], 1, PLAIN, [1], stop=None)[0][0],
        naive.extend(tokenizer.encode("0+1"), PLAIN, 1, 0, None)[1],
    )


def test_broken_weights_are_told(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder = make_decoder()
    with torch.no_grad():
        decoder.blocks[0].mlp.up.weight[0, 0] = float("nan")
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    (root,) = engine.open(["0+1"])
    refused("not finite", lambda: engine.extend([root], 1, PLAIN, [1]))
    assert engine.trie.used - 1 == 3


def test_a_tokenizer_of_another_model_is_refused(decoder: Decoder) -> None:
    refused("14 tokens but the model only 12", lambda: LocalEngine(decoder, CharTokenizer("0123456789+-")))


# --- tokenizers of other kinds ----------------------------------------------------------------------------------------


class Vocabulary:
    """Tokens are letters; what ends and fills is chosen."""

    def __init__(self, end_id: int | None, pad_id: int | None) -> None:
        self.vocab_size, self.end_id, self.pad_id, self.decoded = 10, end_id, pad_id, 0
        self.end_ids = frozenset(() if end_id is None else (end_id,))

    def encode(self, text: str) -> list[int]:
        return [ord(char) - ord("a") for char in text]

    def decode(self, ids: Sequence[int]) -> str:
        self.decoded += 1
        return "".join(chr(ord("a") + i) for i in ids)


@pytest.mark.parametrize(("end_id", "pad_id"), [(None, None), (3, None), (3, 3), (3, 5), (None, 5)])
def test_end_and_padding_are_the_tokenizers(make_decoder: MakeDecoder, end_id: int | None, pad_id: int | None) -> None:
    engine = LocalEngine(make_decoder(), Vocabulary(end_id, pad_id), dtype=torch.float32)
    (drawn,) = engine.extend(engine.open(["b"]), 200, SamplingParams(2.0, max_tokens=30), [0], stop=None)
    tokens = [engine.tokens(one.node)[1:] for one in drawn]
    met = {token for text in tokens for token in text}
    assert met == set(range(10)) - ({pad_id} if pad_id != end_id else set())
    for text, one in zip(tokens, drawn, strict=True):
        assert one.done == (end_id is not None and end_id in text)
        assert end_id not in text[:-1]
        assert one.truncated != one.done


def test_no_token_is_decoded_to_look_for_no_stop_string(make_decoder: MakeDecoder) -> None:
    tokenizer = Vocabulary(None, None)
    engine = LocalEngine(make_decoder(), tokenizer, dtype=torch.float32)
    engine.extend(engine.open(["b"]), 5, PLAIN, [0], stop=None)
    assert tokenizer.decoded == 5  # the texts


def test_a_repetition_penalty_counts_prompt_and_text(make_decoder: MakeDecoder, full_forward: FullForward) -> None:
    decoder, text = make_decoder(), [1, 2]
    engine = LocalEngine(decoder, Vocabulary(None, None), dtype=torch.float32)
    config = replace(GREEDY, max_tokens=8, repetition_penalty=1.7)
    drawn = engine.extend(engine.open(["bc", "bcd"]), 1, config, [0, 0], stop=None)
    for _ in range(8):
        logits = decoder.logits(full_forward(decoder, text)[-1]).detach()
        logits[10:] = float("-inf")
        for token in set(text):
            logits[token] *= 1.7 if logits[token] < 0 else 1 / 1.7
        text.append(int(logits.argmax()))
    assert engine.tokens(drawn[0][0].node) == text


def test_prompts_that_do_not_fit_together_are_written_in_halves(decoder: Decoder, tokenizer: CharTokenizer) -> None:
    prompts, seeds = ["0+1", "6", "3210+", "4"], [1, 2, 3, 4]
    plenty = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    each = plenty.backend.limit // plenty.trie.most  # bytes of a position
    tight = LocalEngine(decoder, tokenizer, dtype=torch.float32, kv_memory=20 * each)
    with pytest.raises(NoRoom):
        tight.extend(roots := tight.open(prompts), 1, PLAIN, seeds, stop=None)
    tight.close(roots)
    wanted = plenty.generate(prompts, PLAIN, 1, seeds)
    for (got,), (want,) in zip(tight.generate(prompts, PLAIN, 1, seeds), wanted, strict=True):
        assert (got.text, got.logprob, got.tokens) == (want.text, want.logprob, want.tokens)
    assert tight.trie.most == 20 and tight.trie.used == 1, "only the root is left"
    least = LocalEngine(decoder, tokenizer, dtype=torch.float32, kv_memory=5 * each)
    with pytest.raises(NoRoom, match="--kv-memory"):
        least.generate(prompts, PLAIN, 1, seeds)
