"""llama.cpp itself reads the GGUF files written here, and writes the same tokens with the same probabilities."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from decoding import events
from tokenizers import normalizers

from clearhead.checkpoints.convert import convert
from clearhead.checkpoints.load import load_model
from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import GREEDY
from clearhead.generation.request import Request
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_tokenizer
from clearhead.text.training import train_tokenizer

pytest.importorskip("xllamacpp", reason="a build of llama.cpp, which there is for 64-bit Linux on Intel and AMD")

N = 24
PROMPT = "the cat sat on the mat"
SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256,
}  # fmt: skip
STRETCHED = {
    "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
GEMMA = {**SIZES, "query_pre_attn_scalar": 16, "sliding_window": 8}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2LMHead", {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 256}),
    "llama": ("Llama", SIZES),
    "llama 3": ("Llama", {**SIZES, "rope_parameters": STRETCHED}),
    "mistral": ("Mistral", {**SIZES, "sliding_window": None}),
    "qwen2": ("Qwen2", {key: value for key, value in SIZES.items() if key != "head_dim"}),
    "qwen3": ("Qwen3", SIZES),
    "gemma": ("Gemma", SIZES),
    "gemma2": ("Gemma2", GEMMA),
    "gemma3": ("Gemma3", {**GEMMA, "num_hidden_layers": 7}),
}
SCRIPT = """
import json, sys, xllamacpp
asked = xllamacpp.CommonParams()
asked.model.path, asked.n_ctx, asked.n_parallel, asked.warmup, asked.verbosity = sys.argv[1], 256, 1, False, 0
asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = 1
asked.cache_type_k = asked.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
asked.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
prompt, never, n = (json.loads(told) for told in sys.argv[2:])
told = xllamacpp.Server(asked).handle_completions({
    "prompt": prompt, "n_predict": n, "temperature": 0.0, "ignore_eos": True, "logprobs": 1, "cache_prompt": False,
    "logit_bias": [[i, False] for i in never],
})
print(json.dumps([(t["id"], t["logprob"]) for t in told["choices"][0]["logprobs"]["content"]]))
"""


def write(folder: Path, family: str) -> Path:
    """A tiny random model of the family, and a tokenizer."""
    import transformers

    name, sizes = FAMILIES[family]
    head = "LMHeadModel" if family == "gpt2" else "ForCausalLM"
    prefix = name.removesuffix("LMHead")
    tokenizer = train_tokenizer("bpe", [PROMPT] * 3, 290, "qwen2" if family == "qwen2" else "gpt2")
    tokenizer.backend.normalizer = normalizers.NFC() if family == "qwen2" else None  # as transformers has it
    kind = f"{prefix}{'TextConfig' if family == 'gemma3' else 'Config'}"
    config = getattr(transformers, kind)(**sizes, vocab_size=tokenizer.vocab_size, bos_token_id=1, eos_token_id=1)
    torch.manual_seed(0)
    model = getattr(transformers, prefix + head)(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.backend.to_str(), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return folder


def theirs(file: Path, prompt: str | list[int], never: list[int]) -> list[tuple[int, float]]:
    """Greedy tokens and their log p, from a process of its own, since the library keeps threads and prints."""
    command = [sys.executable, "-c", SCRIPT, str(file), json.dumps(prompt), json.dumps(never), str(N)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr[-2000:]
    return [(i, log_p) for i, log_p in json.loads(told.stdout.splitlines()[-1])]


@contextmanager
def quiet(label: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_tokens_as_llama_cpp(family: str, tmp_path: Path) -> None:
    convert(str(write(tmp_path / "source", family)), tmp_path / "x.gguf", None, False, quiet)
    compare(tmp_path / "x.gguf", PROMPT)


def test_a_run_on_characters_is_the_same_to_llama_cpp(tiny_run: Path, tmp_path: Path) -> None:
    """And it reads a text as the same tokens, the space and the sign × among them."""
    convert(str(tiny_run), tmp_path / "x.gguf", None, False, quiet)
    compare(tmp_path / "x.gguf", "17 × 24\n")
    ids = load_tokenizer(RunDir(tiny_run)).encode("17 × 24\n")
    never = [0, 1]
    assert theirs(tmp_path / "x.gguf", "17 × 24\n", never) == theirs(tmp_path / "x.gguf", ids, never)


def compare(file: Path, prompt: str) -> None:
    """Greedy tokens after a prompt, and their log p."""
    loaded = load_model(str(file), torch.device("cpu"))
    tokenizer, vocab = loaded.tokenizer, loaded.decoder.config.vocab
    never = torch.tensor([not tokenizer.decode([i]).isascii() or i < 2 for i in range(vocab)])
    ids = tokenizer.encode(prompt)
    engine = Engine(backend_for(loaded.decoder), replace(tokenizer, end_id=None, more_ends=frozenset()))
    engine.banned = never
    (written,) = events(engine, Request(ids, replace(GREEDY, max_tokens=N))).values()
    got = [(event.token.id, event.token.logprob) for event in written]
    want = theirs(file, ids, never.nonzero().flatten().tolist())  # it withholds bytes that are no characters yet
    assert [i for i, _ in got] == [i for i, _ in want]
    assert [log_p for _, log_p in got] == pytest.approx([log_p for _, log_p in want], abs=5e-3)  # its GELU is a table
