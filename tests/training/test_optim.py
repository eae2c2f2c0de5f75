"""The update rules against torch's own and against what defines them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from clearhead.errors import UserError
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.models.recurrent import Recurrent, RecurrentConfig
from clearhead.training.optim import BETAS, EPS, Optimizer, adamw, adamw_, hidden_matrices, muon, orthogonal

CONFIG = DecoderConfig(vocab=11, **PRESETS["tiny"])  # type: ignore[arg-type]


def matrices(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_adamw_in_place_is_the_same_bits() -> None:
    w, m, v = matrices(40, 30).float(), torch.zeros(40, 30), torch.zeros(40, 30)
    mine = [x.clone() for x in (w, m, v)]
    for t in range(1, 6):
        g = matrices(40, 30, seed=t).float()
        w, m, v = adamw(w, g, m, v, t, 0.003, 0.1)
        adamw_(*mine[:1], g, *mine[1:], t, 0.003, 0.1)
        assert all(torch.equal(a, b) for a, b in zip(mine, (w, m, v), strict=True))


def test_adamw_is_torchs() -> None:
    ours = matrices(5, 3)
    theirs = nn.Parameter(ours.clone())
    peer = torch.optim.AdamW([theirs], lr=0.1, betas=BETAS, eps=EPS, weight_decay=0.3)
    m = v = torch.zeros_like(ours)
    for t in range(1, 8):
        g = matrices(5, 3, seed=t)
        theirs.grad = g
        peer.step()
        ours, m, v = adamw(ours, g, m, v, t, 0.1, 0.3)
        torch.testing.assert_close(ours, theirs.data, rtol=1e-12, atol=0)


@pytest.mark.parametrize("shape", [(2, 8, 20), (2, 20, 8), (1, 12, 12)])
def test_orthogonal_keeps_the_directions_and_levels_the_sizes(shape: tuple[int, ...]) -> None:
    g = matrices(*shape)
    u, _, vt = torch.linalg.svd(g, full_matrices=False)
    leveled = u.mT @ orthogonal(g) @ vt.mT  # diagonal if the singular vectors are kept
    sizes = leveled.diagonal(dim1=-2, dim2=-1)
    assert (leveled - torch.diag_embed(sizes)).abs().max() < 1e-12
    assert sizes.min() > 0.6 and sizes.max() < 1.25
    assert torch.linalg.svdvals(g).max() > 3


def test_orthogonal_rows_of_a_batch_are_alone() -> None:
    g = matrices(3, 8, 20)
    torch.testing.assert_close(orthogonal(g)[1], orthogonal(1000 * g[1:2])[0])
    assert orthogonal(torch.zeros(1, 3, 4)).abs().max() == 0


def test_muon_by_hand() -> None:
    w, g, m = matrices(1, 6, 3), matrices(1, 6, 3, seed=1), matrices(1, 6, 3, seed=2)
    new_w, new_m = muon(w, g, m, lr=0.1, decay=0.2, dtype=torch.float64)
    torch.testing.assert_close(new_m, 0.95 * m + 0.05 * g)
    direction = orthogonal(0.05 * g + 0.95 * new_m)
    torch.testing.assert_close(new_w, w * (1 - 0.1 * 0.2) - 0.1 * 2**0.5 * direction)


def test_hidden_matrices_are_those_of_the_blocks() -> None:
    model = nn.ModuleDict({"decoder": Decoder(replace(CONFIG, positions="learned")), "head": nn.Linear(32, 2)})
    hidden = {name.split(".", 3)[-1] for name in hidden_matrices(model)}
    assert hidden == {"attention.qkv.weight", "attention.out.weight", "mlp.up.weight", "mlp.down.weight"}
    assert {name for name in hidden_matrices(model) if ".blocks." not in name} == set()
    assert hidden_matrices(Recurrent(RecurrentConfig(11, "lstm", 8, 1))) == set()


def test_matrices_of_any_model_decay_and_are_muons() -> None:
    """Whatever its parts are called; what is an embedding, a head or a vector is neither."""
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 8), nn.Linear(8, 11))
    assert hidden_matrices(model) == {"1.weight", "3.weight"}
    layer = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 1, enable_nested_tensor=False)
    found = hidden_matrices(nn.ModuleDict({"embedding": nn.Embedding(9, 8), "body": layer, "head": nn.Linear(8, 3)}))
    assert {name.removeprefix("body.layers.0.") for name in found} == {
        "self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight", "linear2.weight"
    }  # fmt: skip
    optimizer = Optimizer(model, "muon", 0.02, 0.003, 0.1)
    assert {name for group in optimizer.muon_groups for name, _ in group} == optimizer.decayed
    with pytest.raises(UserError, match="no such rule"):
        Optimizer(model, "no such rule", 0.02, 0.003, 0.1)


def test_betas_and_epsilon_are_those_given() -> None:
    model = nn.Linear(3, 5, bias=False).double()
    theirs = nn.Parameter(model.weight.detach().clone())
    peer = torch.optim.AdamW([theirs], lr=0.1, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.3)
    ours = Optimizer(model, "adamw", 0.0, 0.1, 0.3, betas=(0.8, 0.99), eps=1e-3)
    for t in range(1, 5):
        theirs.grad = matrices(5, 3, seed=t)
        peer.step()
        ours.step({"weight": matrices(5, 3, seed=t)}, t, 1.0)
    torch.testing.assert_close(model.weight.data, theirs.data, rtol=1e-12, atol=0)


@pytest.mark.parametrize("head_dim", [16, 12])  # as many as the width has for each of 2 heads, and fewer
@pytest.mark.parametrize("rule", ["muon", "adamw"])
def test_each_parameter_gets_its_rule(rule: str, head_dim: int) -> None:
    model = Decoder(replace(CONFIG, head_dim=head_dim), seed=1).double()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    gradients = {name: matrices(*p.shape, seed=i) for i, (name, p) in enumerate(before.items())}
    optimizer = Optimizer(model, rule, lr=0.02, adam_lr=0.003, decay=0.5, dtype=torch.float64)
    optimizer.step(gradients, t=1, scale=0.5)
    for name, p in model.named_parameters():
        w, g, zero = before[name], gradients[name], torch.zeros_like(before[name])
        decay = 0.5 if "blocks" in name else 0.0
        expected = adamw(w, g, zero, zero, 1, 0.5 * 0.003, decay)[0]
        if rule == "muon" and "blocks" in name:
            c = head_dim
            parts = [(0, 2 * c), (2 * c, 3 * c), (3 * c, 4 * c)] if "qkv" in name else [(0, len(w))]  # 2 heads, 1 group
            expected = torch.cat([
                muon(w[None, a:b], g[None, a:b], zero[None, a:b], 0.5 * 0.02, decay, torch.float64)[0][0]
                for a, b in parts
            ])  # fmt: skip
        torch.testing.assert_close(p.data, expected, rtol=1e-12, atol=1e-15)
    assert all(value.abs().max() > 0 for value in optimizer.state.values())
    assert len(optimizer.state) == 10 + (2 if rule == "muon" else 10)  # moments of 8 matrices, embedding and head


def test_frozen_weights_stay() -> None:
    model = Decoder(CONFIG)
    model.embed.weight.requires_grad_(False)
    optimizer = Optimizer(model, "adamw", 0.02, 0.003, 0.0)
    assert "embed.weight" not in optimizer.weights and "m/embed.weight" not in optimizer.state
