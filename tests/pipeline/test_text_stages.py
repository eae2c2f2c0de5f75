"""A whole run on text: it learns, it can be killed at any moment, and what is wrong with the text is told at once."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import clearhead, start
from tiny_text import write_text_recipe

from clearhead.checkpoints import own
from clearhead.cli.main import main
from clearhead.errors import UserError
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.stages import load_policy, load_tokenizer
from clearhead.pipeline.text_models import continuations, opening
from clearhead.pipeline.text_recipe import TextEvaluationConfig, TextRecipe
from clearhead.pipeline.text_stages import held_batches
from clearhead.text.corpus import documents, held_out
from clearhead.text.packing import IGNORE_INDEX
from clearhead.text.shards import Shards
from clearhead.training.jsonl_log import read


def results(run: Path) -> dict[str, object]:
    """Everything a run has made, without times."""
    made: dict[str, object] = {
        name: (run / name).read_bytes()
        for name in (
            "policy.safetensors",
            "lstm.safetensors",
            "rnn.safetensors",
            "conv.safetensors",
            "tokenizer.json",
            "corpus.json",
        )
    }
    made |= {path.name: path.read_bytes() for folder in ("tokens", "evaluation") for path in (run / folder).iterdir()}
    for name in ("pretrain", "pretrain-lstm", "pretrain-rnn", "pretrain-conv"):
        events = read(run / f"{name}.jsonl")
        made[name] = [{k: v for k, v in e.items() if k != "seconds"} for e in events if e["kind"] != "start"]
    return made


@pytest.mark.parametrize("name", ["pretrain", "pretrain-lstm", "pretrain-rnn", "pretrain-conv"])
def test_it_learned(text_run: Path, name: str) -> None:
    evals = [event for event in read(text_run / f"{name}.jsonl") if event["kind"] == "eval"]
    assert len(evals) == 4
    assert evals[-1]["held_out_loss"] < 0.7 * evals[0]["held_out_loss"]
    words = ("sees", "hears", "likes") if name == "pretrain-conv" else ("the ",)  # which sees too little for a sentence
    assert any(word in evals[-1]["sample"] for word in words)


def test_the_kinds_are_as_large_as_each_other(text_run: Path) -> None:
    run = RunDir(text_run)
    recipe = run.any_recipe()
    assert isinstance(recipe, TextRecipe)
    sizes = [own.load_model(run.model(kind), torch.device("cpu")).config.parameters for kind in recipe.kinds]
    assert recipe.kinds == ("decoder", "lstm", "rnn", "conv")
    assert max(sizes) < 1.1 * min(sizes), "within a whole channel, of which so small a model has few"


def test_a_run_without_a_decoder_says_so(text_run: Path, tmp_path: Path) -> None:
    for name in ("config.toml", "tokenizer.json", "lstm.safetensors"):
        shutil.copy(text_run / name, tmp_path)
    with pytest.raises(UserError, match="recurrent models alone"):
        load_policy(RunDir(tmp_path), torch.device("cpu"))


def test_held_out_documents_are_only_held_out(text_run: Path) -> None:
    (file,) = text_run.parent.glob("*.jsonl")
    texts, tokenizer = set(documents([file])), load_tokenizer(RunDir(text_run))
    for split, wanted in (("train", False), ("held", True)):
        stream = np.concatenate([np.load(path) for path in sorted((text_run / "tokens").glob(f"{split}-*"))])
        pieces = {tokenizer.decode(piece.tolist()) for piece in np.split(stream, np.flatnonzero(stream == 1))} - {""}
        assert pieces == {text for text in texts if held_out(text, 0.2) == wanted}


def test_a_run_killed_in_any_stage_ends_with_the_same_bits(text_run: Path, tmp_path: Path) -> None:
    shutil.copy(text_run.parent / "tiny.toml", tmp_path)
    out = tmp_path / "run"
    moments = (
        lambda: (out / "tokenizer.json").is_file(),
        lambda: (out / "pretrain-lstm.jsonl").is_file() and len(read(out / "pretrain-lstm.jsonl")) > 37,
    )
    for moment in moments:
        flags = ["--resume"] if (out / "config.toml").is_file() else []
        process = start("run", "tiny.toml", "--out", out, *flags, cwd=tmp_path)
        while process.poll() is None and not moment():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"
    clearhead("run", "tiny.toml", "--out", out, "--resume", cwd=tmp_path)
    assert results(out) == results(text_run)


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    recipe = write_text_recipe(tmp_path)
    process = start("run", recipe, "--set", "pretrain.steps=100000", "--out", "mine", cwd=tmp_path)
    while not (tmp_path / "mine" / "pretrain.jsonl").is_file() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "clearhead run --resume mine" in err
    assert "Traceback" not in err
    assert (tmp_path / "mine" / "pretrain.checkpoint.safetensors").is_file()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.txt", None, "does not exist"),
        ("empty.txt", b" \n", "is empty"),
        ("binary.txt", b"a\0b", "is binary"),
        ("latin.txt", "caf\xe9".encode("latin-1"), "no UTF-8"),
        ("bad.jsonl", b'{"text": 3}\n', "holds 3, which is no text"),
        ("short.txt", b"just one document", "the text is 1 documents"),
    ],
)
def test_text_that_cannot_be_learned_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, told: str
) -> None:
    recipe = write_text_recipe(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["run", str(recipe), "--set", f"data.files={tmp_path / name}", "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert [line for line in err.splitlines() if line.startswith("error: ")] == [err.splitlines()[-1]]
    assert told in err
    assert not (tmp_path / "run").exists()


def test_of_a_few_documents_one_is_held_out_whatever_chance_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_text_recipe(tmp_path)
    texts = [f"the cat sees dog {i}. " * 100 for i in range(5)]
    (tmp_path / "few.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    assert not any(held_out(text, 1e-3) for text in texts)
    out = tmp_path / "run"
    settings = [f"data.files={tmp_path / 'few.jsonl'}", "data.held_out=1e-3", "model.kind=decoder", "pretrain.steps=12"]
    assert main(["run", str(recipe), *(x for s in settings for x in ("--set", s)), "--out", str(out)]) == 0
    assert "held out none of 5 documents, so one is" in capsys.readouterr().err
    index = Shards(out / "tokens").index
    assert (index.train.documents, index.held.documents) == (4, 1)


def test_what_can_be_told_before_a_directory_is_made_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_text_recipe(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for setting, told in (
        (f"data.files={tmp_path / 'pipe'}", "no file that can be read again and again"),
        ("tokenizer.path=/no/such/tokenizer", "cannot read /no/such/tokenizer"),
        (f"seed={10**30}", "is too large"),
        (
            "modl.kind=rnn",
            "modl is not a setting; did you mean 'model'? There are: cost, data, evaluation, kind, kv_memory, model",
        ),
    ):
        assert main(["run", str(recipe), "--set", setting, "--out", str(tmp_path / "run")]) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert told in err
        assert not (tmp_path / "run").exists()


def test_a_character_tokenizer_knows_held_out_characters(tmp_path: Path) -> None:
    recipe = write_text_recipe(tmp_path)
    settings = ["--set", "model.kind=decoder", "--set", "tokenizer.kind=char", "--set", "pretrain.steps=12"]
    assert main(["run", str(recipe), *settings, "--out", str(tmp_path / "run")]) == 0
    run = RunDir(tmp_path / "run")
    tokenizer, text = load_tokenizer(run), "".join(documents([tmp_path / "grammar.jsonl"]))
    assert tokenizer.vocab_size == 2 + len(set(text))
    index = Shards(run.tokens).index
    assert index.train.tokens + index.held.tokens == len(text) + 150 + 2


def test_a_tokenizer_of_ones_own_keeps_its_end(text_run: Path, tmp_path: Path) -> None:
    recipe = write_text_recipe(tmp_path)
    given = json.loads((text_run / "tokenizer.json").read_text())
    text = json.dumps(given).replace("<end>", "<fin>")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "tokenizer.json").write_text(text)
    (tmp_path / "own" / "tokenizer_config.json").write_text('{"eos_token": "<fin>"}')
    settings = ["--set", "model.kind=decoder", "--set", "pretrain.steps=12"]
    settings += ["--set", f"tokenizer.path={tmp_path / 'own'}"]
    assert main(["run", str(recipe), *settings, "--out", str(tmp_path / "run")]) == 0
    assert load_tokenizer(RunDir(tmp_path / "run")).end_id == 1


def test_a_run_on_text_knows_no_tasks(text_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "1", "--run", str(text_run)]) == 2
    assert "is a run on text and knows no tasks" in capsys.readouterr().err
    with pytest.raises(UserError, match="knows no tasks"):
        RunDir(text_run).recipe()


def test_what_is_watched_is_spread_over_the_held_out_text(text_run: Path) -> None:
    shards = Shards(text_run / "tokens")
    every = list(shards.windows("held", 2, 10))
    assert len(every) > 20
    some = held_batches(shards, 2, 10, 8)
    at = [i for batch in some for i, other in enumerate(every) if np.array_equal(batch.tokens, other.tokens)]
    assert 6 <= len(some) <= 8 and at[0] == 0 and at[-1] > 0.7 * len(every)
    assert sum(int((b.targets != IGNORE_INDEX).sum()) for b in held_batches(shards, 2, 10, 10**6)) == sum(
        tokens - 1 for tokens in shards.index.held.shards
    )


def test_samples_begin_with_their_prompts_and_repeat(text_run: Path) -> None:
    run = RunDir(text_run)
    model, tokenizer = load_policy(run, torch.device("cpu")), load_tokenizer(run)
    config = TextEvaluationConfig(sample_tokens=8, temperature=0.0)
    first, second = continuations(model, tokenizer, config, ("", "the cat"))
    assert second.startswith("the cat") and len(second) > len("the cat")
    assert continuations(model, tokenizer, config, ("the cat",)) == [second]
    assert first and opening(tokenizer, "") == [1]
    long = "the cat sees the dog. " * 40
    assert continuations(model, tokenizer, config, (long,))[0].startswith(long), "only its end is read"
