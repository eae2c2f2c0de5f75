"""`clearhead calc` against published figures, with numbers of one's own, and with wrong ones."""

import json

import pytest

from clearhead.cli.main import main
from clearhead.reference.costs import PRESETS

Capture = pytest.CaptureFixture[str]


def numbers(capsys: Capture, *args: str) -> dict[str, float]:
    assert main(["calc", *args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("preset", "total"), [("gpt2", 124_439_808), ("llama-2-7b", 6_738_415_616), ("llama-2-70b", 68_976_648_192)]
)
def test_published_parameter_counts(preset: str, total: int, capsys: Capture) -> None:
    found = numbers(capsys, "params", preset)
    assert found["total"] == total == sum(found.values()) - found["total"]


def test_grouped_heads_need_an_eighth_of_the_cache(capsys: Capture) -> None:
    found = numbers(capsys, "kv-cache", "llama-2-70b", "--tokens", "4096", "--batch", "3")
    assert found == {"per_token": 327_680, "per_token_with_all_heads": 2_621_440, "total": 3 * 4096 * 327_680}
    assert numbers(capsys, "kv-cache", "llama-2-70b", "--n-kv-heads", "64")["per_token"] == 2_621_440
    assert numbers(capsys, "kv-cache", "llama-2-70b", "--bits", "32")["per_token"] == 655_360


def test_a_shape_of_ones_own_takes_the_usual_proportions(capsys: Capture) -> None:
    own = numbers(capsys, "params", "--vocab", "32000", "--d-model", "512", "--n-layers", "8")
    assert own["attention"] == 8 * 4 * 512**2 and own["mlp"] == 8 * 3 * 512 * 2048
    wide = numbers(capsys, "params", "--vocab", "9", "--d-model", "96", "--n-layers", "1", "--head-dim", "32", "--tied")
    assert wide["attention"] == 4 * 96**2 and "head" not in wide


def test_what_a_cache_saves(capsys: Capture) -> None:
    found = numbers(capsys, "flops", "gpt2", "--tokens", "1000")
    assert found["writing_it_without"] / found["writing_it_with_a_cache"] == pytest.approx(489, rel=0.01)
    assert found["backward_per_token"] == 2 * found["forward_per_token"]


def test_memory_of_training_and_of_attention(capsys: Capture) -> None:
    found = numbers(capsys, "activations", "gpt2", "--batch", "8")
    assert found["total"] == found["norms"] + found["attention"] + found["mlp"] + found["head"]
    assert found["attention_matrices_if_kept"] == 12 * 8 * 12 * 1024**2 * 2
    memory = numbers(capsys, "attention-memory", "gpt2", "--tokens", "8192", "--bits", "32")
    assert memory["matrix_of_a_layer"] == 3 * 2**30 and memory["by_tiles_a_layer"] == 4 * 12 * 8192


def test_people_read_units(capsys: Capture) -> None:
    assert main(["calc", "kv-cache", "llama-2-70b"]) == 0
    out = capsys.readouterr().out
    assert "327,680 B = 320 KiB" in out and "1.25 GiB" in out and max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["params"], "--vocab, --d-model, --n-layers"),
        (["params", "gtp2"], "did you mean 'gpt2'"),
        (["params", "--vocab", "9", "--d-model", "100", "--n-layers", "1", "--n-heads", "3"], "--head-dim"),
        (["kv-cache", "gpt2", "--n-kv-heads", "5"], "multiple of n_kv_heads = 5"),
        (["kv-cache", "gpt2", "--tokens", "0"], "0 is not in the range"),
        (["params", "gpt2", "--mlp", "relu"], "relu"),
    ],
)
def test_a_wrong_number_is_one_line(args: list[str], told: str, capsys: Capture) -> None:
    assert main(["calc", *args]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("verb", ["params", "flops", "kv-cache", "activations", "attention-memory"])
def test_every_preset_can_be_counted(preset: str, verb: str, capsys: Capture) -> None:
    found = numbers(capsys, verb, preset, *(["--tokens", "16"] if verb != "params" else []))
    assert found and min(found.values()) > 0
