"""Tuning a tiny model: the loss falls, peft reads the result with the same logits, and a stopped run goes on."""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from chatty import rows, write_model, write_rows
from safetensors.torch import load_file

from clearhead.checkpoints.load import load_model
from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.models.adapter import CONFIG, TENSORS, apply_adapter
from clearhead.pipeline.context import Context
from clearhead.pipeline.rundir import RunDir
from clearhead.pipeline.tune import (
    BEFORE,
    LOG,
    RESULT,
    SETTINGS,
    BadRows,
    TuneConfig,
    open_folder,
    prepare,
    tune,
)  # fmt: skip
from clearhead.training.jsonl_log import Event, read

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    write_model(folder / "model")
    write_rows(folder / "data.jsonl", rows(40))
    return folder


def settings(place: Path, **changes: Any) -> TuneConfig:
    plain = TuneConfig(
        model=str(place / "model"), data=place / "data.jsonl", steps=15, lr=0.03, batch=256, rank=4, dropout=0.1,
        samples=2, sample_tokens=8, save_every=4, dtype="float32",
    )  # fmt: skip
    return replace(plain, **changes)


def run(config: TuneConfig, folder: Path, resume: bool = False, stop_at: int = 0) -> tuple[dict[str, Any], list[str]]:
    told: list[str] = []

    @contextmanager
    def watch(label: str) -> Iterator[Any]:
        def see(event: Event) -> None:
            if stop_at and event["kind"] == "step" and event["step"] == stop_at:
                raise KeyboardInterrupt

        yield see

    @contextmanager
    def progress(label: str, total: int) -> Iterator[Any]:
        yield lambda count: None

    prepared = prepare(config, load_model(config.model, CPU, torch.float32 if config.full else None), say=told.append)
    open_folder(folder, config, resume)
    return tune(prepared, Context(RunDir(folder), CPU, watch, told.append, progress)), told


@pytest.fixture(scope="module")
def tuned(place: Path) -> tuple[Path, dict[str, Any], list[str]]:
    return (place / "out", *run(settings(place), place / "out"))


def test_the_held_out_loss_falls_and_the_figures_are_told(tuned: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, result, told = tuned
    assert result["held_out_loss"]["after"] < result["held_out_loss"]["before"] - 1
    assert 0 < result["parameters"]["trainable"] < result["parameters"]["total"] / 2
    assert result["peak_memory"] > 2**20 and result["steps"] == 15
    assert result["examples"] + result["held_out_examples"] == 40
    assert any("trainable: 3,712 of" in line for line in told)
    assert json.loads((folder / RESULT).read_text()) == result
    first = result["answers"][0]
    assert first["answer"] in ("red", "blue", "green", "tall", "small", "old", "new", "soft")
    assert first["before"] != first["after"]
    assert {p.name for p in folder.iterdir()} == {SETTINGS, BEFORE, RESULT, LOG, TENSORS, CONFIG}
    again, told = run(settings(folder.parent), folder, resume=True)
    assert again == result and told == ["done before"]
    evaluated = [event["held_out_loss"] for event in read(folder / LOG) if event["kind"] == "eval"]
    assert evaluated[-1] == pytest.approx(result["held_out_loss"]["after"], rel=1e-6)


def test_peft_loads_the_result_with_the_same_logits(place: Path, tuned: tuple[Path, Any, Any]) -> None:
    import peft
    import transformers

    folder = tuned[0]
    tokens = torch.arange(60).view(1, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = transformers.AutoModelForCausalLM.from_pretrained(place / "model")
        theirs = peft.PeftModel.from_pretrained(base, str(folder)).eval()
    with torch.no_grad():
        expected = theirs(tokens).logits
    assert Path(json.loads((folder / CONFIG).read_text())["base_model_name_or_path"]) == place / "model"
    decoder = load_model(str(place / "model"), CPU).decoder
    with torch.no_grad():
        untouched = decoder.logits(decoder(tokens, torch.arange(60)[None], causal_attend()))
        apply_adapter(decoder, folder)
        found = decoder.logits(decoder(tokens, torch.arange(60)[None], causal_attend()))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found - untouched).abs().max() > 0.5


def test_a_stopped_run_goes_on_to_the_same_bits(place: Path, tuned: tuple[Path, dict[str, Any], Any]) -> None:
    folder = place / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run(settings(place), folder, stop_at=10)
    assert not (folder / TENSORS).exists() and not (folder / RESULT).exists()
    result, _ = run(settings(place), folder, resume=True)
    ours, whole = load_file(folder / TENSORS), load_file(tuned[0] / TENSORS)
    assert all(torch.equal(ours[name], tensor) for name, tensor in whole.items())
    told = {key: value for key, value in result.items() if key not in ("seconds", "peak_memory")}
    assert told == {key: value for key, value in tuned[1].items() if key in told}


def test_other_settings_and_other_data_do_not_go_on(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    with pytest.raises(KeyboardInterrupt):
        run(settings(place), folder, stop_at=9)
    with pytest.raises(UserError, match=r"begun with lr = 0\.03, not 0\.01"):
        run(settings(place, lr=0.01), folder, resume=True)
    with pytest.raises(UserError, match="not empty; add --resume"):
        run(settings(place), folder)
    with pytest.raises(UserError, match="no run of `clearhead tune`"):
        run(settings(place), tmp_path / "none", resume=True)
    data = place / "data.jsonl"
    shutil.copy(data, tmp_path / "kept")
    try:
        write_rows(data, rows(41))
        with pytest.raises(UserError, match="digest"):
            run(settings(place), folder, resume=True)
    finally:
        shutil.copy(tmp_path / "kept", data)


def test_bad_rows_are_told_and_nothing_is_written(place: Path, tmp_path: Path) -> None:
    data = tmp_path / "bad.jsonl"
    long = {"prompt": "red " * 200, "response": "blue"}
    good = rows(6)
    write_rows(data, [*good[:5], long, {"prompt": "x"}, long, good[5]])
    config = settings(place, data=data)
    loaded = load_model(config.model, CPU)
    with pytest.raises(BadRows, match="3 of 9 rows cannot be used") as raised:
        run(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    lines = raised.value.lines
    assert lines[0].startswith(f"{data}, line 6: ") and "tokens are too long; 128 are possible" in lines[0]
    assert [line.partition(":")[0][-1] for line in lines] == ["6", "7", "8"]
    told: list[str] = []
    prepared = prepare(config, loaded, skip_bad=True, say=told.append)
    assert len(prepared.training) + len(prepared.held) == 6
    assert [line.startswith("left out: ") for line in told] == [True] * 3
    write_rows(data, [long])
    with pytest.raises(BadRows, match="1 of 1 rows"):
        prepare(config, loaded, skip_bad=True, say=told.append)
    write_rows(data, good[:1])
    with pytest.raises(UserError, match="has one example"):
        prepare(config, loaded, say=told.append)
    with pytest.raises(UserError, match="max_length = 999"):
        prepare(replace(config, max_length=999), loaded, say=told.append)


def test_the_same_question_is_on_one_side(place: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "twice.jsonl", [*rows(40), *rows(40)])
    loaded = load_model(str(place / "model"), CPU)
    prepared = prepare(settings(place, data=data), loaded)
    held = {tuple(example.tokens) for example in prepared.held}
    assert held and held.isdisjoint(tuple(example.tokens) for example in prepared.training)


def test_a_model_without_a_template_learns_prompts_and_responses(place: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", chats=False)
    data = write_rows(tmp_path / "d.jsonl", [{"prompt": f"say {i}: ", "response": "red"} for i in range(20)])
    config = settings(place, model=str(model), data=data, full=True, steps=15, lr=0.02)
    result, _ = run(config, tmp_path / "out")
    assert result["parameters"]["trainable"] == result["parameters"]["total"]
    assert result["held_out_loss"]["after"] < result["held_out_loss"]["before"] - 1
    assert result["answers"][0]["after"] == "red"  # and ended there
    assert same(load_model(str(tmp_path / "out"), CPU), load_model(str(tmp_path / "out"), CPU))
    assert not same(load_model(str(tmp_path / "out"), CPU), load_model(str(model), CPU))
    with pytest.raises(BadRows):
        prepare(replace(config, data=place / "data.jsonl"), load_model(str(model), CPU), say=print)


def same(a: Any, b: Any) -> bool:
    state = b.decoder.state_dict()
    return all(torch.equal(value, state[name]) for name, value in a.decoder.state_dict().items())


def test_the_result_is_a_model_by_its_name(place: Path, tuned: tuple[Path, Any, Any]) -> None:
    by_adapter = load_model(str(tuned[0]), CPU)
    assert by_adapter.template is not None and by_adapter.path == place / "model"
    with pytest.raises(UserError, match="is an adapter, and one for it"):
        run(settings(place, model=str(tuned[0])), place / "twice")
    run(settings(place, model=str(tuned[0]), merge=True, steps=2), place / "twice")
    assert not same(load_model(str(place / "twice"), CPU), by_adapter)
    result, _ = run(settings(place, merge=True), place / "merged")
    assert result["held_out_loss"] == tuned[1]["held_out_loss"]
    assert not (place / "merged" / TENSORS).exists()
    merged = load_model(str(place / "merged"), CPU)
    assert same(merged, by_adapter) and not same(merged, load_model(str(place / "model"), CPU))
    assert merged.template is not None and merged.template.source == by_adapter.template.source
    import transformers

    theirs = transformers.AutoModelForCausalLM.from_pretrained(place / "merged").eval()
    tokens = torch.arange(40).view(1, 40)
    with torch.no_grad():
        found = merged.decoder.logits(merged.decoder(tokens, torch.arange(40)[None], causal_attend()))
        torch.testing.assert_close(found, theirs(tokens).logits, rtol=1e-4, atol=1e-4)


def test_an_adapter_without_its_model_is_told(place: Path, tuned: tuple[Path, Any, Any], tmp_path: Path) -> None:
    shutil.copytree(tuned[0], tmp_path / "a")
    config = json.loads((tmp_path / "a" / CONFIG).read_text())

    def told(base: Any) -> str:
        (tmp_path / "a" / CONFIG).write_text(json.dumps({**config, "base_model_name_or_path": base}))
        with pytest.raises(UserError) as raised:
            load_model(str(tmp_path / "a"), CPU)
        return str(raised.value)

    assert "adapter for another model, and that cannot be had" in told(str(tmp_path / "gone"))
    assert "does not say which model" in told(None)
    assert "which is one itself" in told(str(tmp_path / "a"))


def test_a_run_is_tuned_to_a_run(place: Path, tiny_run: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", [{"prompt": f"{w}\n", "response": w} for w in ("ab", "ba", "abc", "fed")])
    config = settings(place, model=str(tiny_run), data=data, held_out=data, merge=True, steps=10)
    result, _ = run(config, tmp_path / "out")
    assert result["held_out_loss"]["after"] < result["held_out_loss"]["before"]
    before, after = load_model(str(tiny_run), CPU), load_model(str(tmp_path / "out"), CPU)
    assert not same(before, after)
    run(replace(config, merge=False), tmp_path / "adapter")
    assert same(load_model(str(tmp_path / "adapter"), CPU), after)


def test_what_cannot_be_written_is_told_before_any_work(place: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to merge"):
        settings(place, full=True, merge=True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"warmup": 15}, "^warmup = 15 must be below steps = 15"),
        ({"steps": 0, "epochs": 1e308}, "^epochs = 1e.308 are more than 1,000,000,000 steps"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_told_before_anything_is_written(
    place: Path, changes: dict[str, Any], told: str
) -> None:
    config = settings(place, **changes)
    loaded = load_model(config.model, CPU)
    with pytest.raises(UserError, match=told):
        prepare(config, loaded)


def test_a_usual_warmup_gives_way_to_few_steps(place: Path) -> None:
    config = settings(place, steps=3)
    assert prepare(config, load_model(config.model, CPU)).settings.warmup == 2
