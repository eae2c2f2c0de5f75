"""Decoding tokens/s at batch 1 against `transformers` generate, with the same weights in the same type.

A Llama of SmolLM2-135M's shape with random weights writes greedily. The two take turns in one run; the median ratio of
the turns is reported, and how much of the memory's speed each reaches: every token reads every weight once, and the
speed of memory is what a sum over a block far larger than the caches reaches. Both must write the same tokens.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable

import torch
from transformers import LlamaConfig, LlamaForCausalLM, logging

from clearhead.generation.contiguous import ContiguousBackend
from clearhead.generation.engine import Engine
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.models.decoder import Decoder, DecoderConfig

SHAPE = {"vocab": 49152, "d_model": 576, "n_layers": 30, "n_heads": 9, "n_kv_heads": 3, "d_ff": 1536}
PROMPT = 16


def pair(dtype: torch.dtype) -> tuple[Decoder, LlamaForCausalLM]:
    """One model twice."""
    config = DecoderConfig(
        **SHAPE, max_positions=2048, mlp="swiglu", qk_norm=False, tied=True, rope_theta=10_000.0, norm_eps=1e-5
    )
    decoder = Decoder(config)
    generator = torch.Generator().manual_seed(0)
    for weight in decoder.parameters():
        torch.nn.init.normal_(weight, std=0.05, generator=generator)
    peer = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab, hidden_size=config.d_model, num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads, num_key_value_heads=config.n_kv_heads,
            intermediate_size=config.d_ff, max_position_embeddings=config.max_positions, tie_word_embeddings=True,
            rms_norm_eps=config.norm_eps, rope_theta=config.rope_theta,
        )
    )  # fmt: skip
    with torch.no_grad():
        peer.model.embed_tokens.weight.copy_(decoder.embed.weight)
        sizes = (config.d_model, config.n_kv_heads * config.dim_per_head, config.n_kv_heads * config.dim_per_head)
        for ours, theirs in zip(decoder.blocks, peer.model.layers, strict=True):
            attention = theirs.self_attn
            for layer, rows in zip(
                (attention.q_proj, attention.k_proj, attention.v_proj), ours.attention.qkv.weight.split(sizes),
                strict=True,
            ):  # fmt: skip
                layer.weight.copy_(rows)
            attention.o_proj.weight.copy_(ours.attention.out.weight)
            gate, up = ours.mlp.up.weight.chunk(2)
            theirs.mlp.gate_proj.weight.copy_(gate)
            theirs.mlp.up_proj.weight.copy_(up)
            theirs.mlp.down_proj.weight.copy_(ours.mlp.down.weight)
    return decoder.to(dtype), peer.to(dtype).eval()


class Ids:
    """A tokenizer of numbers; no text ends."""

    vocab_size, end_id, end_ids, pad_id = SHAPE["vocab"], None, frozenset[int](), None

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def decode(self, ids: Iterable[int]) -> str:
        return " ".join(map(str, ids))


def bandwidth() -> float:
    """Bytes a second that a sum over half a gigabyte reads, at best."""
    block = torch.ones(1 << 27)
    return block.nbytes / min(seconds(block.sum) for _ in range(5))


def seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def compare(dtype: torch.dtype, turns: int, new: int, memory: float) -> None:
    decoder, peer = pair(dtype)
    prompt = torch.randint(10, 40_000, (PROMPT,), generator=torch.Generator().manual_seed(1)).tolist()
    ids = torch.tensor([prompt])
    written: dict[str, list[int]] = {}

    def ours() -> None:
        backend.tokens, text = [], list(prompt)
        engine.add(Request(prompt, SamplingParams(temperature=0.0, max_tokens=new)))
        while engine.unfinished:
            text += [event.token.id for event in engine.step()]
        written["clearhead"] = text

    def theirs() -> None:
        with torch.inference_mode():
            out = peer.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new, min_new_tokens=new,
                pad_token_id=0, eos_token_id=None,
            )  # fmt: skip
        written["transformers"] = out[0].tolist()

    backend = ContiguousBackend(decoder)
    engine = Engine(backend, Ids())
    for once in (ours, theirs):  # what happens only the first time
        once()
    rates: dict[str, list[float]] = {"clearhead": [], "transformers": []}
    for _ in range(turns):
        rates["transformers"].append(new / seconds(theirs))
        rates["clearhead"].append(new / seconds(ours))
    ratios = [a / b for a, b in zip(rates["clearhead"], rates["transformers"], strict=True)]
    weights = sum(weight.nbytes for weight in decoder.parameters())
    same = next((i for i, (a, b) in enumerate(zip(*written.values(), strict=True)) if a != b), PROMPT + new) - PROMPT
    print(
        f"{str(dtype).removeprefix('torch.')}: {weights / 1e6:,.0f} MB of weights, {new} tokens, {same} of them equal"
    )
    for name, found in rates.items():
        rate = statistics.median(found)
        print(
            f"  {name:<14}{rate:6.1f} tokens/s, {rate * weights / memory:.0%} of the memory's {memory / 1e9:.1f} GB/s"
        )
    print(f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    logging.set_verbosity_error()
    memory = bandwidth()
    for dtype in (torch.float32, torch.bfloat16):
        compare(dtype, options.turns, options.tokens, memory)


if __name__ == "__main__":
    main()
