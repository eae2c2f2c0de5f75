"""A whole run that translates: what its models learned, resuming, bad input, and its verb."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from tiny import clearhead, start
from tiny_translate import WORDS, write_translate_recipe

from clearhead.cli.main import main
from clearhead.errors import UserError
from clearhead.models.translator import new_translator
from clearhead.pipeline import translate_measure
from clearhead.pipeline import translate_models as models
from clearhead.pipeline.recipes import parse_any, plain
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_tokenizer
from clearhead.pipeline.translate_recipe import TranslateRecipe
from clearhead.pipeline.translate_stages import load_pairs
from clearhead.training.jsonl_log import read

TRAINED = ("bahdanau", "transformer", "decoder-only", "lstm", "bahdanau-scheduled")
CPU = torch.device("cpu")


def results(run: Path) -> dict[str, bytes]:
    files = [run / "tokenizer.json", run / "pairs.safetensors", *sorted((run / "models").glob("*.safetensors"))]
    return {file.name: file.read_bytes() for file in files}


def measured(run: Path, name: str) -> dict:  # type: ignore[type-arg]
    return json.loads((run / "evaluation" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["bahdanau", "transformer", "bahdanau-scheduled"])
def test_it_learned(translate_run: Path, name: str) -> None:
    found = measured(translate_run, name)
    assert found["loss"] < 0.9  # to know only how often each letter occurs costs 2.4
    assert {"bleu_signature", "chrf_signature"} <= found["beam"].keys()


def test_all_have_one_size(translate_run: Path) -> None:
    sizes = [measured(translate_run, name)["parameters"] for name in TRAINED]
    assert max(sizes) < 1.1 * min(sizes)


def test_no_held_out_source_was_trained_on(translate_run: Path) -> None:
    run = RunDir(translate_run)
    kept, held = load_pairs(run, "train"), load_pairs(run, "held")
    assert kept and held
    assert not {tuple(pair.source) for pair in kept} & {tuple(pair.source) for pair in held}
    tokenizer = load_tokenizer(run)
    for pair in (*kept, *held):
        words = tokenizer.decode(pair.source).split()
        assert tokenizer.decode(pair.target) == " ".join(WORDS[word] for word in reversed(words))


def test_the_figures_are_those_of_the_model(translate_run: Path) -> None:
    """The loss again, pair by pair, and the free-running errors from the translations themselves."""
    run = RunDir(translate_run)
    tokenizer, model = load_tokenizer(run), models.load(run.translator("transformer"), CPU)
    held = translate_measure.spread(load_pairs(run, "held"), 12)
    end = models.end_of(tokenizer)
    nats = tokens = wrong = 0.0
    for pair in held:
        source = torch.tensor([pair.source])
        mask = torch.ones_like(source, dtype=torch.bool)
        memory, state = model.encode(source, mask)
        logits = model.logits(model.read(torch.tensor([[end, *pair.target]]), state, memory, mask).hidden[0])
        wanted = torch.tensor([*pair.target, end])
        nats += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
        wrong += int((logits.argmax(-1) != wanted).sum())
        tokens += len(wanted)
    found = measured(translate_run, "transformer")
    assert found["tokens"] == tokens
    assert found["loss"] == pytest.approx(nats / tokens, rel=1e-4)
    assert sum(p["forced"] * p["count"] for p in found["by_position"]) == pytest.approx(wrong)
    assert sum(p["count"] for p in found["by_position"]) == tokens
    assert sum(s["pairs"] for s in found["by_length"]) == len(held)
    for p in found["by_position"][:1]:  # nothing of its own has been read yet
        assert p["free"] == pytest.approx(p["forced"])


def test_attention_is_drawn_for_those_that_have_it(translate_run: Path) -> None:
    for name in TRAINED:
        for example in measured(translate_run, name)["examples"]:
            found = example["alignment"]
            assert (found is None) == (name == "lstm")
            if found and name != "decoder-only":
                assert all(sum(row) == pytest.approx(1, abs=1e-2) for row in found["weights"])
            if found:
                assert "".join(found["source"]) == example["source"]
                assert len(found["weights"]) == len(found["target"])


def test_a_run_killed_in_any_stage_ends_with_the_same_bits(translate_run: Path, tmp_path: Path) -> None:
    shutil.copy(translate_run.parent / "tiny.toml", tmp_path)
    out = tmp_path / "run"
    log = out / "train-bahdanau-scheduled.jsonl"
    for moment in (lambda: (out / "config.toml").is_file(), lambda: log.is_file() and len(read(log)) > 37):
        flags = ["--resume"] if (out / "config.toml").is_file() else []
        process = start("run", "tiny.toml", "--out", out, *flags, cwd=tmp_path)
        while process.poll() is None and not moment():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"
    clearhead("run", "tiny.toml", "--out", out, "--resume", cwd=tmp_path)
    assert results(out) == results(translate_run)


def test_the_verb_shows_all_models_side_by_side(translate_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", str(translate_run), "ab ce"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(TRAINED)
    assert main(["translate", str(translate_run), "ab", "ce di", "--model", "lstm", "--beams", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["texts"] == ["ab", "ce di"]
    assert list(found["models"]) == ["lstm"]
    assert len(found["models"]["lstm"]["translations"]) == 2


def test_lines_from_a_pipe_are_as_each_alone(
    translate_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    typed = io.TextIOWrapper(io.BytesIO(b"ab ce\n\nfo gu di\n"))
    monkeypatch.setattr(sys, "stdin", typed)
    assert main(["translate", str(translate_run), "-", "--json"]) == 0
    together = json.loads(capsys.readouterr().out)
    for i, text in enumerate(["ab ce", "fo gu di"]):
        assert main(["translate", str(translate_run), text, "--json"]) == 0
        alone = json.loads(capsys.readouterr().out)
        for name in TRAINED:
            assert together["models"][name]["translations"][i] == alone["models"][name]["translations"][0]


def test_coverage_of_what_looks_at_nothing_is_told(translate_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", str(translate_run), "ab", "--beams", "2", "--coverage-penalty", "0.5"]) == 0
    assert "without coverage penalty, as they attend to no source: decoder-only, lstm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], "give a text to translate"),
        ([""], "an empty sentence cannot be translated"),
        (["ab", "--model", "bahdanu"], "no model 'bahdanu'"),
        (["ab", "--length-penalty", "1"], "are for beam search; add --beams 4"),
        (["ab " * 99], "is 297 tokens long|is 296 tokens long"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_line(
    translate_run: Path, capsys: pytest.CaptureFixture[str], args: list[str], told: str
) -> None:
    assert main(["translate", str(translate_run), *args]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert any(part in err for part in told.split("|"))


def test_other_verbs_say_what_this_run_is_for(
    translate_run: Path, text_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", "3 × 4", "--run", str(translate_run)]) == 2
    assert "a run that translates and knows no tasks" in capsys.readouterr().err
    assert main(["translate", str(text_run), "ab"]) == 2
    assert "is not a run that translates" in capsys.readouterr().err
    assert main(["generate", str(translate_run), "ab"]) == 2
    assert "clearhead translate" in capsys.readouterr().err


def test_the_preflight_tells_the_time_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_translate_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(recipe), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["models"]) == list(TRAINED)
    assert found["seconds"] > 0 and found["duplicates"] > 0
    assert main(["run", str(recipe), "--dry-run"]) == 0
    assert "time on this machine" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("models=['lstmm']", "models: there is no 'lstmm'"),
        ("models=[]", "models is empty"),
        ("models=['lstm', 'lstm']", "names one twice"),
        ("scheduled=['transformer', 'lstm']", "there is no 'lstm'; write some of transformer"),
        ("train.seq_len=64", "train.seq_len is not set here"),
        ("sampled=0", "sampled = 0.0 must be above 0"),
        ("model.preset=demo", "model.preset is not a setting"),
        ("evaluation.beams=0", "evaluation.beams = 0 must be at least 1"),
        ("data.max_tokens=1", "is longer than data.max_tokens = 1"),
        ("data.files=none.tsv", "none.tsv is no file"),
        ("kind=translat", "kind = 'translat' is none of text, translate; did you mean 'translate'?"),
    ],
)
def test_wrong_settings_are_told_and_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, told: str
) -> None:
    recipe = write_translate_recipe(tmp_path)
    models_alone = ["--set", "models=['transformer']", "--set", "scheduled=[]"]
    assert main(["run", str(recipe), *models_alone, "--set", setting, "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert told in err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_a_recipe_comes_back_from_plain_data() -> None:
    recipe = parse_any({"kind": "translate", "models": ["lstm"], "scheduled": ["lstm"], "seed": 3})
    assert isinstance(recipe, TranslateRecipe)
    assert parse_any(plain(recipe)) == recipe
    assert recipe.trained == ("lstm", "lstm-scheduled")
    assert recipe.train.seed == 3
    assert recipe.sampled_at(recipe.train.steps - 1) == recipe.sampled > recipe.sampled_at(0) > 0


def test_the_recipe_that_comes_along_is_one() -> None:
    import tomllib

    path = Path(__file__).parents[2] / "recipes" / "translate.toml"
    recipe = parse_any(tomllib.loads(path.read_text(encoding="utf-8")))
    shape = models.shape_of(recipe, recipe.tokenizer.vocab, 1)
    sizes = [new_translator(name, shape).config.parameters for name in recipe.models]
    assert max(sizes) < 1.02 * min(sizes)


def test_a_file_that_says_no_kind_is_refused(tmp_path: Path) -> None:
    from clearhead.training import checkpoint

    checkpoint.save(tmp_path / "m.safetensors", {"a": torch.zeros(1)}, {"model": {}})
    with pytest.raises(UserError, match="does not say which model"):
        models.load(tmp_path / "m.safetensors", CPU)
