"""The preflight: healthy models pass, each fault is named, and nothing of the model changes."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearhead import doctor
from clearhead.doctor.finding import alarms
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.nn.lora import LoraConfig, add_lora
from clearhead.text.packing import Document, pack
from clearhead.training.step import language_model_loss

CONFIG = DecoderConfig(vocab=12, d_model=16, n_layers=1, n_heads=2, n_kv_heads=2, d_ff=32, max_positions=24)


def batches(shift: int = 0) -> list[Any]:
    generator = torch.Generator().manual_seed(shift)
    found = []
    for _ in range(4):
        words = torch.randint(3, 12, (6, 5), generator=generator).tolist()
        found.append(pack([Document([*word, 1], [*word, 2]) for word in words], 24))
    return found


def lively(seed: int = 0) -> Decoder:
    """A decoder whose outputs differ from the start, as of a model that has learned a little."""
    torch.manual_seed(seed)
    model = Decoder(CONFIG)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.02 * torch.randn_like(p)
    return model


def test_our_own_decoder_passes_and_is_not_changed() -> None:
    model = lively()
    before = copy.deepcopy(model.state_dict())
    state = torch.random.get_rng_state()
    told = doctor.preflight(model, batches(), language_model_loss, end=2, validation=batches(9))
    assert alarms(told.findings) == [], str(told)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert told.measured["gradient_error"] < 1e-4 and told.measured["duplicates"] == 0
    assert told.measured["loss_on_two_batches"] < 0.7 * told.measured["loss_at_start"]


class Plain(nn.Module):
    """A classifier of tokens, with a fault or none."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.embed = nn.Embedding(12, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.embed(x).mean(1)
        if self.fault == "dropout":
            y = F.dropout(y, 0.5)
        if self.fault == "detach":
            y = y.detach()
        if self.fault == "half detached":
            y = y + y.detach()
        if self.fault == "batch":
            y = y - y.mean(0)
        return self.head(y)


def pairs(n: int = 2) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 12, (n, 16, 6), generator=generator)
    return [(x, x[:, 0] % 4) for x in tokens]


def loss_of(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("", None),
        ("dropout", "dropout_in_evaluation"),
        ("detach", "no_gradient"),
        ("half detached", "wrong_gradient"),
        ("batch", "rows_mixed"),
    ],
)
def test_faults_of_a_model(fault: str, name: str | None) -> None:
    torch.manual_seed(0)
    told = doctor.preflight(Plain(fault), pairs(), loss_of)
    names = [f.name for f in alarms(told.findings)]
    assert names == ([name] if name else []), str(told)


class Words:
    """A tokenizer that knows lower-case letters alone."""

    vocab_size = 30

    def encode(self, text: str) -> list[int]:
        return [ord(c) - 96 for c in text.lower() if c.isalpha()]

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(i + 96) for i in ids)


def test_faults_of_the_data() -> None:
    torch.manual_seed(0)
    told = doctor.preflight(
        Plain(), pairs(), loss_of, validation=pairs(), tokenizer=Words(), texts=["abc", "A b"], end=11,
    )  # fmt: skip
    names = {f.name for f in alarms(told.findings)}
    assert {"validation_in_training", "tokenizer_round_trip", "vocabulary_too_small", "end_not_learned"} <= names
    assert told.measured["round_trip"] == 0.5


@pytest.mark.parametrize(("off", "found"), [(0, False), (1, True)])
def test_a_cache_whose_positions_are_off_by_one(off: int, found: bool) -> None:
    model = lively()

    def decode(copy: nn.Module, ids: Tensor) -> Tensor:
        """Token by token, each with the whole text before it; as a cache would, but for its positions."""
        rows = []
        for i in range(len(ids)):
            positions = torch.arange(i + 1)[None]
            positions[:, -1] += off if i else 0
            rows.append(copy.logits(copy(ids[None, : i + 1], positions))[0, -1])
        return torch.stack(rows)

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, tokens: Tensor) -> Tensor:
            return self.inner.logits(self.inner(tokens))

        def logits(self, hidden: Tensor) -> Tensor:
            return self.inner.logits(hidden)

    def step(copy: nn.Module, ids: Tensor) -> Tensor:
        return decode(copy.inner, ids)  # type: ignore[arg-type]

    tokens = torch.randint(3, 12, (8, 10), generator=torch.Generator().manual_seed(2))
    data = [(tokens[:, :-1], tokens[:, 1:])] * 2
    told = doctor.preflight(
        Logits(), data, lambda m, b: F.cross_entropy(m(b[0]).flatten(0, 1), b[1].flatten()), decode=step
    )
    assert ("cache_mismatch" in {f.name for f in told.findings}) == found, str(told)


@pytest.mark.parametrize("off", [False, True])
def test_an_adapter_of_scale_zero(off: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively()
    add_lora(model, LoraConfig(rank=2, alpha=8))
    if off:
        monkeypatch.setattr(LoraConfig, "scale", property(lambda config: 0.0))
    told = doctor.preflight(model, batches(), language_model_loss)
    assert ("adapter_without_effect" in {f.name for f in alarms(told.findings)}) == off, str(told)


def test_nothing_trainable() -> None:
    model = Plain().requires_grad_(False)
    assert "nothing_trainable" in {f.name for f in alarms(doctor.preflight(model, pairs(), loss_of).findings)}
