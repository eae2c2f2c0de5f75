"""What a folder says of generation is heard, as transformers hears it; what cannot be is told in a line."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from clearhead.checkpoints.convert import convert
from clearhead.checkpoints.generation_config import (
    GENERATION_CONFIG,
    IN_GGUF,
    PREFIX,
    UNHEARD,
    UNHEARD_GGUF,
    end_ids,
    sampling,
    sampling_of_gguf,
)
from clearhead.checkpoints.load import load_model
from clearhead.cli.main import main
from clearhead.errors import Ignored, UserError
from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import GREEDY
from clearhead.generation.local import LocalEngine
from clearhead.generation.request import Request
from clearhead.generation.text_stream import TextStream, generate
from clearhead.text.training import train_tokenizer

CPU = torch.device("cpu")
OWN = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1}


@contextmanager
def quiet(label: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import transformers

    torch.manual_seed(0)
    tokenizer = train_tokenizer("bpe", ["the cat sat on the mat"] * 3, 300)
    sizes = {"vocab_size": tokenizer.vocab_size, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = transformers.LlamaConfig(**sizes, num_attention_heads=4, max_position_embeddings=64, eos_token_id=1)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tokenizer.backend.to_str(), encoding="utf-8")
    return tmp_path


def say(folder: Path, **told: Any) -> None:
    (folder / GENERATION_CONFIG).write_text(json.dumps(told), encoding="utf-8")


def test_any_of_several_tokens_ends_a_text_as_in_transformers(folder: Path) -> None:
    import transformers

    prompt = [40, 41, 42]
    plain = load_model(str(folder), CPU)
    free = TextStream(Engine(backend_for(plain.decoder), plain.tokenizer), Request(prompt, GREEDY))
    assert "".join(free) and len(free.tokens) > 10
    say(folder, eos_token_id=[1, free.tokens[5].id])
    theirs = transformers.LlamaForCausalLM.from_pretrained(folder).generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=60, pad_token_id=0, suppress_tokens=[0]
    )[0, len(prompt) :]
    loaded = load_model(str(folder), CPU)
    assert loaded.tokenizer.end_ids == {1, free.tokens[5].id}
    ours = TextStream(Engine(backend_for(loaded.decoder), loaded.tokenizer), Request(prompt, GREEDY))
    text = "".join(ours)
    assert [token.id for token in ours.tokens] == theirs.tolist()
    assert len(ours.tokens) <= 6
    assert ours.text.ended == "end"
    assert text == loaded.tokenizer.decode(theirs.tolist()[:-1])
    many = Engine(backend_for(loaded.decoder, 2), loaded.tokenizer)
    (together,) = generate(many, Request(prompt, GREEDY))
    (searched,) = generate(many, Request(prompt, GREEDY, beams=1))
    assert together.ended == searched.ended == "end"
    assert together.text == searched.text == text
    engine = LocalEngine(loaded.decoder, loaded.tokenizer)
    (root,) = engine.open_tokens([prompt])
    ((one,),) = engine.extend([root], 1, GREEDY, [0], stop=None)
    with pytest.raises(UserError, match="has ended"):
        engine.extend([one.node], 1, GREEDY, [0], stop=None)


def test_its_authors_settings_stand_where_none_are_given(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def settings(*args: str) -> dict[str, Any]:
        assert main(["generate", str(folder), "the", "--tokens", "3", "--json", *args]) == 0
        return json.loads(capsys.readouterr().out)["settings"]

    names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
    assert [settings()[name] for name in names] == [0.7, 0.95, 0, 0.0, 1.0]
    say(folder, **OWN)
    assert [settings()[name] for name in names] == [0.6, 0.9, 20, 0.0, 1.1]
    assert [settings("--temperature", "0", "--top-k", "0")[name] for name in names] == [0, 0.9, 0, 0.0, 1.1]


def test_who_samples_and_says_no_more_keeps_every_token() -> None:
    assert sampling({"do_sample": True}, Path("x")) == {"temperature": 1.0, "top_p": 1.0}
    assert sampling({"temperature": 0.6, "repetition_penalty": 1.2}, Path("x")) == {"repetition_penalty": 1.2}
    assert end_ids({"eos_token_id": None}, 9, Path("x")) == end_ids({}, 9, Path("x")) == frozenset()
    assert end_ids({"eos_token_id": [8, 50256]}, 9, Path("x")) == {8}


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"eos_token_id": [1, "</s>"]}, "eos_token_id = '</s>' is no token's number"),
        ({**OWN, "top_p": 1.5}, "top_p = 1.5"),
        ({**OWN, "temperature": "hot"}, "temperature = 'hot' is no number"),
        ({**OWN, "repetition_penalty": 10**400}, "repetition_penalty = 1000000000"),
        ({**OWN, "top_k": 2.5}, "top_k = 2.5 is no whole number"),
    ],
)
def test_what_it_cannot_mean_is_told(folder: Path, told: dict[str, Any], line: str) -> None:
    say(folder, **told)
    with pytest.raises(UserError) as raised:
        load_model(str(folder), CPU)
    assert line in str(raised.value) and str(folder) in str(raised.value)


# They bound, speed up or describe a generation, or are told of elsewhere: not which token comes next.
HARMLESS = {
    "max_length", "max_new_tokens", "early_stopping", "max_time", "use_mtp", "use_cache", "cache_implementation",
    "cache_config", "max_cache_len", "renormalize_logits", "remove_invalid_values", "num_return_sequences",
    "output_attentions", "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate",
    "pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "is_assistant", "num_assistant_tokens",
    "num_assistant_tokens_schedule", "assistant_confidence_threshold", "prompt_lookup_num_tokens",
    "max_matching_ngram_size", "assistant_early_exit", "assistant_lookbehind", "target_lookbehind",
    "assistant_ensemble_weight", "speculation_type", "compile_config", "disable_compile", "continuous_batching_config",
    "low_memory", "prefill_chunk_size", "_from_model_config", "transformers_version",
}  # fmt: skip


def test_every_key_of_transformers_is_used_harmless_or_told() -> None:
    import transformers

    known = {*OWN, "min_p", *UNHEARD, *HARMLESS}
    assert vars(transformers.GenerationConfig()).keys() - known == set()
    for name in UNHEARD:
        with pytest.warns(Ignored, match=f"x: {name} cannot be honored; ignored"):
            sampling({"do_sample": True, name: 3}, Path("x"))
    assert sampling({**UNHEARD, "typical_p": 0.5}, Path("x")) == {}  # and without a word, which would be an error


def test_every_key_of_llama_cpp_is_used_harmless_or_told() -> None:
    from gguf.constants import Keys

    named = {value for value in vars(Keys.General).values() if isinstance(value, str) and value.startswith(PREFIX)}
    with_another = {"penalty_last_n", "xtc_threshold", "mirostat_tau", "mirostat_eta"}  # they mean something beside one
    assert {key.removeprefix(PREFIX) for key in named} == {*IN_GGUF, *UNHEARD_GGUF, *with_another}
    for name in UNHEARD_GGUF:
        with pytest.warns(Ignored, match=f"general.sampling.{name} cannot be honored; ignored"):
            assert sampling_of_gguf({PREFIX + name: 3}) == {}
    neutral = {PREFIX + key: value for key, value in UNHEARD_GGUF.items()}
    told = {"temp": 0.5, "top_k": -1, "top_p": 0.75, "min_p": 0.25}
    found = sampling_of_gguf({**neutral, **{PREFIX + key: value for key, value in told.items()}})
    assert found == {"temperature": 0.5, "top_k": 0, "top_p": 0.75, "min_p": 0.25}
    with pytest.raises(UserError, match=r"its metadata: top_p = .* must be above 0"):
        sampling_of_gguf({PREFIX + "top_p": 1.5})


def test_how_to_draw_survives_a_file_and_a_folder(folder: Path, tmp_path: Path) -> None:
    say(folder, do_sample=True, temperature=0.5, top_p=0.75, top_k=20)
    want = {"temperature": 0.5, "top_p": 0.75, "top_k": 20}
    convert(str(folder), tmp_path / "x.gguf", None, False, quiet)
    assert load_model(str(tmp_path / "x.gguf"), CPU).sampling == want
    convert(str(tmp_path / "x.gguf"), tmp_path / "again", None, False, quiet)
    assert load_model(str(tmp_path / "again"), CPU).sampling == want
