"""Sampling tokens/s of the engine against a loop without a cache of its own making: plain `transformers` generate.

A hundred prompts, twenty samples each, forty tokens a sample, random weights at temperature 1, so that hardly anything
merges and the engine gains nothing from its trie. The two take turns; the ratio of each turn is reported.
"""

import argparse
import statistics
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from clearhead.generation.language_model import SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.text.tokenizer import CharTokenizer

PROMPTS, SAMPLES, NEW = 100, 20, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    tokenizer = CharTokenizer("".join(chr(ord("A") + i) for i in range(30)))
    decoder = Decoder(DecoderConfig(vocab=tokenizer.vocab_size, **PRESETS["demo"]))  # type: ignore[arg-type]
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=tokenizer.vocab_size, n_positions=128, n_embd=192, n_layer=4, n_head=3, n_inner=768)
    ).eval()
    prompts = [chr(ord("A") + i % 30) + chr(ord("A") + i // 30) for i in range(PROMPTS)]
    ids = torch.tensor([tokenizer.encode(prompt) for prompt in prompts]).repeat_interleave(SAMPLES, 0)
    ratios = []
    for turn in range(options.turns):
        started = time.perf_counter()
        with torch.inference_mode():
            model.generate(
                ids, do_sample=True, top_k=0, max_new_tokens=NEW, min_new_tokens=NEW, pad_token_id=0,
                attention_mask=torch.ones_like(ids),
            )  # fmt: skip
        peer = PROMPTS * SAMPLES * NEW / (time.perf_counter() - started)
        started = time.perf_counter()
        engine = LocalEngine(decoder, tokenizer)
        engine.generate(prompts, SamplingParams(max_tokens=NEW), SAMPLES, [turn] * PROMPTS)
        mine = engine.usage().generated / (time.perf_counter() - started)
        ratios.append(mine / peer)
        print(f"transformers generate {peer:,.0f} tokens/s, engine {mine:,.0f} tokens/s")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
