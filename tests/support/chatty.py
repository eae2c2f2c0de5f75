"""A tiny model that can chat, as a folder of the Hugging Face kind, and rows to tune it with."""

import json
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.huggingface import config_to, family_of, tensors_to
from clearhead.text.chat import CHATML
from clearhead.text.training import train_tokenizer

WORDS = ("red", "blue", "green", "tall", "small", "old", "new", "soft")
SYSTEM = "You answer in one word."


def rows(n: int = 24) -> list[dict]:
    """Chats in which the answer is the question's word again, every third of them with two turns."""
    found = []
    for i in range(n):
        words = [WORDS[(i + 3 * k) % len(WORDS)] for k in range(1 + (i % 3 == 0))]
        messages = [{"role": "system", "content": SYSTEM}]
        for k, word in enumerate(words):
            messages.append({"role": "user", "content": f"{i} {k}: say {word}"})
            messages.append({"role": "assistant", "content": word})
        found.append({"messages": messages})
    return found


def write_rows(path: Path, given: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
    return path


@cache
def tokenizer_json() -> str:
    backend = Tokenizer.from_str(train_tokenizer("bpe", [json.dumps(row) for row in rows()], 300).to_json())
    backend.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return backend.to_str()


def write_model(folder: Path, chats: bool = True, context: int = 128) -> Path:
    """A Llama of 0.03 million random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    vocab = Tokenizer.from_str(tokenizer_json()).get_vocab_size()
    config = DecoderConfig(
        vocab=vocab, d_model=32, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=48, max_positions=context, mlp="swiglu",
        qk_norm=False, norm_weight="plain", rope_theta=10_000.0, tied=True,
    )  # fmt: skip
    decoder = Decoder(config, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in decoder.blocks.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    family = family_of(config)
    save_file(tensors_to(decoder, family), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config_to(config)))
    (folder / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    told = {"eos_token": "<|im_end|>", **({"chat_template": CHATML} if chats else {})}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    return folder
