"""The judge: the same verdicts as the whole text read at once, every token read once, nothing left behind."""

import numpy as np
import pytest
import torch

from clearhead.alignment.judge import LocalJudge
from clearhead.alignment.reward import RewardModel, chances
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.reasoning.strategies import Draft
from clearhead.text.tokenizer import END, CharTokenizer

TOKENIZER = CharTokenizer("\n+12=")
DRAFTS = [
    Draft("1+1"),
    Draft("1+1", ("1=1",)),
    Draft("1+1", ("1=1", "=2"), True),
    Draft("1+1", ("1=1", "=2"), False),
    Draft("1+1", ("1=2",)),
    Draft("2+1", ("1=1", "=2"), True),
]


@pytest.fixture
def model() -> RewardModel:
    config = DecoderConfig(vocab=TOKENIZER.vocab_size, max_positions=32, **PRESETS["tiny"])  # type: ignore[arg-type]
    model = RewardModel(Decoder(config, seed=3))
    with torch.no_grad():
        for weight in model.parameters():  # the outputs start at zero; verdicts must differ to be compared
            weight.normal_(std=0.3, generator=torch.Generator().manual_seed(weight.numel()))
    return model


@torch.no_grad()
def read_at_once(model: RewardModel, draft: Draft) -> list[float]:
    text = draft.problem + "\n" + "\n".join(draft.steps) + ("" if draft.done or not draft.steps else "\n")
    tokens = torch.tensor([TOKENIZER.encode(text) + [END] * draft.done])
    logits = model(tokens, torch.arange(tokens.shape[1])[None], causal_attend())
    return chances(logits[0, -1]).tolist()


@pytest.mark.parametrize("order", [DRAFTS, DRAFTS[::-1], DRAFTS * 2])
def test_verdicts_are_those_of_the_whole_text(model: RewardModel, order: list[Draft]) -> None:
    judge = LocalJudge(model, TOKENIZER, dtype=torch.float32)
    expected = np.array([read_at_once(model, draft) for draft in order])
    np.testing.assert_allclose(judge.verdicts(order), expected, atol=1e-5)
    one_by_one = LocalJudge(model, TOKENIZER, dtype=torch.float32)
    np.testing.assert_allclose([one_by_one.verdicts([draft])[0] for draft in order], expected, atol=1e-5)
    assert len(np.unique(expected[:, 1].round(6))) == len(DRAFTS), "the verdicts differ, so mixing them up would show"


def test_every_token_is_read_once(model: RewardModel) -> None:
    judge = LocalJudge(model, TOKENIZER)
    judge.verdicts(DRAFTS)
    # 1+1 newline, 1=1 newline, =2 END, (=2) newline, (1=)2 newline
    assert judge.tokens("1+1") == 4 + 4 + 3 + 1 + 2
    assert judge.tokens("2+1") == 4 + 4 + 3
    assert judge.cache.computed == judge.cache.unique == judge.tokens("1+1") + judge.tokens("2+1")
    judge.verdicts(DRAFTS)
    assert judge.tokens("1+1") == 14, "asking again costs nothing"


def test_forgetting_frees_the_text_and_the_count(model: RewardModel) -> None:
    judge = LocalJudge(model, TOKENIZER)
    before = judge.verdicts(DRAFTS)
    judge.forget(["1+1", "2+1", "never seen"])
    assert judge.trie.used == 1
    assert judge.tokens("1+1") == 0
    np.testing.assert_array_equal(judge.verdicts(DRAFTS), before)


def test_no_drafts_no_verdicts(model: RewardModel) -> None:
    assert LocalJudge(model, TOKENIZER).verdicts([]).shape == (0, 2)


def test_a_draft_beyond_the_context_can_never_be_right(model: RewardModel) -> None:
    judge = LocalJudge(model, TOKENIZER)
    long = Draft("1+1", ("1=1",) * 8)  # 4 + 8 x 4 = 36 tokens, the context is 32
    verdicts = judge.verdicts([DRAFTS[0], long, DRAFTS[1]])
    assert verdicts[1].tolist() == [0.0, 0.0]
    assert (verdicts[[0, 2]] > 0).all()
    assert judge.tokens("1+1") == 8
