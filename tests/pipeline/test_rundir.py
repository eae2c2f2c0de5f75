"""The run directory: nothing is overwritten, nothing is half-written."""

from pathlib import Path

import pytest

from clearhead.config import load_toml, save_toml
from clearhead.errors import UserError
from clearhead.files import write_text
from clearhead.pipeline.recipe import parse
from clearhead.pipeline.rundir import RunDir, create, free_path, read_json, reopen

RECIPE = parse({"name": "x", "tasks": {"game24": {}}})


def test_a_run_remembers_its_recipe_and_its_finished_stages(tmp_path: Path) -> None:
    run = create(tmp_path / "run", RECIPE, {"command": "clearhead run x"})
    assert run.recipe() == RECIPE
    assert not run.finished("pretrain")
    run.finish("pretrain", 1.5)
    assert run.finished("pretrain")
    assert RunDir(run.path).read_state() == {
        "stages": [{"name": "pretrain", "seconds": 1.5}], "command": "clearhead run x",
    }  # fmt: skip


def test_a_directory_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="--resume"):
        create(tmp_path, RECIPE, {})
    with pytest.raises(UserError, match="already exists"):
        create(tmp_path / "letter.txt", RECIPE, {})
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_resuming_with_other_settings_names_them(tmp_path: Path) -> None:
    create(tmp_path / "run", RECIPE, {})
    assert reopen(tmp_path / "run", RECIPE).path == tmp_path / "run"
    other = parse({"name": "x", "tasks": {"game24": {}}, "pretrain": {"steps": 77}})
    with pytest.raises(UserError, match=r"pretrain.steps: 1800 then, 77 now"):
        reopen(tmp_path / "run", other)
    with pytest.raises(UserError, match="not a run"):
        reopen(tmp_path / "elsewhere", RECIPE)


@pytest.mark.parametrize(
    ("model", "width"), [({}, 768), ({"preset": "small"}, 1024), ({"preset": "tiny"}, 64), ({"d_ff": 432}, 432)]
)
def test_a_run_that_says_no_mlp_is_from_when_it_was_relu2(model: dict, width: int, tmp_path: Path) -> None:
    run = create(tmp_path / "run", RECIPE, {})
    assert run.decoder(9).mlp == "swiglu"
    save_toml({**load_toml(run.config), "model": model}, run.config)
    assert (run.decoder(9).mlp, run.decoder(9).d_ff) == ("relu2", width)
    with pytest.raises(UserError, match=r"model.mlp: 'relu2' then, 'swiglu' now"):
        reopen(run.path, RECIPE)


def test_a_run_keeps_settings_that_have_other_names_now(tmp_path: Path) -> None:
    run = create(tmp_path / "run", RECIPE, {})
    kept = load_toml(run.config)
    old = {"batch_size": "rows", "seq_len": "tokens", "decay_start": "decay_from"}
    renamed = {old.get(key, key): value for key, value in kept["pretrain"].items() if key != "schedule"}
    save_toml({**kept, "pretrain": renamed | {"rows": 5, "decay_from": 0.25}}, run.config)
    assert (run.any_recipe().pretrain.batch_size, run.any_recipe().pretrain.decay_start) == (5, 0.25)
    save_toml({**kept, "model": {**kept["model"], "gain": "plain", "head_channels": 32}}, run.config)
    assert (run.decoder(9).norm_weight, run.decoder(9).head_dim) == ("plain", 32)
    for old_name, new_name in (("gain", "norm_weight"), ("head_channels", "head_dim")):
        with pytest.raises(UserError, match=rf"model\.{old_name} is called {new_name} now"):
            parse({"tasks": {"game24": {}}, "model": {old_name: 32}})


def test_a_run_made_half_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clearhead.pipeline.rundir.save_toml", full)
    with pytest.raises(OSError, match="No space"):
        create(tmp_path / "run", RECIPE, {})
    assert not (tmp_path / "run").exists()


def test_the_time_of_a_stage_adds_up(tmp_path: Path) -> None:
    run = create(tmp_path / "run", RECIPE, {})
    assert run.spent("pretrain") == 0
    run.note("pretrain", 2.5)
    assert RunDir(run.path).spent("pretrain") == 2.5 and run.spent("reward") == 0
    assert not run.finished("pretrain")
    run.finish("pretrain", 4.0)
    assert run.spent("pretrain") == 0
    assert run.read_state()["stages"] == [{"name": "pretrain", "seconds": 4.0}]


def test_a_free_name_is_found(tmp_path: Path) -> None:
    assert free_path(tmp_path, "demo").name == "demo"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo-2").mkdir()
    assert free_path(tmp_path, "demo").name == "demo-3"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "[1]")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert read_json(path) == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_torn_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(UserError, match=r"a\.json cannot be read"):
        read_json(tmp_path / "a.json")
