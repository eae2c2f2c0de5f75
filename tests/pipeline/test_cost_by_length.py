"""What is kept of a text, counted by hand and in what backends hold; times are there, and never asserted."""

import pytest
import torch

from clearhead.errors import UserError
from clearhead.generation.contiguous import ContiguousBackend
from clearhead.generation.recurrent import RecurrentBackend
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.recurrent import Recurrent, RecurrentConfig
from clearhead.pipeline.cost_by_length import WRITTEN, kept, measure
from clearhead.pipeline.text_recipe import CostConfig

DECODER = DecoderConfig(20, d_model=32, n_layers=3, n_heads=4, n_kv_heads=2, d_ff=32, max_positions=64)


def test_a_decoder_keeps_keys_and_values_of_every_token() -> None:
    decoder = Decoder(DECODER)
    assert kept(decoder, 40) == 40 * 3 * 2 * 2 * 8 * 4 == 2 * kept(decoder, 20)
    assert ContiguousBackend(decoder).check(40, 1, 8) is None


@pytest.mark.parametrize(("cell", "states"), [("rnn", 2), ("lstm", 4), ("conv", 3)])
def test_a_state_has_one_size_whatever_the_length(cell: str, states: int) -> None:
    model = Recurrent(RecurrentConfig(20, cell, 16, 2))  # type: ignore[arg-type]
    assert kept(model, 4000) == kept(model, 4) == states * 16 * 4
    backend = RecurrentBackend(model)
    seq = backend.open([3, 4, 5], 1, 4)
    assert seq is not None
    backend.compute(torch.tensor([seq]).numpy())
    state = backend._texts[seq].states
    assert state is not None and sum(part.numel() * 4 for layer in state for part in layer) == kept(model, 3)


@pytest.mark.parametrize(
    "model", [Decoder(DECODER), Recurrent(RecurrentConfig(20, "conv", 16, 2))], ids=["decoder", "conv"]
)
def test_a_measurement_leaves_the_model_as_it_was(model: torch.nn.Module) -> None:
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = measure(model, 64 - WRITTEN - 1)  # type: ignore[arg-type]
    assert found["length"] == 64 - WRITTEN - 1 and found["read"] > 0 and found["write"] > 0
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("lengths", [(0,), (8, 4), (4, 4)])
def test_lengths_grow(lengths: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="must be positive and grow"):
        CostConfig(lengths)
