"""Watched or not, a loop computes the same bits; and what a loop of one's own, or a Trainer, does wrong is named."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import clearhead
from clearhead import doctor
from clearhead.cli.main import main
from clearhead.doctor.finding import alarms
from clearhead.doctor.watching import Watch


class Net(nn.Module):
    def __init__(self, inputs: int = 6, outputs: int = 3) -> None:
        super().__init__()
        self.a, self.norm, self.drop = nn.Linear(inputs, 24), nn.BatchNorm1d(24), nn.Dropout(0.2)
        self.b = nn.Linear(24, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.drop(F.relu(self.norm(self.a(x)))))


def batches(n: int = 40) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(n, 32, 6, generator=generator)
    return [(rows, (rows[:, 0] > 0).long() + (rows[:, 1] > 0).long()) for rows in x]


def loop(watch: Callable[..., Any] | None) -> tuple[list[float], dict[str, Tensor], float, Any]:
    torch.manual_seed(0), np.random.seed(0)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    data = batches()
    watched = watch(model, optimizer, data) if watch else None
    losses = []
    for x, y in watched or data:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x + 0.01 * torch.randn_like(x)), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if watched is not None and len(losses) == 20:
            watched.findings()  # in the middle of it, too
    if watched is not None:
        watched.findings()
        watched.close()
    state = model.state_dict() | {f"grad {n}": p.grad for n, p in model.named_parameters()}
    # Python's own generator is drawn from by the runtime check of types, under pytest alone
    return losses, state, torch.rand(1).item() + np.random.rand(), watched


def test_a_watched_loop_computes_the_same_bits() -> None:
    plain, seen = loop(None), loop(lambda *given: doctor.watch(*given, every=1))
    assert seen[0] == plain[0] and seen[2] == plain[2]
    assert plain[1].keys() == seen[1].keys()
    assert all(torch.equal(seen[1][name], value) for name, value in plain[1].items())
    assert alarms(seen[3].findings()) == []


def test_it_leaves_no_hook_behind() -> None:
    backward = torch.autograd.backward
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with doctor.watch(model, optimizer):
        assert torch.autograd.backward is not backward
        with doctor.watch(Net()):
            pass
        assert torch.autograd.backward is not backward
    assert torch.autograd.backward is backward
    assert not model._forward_pre_hooks and not optimizer._optimizer_step_pre_hooks


def test_what_was_seen_can_be_saved_and_judged_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watched = loop(doctor.watch)[3]
    watched.save(tmp_path / "watched.json")
    assert main(["doctor", str(tmp_path / "watched.json")]) == 0
    assert "healthy" in capsys.readouterr().out
    assert clearhead.doctor is doctor and isinstance(watched, Watch)


Loop = Iterator[tuple[Tensor, Tensor]]


def of_one_output(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x)[:, :1], torch.zeros_like(y))


def by_hand(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return ((model(x)[:, :1] - y.float()) ** 2).mean()


def upside_down(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return model(x).log_softmax(-1).gather(1, y[:, None]).mean()


def twice(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(model(x).sigmoid(), F.one_hot(y, 3).float())


@pytest.mark.parametrize(
    ("loss_of", "name"),
    [
        (of_one_output, "one_class"),
        (by_hand, "broadcast_loss"),
        (upside_down, "loss_sign"),
        (twice, "activation_before_loss"),
    ],
)
def test_losses_written_by_hand(loss_of: Callable[[nn.Module, Tensor, Tensor], Tensor], name: str) -> None:
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    with doctor.watch(model, optimizer, batches()) as watched:
        for x, y in watched:
            optimizer.zero_grad()
            loss_of(model, x, y).backward()
            optimizer.step()
    assert name in [f.name for f in alarms(watched.findings())]


@pytest.mark.parametrize("passes", [1, 4])
def test_accumulation_that_divides_is_healthy(passes: int) -> None:
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    with doctor.watch(model, optimizer, batches(80)) as watched:
        for i, (x, y) in enumerate(watched):
            (F.cross_entropy(model(x), y) / passes).backward()
            if i % passes == passes - 1:
                optimizer.step()
                optimizer.zero_grad()
    assert alarms(watched.findings()) == []


def test_half_precision_that_rounds_updates_away() -> None:
    torch.manual_seed(0)
    found = {}
    for rate in (1e-5, 1e-2):
        model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3)).bfloat16()
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        with doctor.watch(model, optimizer, batches(30)) as watched:
            for x, y in watched:
                optimizer.zero_grad()
                F.cross_entropy(model(x.bfloat16()).float(), y).backward()
                optimizer.step()
        found[rate] = [f.name for f in watched.findings()]
    assert "update_rounded_away" in found[1e-5]


def test_a_trainer_of_transformers(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=12, n_embd=16, n_layer=1, n_head=2))
    rows = [
        {"input_ids": ids, "labels": ids} for ids in torch.arange(12).repeat(48, 1).add(torch.arange(48)[:, None]) % 16
    ]
    arguments = TrainingArguments(
        str(tmp_path), max_steps=30, per_device_train_batch_size=4, learning_rate=3e-3, report_to=[], logging_steps=5,
        save_strategy="no", disable_tqdm=True, use_cpu=True, lr_scheduler_type="constant",
    )  # fmt: skip
    callback = doctor.DoctorCallback()
    Trainer(model, arguments, train_dataset=rows, callbacks=[callback]).train()
    assert callback.watch is not None
    record = callback.watch.record()
    assert len(record.get("loss")) == 30 and record.get("loss").values[-1] < record.get("loss").values[0]
    assert record.fact("labels", "shift", "1") == 1.0 and record.fact("probe", "future") < 1e-3
    assert alarms(callback.watch.findings()) == []
