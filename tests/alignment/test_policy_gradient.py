"""Learning from one's own answers against the formulas of reference, and against what it must not depend on."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from clearhead.alignment import preference_model
from clearhead.alignment.advantages import centered, gae, group_relative, leave_one_out, shaped, whitened
from clearhead.alignment.answers import Answer, Group, Prompt, draw, lay_out_numbered
from clearhead.alignment.dpo import DpoLoss, Pair, PairBatch, answer_logprobs, pair_batch, reference_logprobs
from clearhead.alignment.environment import Environment, checked
from clearhead.alignment.lessons import Readings, dealt, documents, finds, lessons, pair_of, policy_batch
from clearhead.alignment.methods import METHODS, AlignConfig, adapted
from clearhead.alignment.policy_gradient import ActorCritic, PolicyLoss, explained_variance, read_rows, read_tokens
from clearhead.alignment.preference_model import PreferenceModel
from clearhead.alignment.rounds import Rounds, loss_of
from clearhead.errors import UserError
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.reference import grpo, policy, ppo, preference
from clearhead.text.packing import Document
from clearhead.text.tokenizer import CharTokenizer
from clearhead.training.jsonl_log import JsonlLog, read
from clearhead.training.step import to_tensors

TOKENIZER = CharTokenizer("0123456789+=\n")
CPU = torch.device("cpu")
LENGTH = 32


def decoder(seed: int = 0, dtype: torch.dtype = torch.float32) -> Decoder:
    shape = {**PRESETS["tiny"], "max_positions": 64}
    model = Decoder(DecoderConfig(vocab=TOKENIZER.vocab_size, **shape), seed).to(dtype)  # type: ignore[arg-type]
    torch.manual_seed(seed)
    for p in model.parameters():  # a new head is 0, and all it writes equally likely
        p.data += 0.3 * torch.randn_like(p)
    return model


def prompts(first: int, n: int) -> list[Prompt]:
    texts = [f"{i % 7}+{i % 3}=" for i in range(first, first + n)]
    return [Prompt(text, tuple(TOKENIZER.encode(text))) for text in texts]


def drawn(model: Decoder, n: int = 3, samples: int = 4, seed: int = 0) -> list[list[Answer]]:
    engine = LocalEngine(model, TOKENIZER, dtype=next(model.parameters()).dtype)
    return draw(engine, prompts(0, n), samples, SamplingParams(max_tokens=6), [seed + i for i in range(n)])


def groups_of(model: Decoder) -> list[Group]:
    rng = np.random.default_rng(3)
    return [Group(p, a, rng.normal(size=len(a))) for p, a in zip(prompts(0, 3), drawn(model), strict=True)]


def readings_of(groups: list[Group], *models: Decoder) -> list[list[np.ndarray]]:
    laid_out = lay_out_numbered(documents(groups), LENGTH)
    rows = [read_rows(model, laid_out.batch, CPU)["log_p"] for model in models]
    return [laid_out.by_document(row, documents(groups)) for row in rows]


def test_what_the_engine_draws_is_what_the_trainer_reads() -> None:
    model = decoder()
    engine = LocalEngine(model, TOKENIZER, dtype=torch.float32)
    roots = engine.open_tokens([p.tokens for p in prompts(0, 3)])
    texts = engine.extend(roots, 4, SamplingParams(max_tokens=6), [0, 1, 2], stop=None)
    told = [text.logprob for group in texts for text in group]
    groups = [Group(p, a, np.zeros(4)) for p, a in zip(prompts(0, 3), drawn(model), strict=True)]
    (read_again,) = readings_of(groups, model)
    assert np.allclose([row.sum() for row in read_again], told, atol=1e-4)
    answers = [answer for group in groups for answer in group.answers]
    assert [answer.text for answer in answers] == [text.text for group in texts for text in group]
    assert all((answer.tokens[-1] == TOKENIZER.end_id) == answer.done for answer in answers)
    assert len({answer.done for answer in answers}) == 2, "answers that ended and answers that were cut off"


@pytest.mark.parametrize("name", ["grpo", "dr-grpo", "dapo", "rloo"])
def test_loss_and_gradient_are_those_of_the_formula(name: str) -> None:
    model, before, reference = decoder(1, torch.float64), decoder(2, torch.float64), decoder(3, torch.float64)
    config = AlignConfig(method=name, beta=0.1, kl="loss", accumulate=1)  # type: ignore[arg-type]
    groups = groups_of(before)
    log_old, log_ref, log_p = readings_of(groups, before, reference, model)
    items = lessons(groups, Readings(log_old, log_ref, []), config, 0.0)
    batch = policy_batch(items, items, config, LENGTH, most=6)
    loss = PolicyLoss(config.clip_low, config.high, 0.1)
    batch = to_tensors(batch, CPU)
    batch = batch._replace(**{key: getattr(batch, key).double() for key in batch._fields[4:]})
    ours = loss(model, batch)

    shape = (3, 4, 6)
    written = np.zeros(shape, bool)
    padded = {key: np.zeros(shape) for key in ("p", "old", "ref")}
    for i, answer in enumerate(answer for group in groups for answer in group.answers):
        at = (*divmod(i, 4), slice(len(answer.tokens)))
        written[at] = True
        for key, rows in (("p", log_p), ("old", log_old), ("ref", log_ref)):
            padded[key][at] = rows[i]
    rewards = np.stack([group.rewards for group in groups])
    advantage = {
        "grpo": (rewards - rewards.mean(-1, keepdims=True)) / rewards.std(-1, keepdims=True),
        "dapo": (rewards - rewards.mean(-1, keepdims=True)) / rewards.std(-1, keepdims=True),
        "dr-grpo": grpo.centered_rewards(rewards),
        "rloo": grpo.leave_one_out_advantages(rewards),
    }[name]
    weight = {
        "grpo": grpo.weights_by_answer(written) / 3,
        "dr-grpo": grpo.weights_by_limit(written, 6) / 3,
        "dapo": written / written.sum(),
        "rloo": written / 12,
    }[name]
    each = advantage[..., None] * written
    clip = (config.clip_low, config.high)
    theirs = grpo.policy_loss(padded["p"], padded["old"], padded["ref"], each, weight, clip, 0.1).sum()
    assert ours.item() == pytest.approx(theirs, rel=1e-5)
    (slope,) = torch.autograd.grad(ours, [next(model.parameters())])
    dp = grpo.policy_loss_vjp(padded["p"], padded["old"], padded["ref"], each, weight, clip, 0.1, np.ones(3))[0]
    by_answer = [dp[divmod(i, 4)][: len(row)] for i, row in enumerate(log_p)]
    laid_out = lay_out_numbered(documents(groups), LENGTH)
    rows = torch.from_numpy(laid_out.rows(by_answer)).double()
    tensors = to_tensors(laid_out.batch, CPU)
    learned = tensors.targets != -1
    through = (read_tokens(model, tensors).log_p * rows[learned]).sum()
    (same,) = torch.autograd.grad(through, [next(model.parameters())])
    assert torch.allclose(slope, same, rtol=1e-4, atol=1e-8)


def test_the_first_step_has_the_ratio_one_and_the_gradient_of_reinforce() -> None:
    model = decoder(1)
    groups = groups_of(model)
    (log_old,) = readings_of(groups, model)
    config = AlignConfig(method="rloo", beta=0.0, accumulate=1)
    items = lessons(groups, Readings(log_old, log_old, []), config, 0.0)
    loss = PolicyLoss(0.2, 0.2, 0.0)
    loss(model, to_tensors(policy_batch(items, items, config, LENGTH, 6), CPU))
    told = loss.drain()
    assert told["ratio"] == pytest.approx(1, abs=1e-5) and told["clipped"] == 0
    assert loss.drain() == {}


def test_equal_answers_count_as_often_as_they_were_drawn() -> None:
    prompt, config = prompts(0, 1)[0], AlignConfig(method="grpo", accumulate=1)
    a, b = Answer("1", (3, 1), True), Answer("22", (4, 4, 1), True)
    groups = [Group(prompt, [a, b, a, a], np.array([1.0, 0.0, 1.0, 1.0]))]
    each = [np.full(n, -1.0) for n in (2, 3, 2, 2)]
    items = lessons(groups, Readings(each, each, []), config, 0.0)
    assert [(item.document.solution, item.times) for item in items] == [((3, 1), 3), ((4, 4, 1), 1)]
    batch = policy_batch(items, items, config, LENGTH, 8)
    weights = sorted(batch.weight[batch.targets != -1].tolist())
    assert weights == pytest.approx([1 / 12] * 3 + [3 / 8] * 2)


def test_what_tools_gave_is_not_learned_and_counts_for_nothing() -> None:
    """The gradient is that of the answer's own tokens, each divided by how many of them there are."""
    model, prompt = decoder(1), prompts(0, 1)[0]
    given = (False, True, True, False, False)
    answers = [Answer("", (3, 4, 5, 6, 1), True, given), Answer("", (7, 1), True)]
    groups = [Group(prompt, answers, np.array([1.0, 0.0]))]
    (log_p,) = readings_of(groups, model)
    assert [len(row) for row in log_p] == [3, 2]
    text = torch.tensor([[*prompt.tokens, *answers[0].tokens]])
    each = model.logits(model(text)).detach().log_softmax(-1)[0]
    first = len(prompt.tokens) - 1
    own = [float(each[first + i, token]) for i, token in enumerate(answers[0].tokens) if not given[i]]
    assert np.allclose(log_p[0], own, atol=1e-5)
    config = AlignConfig(method="grpo", beta=0.0, accumulate=1)
    items = lessons(groups, Readings(log_p, log_p, []), config, 0.0)
    batch = policy_batch(items, items, config, LENGTH, 6)
    learned = batch.targets != -1
    assert learned.sum() == 5 and (batch.weight[~learned] == 0).all()
    assert sorted(batch.weight[learned].tolist()) == pytest.approx([1 / 6] * 3 + [1 / 4] * 2)
    assert finds(groups, {}, 4) == [Document(prompt.tokens, answers[0].tokens, given)]


def test_a_step_in_parts_has_the_gradient_of_the_whole() -> None:
    model, reference = decoder(1), decoder(2)
    groups = groups_of(model)
    log_old, log_ref = readings_of(groups, model, reference)
    found = []
    for accumulate in (1, 3):
        config = AlignConfig(method="dapo", accumulate=accumulate)
        items = lessons(groups, Readings(log_old, log_ref, []), config, 0.0)
        batches = dealt(items, config, random.Random(0), lambda p, s, c=config: policy_batch(p, s, c, LENGTH, 6))  # type: ignore[misc]
        assert len(batches) == accumulate
        loss = sum(PolicyLoss(0.2, 0.28, 0.0)(model, to_tensors(batch, CPU)) for batch in batches) / accumulate
        found.append(torch.autograd.grad(loss, [next(model.parameters())])[0])  # type: ignore[arg-type]
    assert torch.allclose(*found, atol=1e-6)


def test_advantages_are_those_of_reference() -> None:
    rewards = np.array([1.0, 0.0, 0.5, 0.0])
    assert np.allclose(centered(rewards), grpo.centered_rewards(rewards))
    assert np.allclose(leave_one_out(rewards), grpo.leave_one_out_advantages(rewards))
    assert np.allclose(group_relative(rewards), (rewards - rewards.mean()) / rewards.std())
    assert group_relative(np.ones(3)).tolist() == [0, 0, 0]
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=5), rng.normal(size=5)
    (ours,) = gae([reward], [value], 0.9, 0.8)
    assert np.allclose(ours, policy.gae(reward, np.append(value, 0.0), 0.9, 0.8))
    assert np.allclose(shaped([reward], [value], 0.9)[0], ppo.shaped_reward(reward, value, 0.9))
    flat = np.concatenate(whitened([ours, ours * 3 + 1]))
    assert abs(flat.mean()) < 1e-12 and flat.std() == pytest.approx(1)


def test_with_a_perfect_value_function_shaping_changes_nothing_but_where_it_is_paid() -> None:
    """Φ = V: the advantage with λ 0 is the reward of the step itself, and the value to learn is 0 everywhere."""
    reward, value = np.array([0.0, 0.0, 1.0]), np.array([0.5, 0.25, 1.0])
    paid = shaped([reward], [value], 1.0)
    (plain,), (ours,) = gae([reward], [value], 1.0, 0.0), gae(paid, [np.zeros(3)], 1.0, 0.0)
    assert ours.tolist() == plain.tolist() == [-0.25, 0.75, 0.0]


def test_dpo_is_the_formula_and_pairs_are_told_apart() -> None:
    model, reference = decoder(1), decoder(2)
    pairs = [Pair((2, 3, 4), (5, 1), (6, 7, 1)), Pair((2, 4), (9, 9, 1), (3, 1))]
    batch = to_tensors(pair_batch(pairs, reference_logprobs(pairs, LENGTH, reference, CPU), LENGTH), CPU)
    log_p = answer_logprobs(model, batch).detach().double().numpy()
    alone = [
        read_rows(model, lay_out_numbered([d], LENGTH).batch, CPU)["log_p"].sum() for p in pairs for d in p.documents
    ]
    assert np.allclose(log_p, alone, atol=1e-4)
    ref = batch.log_ref.double().numpy()
    loss = DpoLoss(0.3)
    ours = loss(model, batch).item()
    assert ours == pytest.approx(
        preference.dpo_loss(log_p[::2], log_p[1::2], ref[::2], ref[1::2], 0.3).mean(), rel=1e-4
    )
    assert loss.drain()["pairs_right"] in (0.0, 0.5, 1.0)
    empty = to_tensors(pair_batch([], np.zeros((0, 2)), LENGTH), CPU)
    assert DpoLoss(0.3)(model, empty).item() == 0


def test_a_preference_model_is_the_formula_whatever_is_beside_an_answer() -> None:
    torch.manual_seed(0)
    model = PreferenceModel(decoder(1))
    model.head.weight.data.normal_()
    pairs = [Pair((2, 3, 4), (5, 1), (6, 7, 1)), Pair((2, 4), (9, 9, 1), (3, 1)), Pair((5,), (1,), (2, 1))]
    asked = [Prompt("", pair.prompt) for pair in pairs for _ in range(2)]
    answers = [Answer("", tokens, True) for pair in pairs for tokens in (pair.chosen, pair.rejected)]
    together = np.array(preference_model.rewards(model, asked, answers, LENGTH, CPU))
    alone = [preference_model.rewards(model, [p], [a], LENGTH, CPU)[0] for p, a in zip(asked, answers, strict=True)]
    assert np.allclose(together, alone, atol=1e-5)
    texts = [[*p.tokens, *a.tokens[:-1]] for p, a in zip(asked, answers, strict=True)]
    ends = [model(torch.tensor([t]), torch.arange(len(t))[None], causal_attend())[0, -1].item() for t in texts]
    assert np.allclose(together, ends, atol=1e-5), "read where the answer is about to end"
    ours = preference_model.preference_loss(model, to_tensors(preference_model.batch_of(pairs, LENGTH), CPU)).item()
    assert ours == pytest.approx(preference.reward_loss(together[::2], together[1::2]).mean(), rel=1e-4)
    share = preference_model.share_preferred(model, pairs, LENGTH, CPU)
    assert share == pytest.approx((together[::2] > together[1::2]).mean())


def test_pairs_and_finds() -> None:
    prompt = prompts(0, 1)[0]
    a, b, c = Answer("1", (3, 1), True), Answer("2", (4, 1), True), Answer("3", (5, 1), True)
    group = Group(prompt, [a, b, c, a], np.array([1.0, 0.0, 1.0, 1.0]))
    pair = pair_of(group, random.Random(0))
    assert pair is not None and pair.rejected == b.tokens and pair.chosen in (a.tokens, c.tokens)
    unsolved = Group(prompt, [b, b], np.zeros(2))
    assert pair_of(unsolved, random.Random(0)) is None
    assert pair_of(unsolved, random.Random(0), [b]) is None, "what search found is what was drawn"
    assert pair_of(unsolved, random.Random(0), [c]) == Pair(prompt.tokens, c.tokens, b.tokens)
    assert finds([group], {}, 4) == [Document(prompt.tokens, a.tokens), Document(prompt.tokens, c.tokens)]
    assert finds([group], {}, 1) == [Document(prompt.tokens, a.tokens)]
    unsolved = Group(prompt, [b], np.zeros(1))
    assert finds([unsolved], {prompt: [c]}, 4) == [Document(prompt.tokens, c.tokens)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([1.0], "1 numbers for 2 answers"), ([1.0, float("nan")], "answer 1 is nan"), ([0.0, "high"], "'high'"),
        ("ab", "must give a list of 2"), (None, "must give a list of 2"), ([1.0, [2.0]], "answer 1"),
    ],
)  # fmt: skip
def test_a_reward_that_is_none_is_told(given: object, told: str) -> None:
    with pytest.raises(UserError, match=told):
        checked(given, 2)


def test_rewards_of_any_kind_of_number() -> None:
    assert checked(torch.tensor([0.5, 1.0]), 2).tolist() == [0.5, 1.0]
    assert checked([True, np.float32(0.25)], 2).tolist() == [1.0, 0.25]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"samples": 1}, "at least 2"), ({"beta": -0.1}, "beta = -0.1"), ({"method": "dpo", "beta": 0.0}, "beta = 0"),
        ({"temperature": 0.0}, "temperature"), ({"gamma": 1.5}, "gamma"), ({"rounds": 0}, "rounds"),
        ({"method": "dr-grpo", "target_kl": 1.0}, "adapts beta"),
        ({"method": "grpo", "lam": 0.5}, "lam = 0.5 would change nothing: grpo has no use for it"),
        ({"method": "rloo", "shaping": 1.0}, "shaping = 1.0 would change nothing: rloo has no use for it"),
        ({"method": "grpo", "search": "beam"}, "no use for it"), ({"method": "dpo", "clip_low": 0.1}, "no use for it"),
        ({"method": "none", "rounds": 9}, "set method as well"),
        ({"method": "expert-iteration", "beta": 0.1}, "no use for it"),
        ({"method": "grpo", "target_kl": 1.0}, "in the reward"),
    ],
)  # fmt: skip
def test_bad_settings(settings: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        AlignConfig(**{"method": "grpo", **settings})  # type: ignore[arg-type]


def test_beta_adapts_by_a_fiftieth_at_most() -> None:
    assert adapted(1.0, 2.0, 100.0) == pytest.approx(1.02) and adapted(1.0, 2.0, 0.0) == pytest.approx(0.98)


def test_explained_variance() -> None:
    returns = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(returns, returns) == 1
    assert explained_variance(torch.zeros(3), returns) == 0
    assert explained_variance(-returns, returns) < 0
    assert explained_variance(returns[:1], returns[:1]) == 0


def rounds(folder: Path, model: object, config: AlignConfig, paid: str = "1") -> Rounds:
    def has_a_one(asked: object, answers: list[Answer]) -> list[float]:
        return [float(paid in answer.text) for answer in answers]

    environment = Environment(prompts, has_a_one, truth=has_a_one, max_tokens=6)  # type: ignore[arg-type]
    log = JsonlLog(folder / "align.jsonl")
    return Rounds(
        config, environment, TOKENIZER, model, decoder(1), LENGTH, 0, torch.float32, log, folder / "r.safetensors"
    )


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_makes_batches_that_its_loss_can_learn_from(tmp_path: Path, method: str) -> None:
    config = AlignConfig(method=method, problems=4, samples=4, epochs=2, minibatches=2, accumulate=1)  # type: ignore[arg-type]
    model = ActorCritic(decoder(1), decoder(1)) if config.critic else decoder(1)
    made = rounds(tmp_path, model, config)
    loss_fn = loss_of(config)
    for i in range(4):
        loss = loss_fn(model, to_tensors(made.batch(i), CPU))
        loss.backward()
        assert torch.isfinite(loss)
    (event,) = read(tmp_path / "align.jsonl")
    assert event["round"] == 0 and event["step"] == 1 and event["kl"] == pytest.approx(0, abs=1e-4)
    assert event["reward"] == event["truth"] and event["entropy"] > 0
    again = rounds(tmp_path, model, config)
    assert all(np.array_equal(a, b) for a, b in zip(again.batch(1), made.batch(1), strict=True)), "as it was kept"
    assert len(read(tmp_path / "align.jsonl")) == 1, "a round that was begun is not told again"
    assert isinstance(made.batch(1), PairBatch) == (method == "dpo")


@pytest.mark.parametrize("method", list(METHODS))
def test_a_round_that_teaches_nothing_has_no_gradient(tmp_path: Path, method: str) -> None:
    without_kl = {"beta": 0.0} if method in ("grpo", "dr-grpo", "dapo", "rloo") else {}
    config = AlignConfig(method=method, problems=2, samples=3, accumulate=1, **without_kl)  # type: ignore[arg-type]
    model = ActorCritic(decoder(1), decoder(1)) if config.critic else decoder(1)
    loss = loss_of(config)(model, to_tensors(rounds(tmp_path, model, config, paid="x").batch(0), CPU))
    loss.backward()
    if method != "ppo":  # whose value head still learns that nothing is to be had
        assert loss.item() == 0
        assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    (event,) = read(tmp_path / "align.jsonl")
    assert event["reward"] == 0 and event["without_variance"] == 1
