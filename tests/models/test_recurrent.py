"""The recurrent language model: its size, its weights, and that it only looks back."""

import pytest
import torch

from clearhead.errors import UserError
from clearhead.models.decoder import PRESETS, DecoderConfig
from clearhead.models.recurrent import Recurrent, RecurrentConfig, matched
from clearhead.nn.functional import rms_norm
from clearhead.nn.recurrent import run, run_by_definition

TINY = [RecurrentConfig(11, cell, 6, 3 if cell == "conv" else 2) for cell in ("lstm", "rnn", "conv")]


@pytest.mark.parametrize("config", TINY, ids=lambda config: config.cell)
def test_parameters_are_counted(config: RecurrentConfig) -> None:
    assert sum(p.numel() for p in Recurrent(config).parameters()) == config.parameters


@pytest.mark.parametrize(("cell", "layers"), [("lstm", 2), ("rnn", 2), ("conv", 8)])
@pytest.mark.parametrize("preset", ["demo", "small", "medium"])
@pytest.mark.parametrize("vocab", [65, 2048, 50257])
def test_as_many_parameters_as_the_decoder(cell: str, layers: int, preset: str, vocab: int) -> None:
    wanted = DecoderConfig(vocab=vocab, **PRESETS[preset]).parameters
    found = matched(cell, vocab, wanted, layers)
    assert abs(found.parameters / wanted - 1) < 0.01 and found.n_layers == layers
    assert RecurrentConfig(vocab, cell, found.d_model + 1, layers).parameters > wanted * 0.999


def test_convolutions_see_twice_as_far_with_every_layer() -> None:
    config = RecurrentConfig(11, "conv", 6, 3)
    model, tokens = woken(config), torch.zeros(1, 12, dtype=torch.long)
    other = tokens.clone()
    other[0, 1] = 7
    differs = (model(tokens) != model(other)).any(-1)[0].tolist()
    assert differs == [False] + [True] * 8 + [False] * 3  # 2³ tokens, itself included
    _, states = model.read(tokens, None)
    assert sum(part[0].numel() for state in states for part in state) == config.state_numbers == (1 + 2 + 4) * 6
    for cell in ("lstm", "rnn"):
        one = RecurrentConfig(11, cell, 6, 3)
        _, states = woken(one).read(tokens, None)
        assert sum(part[0].numel() for state in states for part in state) == one.state_numbers


def test_too_deep_a_convolution_is_told() -> None:
    with pytest.raises(UserError, match="n_layers = 21 must be at most 20"):
        RecurrentConfig(11, "conv", 6, 21)


@pytest.mark.parametrize("config", TINY, ids=lambda config: config.cell)
def test_it_is_a_stream_of_cells(config: RecurrentConfig) -> None:
    model, tokens = woken(config), torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(0))
    x = model.embed.weight[tokens]
    for layer in model.cells:
        by_definition = run if config.cell == "conv" else run_by_definition
        x = x + by_definition(layer, rms_norm(x, None, 1e-6), None)[0]
    torch.testing.assert_close(model(tokens), rms_norm(x, None, 1e-6))
    torch.testing.assert_close(model.logits(model(tokens)), rms_norm(x, None, 1e-6) @ model.head.weight.mT)


@pytest.mark.parametrize("config", TINY, ids=lambda config: config.cell)
def test_it_sees_what_was_before_and_nothing_after(config: RecurrentConfig) -> None:
    model, tokens = woken(config), torch.zeros(1, 9, dtype=torch.long)
    other = tokens.clone()
    other[0, 4] = 7
    differs = (model(tokens) != model(other)).any(-1)[0].tolist()
    assert differs == [False] * 4 + [True] * 5


@pytest.mark.parametrize("config", TINY, ids=lambda config: config.cell)
def test_a_text_read_token_by_token(config: RecurrentConfig) -> None:
    model, tokens = woken(config), torch.arange(8)[None]
    states, parts = None, []
    for t in range(8):
        hidden, states = model.read(tokens[:, t : t + 1], states)
        parts.append(hidden)
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens))


def test_first_weights() -> None:
    model = Recurrent(TINY[0], seed=3)
    assert not model.logits(model(torch.arange(4)[None])).any()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), Recurrent(TINY[0], 3).parameters(), strict=True))
    assert not torch.equal(model.embed.weight, Recurrent(TINY[0], 4).embed.weight)
    layer = model.cells[0]
    assert layer.bias_ih_l0.tolist() == [0] * 6 + [1] * 6 + [0] * 12
    for gate in layer.weight_hh_l0.split(6):
        torch.testing.assert_close(gate @ gate.mT, torch.eye(6), rtol=0, atol=1e-5)


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(UserError, match="d_model = 0"):
        RecurrentConfig(11, "lstm", 0)


def woken(config: RecurrentConfig) -> Recurrent:
    """A head that is not zero."""
    model = Recurrent(config)
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(9))
    return model
