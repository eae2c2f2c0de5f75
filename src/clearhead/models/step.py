"""A decoder's blocks in one call, where there is a kernel for such blocks.

Deliberately not here: the kernel (kernels.step), and where keys and values lie (generation's backends).
"""

import torch
from torch import Tensor, nn

from clearhead.kernels.quantized import QuantizedLinear
from clearhead.kernels.step import WHOLE, Blocks, BlockWeights, Sizes
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.nn.layers import Norm


def blocks_of(decoder: Decoder) -> Blocks | None:
    """None where a decoder's blocks are of another kind, or not quantized: then its modules are called."""
    config = decoder.config
    if not has_kernel(decoder):
        return None
    C = config.dim_per_head
    sizes = Sizes(
        config.d_model, config.n_heads, config.n_kv_heads, C, config.d_ff, config.qk_norm, config.norm_eps,
        decoder.blocks[0].attention.q_scale * C**-0.5,
    )  # fmt: skip
    return Blocks(sizes, [weights_of(config, i, block) for i, block in enumerate(decoder.blocks)])


def has_kernel(decoder: Decoder) -> bool:
    return fits(decoder.config) and all(
        isinstance(layer, QuantizedLinear) for block in decoder.blocks for layer in matrices(block)
    )


def fits(config: DecoderConfig) -> bool:
    """Whether the kernel knows such blocks."""
    widths = (config.d_model, config.dim_per_head, config.d_ff, config.n_heads * config.dim_per_head)
    return (
        config.block == "pre" and config.norm == "rms" and config.mlp == "swiglu" and not config.attention_softcap
        and all(width % WHOLE == 0 for width in widths)
    )  # fmt: skip


def matrices(block: nn.Module) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    attention, mlp = block.get_submodule("attention"), block.get_submodule("mlp")
    return attention.qkv, attention.out, mlp.up, mlp.down  # type: ignore[return-value]


def weights_of(config: DecoderConfig, layer: int, block: nn.Module) -> BlockWeights:
    attention = block.get_submodule("attention")
    norms = (block.attention_norm, block.mlp_norm, attention.q_norm, attention.k_norm)
    a, m, q, k = (norm_weight(norm) for norm in norms)  # type: ignore[arg-type]
    qkv, out, up, down = (layer for layer in matrices(block) if isinstance(layer, QuantizedLinear))
    window, local = config.pattern(layer).window, not config.is_global(layer)
    return BlockWeights(qkv, out, up, down, a, m, q, k, window, local)


def norm_weight(norm: Norm | None) -> Tensor | None:
    """What a norm multiplies by; None: nothing."""
    if norm is None or norm.weight is None:
        return None
    weight = norm.weight.detach().to(torch.float32)
    return (1 + weight if norm.one_plus else weight).contiguous()
