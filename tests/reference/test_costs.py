"""Costs against published figures, transformers' models on the meta device, torch's counter and autograd's memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import close
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)
from trees import arrays

from clearhead.reference.costs import (
    PRESETS,
    Architecture,
    activation_bytes,
    activation_table,
    attention_matrix_bytes,
    backward_flops_per_token,
    dropout_bytes,
    flash_statistics_bytes,
    forward_flops_per_token,
    generation_flops,
    generation_flops_without_cache,
    kv_cache_bytes,
    kv_cache_bytes_per_token,
    matrix_parameters,
    mean_keys,
    parameter_table,
    parameters,
    training_flops,
    training_state_bytes,
)
from clearhead.reference.transformer import random_gpt2, random_llama

PUBLISHED = {  # the number of parameters that comes with each checkpoint
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "llama-3.2-1b": 1_235_814_400,
    "mistral-7b": 7_241_732_096,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-0.6b": 596_049_920,
    "qwen3-8b": 8_190_735_360,
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "tinyllama-1.1b": 1_100_048_384,
}


def config(name: str, a: Architecture) -> PreTrainedConfig:
    """transformers' configuration of the same shape."""
    ids = {"bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": a.tied, "attn_implementation": "eager"}
    if name.startswith("gpt2"):
        return GPT2Config(
            vocab_size=a.vocab, n_positions=a.context, n_embd=a.d_model, n_layer=a.n_layers, n_head=a.n_heads, **ids
        )  # fmt: skip
    kind = {"ll": LlamaConfig, "sm": LlamaConfig, "ti": LlamaConfig, "mi": MistralConfig}.get(name[:2])
    return (kind or (Qwen3Config if "qwen3" in name else Qwen2Config))(
        vocab_size=a.vocab, hidden_size=a.d_model, intermediate_size=a.d_ff, num_hidden_layers=a.n_layers,
        num_attention_heads=a.n_heads, num_key_value_heads=a.n_kv_heads, head_dim=a.head_dim, **ids,
    )  # fmt: skip


def meta(name: str, a: Architecture) -> torch.nn.Module:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config(name, a))


@pytest.mark.parametrize("name", PRESETS)
def test_parameters(name: str) -> None:
    assert parameters(PRESETS[name]) == PUBLISHED[name]
    one, two = (replace(PRESETS[name], n_layers=n) for n in (1, 2))  # a layer of theirs stands for all
    assert meta(name, one).num_parameters() == parameters(one)
    assert parameters(PRESETS[name]) == parameters(one) + (PRESETS[name].n_layers - 1) * (
        parameters(two) - parameters(one)
    )  # fmt: skip


@pytest.mark.parametrize("name", ["gpt2", "smollm2-135m", "qwen2.5-0.5b", "qwen3-0.6b"])
def test_the_whole_model_of_transformers(name: str) -> None:
    assert meta(name, PRESETS[name]).num_parameters() == PUBLISHED[name]


def test_presets_are_transformers_own_defaults() -> None:
    for name, theirs in (("llama-2-7b", LlamaConfig()), ("mistral-7b", MistralConfig())):
        a = PRESETS[name]
        heads = theirs.num_attention_heads, theirs.num_key_value_heads or theirs.num_attention_heads
        assert heads == (a.n_heads, a.n_kv_heads)
        sizes = (theirs.vocab_size, theirs.hidden_size, theirs.num_hidden_layers, theirs.intermediate_size)
        assert sizes == (a.vocab, a.d_model, a.n_layers, a.d_ff)
        assert a.q_width == a.d_model
    assert MistralConfig().sliding_window == PRESETS["mistral-7b"].window
    assert GPT2Config().n_positions == PRESETS["gpt2"].context


def test_parameters_are_those_of_our_own_models() -> None:
    rng = np.random.default_rng(0)
    a = Architecture(
        11, 12, 2, 3, 3, 4, 20, 8, mlp="gelu", norm="layer", positions="learned", biases="all", tied=True
    )  # fmt: skip
    assert sum(w.size for w in arrays(random_gpt2(11, 8, 12, 3, 20, 2, rng))) == parameters(a)
    a = Architecture(11, 12, 2, 6, 2, 2, 20, 8)
    w = random_llama(11, 12, 6, 2, 20, 2, rng)
    assert sum(w.size for w in arrays(w)) == parameters(a)
    table = parameter_table(a)
    assert table["embedding"] == w.tokens.size and table["head"] == w.head.size and table["positions"] == 0
    assert table["mlp"] == sum(m.size for b in w.blocks for m in b.mlp)
    assert table["attention"] == sum(m.size for b in w.blocks for m in arrays(b.attention))


@pytest.mark.parametrize("name", ["gpt2", "llama-2-70b", "qwen3-0.6b"])
def test_flops_are_what_torch_counts(name: str) -> None:
    a, T = replace(PRESETS[name], n_layers=2, window=None), 24
    model = meta(name, a)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        logits = model(torch.zeros(3, T, dtype=torch.long)).logits
        forward = counter.get_total_flops()
        logits.sum().backward()
    assert forward == 3 * T * forward_flops_per_token(a, T)
    assert counter.get_total_flops() - forward == 3 * T * backward_flops_per_token(a, T)


def test_flops_of_the_papers() -> None:
    a = replace(PRESETS["gpt2-xl"], vocab=51_200)
    B, T, L, D, V = 4, 2048, a.n_layers, a.d_model, a.vocab
    close(training_flops(a, B * T, T), 72 * B * T * L * D**2 * (1 + T / (6 * D) + V / (12 * L * D)))  # Narayanan: eq. 3
    assert matrix_parameters(a) - V * D == 12 * L * D**2  # Kaplan: table 1
    big = PRESETS["llama-2-70b"]
    assert 1 < training_flops(big, 10**6, 4096) / (6 * parameters(big) * 10**6) < 1 + 4096 / (6 * 8192) + 0.01


def test_keys_that_are_seen() -> None:
    a = PRESETS["mistral-7b"]
    for T, window in ((1, 4), (4, 4), (9, 4), (9, None), (9, 1)):
        seen = [min(t, window or t) for t in range(1, T + 1)]
        assert mean_keys(replace(a, window=window), T) == sum(seen) / T


def test_a_cache_saves_half_the_text_times_over() -> None:
    a, n = PRESETS["smollm2-135m"], 50
    steps = [forward_flops_per_token(a, t) for t in range(1, n + 1)]
    close(generation_flops(a, n), sum(steps))
    close(generation_flops_without_cache(a, n), sum(sum(steps[:t]) for t in range(1, n + 1)))
    assert abs(generation_flops_without_cache(a, n) / generation_flops(a, n) / (n / 2) - 1) < 0.05


def test_kv_cache() -> None:
    a = PRESETS["llama-2-70b"]
    full = replace(a, n_kv_heads=64)
    assert kv_cache_bytes_per_token(full) == 2_621_440  # 80 layers, 64 heads of 128, 16 bits
    assert kv_cache_bytes_per_token(a) == 2_621_440 // 8 == 327_680  # but its KV heads are 8
    assert kv_cache_bytes_per_token(replace(a, n_kv_heads=1), 4) == 2_621_440 // 32
    assert kv_cache_bytes(full, 1, 4096) == 10 * 2**30  # 10.7 GB, and 1.3 GB as it is
    assert kv_cache_bytes(a, 3, 4096) == 3 * 10 * 2**27
    mistral = PRESETS["mistral-7b"]
    assert kv_cache_bytes(mistral, 1, 32_768) == kv_cache_bytes(mistral, 1, 4096) == 4096 * 131_072


def test_attention_matrices_of_the_document() -> None:
    one = replace(PRESETS["llama-2-7b"], n_heads=1, n_kv_heads=1)
    assert attention_matrix_bytes(one, 1, 8192, 4) == 256 * 2**20  # N = 8192 in 32 bits
    assert flash_statistics_bytes(one, 1, 8192) == 8192 * 4
    assert attention_matrix_bytes(PRESETS["llama-2-7b"], 2, 100) == 2 * 32 * 100 * 100 * 2
    assert flash_statistics_bytes(PRESETS["llama-2-7b"], 2, 100) == 4 * 2 * 32 * 100


def test_activations_are_those_of_the_paper() -> None:
    """Korthikanti et al. 2022, equations 1 and 2: s b h (34 + 5 a s / h) per layer, and what follows the last."""
    a, b, s = PRESETS["gpt2-xl"], 4, 512
    h, heads, L, v = a.d_model, a.n_heads, a.n_layers, a.vocab
    got = activation_bytes(a, b, s) + L * attention_matrix_bytes(a, b, s) + dropout_bytes(a, b, s)
    assert got == L * (s * b * h * 34 + 5 * heads * s * s * b) + 4 * s * b * h + 4 * s * b * v


@pytest.mark.parametrize(("mlp", "G"), [("gelu", 4), ("swiglu", 2)])
def test_activations_are_what_autograd_keeps(mlp: str, G: int) -> None:
    """One layer and a head in torch, written as plainly as it goes; every tensor that autograd saves, counted once."""
    B, T, D, H, C, F_, V = 3, 8, 32, 4, 8, 48, 40
    a = Architecture(V, D, 1, H, G, C, F_, T, mlp=mlp, norm="layer")  # type: ignore[arg-type]
    kept: dict[int, int] = {}

    def save(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    def normal(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape) * 0.1).requires_grad_()

    ws = [normal(D, H * C), normal(D, G * C), normal(D, G * C), normal(H * C, D), normal(D, F_), normal(F_, D)]
    w_q, w_k, w_v, w_o, w_1, w_2 = ws
    w_gate, head, x = normal(D, F_), normal(D, V), normal(B * T, D)
    targets = torch.zeros(B * T, dtype=torch.long)
    hidden = torch.ones(T, T).triu(1) * -1e9

    def heads(z: torch.Tensor, n: int) -> torch.Tensor:
        return z.view(B, T, n, C).transpose(1, 2)

    with torch.autograd.graph.saved_tensors_hooks(save, lambda x: x):
        u = F.layer_norm(x, (D,))
        q, k, v = heads(u @ w_q, H), heads(u @ w_k, G), heads(u @ w_v, G)
        k_all, v_all = (z.repeat_interleave(H // G, 1) if G < H else z for z in (k, v))
        p = (q @ k_all.transpose(-1, -2) / C**0.5 + hidden).softmax(-1)
        o = (p @ v_all).transpose(1, 2).reshape(B * T, H * C)
        s = x + o @ w_o
        r = F.layer_norm(s, (D,))
        h = F.gelu(r @ w_1) if mlp == "gelu" else F.silu(r @ w_gate) * (r @ w_1)
        y = F.layer_norm(s + h @ w_2, (D,))
        F.cross_entropy(y @ head, targets).backward()
    for w in (*ws, w_gate, head):
        kept.pop(w.untyped_storage().data_ptr(), None)
    statistics = 3 * 2 * B * T * 4  # mean and deviation of each row of the three norms
    repeated = 2 * B * T * (H - G) * C * 4 if G < H else 0  # torch's products want a KV head for every query head
    want = activation_bytes(a, B, T, 4) + attention_matrix_bytes(a, B, T, 4) + statistics + repeated
    kept.pop(targets.untyped_storage().data_ptr(), None)
    assert abs(sum(kept.values()) - want) <= 64  # and a number or two of the loss


def test_activations_in_other_widths() -> None:
    a = PRESETS["llama-3-8b"]
    narrow, wide = (activation_table(a, 2, 128, width) for width in (2, 4))
    for part in ("norms", "attention", "mlp"):
        assert wide[part] == 2 * narrow[part]
    assert narrow["head"] == 2 * 128 * (2 * 4096 * 2 + 4 * 128_256)
    assert dropout_bytes(a, 2, 128, 4) - dropout_bytes(a, 2, 128, 2) == 2 * 32 * 2 * 32 * 128**2


def test_training_state() -> None:
    assert training_state_bytes(PRESETS["gpt2-xl"]) == 16 * 1_557_611_200  # ZeRO: 1.5B parameters, at least 24 GB


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: replace(a, n_layers=0), "n_layers = 0"),
        (lambda a: replace(a, n_kv_heads=5), "n_heads = 32 must be a multiple of n_kv_heads = 5"),
        (lambda a: replace(a, window=0), "window = 0"),
        (lambda a: mean_keys(a, 0), "tokens = 0"),
        (lambda a: kv_cache_bytes(a, 0, 1), "batch = 0"),
        (lambda a: training_flops(a, 1, 0), "sequence = 0"),
        (lambda a: activation_bytes(a, 1, 0), "tokens = 0"),
        (lambda a: attention_matrix_bytes(a, 0, 1), "batch = 0"),
        (lambda a: flash_statistics_bytes(a, 0, 1), "batch = 0"),
        (lambda a: dropout_bytes(a, 0, 1), "batch = 0"),
        (lambda a: generation_flops_without_cache(a, 0), "tokens = 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(PRESETS["llama-2-7b"])
