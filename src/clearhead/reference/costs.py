"""What a decoder-only transformer costs: parameters, arithmetic, and memory, as functions of its shape.

A multiplication and an addition are two operations (FLOPs); only matrix products are counted, next to which all else is
small. `width` is the bytes of a number, 2 in 16 bits. Deliberately not here: time (a roofline needs the machine), and
the traffic inside attention (attention_traffic.py).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Architecture:
    """The shape of a decoder. The default is Llama's way; GPT-2 and Qwen say where they differ."""

    vocab: int
    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    d_ff: int
    context: int  # positions it was trained on
    mlp: Literal["gelu", "swiglu"] = "swiglu"
    norm: Literal["layer", "rms"] = "rms"
    positions: Literal["learned", "rotary"] = "rotary"
    biases: Literal["none", "qkv", "all"] = "none"
    qk_norm: bool = False
    tied: bool = False
    window: int | None = None  # tokens that a token sees, itself among them

    def __post_init__(self) -> None:
        for name in ("vocab", "d_model", "n_layers", "n_heads", "n_kv_heads", "head_dim", "d_ff", "context"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be 1 or more")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_heads = {self.n_heads} must be a multiple of n_kv_heads = {self.n_kv_heads}")
        if self.window is not None and self.window < 1:
            raise ValueError(f"window = {self.window} must be 1 or more, or None for none")

    @property
    def q_width(self) -> int:
        """H C: all query heads side by side."""
        return self.n_heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """G C: all KV heads side by side, or all value heads."""
        return self.n_kv_heads * self.head_dim


def _gpt2(d_model: int, n_layers: int, n_heads: int) -> Architecture:
    return Architecture(
        50257, d_model, n_layers, n_heads, n_heads, 64, 4 * d_model, 1024,
        mlp="gelu", norm="layer", positions="learned", biases="all", tied=True,
    )  # fmt: skip


PRESETS: dict[str, Architecture] = {
    #                              V      D    L   H   G    C      F  context
    "gpt2": _gpt2(768, 12, 12),
    "gpt2-medium": _gpt2(1024, 24, 16),
    "gpt2-large": _gpt2(1280, 36, 20),
    "gpt2-xl": _gpt2(1600, 48, 25),
    "llama-2-7b": Architecture(32000, 4096, 32, 32, 32, 128, 11008, 4096),
    "llama-2-13b": Architecture(32000, 5120, 40, 40, 40, 128, 13824, 4096),
    "llama-2-70b": Architecture(32000, 8192, 80, 64, 8, 128, 28672, 4096),
    "llama-3-8b": Architecture(128256, 4096, 32, 32, 8, 128, 14336, 8192),
    "llama-3-70b": Architecture(128256, 8192, 80, 64, 8, 128, 28672, 8192),
    "llama-3.2-1b": Architecture(128256, 2048, 16, 32, 8, 64, 8192, 131072, tied=True),
    "mistral-7b": Architecture(32000, 4096, 32, 32, 8, 128, 14336, 32768, window=4096),
    "qwen2.5-0.5b": Architecture(151936, 896, 24, 14, 2, 64, 4864, 32768, biases="qkv", tied=True),
    "qwen2.5-7b": Architecture(152064, 3584, 28, 28, 4, 128, 18944, 131072, biases="qkv"),
    "qwen3-0.6b": Architecture(151936, 1024, 28, 16, 8, 128, 3072, 40960, qk_norm=True, tied=True),
    "qwen3-8b": Architecture(151936, 4096, 36, 32, 8, 128, 12288, 40960, qk_norm=True),
    "smollm2-135m": Architecture(49152, 576, 30, 9, 3, 64, 1536, 8192, tied=True),
    "smollm2-360m": Architecture(49152, 960, 32, 15, 5, 64, 2560, 8192, tied=True),
    "smollm2-1.7b": Architecture(49152, 2048, 24, 32, 32, 64, 8192, 8192, tied=True),
    "tinyllama-1.1b": Architecture(32000, 2048, 22, 32, 4, 64, 5632, 2048),
}


def parameter_table(a: Architecture) -> dict[str, int]:
    """Parameters by part, all layers together.

    Attention has D (H + 2G) C + H C D, the MLP 2 D F or, gated, 3 D F, a norm D or, with a bias, 2 D.

    >>> parameter_table(PRESETS["gpt2"])["attention"], parameter_table(PRESETS["gpt2"])["mlp"]
    (28348416, 56669184)

    Vaswani et al. 2017, section 3; Radford et al. 2019, section 2.3; Touvron et al. 2023, section 2.2.
    """
    D, F, L = a.d_model, a.d_ff, a.n_layers
    projected = a.q_width + 2 * a.kv_width
    hidden = F if a.mlp == "gelu" else 2 * F
    attention_biases = {"none": 0, "qkv": projected, "all": projected + D}[a.biases]
    return {
        "embedding": a.vocab * D,
        "positions": a.context * D if a.positions == "learned" else 0,
        "attention": L * (D * projected + a.q_width * D + attention_biases),
        "mlp": L * (D * hidden + F * D + (hidden + D if a.biases == "all" else 0)),
        "norms": (2 * L + 1) * D * (2 if a.norm == "layer" and a.biases == "all" else 1)
        + (2 * L * a.head_dim if a.qk_norm else 0),
        "head": 0 if a.tied else a.vocab * D,
    }


def parameters(a: Architecture) -> int:
    """All parameters; a head that is the embedding counts once.

    >>> parameters(PRESETS["gpt2"]), parameters(PRESETS["llama-2-7b"])
    (124439808, 6738415616)
    """
    return sum(parameter_table(a).values())


def matrix_parameters(a: Architecture) -> int:
    """The weights that every token is multiplied by: the matrices of all layers, and the head, tied or not.

    >>> matrix_parameters(PRESETS["gpt2"])
    123532032

    Kaplan et al. 2020, section 2.1, where the head is left out.
    """
    attention = a.d_model * (2 * a.q_width + 2 * a.kv_width)
    mlp = a.d_model * a.d_ff * (2 if a.mlp == "gelu" else 3)
    return a.n_layers * (attention + mlp) + a.vocab * a.d_model


def mean_keys(a: Architecture, tokens: int) -> float:
    """How many keys a token of a text sees on average under the causal mask: (T + 1) / 2, fewer with a window.

    >>> mean_keys(PRESETS["gpt2"], 3), mean_keys(PRESETS["mistral-7b"], 3)  # 1, 2 and 3
    (2.0, 2.0)

    ValueError: no tokens.
    """
    _check(tokens=tokens)
    seen = min(tokens, a.window or tokens)
    return (seen * (seen + 1) / 2 + (tokens - seen) * seen) / tokens


def forward_flops_per_token(a: Architecture, keys: float) -> float:
    """2 · (matrix parameters) + 4 L H C · keys: a multiply-add per weight, and per key one for q·k and one for P v.

    Take keys = T for an implementation that computes what the mask hides, mean_keys(a, T) for one that does not.

    >>> forward_flops_per_token(PRESETS["llama-2-7b"], 4096) / 1e9
    15.3616384

    Kaplan et al. 2020, table 1; Chowdhery et al. 2022 (PaLM), appendix B.
    """
    return 2 * matrix_parameters(a) + 4 * a.n_layers * a.q_width * keys


def backward_flops_per_token(a: Architecture, keys: float) -> float:
    """Twice the forward pass: each product y = x W needs dx = dy Wᵀ and dW = xᵀ dy.

    Attention by tiles computes its scores again, half of its forward pass more, and gradient checkpointing everything.

    >>> backward_flops_per_token(PRESETS["gpt2"], 1024) / forward_flops_per_token(PRESETS["gpt2"], 1024)
    2.0

    Kaplan et al. 2020, section 2.1.
    """
    return 2 * forward_flops_per_token(a, keys)


def training_flops(a: Architecture, tokens: int, sequence: int) -> float:
    """3 · forward · tokens, in sequences of a given length whose masked scores are computed too.

    About 6 N per token while sequences are short next to 6 D: the attention that 6 N leaves out adds a share T / 6D.

    >>> round(training_flops(PRESETS["gpt2"], 10**9, 1024) / (6 * parameters(PRESETS["gpt2"]) * 10**9), 2)
    1.14

    Narayanan et al. 2021, equation 3, without its recomputation. ValueError: no tokens.
    """
    _check(tokens=tokens, sequence=sequence)
    return tokens * (forward_flops_per_token(a, sequence) + backward_flops_per_token(a, sequence))


def generation_flops(a: Architecture, tokens: int) -> float:
    """The arithmetic of tokens decoded one by one with a cache: each passes through the weights once.

    >>> generation_flops(PRESETS["gpt2"], 1) == forward_flops_per_token(PRESETS["gpt2"], 1)
    True

    Pope et al. 2023, section 2. ValueError: no tokens.
    """
    return tokens * forward_flops_per_token(a, mean_keys(a, tokens))


def generation_flops_without_cache(a: Architecture, tokens: int) -> float:
    """The same where every step runs over the whole text so far: Σ_t t · forward, so about T / 2 times as much.

    >>> round(generation_flops_without_cache(PRESETS["gpt2"], 1000) / generation_flops(PRESETS["gpt2"], 1000))
    489

    Pope et al. 2023, section 2. ValueError: no tokens.
    """
    _check(tokens=tokens)
    return sum(generation_flops(a, t) for t in range(1, tokens + 1))


def kv_cache_bytes_per_token(a: Architecture, width: int = 2) -> int:
    """2 L G C · width: a key and a value for each KV head of each layer; the query heads do not count.

    >>> kv_cache_bytes_per_token(PRESETS["llama-2-70b"])  # 8 KV heads; with a KV head for each query head 2,621,440
    327680

    Shazeer 2019, section 2.4; Ainslie et al. 2023, section 2.2.
    """
    return 2 * a.n_layers * a.kv_width * width


def kv_cache_bytes(a: Architecture, batch: int, tokens: int, width: int = 2) -> int:
    """The cache of `batch` texts: it grows with every token, up to the window where there is one.

    >>> kv_cache_bytes(PRESETS["llama-2-7b"], 1, 4096) / 2**30
    2.0

    ValueError: no texts or no tokens.
    """
    _check(batch=batch, tokens=tokens)
    return batch * min(tokens, a.window or tokens) * kv_cache_bytes_per_token(a, width)


def attention_matrix_bytes(a: Architecture, batch: int, tokens: int, width: int = 2) -> int:
    """B H T² · width: the softmax's result of one layer.

    Plain attention has it for a layer at a time in a prompt, and keeps it for every layer in training; attention by
    tiles never has it.

    >>> attention_matrix_bytes(PRESETS["gpt2"], 1, 8192, 4) // 12 / 2**20  # of one head, in 32 bits
    256.0

    Dao et al. 2022, section 2.2. ValueError: no texts or no tokens.
    """
    _check(batch=batch, tokens=tokens)
    return batch * a.n_heads * tokens**2 * width


def flash_statistics_bytes(a: Architecture, batch: int, tokens: int) -> int:
    """4 B H T: the log-sum-exps in 32 bits that attention by tiles keeps of one layer in the matrix's place.

    >>> flash_statistics_bytes(PRESETS["gpt2"], 1, 8192) // 12 / 2**10  # of one head
    32.0

    Dao 2023, section 3.1.1. ValueError: no texts or no tokens.
    """
    _check(batch=batch, tokens=tokens)
    return 4 * batch * a.n_heads * tokens


def activation_table(a: Architecture, batch: int, tokens: int, width: int = 2) -> dict[str, int]:
    """What a forward pass keeps for the backward pass, in bytes, besides attention's matrix and dropout's masks.

    Per token and layer: both norms' inputs; what q, k and v are made of, they, and o; what the MLP is made of, and its
    hidden numbers before and after GELU, or gate, SiLU(gate), up and their product. Per token: what the last norm and
    the head are made of, and the logits' probabilities in 32 bits.

    >>> {part: n // 2**20 for part, n in activation_table(PRESETS["gpt2"], 8, 1024).items()}
    {'norms': 288, 'attention': 720, 'mlp': 1296, 'head': 1594}

    Korthikanti et al. 2022, section 4.1. ValueError: no texts or no tokens.
    """
    _check(batch=batch, tokens=tokens)
    D, each = a.d_model, batch * tokens * width
    return {
        "norms": a.n_layers * 2 * D * each,
        "attention": a.n_layers * (D + 2 * a.q_width + 2 * a.kv_width) * each,
        "mlp": a.n_layers * (D + (2 if a.mlp == "gelu" else 4) * a.d_ff) * each,
        "head": 2 * D * each + 4 * batch * tokens * a.vocab,
    }


def activation_bytes(a: Architecture, batch: int, tokens: int, width: int = 2) -> int:
    """The sum of activation_table: linear in the tokens. Plain attention adds its matrix for every layer.

    >>> activation_bytes(PRESETS["gpt2"], 8, 1024) // 2**20
    3898
    """
    return sum(activation_table(a, batch, tokens, width).values())


def dropout_bytes(a: Architecture, batch: int, tokens: int, width: int = 2) -> int:
    """Masks of a byte each after both sublayers, and on attention's matrix, of which it also keeps what passed.

    >>> dropout_bytes(PRESETS["gpt2"], 1, 1024) // 2**20
    450

    Korthikanti et al. 2022, section 4.1. ValueError: no texts or no tokens.
    """
    _check(batch=batch, tokens=tokens)
    matrix = batch * a.n_heads * tokens**2
    return a.n_layers * (2 * batch * tokens * a.d_model + matrix * (1 + width))


def training_state_bytes(a: Architecture) -> int:
    """16 bytes per parameter: weight and gradient in 16 bits, and in 32 bits the weight and Adam's two moments.

    >>> training_state_bytes(PRESETS["llama-2-7b"]) // 2**30
    100

    Rajbhandari et al. 2020 (ZeRO), section 3.1.
    """
    return 16 * parameters(a)


def _check(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} = {size} must be 1 or more")
