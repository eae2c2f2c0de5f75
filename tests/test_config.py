import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhead import config
from clearhead.config import build, find_recipe, load_toml, override, save_toml, to_dict
from clearhead.errors import UserError


@dataclass(frozen=True)
class Train:
    steps: int
    lr: float = 0.01
    name: str = "adamw"
    compile: bool = True
    mode: Literal["fast", "plain"] = "fast"
    seed: int | None = None
    warmup: int | None = 10
    betas: tuple[float, float] = (0.9, 0.95)
    widths: tuple[int, ...] = ()
    tags: list[str] = dataclasses.field(default_factory=list)
    out: Path = Path("runs")
    options: dict[str, int] = dataclasses.field(default_factory=dict)
    level: Literal[1, 2] = 1
    grid: list[int] | None = None


@dataclass(frozen=True)
class Recipe:
    title: str = "demo"
    train: Train = Train(steps=1)


FULL = Train(
    steps=3,
    lr=1e-3,
    name='a "quoted" name',
    compile=False,
    mode="plain",
    seed=7,
    warmup=None,
    betas=(0.8, 1.0),
    widths=(1, 2, 3),
    tags=["×", ""],
    out=Path("runs/x"),
    options={"a": 1},
)


def test_a_field_left_out_takes_its_default() -> None:
    assert build(Train, {"steps": 5}) == Train(steps=5)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(train=FULL)])
def test_dataclass_to_toml_and_back(recipe: Recipe, tmp_path: Path) -> None:
    save_toml(to_dict(recipe), tmp_path / "r.toml")
    assert build(Recipe, load_toml(tmp_path / "r.toml")) == recipe


def test_to_dict_holds_only_what_toml_and_json_hold() -> None:
    plain = to_dict(FULL)
    assert plain["out"] == os.path.join("runs", "x")
    assert plain["widths"] == [1, 2, 3]
    assert plain["warmup"] == "none"  # differs from the default, so it is said
    assert "seed" not in to_dict(Train(steps=1))  # None is the default, so it is not


@given(
    st.builds(
        Train,
        steps=st.integers(-(2**63), 2**63 - 1),
        lr=st.floats(allow_nan=False),
        name=st.text(st.characters(exclude_categories=["Cs"])),
        seed=st.none() | st.integers(0, 9),
        warmup=st.none() | st.integers(0, 9),
        widths=st.lists(st.integers(0, 9)).map(tuple),
    )
)
def test_any_dataclass_survives_the_round_trip(train: Train) -> None:
    assert build(Train, config.tomllib.loads(config.tomli_w.dumps(to_dict(train)))) == train


def test_a_whole_number_is_a_number() -> None:
    train = build(Train, {"steps": 1, "lr": 1, "betas": [0, 1]})
    assert (train.lr, train.betas) == (1.0, (0.0, 1.0))
    assert type(train.lr) is float


def test_the_word_none_stands_for_none() -> None:
    assert build(Train, {"steps": 1, "warmup": "none"}).warmup is None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"steps": 1, "stpes": 2}, "train.stpes is not a setting; did you mean 'steps'? There are: betas, compile,"),
        ({"steps": 1, "zzz": 2}, "train.zzz is not a setting; there are: betas"),
        ({}, "train.steps is missing; set it to a whole number"),
        ({"steps": 1.5}, "train.steps is 1.5; expected a whole number"),
        ({"steps": True}, "train.steps is True; expected a whole number"),
        ({"steps": "ten"}, "train.steps is 'ten'; expected a whole number"),
        ({"steps": 1, "lr": "fast"}, "train.lr is 'fast'; expected a number"),
        ({"steps": 1, "lr": True}, "train.lr is True; expected a number"),
        ({"steps": 1, "name": 5}, "train.name is 5; expected text in quotes"),
        ({"steps": 1, "compile": 1}, "train.compile is 1; expected true or false"),
        ({"steps": 1, "mode": "slow"}, "train.mode is 'slow'; expected one of 'fast', 'plain'"),
        ({"steps": 1, "seed": 1.0}, "train.seed is 1.0; expected a whole number or none"),
        ({"steps": "none"}, "train.steps is 'none'; expected a whole number"),
        ({"steps": 1, "betas": [0.9]}, "train.betas is [0.9]; expected a list of 2: a number, a number"),
        ({"steps": 1, "betas": 0.9}, "train.betas is 0.9; expected a list of 2: a number, a number"),
        ({"steps": 1, "widths": [1, "2"]}, "train.widths[1] is '2'; expected a whole number"),
        ({"steps": 1, "tags": "a"}, "train.tags is 'a'; expected a list, each item text in quotes"),
        ({"steps": 1, "out": 3}, "train.out is 3; expected a path"),
        ({"steps": 1, "options": {"a": "b"}}, "train.options.a is 'b'; expected a whole number"),
        ({"steps": 1, "options": 3}, "train.options is 3; expected a table"),
        ({"steps": 1, "level": True}, "train.level is True; expected one of 1, 2"),
        ({"steps": 1, "grid": [1, "x"]}, "train.grid[1] is 'x'; expected a whole number"),
        ({"steps": 1, "grid": 1}, "train.grid is 1; expected a list, each item a whole number or none"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(data: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as error:
        build(Recipe, {"train": data})
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_section_must_be_a_table() -> None:
    with pytest.raises(UserError, match="train is 3; expected a table"):
        build(Recipe, {"train": 3})


def test_the_classes_own_check_passes_through() -> None:
    @dataclass(frozen=True)
    class Even:
        n: int

        def __post_init__(self) -> None:
            if self.n % 2:
                raise UserError(f"n is {self.n}; make it even")

    with pytest.raises(UserError, match="n is 3; make it even"):
        build(Even, {"n": 3})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("a.b=10", 10),
        ("a.b=0.5", 0.5),
        ("a.b=1e-3", 1e-3),
        ("a.b=true", True),
        ("a.b=[1, 2]", [1, 2]),
        ("a.b={x = 1}", {"x": 1}),
        ('a.b="10"', "10"),
        ("a.b=game24", "game24"),
        ("a.b=reasoning-gym:countdown", "reasoning-gym:countdown"),
        ("a.b=17 × 24", "17 × 24"),
        ("a.b=x=y", "x=y"),
        ("a.b=1\nc = 2", "1\nc = 2"),
        ("a.b=2026-11-22", "2026-11-22"),
        ("a.b=[1, 2", "[1, 2"),
        ("a.b=", ""),
        (" a . b = 10 ", 10),
    ],
)
def test_override_reads_toml_and_bare_words(setting: str, value: Any) -> None:
    assert override({}, [setting]) == {"a": {"b": value}}


def test_override_leaves_its_argument_alone_and_the_last_one_wins() -> None:
    data = {"train": {"steps": 100, "lr": 0.1}}
    assert override(data, ["train.steps=1", "train.steps=2", "top=x"]) == {
        "train": {"steps": 2, "lr": 0.1},
        "top": "x",
    }
    assert data == {"train": {"steps": 100, "lr": 0.1}}


@pytest.mark.parametrize("setting", ["train.steps", "=3", "train.=3", ".steps=3", "a..b=3", ""])
def test_override_refuses_what_is_no_setting(setting: str) -> None:
    with pytest.raises(UserError, match=r"is not a setting; write it as table\.key=value"):
        override({}, [setting])


def test_override_refuses_to_enter_a_number() -> None:
    with pytest.raises(UserError, match=r"train\.steps is 100, not a table"):
        override({"train": {"steps": 100}}, ["train.steps.deep=1"])


def test_load_tells_file_and_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("a = 1\nb = = 2\n")
    with pytest.raises(UserError, match=r"bad\.toml:2: "):
        load_toml(bad)
    bad.write_text('a = "open')
    with pytest.raises(UserError, match=r"bad\.toml.*mend the TOML"):
        load_toml(bad)
    bad.write_bytes(b"a = '\xff'")
    with pytest.raises(UserError, match="byte 5 is not UTF-8"):
        load_toml(bad)


def test_load_tells_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.toml does not exist"):
        load_toml(tmp_path / "none.toml")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_toml(tmp_path)


def test_save_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.toml"
    save_toml({"a": 1}, path)
    with pytest.raises(TypeError):
        save_toml({"a": 2, "b": object()}, path)  # fails half-way through the writing

    def refuse(*_: Any) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="power cut"):
        save_toml({"a": 3}, path)
    assert load_toml(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["r.toml"]


def test_find_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged, here = tmp_path / "packaged", tmp_path / "here"
    for folder in (packaged, here):
        folder.mkdir()
    (packaged / "demo.toml").touch()
    monkeypatch.setattr(config, "RECIPES", (packaged, tmp_path / "absent"))
    monkeypatch.chdir(here)
    assert find_recipe("demo") == find_recipe("demo.toml") == packaged / "demo.toml"
    (here / "mine.toml").touch()
    assert find_recipe("mine.toml") == Path("mine.toml")
    (here / "demo.toml").touch()
    assert find_recipe("demo.toml") == Path("demo.toml")  # one's own file comes first
    for wrong in ("dmeo", "mine", "other/demo.toml"):
        with pytest.raises(UserError, match=f"no recipe '{wrong}'.*here are: demo"):
            find_recipe(wrong)


@dataclass(frozen=True)
class Checked:
    rows: int = 1
    path: str = ""

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise UserError(f"rows = {self.rows} must be at least 1")
        if self.path:
            raise UserError(f"{self.path} does not exist")


@dataclass(frozen=True)
class Outer:
    rows: int = 1
    inner: Checked = Checked()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"inner": {"rows": 0}}, "recipe.inner.rows = 0 must be at least 1"),
        ({"inner": {"path": "rows"}}, "rows does not exist"),
    ],
)
def test_what_a_section_finds_wrong_itself_is_told_with_its_place(data: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as error:
        build(Outer, data, "recipe")
    assert str(error.value) == told


def test_a_setting_by_its_old_name_is_refused_with_the_new_one() -> None:
    @dataclasses.dataclass(frozen=True)
    class Train:
        batch_size: int = 1

    with pytest.raises(UserError, match=r"pretrain.rows is called batch_size now"):
        build(Train, {"rows": 3}, "pretrain")
    with pytest.raises(UserError, match=r"pretrain.tokens is not a setting"):
        build(Train, {"tokens": 3}, "pretrain")
