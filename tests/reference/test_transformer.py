"""Whole models against transformers' GPT-2 and Llama: logits, loss, and the gradient of every weight."""

import numpy as np
import pytest
import torch
from against import check_vjp, close
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from trees import arrays, check_tree_vjp, filled, leaves

from clearhead.reference.blocks import Block, LlamaBlock, Norm
from clearhead.reference.mlp import MLP, GatedMLP
from clearhead.reference.multi_head import Heads
from clearhead.reference.transformer import (
    GPT2,
    Llama,
    gpt2,
    gpt2_loss,
    gpt2_loss_vjp,
    gpt2_vjp,
    llama,
    llama_loss,
    llama_loss_vjp,
    llama_vjp,
    next_token_loss,
    next_token_loss_vjp,
    random_gpt2,
    random_llama,
)

RNG = np.random.default_rng(0)
V, S, D, H, F, L = 11, 8, 12, 3, 20, 2
IDS = np.array([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])


def random(model: torch.nn.Module) -> torch.nn.Module:
    """The model in float64, with every weight random: norm weights and biases too."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.double().named_parameters():
            weight.normal_(0, 0.3, generator=generator)
            if "norm" in name or "ln_" in name:
                weight += 1 if name.endswith("weight") else 0
    return model.eval()


def their_gpt2() -> torch.nn.Module:
    config = GPT2Config(
        vocab_size=V, n_positions=S, n_embd=D, n_head=H, n_inner=F, n_layer=L, bos_token_id=0, eos_token_id=0
    )  # fmt: skip
    return random(GPT2LMHeadModel(config))


def from_gpt2(model: torch.nn.Module, of) -> GPT2:
    """Our tree of what `of` takes from each parameter: its value, or its gradient."""

    def heads(a: torch.nn.Module) -> Heads:
        q, k, v = np.split(of(a.c_attn.weight), 3, -1)
        b = [part.reshape(H, -1) for part in np.split(of(a.c_attn.bias), 3)]
        ws = [part.reshape(D, H, -1) for part in (q, k, v)]
        return Heads(*ws, of(a.c_proj.weight).reshape(H, -1, D), *b, of(a.c_proj.bias))

    def norm(n: torch.nn.Module) -> Norm:
        return Norm(of(n.weight), of(n.bias))

    def block(b: torch.nn.Module) -> Block:
        fc, proj = b.mlp.c_fc, b.mlp.c_proj
        return Block(
            heads(b.attn), norm(b.ln_1), MLP(*map(of, (fc.weight, fc.bias, proj.weight, proj.bias))), norm(b.ln_2)
        )

    t = model.transformer
    return GPT2(of(t.wte.weight), of(t.wpe.weight), tuple(block(b) for b in t.h), norm(t.ln_f))


def their_llama(G: int, base: float) -> torch.nn.Module:
    config = LlamaConfig(
        vocab_size=V, hidden_size=D, intermediate_size=F, num_hidden_layers=L, num_attention_heads=H,
        num_key_value_heads=G, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": base},
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    for b in model.model.layers:  # theirs passes through float32
        b.input_layernorm, b.post_attention_layernorm = torch.nn.RMSNorm(D, 1e-5), torch.nn.RMSNorm(D, 1e-5)
    model.model.norm, model.model.rotary_emb = torch.nn.RMSNorm(D, 1e-5), Turns(D // H, base)
    return random(model)


class Turns(torch.nn.Module):
    """The cosines and sines that transformers' Llama hands to its layers, in float64."""

    def __init__(self, C: int, base: float) -> None:
        super().__init__()
        self.speeds = base ** (-torch.arange(0, C, 2, dtype=torch.float64) / C)

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        theta = position_ids[..., None] * self.speeds
        theta = torch.cat((theta, theta), -1)
        return theta.cos(), theta.sin()


def from_llama(model: torch.nn.Module, of) -> Llama:
    def block(b: torch.nn.Module) -> LlamaBlock:
        a, m = b.self_attn, b.mlp
        into = [of(p.weight).T.reshape(D, -1, D // H) for p in (a.q_proj, a.k_proj, a.v_proj)]
        attention = Heads(*into, of(a.o_proj.weight).T.reshape(H, -1, D))
        gated = GatedMLP(*(of(p.weight).T for p in (m.gate_proj, m.up_proj, m.down_proj)))
        return LlamaBlock(attention, of(b.input_layernorm.weight), gated, of(b.post_attention_layernorm.weight))

    t = model.model
    blocks = tuple(block(b) for b in t.layers)
    return Llama(of(t.embed_tokens.weight), blocks, of(t.norm.weight), of(model.lm_head.weight).T)


def value(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().numpy()


def gradient(parameter: torch.Tensor) -> np.ndarray:
    return parameter.grad.numpy()


def compare(model, logits, loss, gradients, tree_of) -> None:
    z, t = model(torch.tensor(IDS)).logits, torch.tensor(IDS)
    theirs = torch.nn.functional.cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten())  # its own is in float32
    theirs.backward()
    close(logits, value(z))
    close(loss, theirs.item())
    for mine, other in zip(arrays(gradients), arrays(tree_of(model, gradient)), strict=True):
        close(mine, other)


def test_gpt2_is_that_of_transformers() -> None:
    model = their_gpt2()
    w = from_gpt2(model, value)
    compare(model, gpt2(w, IDS), gpt2_loss(w, IDS), gpt2_loss_vjp(w, IDS, 1.0), from_gpt2)


@pytest.mark.parametrize(("G", "base"), [(3, 10_000.0), (1, 500.0)])
def test_llama_is_that_of_transformers(G: int, base: float) -> None:
    model = their_llama(G, base)
    w = from_llama(model, value)
    compare(model, llama(w, IDS, base), llama_loss(w, IDS, base), llama_loss_vjp(w, IDS, base, 1.0), from_llama)


def test_gradients_by_differences() -> None:
    rng = np.random.default_rng(1)
    small = [random_gpt2(4, 3, 4, 2, 3, 1, rng), random_llama(4, 4, 2, 1, 3, 1, rng)]
    few, ids = np.array([[0, 3, 3], [2, 0, 1]]), np.array([0, 3, 1])
    for f, f_vjp, w, *rest in (
        (gpt2, gpt2_vjp, small[0], ids),
        (gpt2_loss, gpt2_loss_vjp, small[0], few),
        (llama, llama_vjp, small[1], ids, 100.0),
        (llama_loss, llama_loss_vjp, small[1], few, 100.0),
    ):
        louder = [None if a is None else rng.normal(size=a.shape) / 2 for a in leaves(w)]  # near 0 a norm is too sharp
        check_tree_vjp(f, f_vjp, filled(w, louder), *rest)
    logits = rng.normal(size=(2, 3, 4))
    check_vjp(
        next_token_loss, next_token_loss_vjp, logits, few,
        peer=lambda z, t: torch.nn.functional.cross_entropy(z[:, :-1].flatten(0, 1), t[:, 1:].flatten()),
    )  # fmt: skip


def test_a_token_sees_no_later_one() -> None:
    changed = IDS.copy()
    changed[:, 4] = 0
    for model, w in ((gpt2, random_gpt2(V, S, D, H, F, L, RNG)), (llama, random_llama(V, D, H, 1, F, L, RNG))):
        before, after = model(w, IDS), model(w, changed)
        assert before[:, :4].tolist() == after[:, :4].tolist()
        assert (before[:, 4:] != after[:, 4:]).any(-1).all()


def test_a_row_of_a_batch_is_that_row_alone() -> None:
    w = random_gpt2(V, S, D, H, F, L, RNG)
    close(gpt2(w, IDS)[1], gpt2(w, IDS[1]))


def test_a_new_model_knows_nothing_and_learns_a_batch_by_heart() -> None:
    w = random_gpt2(V, S, D, H, F, 1, np.random.default_rng(3))
    assert abs(gpt2_loss(w, IDS) - np.log(V)) < 0.05
    for _ in range(60):
        pairs = zip(leaves(w), leaves(gpt2_loss_vjp(w, IDS, 1.0)), strict=True)
        w = filled(w, [a - 1.0 * g for a, g in pairs])
    assert gpt2_loss(w, IDS) < 0.2
    writes = random_gpt2(V, S, 64, H + 1, F, 8, RNG)
    assert abs(writes.blocks[0].attention.w_o.std() * 4 / writes.blocks[0].attention.w_q.std() - 1) < 0.1
    assert abs(writes.tokens.std() / 0.02 - 1) < 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gpt2(random_gpt2(V, 4, D, H, F, 1, RNG), IDS), "rows 0 to 3"),
        (lambda: llama(random_llama(V, D, H, 1, F, 1, RNG), IDS + 5), "rows 0 to 10"),
        (lambda: random_gpt2(V, S, 10, 3, F, L, RNG), "D = 10"),
        (lambda: random_llama(V, 10, 3, 3, F, L, RNG), "H = 3"),
        (lambda: next_token_loss(np.zeros((2, 1, 3)), np.zeros((2, 1), int)), "at least two"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
