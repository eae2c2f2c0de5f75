"""Settings: flat frozen dataclasses <-> plain dictionaries <-> TOML files <-> `--set a.b=value`.

A dataclass is the only schema; its annotations decide what a file may say. Understood: bool, int, float, str, Path,
Literal, `X | None`, tuple, list, dict[str, X], and a dataclass as a section.
Deliberately not here: building objects from settings, defaults from the environment, includes between files.
"""

import copy
import dataclasses
import difflib
import re
import tomllib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from clearhead.errors import UserError
from clearhead.files import write_whole

T = TypeVar("T")

LONGEST_NAME = 100  # characters of a name that a file or folder is called by
NONE = "none"  # TOML has no null: in a field that may be None, this word says it
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotes", Path: "a path"}
RECIPES = (
    Path(__file__).parent / "recipes",  # in an installed package
    Path(__file__).parents[2] / "recipes",  # in a clone, installed as editable
)


RENAMED = {  # settings of training and of models, by old names
    "rows": "batch_size", "tokens": "seq_len", "decay_from": "decay_start", "gain": "norm_weight",
    "head_channels": "head_dim",
}  # fmt: skip


def build(cls: type[T], data: Mapping[str, Any], where: str = "") -> T:
    """The dataclass that `data` describes; fields left out take their defaults.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Train:
    ...     steps: int = 100
    ...     lr: float = 0.1
    >>> build(Train, {"lr": 1}).lr
    1.0
    """
    assert dataclasses.is_dataclass(cls), cls
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in data:
        if key not in fields:
            if RENAMED.get(key) in fields:
                raise UserError(f"{_join(where, key)} is called {RENAMED[key]} now; write that")
            raise UserError(f"{_join(where, key)} is not a setting{nearest(key, fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in data:
            raise UserError(f"{_join(where, name)} is missing; set it to {_describe(hints[name])}")
    given = {name: _convert(hints[name], value, _join(where, name)) for name, value in data.items()}
    try:
        return cls(**given)
    except UserError as error:
        named = re.match(r"(\w+) ?=", str(error))  # a setting's own check knows its name, and not where it stands
        if named and named[1] in fields:
            raise UserError(_join(where, str(error))) from None
        raise


def renamed(section: Mapping[str, Any]) -> dict[str, Any]:
    """What an older version wrote, under the names of today."""
    return {RENAMED.get(name, name): value for name, value in section.items()}


def to_dict(obj: Any) -> dict[str, Any]:
    """The inverse of `build`: only tables, lists, text, numbers and truth values, so TOML and JSON both take it."""
    plain = {}
    for field in dataclasses.fields(obj):
        value = getattr(obj, field.name)
        if not field.init or (value is None and field.default is None):
            continue
        plain[field.name] = _plain(value)
    return plain


def load_toml(path: str | Path) -> dict[str, Any]:
    """The file's tables as a dictionary."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; name a TOML file") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; name a TOML file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        told = str(error)
        line = re.search(r"at line (\d+)", told)
        place = f"{path}:{line[1]}" if line else str(path)
        raise UserError(f"{place}: {told}; mend the TOML") from None


def save_toml(data: Mapping[str, Any], path: str | Path) -> None:
    """Write whole or not at all."""
    write_whole(Path(path), tomli_w.dumps(dict(data)))


def override(data: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """A copy of `data` with each `a.b=value` put in its place; a value that is not TOML is taken as text.

    >>> override({"train": {"steps": 100}}, ["train.steps=10", "task.name=game24"])
    {'train': {'steps': 10}, 'task': {'name': 'game24'}}
    """
    result = copy.deepcopy(dict(data))
    for setting in settings:
        dotted, equals, value = setting.partition("=")
        *tables, key = (part.strip() for part in dotted.split("."))
        if not equals or not key or not all(tables):
            raise UserError(f"{setting!r} is not a setting; write it as table.key=value")
        table = result
        for depth, name in enumerate(tables, start=1):
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise UserError(f"{setting!r}: {'.'.join(tables[:depth])} is {table!r}, not a table; set it by itself")
        table[key] = _value(value.strip())
    return result


def parse_bytes(text: str) -> int:
    """A number of bytes, as people write it.

    >>> parse_bytes("64MiB"), parse_bytes("1.5 GiB"), parse_bytes("200MB")
    (67108864, 1610612736, 200000000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    if found is None:
        raise UserError(f"{text!r:.60} is no size; write it like 64MiB or 1.5GiB")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit.lower() or " "))


def find_recipe(name: str | Path) -> Path:
    """The recipe file: the path as given, else the recipe of that name that comes with the package."""
    given = Path(name)
    if given.is_file():
        return given
    known = {path.stem: path for folder in reversed(RECIPES) for path in sorted(folder.glob("*.toml"))}
    stem = given.stem if given.suffix == ".toml" else given.name
    if given.parent == Path() and stem in known:
        return known[stem]
    raise UserError(f"no recipe {str(name)!r}{nearest(stem, known)}; or give the path of a TOML file")


def check_file_name(name: str, key: str) -> None:
    """UserError for a name that files are called by and that would lead out of their folder, or be no name."""
    if not name.strip() or name.startswith(".") or len(name) > LONGEST_NAME or not all(map(_in_names, name)):
        shown = f"{name!r:.60}"
        raise UserError(
            f"{key} = {shown} is no name for a file; take letters, digits, spaces, - and _, at most {LONGEST_NAME}"
        )


def _in_names(char: str) -> bool:
    return char.isprintable() and char not in '/\\:*?"<>|'


def nearest(key: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the known name that is like it, and all there are.

    >>> nearest("stpes", ["steps", "lr"])
    "; did you mean 'steps'? There are: lr, steps"
    """
    names = sorted(known)
    close = difflib.get_close_matches(key, names, n=1)
    return (f"; did you mean {close[0]!r}? T" if close else "; t") + "here are: " + (", ".join(names) or "none")


def _value(text: str) -> Any:
    """TOML where it is TOML (`10`, `0.1`, `true`, `[1, 2]`, `"text"`), else the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    dates_are_text = not isinstance(parsed["value"], bool | int | float | str | list | dict)
    return text if len(parsed) > 1 or dates_are_text else parsed["value"]


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotation wants it, or a UserError that says what it wants."""
    origin, args = get_origin(hint), get_args(hint)
    wrong = UserError(f"{where} is {value!r}; expected {_describe(hint)}")
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(args, value, where, wrong)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in args):
            raise wrong
        return value
    if origin in (tuple, list):
        return _convert_items(origin, args, value, where, wrong)
    section = isinstance(hint, type) and dataclasses.is_dataclass(hint)
    if section or origin is dict:
        if not isinstance(value, Mapping):
            raise wrong
        if section:
            return build(hint, value, where)
        return {key: _convert(args[1], item, _join(where, key)) for key, item in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    assert hint in WORDS, f"{where}: config.py does not know the annotation {hint!r}"
    if type(value) is not hint:  # exact: True is no whole number here
        raise wrong
    return value


def _convert_union(choices: tuple[Any, ...], value: Any, where: str, wrong: UserError) -> Any:
    if types.NoneType in choices and (value is None or value == NONE):
        return None
    choices = tuple(choice for choice in choices if choice is not types.NoneType)
    for choice in choices:
        try:
            return _convert(choice, value, where)
        except UserError:
            if len(choices) == 1 and isinstance(value, Mapping | list | tuple):
                raise  # the inner message names the item or key at fault
    raise wrong


def _convert_items(kind: type, args: tuple[Any, ...], value: Any, where: str, wrong: UserError) -> Any:
    if not isinstance(value, list | tuple):
        raise wrong
    if kind is list or args[-1] is Ellipsis:
        hints = [args[0]] * len(value)
    elif len(value) == len(args):
        hints = list(args)
    else:
        raise wrong
    return kind(_convert(hint, item, f"{where}[{i}]") for i, (hint, item) in enumerate(zip(hints, value, strict=True)))


def _plain(value: Any) -> Any:
    """The value in TOML's own types; None becomes the word that stands for it."""
    if value is None:
        return NONE
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _describe(hint: Any) -> str:
    """The annotation in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(NONE if arg is types.NoneType else _describe(arg) for arg in args)
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(map(repr, args))
    if origin is list or (origin is tuple and args[-1] is Ellipsis):
        return f"a list, each item {_describe(args[0])}"
    if origin is tuple:
        return f"a list of {len(args)}: " + ", ".join(map(_describe, args))
    return WORDS.get(hint, "a table")


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
