"""Every key of a GGUF file is used as llama.cpp uses it, or told: its own log p are the oracle."""

import json
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from decoding import logits_after
from tokenizers import normalizers

from clearhead.checkpoints.convert import convert
from clearhead.checkpoints.load import load_model
from clearhead.errors import Ignored, UserError
from clearhead.formats.gguf import GGUF, write
from clearhead.generation.engine import backend_for
from clearhead.models.gguf import HARMLESS
from clearhead.text.gguf_vocab import load_gguf
from clearhead.text.training import train_tokenizer

pytest.importorskip("xllamacpp", reason="a build of llama.cpp, which there is for 64-bit Linux on Intel and AMD")

SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 6, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256,
}  # fmt: skip
GEMMA = {**SIZES, "query_pre_attn_scalar": 16, "sliding_window": 8}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 256}),
    "llama": ("LlamaConfig", "LlamaForCausalLM", SIZES),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", {k: v for k, v in SIZES.items() if k != "head_dim"}),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", SIZES),
    "gemma": ("GemmaConfig", "GemmaForCausalLM", SIZES),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", GEMMA),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", GEMMA),
}
LEFT_OUT = None
EXPLAINED = ("rope.scaling.factor", "attention.sliding_window", "attention.causal")  # used, warned of, or true
CHANGES: list[dict[str, Any]] = [  # beside those of the constants' own list
    {}, {"rope.scaling.factor": 4.0}, {"rope.scale_linear": 4.0}, {"rope.scaling.factor": 0.0},
    {"rope.scaling.type": "none", "rope.scaling.factor": 4.0}, {"rope.scaling.type": "linear"},
    {"rope.scaling.type": "linear", "rope.scaling.factor": 2.0, "rope.scale_linear": 4.0},
    {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}, {"rope.freq_base": LEFT_OUT},
    {"attention.sliding_window": LEFT_OUT}, {"attention.sliding_window": 0}, {"attention.sliding_window": 5},
    {"attention.sliding_window_pattern": LEFT_OUT}, {"attention.sliding_window_pattern": 3},
    {"attention.sliding_window_pattern": 1}, {"attention.sliding_window_pattern": [True, False] * 3},
    {"attn_logit_softcapping": LEFT_OUT}, {"final_logit_softcapping": LEFT_OUT}, {"attn_logit_softcapping": 3.0},
    {"final_logit_softcapping": 3.0}, {"attention.key_length": LEFT_OUT, "attention.value_length": LEFT_OUT},
    {"attention.head_count_kv": LEFT_OUT}, {"rope.dimension_count": LEFT_OUT}, {"rope.freq_base_swa": LEFT_OUT},
    {"rope.freq_base_swa": 50.0}, {"rope.freq_base_swa": 50.0, "rope.scaling.factor": 4.0},
    {"attention.scale": 0.7}, {"rope.scaling.attn_factor": 1.5}, {"rope.scaling.alpha": 2.0},
    {"attention.causal": False}, {"logit_scale": 0.5}, {"embedding_scale": 3.0}, {"residual_scale": 0.5},
    {"attention.clamp_kqv": 0.05}, {"attention.max_alibi_bias": 8.0}, {"use_parallel_residual": True},
]  # fmt: skip
SCRIPT = """
import json, sys, xllamacpp
for file in sys.argv[3:]:
    asked = xllamacpp.CommonParams()
    asked.model.path, asked.n_ctx, asked.n_parallel, asked.warmup, asked.verbosity = file, 256, 1, False, 0
    asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = 1
    asked.cache_type_k = asked.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    asked.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    try:
        told = xllamacpp.Server(asked).handle_completions({
            "prompt": json.loads(sys.argv[1]), "n_predict": 1, "temperature": 0.0, "ignore_eos": True, "logprobs": 12,
            "cache_prompt": False, "logit_bias": [[i, False] for i in json.loads(sys.argv[2])],
        })["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        print("RESULT" + json.dumps([file, [(t["id"], t["logprob"]) for t in told]]), flush=True)
    except Exception as error:
        print("RESULT" + json.dumps([file, None]), flush=True)
"""
TOKENIZE = """
import json, os, sys, urllib.request, xllamacpp
asked = xllamacpp.CommonParams()
asked.model.path, asked.n_ctx, asked.n_parallel, asked.warmup, asked.verbosity = sys.argv[1], 256, 1, False, 0
server = xllamacpp.Server(asked)
for text in json.loads(sys.argv[2]):
    told = json.dumps({"content": text, "add_special": False, "parse_special": False}).encode()
    request = urllib.request.Request(server.listening_address + "/tokenize", told, {"Content-Type": "application/json"})
    print("RESULT" + json.dumps(json.load(urllib.request.urlopen(request))["tokens"]), flush=True)
os._exit(0)
"""
MAT = ["the cat sat on the mat"] * 3
PROMPT = [(7 * i) % 240 + 5 for i in range(40)]


@contextmanager
def quiet(label: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


def plain(folder: Path, family: str, texts: Sequence[str] = MAT) -> Path:
    """The GGUF file of a tiny random model."""
    import transformers

    kind, model, sizes = MODELS[family]
    cut = "qwen2" if family == "qwen2" else "gpt2"  # as transformers cuts, whatever a folder says
    tokenizer = train_tokenizer("bpe", texts, 290 if texts is MAT else 700, cut)
    tokenizer.backend.normalizer = normalizers.NFC() if family == "qwen2" else None
    torch.manual_seed(0)
    made = getattr(transformers, model)(getattr(transformers, kind)(**sizes, vocab_size=tokenizer.vocab_size))
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn_like(weight) * 0.3)
    made.save_pretrained(folder / "source")
    (folder / "source" / "tokenizer.json").write_text(tokenizer.backend.to_str(), encoding="utf-8")
    (folder / "source" / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    convert(str(folder / "source"), folder / "plain.gguf", None, False, quiet)
    return folder / "plain.gguf"


def changed(file: Path, family: str, change: dict[str, Any], target: Path) -> Path:
    """The file with other metadata; None leaves a key out."""
    opened = GGUF(file)
    metadata = {**opened.metadata, **{f"{family}.{key}": value for key, value in change.items()}}
    tensors = {name: opened.read(name).copy() for name in opened.tensors}
    write(target, {key: value for key, value in metadata.items() if value is not None}, tensors, "F32")
    return target


def theirs(files: list[Path], never: list[int]) -> dict[str, list[tuple[int, float]] | None]:
    """The likeliest next tokens by llama.cpp; what it refuses, or ends the process for, is None."""
    found: dict[str, list[tuple[int, float]] | None] = {}
    while left := [str(file) for file in files if str(file) not in found]:
        command = [sys.executable, "-c", SCRIPT, json.dumps(PROMPT), json.dumps(never), *left]
        told = subprocess.run(command, capture_output=True, text=True, timeout=300)
        lines = [line for line in told.stdout.splitlines() if "RESULT" in line]
        for name, best in (json.loads(line.split("RESULT", 1)[1]) for line in lines):
            found[name] = best
        if len(lines) < len(left):
            found[left[len(lines)]] = None
    return found


def constants(family: str) -> list[str]:
    """Every key for an architecture that the gguf package names."""
    from gguf.constants import Keys

    keys = [value for group in vars(Keys).values() if isinstance(group, type) for value in vars(group).values()]
    found = {k.removeprefix("{arch}.") for k in keys if isinstance(k, str) and k.startswith("{arch}.")}
    return sorted(k for k in found if "{" not in k)


@pytest.mark.parametrize("family", MODELS)
def test_every_key_is_used_as_llama_cpp_uses_it_or_told(family: str, tmp_path: Path) -> None:
    file = plain(tmp_path, family)
    silent: dict[Path, tuple[dict[str, Any], dict[int, float]]] = {}
    for i, change in enumerate(CHANGES):
        target = changed(file, family, change, tmp_path / f"{i}.gguf")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                loaded = load_model(str(target), torch.device("cpu"), torch.float32)
            except UserError:
                continue
        if not any(w.category is Ignored for w in caught):
            log_p = logits_after(backend_for(loaded.decoder), PROMPT).log_softmax(-1)
            silent[target] = (change, dict(enumerate(log_p.tolist())))
    # It withholds bytes that are no characters yet.
    never = [i for i in range(loaded.decoder.config.vocab) if not loaded.tokenizer.decode([i]).isascii()]
    want, wrong = theirs(list(silent), never), {}
    for target, (change, log_p) in silent.items():
        best = [(i, p) for i, p in want[str(target)] or () if p is not None]  # null where it is no number
        if best and max(abs(log_p[i] - p) for i, p in best) > 2e-2:
            wrong[str(change)] = max(abs(log_p[i] - p) for i, p in best)
    assert not wrong and want[str(tmp_path / "0.gguf")] is not None


def test_a_key_that_changes_numbers_elsewhere_is_told(tmp_path: Path) -> None:
    """All that the gguf package names, in a Llama's file, of which the likely ones are looked at above."""
    file = plain(tmp_path, "llama")
    there = {key.removeprefix("llama.") for key in GGUF(file).metadata}
    for key in constants("llama"):
        if key in there or key in HARMLESS or key in EXPLAINED:
            continue
        changed(file, "llama", {key: 3}, tmp_path / "x.gguf")
        with pytest.raises(UserError, match=rf"llama\.{key} = |experts|must be|channels|scaling.type"):
            load_model(str(tmp_path / "x.gguf"), torch.device("cpu"), torch.float32)


def test_text_is_cut_as_llama_cpp_cuts_it_where_nothing_says_how(tmp_path: Path) -> None:
    parts = [
        "the cat", " sat", "don't", "WE'RE", "naïve", "中文", "🙂", "a1b2", "3.14", "1234567", "12", "$100", "x=y+1",
        "~|^", "C++", "\t", "   ", "\n\n", "\r\n", " \n", "\u3000", "...", "—", "“q”", "½²", "e\u0301", "'s", "()", " ",
    ]  # fmt: skip
    rng = random.Random(0)
    texts = [*parts, *("".join(rng.choices(parts, k=rng.randint(2, 6))) for _ in range(170))]
    opened = GGUF(plain(tmp_path, "llama", texts * 3))  # merges of seven digits, which this way of cutting parts
    metadata = {key: value for key, value in opened.metadata.items() if key != "tokenizer.ggml.pre"}
    write(tmp_path / "bare.gguf", metadata, {name: opened.read(name).copy() for name in opened.tensors}, "F32")
    command = [sys.executable, "-c", TOKENIZE, str(tmp_path / "bare.gguf"), json.dumps(texts)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = [json.loads(line.split("RESULT", 1)[1]) for line in told.stdout.splitlines() if "RESULT" in line]
    with pytest.warns(Ignored, match="ggml.pre is missing"):
        tokenizer = load_gguf(tmp_path / "bare.gguf")
    assert found == tokenizer.encode_many(texts)
