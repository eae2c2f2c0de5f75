"""The scorer: the same values as the whole text read at once, every token read once, nothing left behind."""

import numpy as np
import pytest
import torch

from clearhead.alignment.calibration import Calibration, Head
from clearhead.alignment.reward import RewardModel
from clearhead.alignment.scorer import CalibratedScorer, LocalScorer, sigmoid
from clearhead.generation.backend import NoRoom
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.reasoning.strategy import PartialSolution
from clearhead.text.tokenizer import END, CharTokenizer

TOKENIZER = CharTokenizer("\n+12=")
SOLUTIONS = [
    PartialSolution("1+1"),
    PartialSolution("1+1", ("1=1",)),
    PartialSolution("1+1", ("1=1", "=2"), True),
    PartialSolution("1+1", ("1=1", "=2"), False),
    PartialSolution("1+1", ("1=2",)),
    PartialSolution("2+1", ("1=1", "=2"), True),
]


@pytest.fixture
def model() -> RewardModel:
    config = DecoderConfig(vocab=TOKENIZER.vocab_size, max_positions=32, **PRESETS["tiny"])  # type: ignore[arg-type]
    model = RewardModel(Decoder(config, seed=3))
    with torch.no_grad():
        for weight in model.parameters():  # the outputs start at zero; values must differ to be compared
            weight.normal_(std=0.3, generator=torch.Generator().manual_seed(weight.numel()))
    return model


@torch.no_grad()
def read_at_once(model: RewardModel, solution: PartialSolution) -> list[float]:
    text = solution.problem + "\n" + "\n".join(solution.steps) + ("" if solution.done or not solution.steps else "\n")
    tokens = torch.tensor([TOKENIZER.encode(text) + [END] * solution.done])
    logits = model(tokens, torch.arange(tokens.shape[1])[None], causal_attend())
    return logits[0, -1].sigmoid().tolist()


@pytest.mark.parametrize("order", [SOLUTIONS, SOLUTIONS[::-1], SOLUTIONS * 2])
def test_values_are_those_of_the_whole_text(model: RewardModel, order: list[PartialSolution]) -> None:
    scorer = LocalScorer(model, TOKENIZER, dtype=torch.float32)
    expected = np.array([read_at_once(model, solution) for solution in order])
    np.testing.assert_allclose(scorer.values(order), expected, atol=1e-5)
    one_by_one = LocalScorer(model, TOKENIZER, dtype=torch.float32)
    np.testing.assert_allclose([one_by_one.values([solution])[0] for solution in order], expected, atol=1e-5)
    assert len(np.unique(expected[:, 1].round(6))) == len(SOLUTIONS), "the values differ, so mixing them up would show"


def test_every_token_is_read_once(model: RewardModel) -> None:
    scorer = LocalScorer(model, TOKENIZER)
    scorer.values(SOLUTIONS)
    # 1+1 newline, 1=1 newline, =2 END, (=2) newline, (1=)2 newline
    assert scorer.tokens("1+1") == 4 + 4 + 3 + 1 + 2
    assert scorer.tokens("2+1") == 4 + 4 + 3
    assert scorer.cache.computed == scorer.cache.unique == scorer.tokens("1+1") + scorer.tokens("2+1")
    scorer.values(SOLUTIONS)
    assert scorer.tokens("1+1") == 14, "asking again costs nothing"


def test_forgetting_frees_the_text_and_the_count(model: RewardModel) -> None:
    scorer = LocalScorer(model, TOKENIZER)
    before = scorer.values(SOLUTIONS)
    scorer.forget(["1+1", "2+1", "never seen"])
    assert scorer.trie.used == 1
    assert scorer.tokens("1+1") == 0
    np.testing.assert_array_equal(scorer.values(SOLUTIONS), before)


def test_no_drafts_no_values(model: RewardModel) -> None:
    assert LocalScorer(model, TOKENIZER).values([]).shape == (0, 2)


def test_a_draft_beyond_the_context_can_never_be_right(model: RewardModel) -> None:
    scorer = LocalScorer(model, TOKENIZER)
    long = PartialSolution("1+1", ("1=1",) * 8)  # 4 + 8 x 4 = 36 tokens, the context is 32
    values = scorer.values([SOLUTIONS[0], long, SOLUTIONS[1]])
    assert values[1].tolist() == [0.0, 0.0]
    assert (values[[0, 2]] > 0).all()
    assert scorer.tokens("1+1") == 8


def test_a_problem_is_charged_the_same_whoever_is_read_beside_it(model: RewardModel) -> None:
    """The two begin alike, and the model reads that beginning once; each pays for what it would have read alone."""
    near, other = PartialSolution("1+12", ("1=1",)), PartialSolution("1+11", ("1=2",))
    together = LocalScorer(model, TOKENIZER)
    together.values([near, other])
    for solution in (near, other):
        alone = LocalScorer(model, TOKENIZER)
        alone.values([solution])
        assert together.tokens(solution.problem) == alone.tokens(solution.problem) == 9
    assert together.cache.computed == 15


def test_the_likelihood_is_the_sum_over_the_steps_tokens(model: RewardModel) -> None:
    scorer = LocalScorer(model, TOKENIZER, dtype=torch.float32)
    solutions = [*SOLUTIONS, PartialSolution("1+1", ("1=1", "=2", "+"), True)]
    found = scorer.read(solutions).likelihood
    for solution, likelihood in zip(solutions, found, strict=True):
        text = (
            solution.problem + "\n" + "\n".join(solution.steps) + ("" if solution.done or not solution.steps else "\n")
        )
        ids = TOKENIZER.encode(text) + [END] * solution.done
        with torch.no_grad():
            hidden = model.decoder(torch.tensor([ids]), torch.arange(len(ids))[None], causal_attend())
            log_p = model.decoder.logits(hidden)[0].log_softmax(-1)
        asked = len(solution.problem) + 1
        expected = sum(log_p[i - 1, ids[i]].item() for i in range(asked, len(ids)))
        assert likelihood == pytest.approx(expected, abs=1e-4)


def test_a_calibrated_judge_weighs_finished_and_unfinished_drafts_by_their_own_heads(model: RewardModel) -> None:
    scorer = LocalScorer(model, TOKENIZER, dtype=torch.float32)
    done, begun = PartialSolution("1+1", ("=2",), True, logprob=-3.0), PartialSolution("1+1", ("1=1",), logprob=-3.0)
    too_long = PartialSolution("1" * 40, ("=2",), True)
    heads = Calibration(Head(2.0, 0.5, 0.25, 1.0), Head(1.0, 0.0, 1.0, 0.0), Head(0.5, 0.1, 0.0, -1.0))
    reading = scorer.read([done, begun])
    values = CalibratedScorer(scorer, heads).values([done, begun, too_long])
    (z_outcome, z_process), (_, z_begun) = reading.z
    likelihood, of_begun = reading.likelihood
    assert values[0, 0] == pytest.approx(sigmoid(np.array([2 * z_outcome + 0.5 * likelihood - 0.75 + 1]))[0], abs=1e-9)
    assert values[0, 1] == pytest.approx(sigmoid(np.array([z_process - 3]))[0], abs=1e-9)
    assert values[1, 1] == pytest.approx(sigmoid(np.array([0.5 * z_begun + 0.1 * of_begun - 1]))[0], abs=1e-9)
    assert values[2].tolist() == [0.0, 0.0]


def test_what_does_not_fit_is_refused_and_less_at_a_time_is_read(model: RewardModel) -> None:
    plenty = LocalScorer(model, TOKENIZER)
    each = plenty.limit // plenty.trie.most  # bytes of a position
    scorer = LocalScorer(model, TOKENIZER, kv_memory=16 * each)
    with pytest.raises(NoRoom, match="--kv-memory"):
        scorer.values(SOLUTIONS)
    scorer.forget(["1+1", "2+1"])
    assert scorer.trie.used == 1, "only the root is left"
    for solution in SOLUTIONS:
        np.testing.assert_array_equal(scorer.values([solution]), plenty.values([solution]))
        scorer.forget([solution.problem])
