"""The map of the code and the code itself name the same files."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAP = ROOT / "docs" / "map.md"
ENTRY = re.compile(r"^\s*- `(?P<path>[^`]+)` - (?P<caption>\S.*)$", re.MULTILINE)


def mapped(page: str) -> list[str]:
    """The paths that are listed, each with its caption on the same line."""
    return [entry["path"] for entry in ENTRY.finditer(page)]


def files(root: Path) -> set[str]:
    """What the map must name: modules relative to the package, and recipes."""
    package = root / "src" / "clearhead"
    modules = {str(path.relative_to(package)) for path in package.rglob("*.py") if not path.name.startswith("__")}
    return modules | {str(path.relative_to(root)) for path in (root / "recipes").glob("*.toml")}


def covered(tree: set[str], paths: list[str]) -> set[str]:
    """The tree with every listed folder (`a/b/`), of many files of one kind, in place of the files that lie in it."""
    folders = {path for path in paths if path.endswith("/")}
    return {next((folder for folder in folders if path.startswith(folder)), path) for path in tree}


def too_early(paths: list[str], sources: dict[str, str]) -> list[str]:
    """The files that stand in the list before one that they import."""
    place = {f"clearhead.{path[:-3].replace('/', '.')}": i for i, path in enumerate(paths) if path in sources}
    found = []
    for i, path in enumerate(paths):
        for node in ast.walk(ast.parse(sources.get(path, ""))):
            names = [f"{node.module}.{a.name}" for a in node.names] if isinstance(node, ast.ImportFrom) else []
            used = {module for name in names for module in (name, name.rpartition(".")[0])}
            found += [f"{path} before {module}" for module in sorted(used & place.keys()) if place[module] > i]
    return found


def test_the_map_equals_the_tree() -> None:
    paths = mapped(MAP.read_text(encoding="utf-8"))
    assert len(paths) == len(set(paths)), "a file is named twice"
    tree = covered(files(ROOT), paths)
    missing, gone = sorted(tree - set(paths)), sorted(set(paths) - tree)
    assert not missing, f"the map leaves out {missing}"
    assert not gone, f"the map names {gone}, which do not exist"


def test_nothing_is_used_before_it_is_read() -> None:
    paths = mapped(MAP.read_text(encoding="utf-8"))
    package = ROOT / "src" / "clearhead"
    sources = {path: (package / path).read_text(encoding="utf-8") for path in paths if (package / path).is_file()}
    assert sources
    assert too_early(paths, sources) == []


def test_a_file_before_what_it_imports_is_found() -> None:
    sources = {
        "a.py": "from clearhead.nn import b",
        "nn/b.py": "import torch\nfrom clearhead.c import x",
        "c.py": "from clearhead.nn.b import y",
    }
    assert too_early(["a.py", "nn/b.py", "c.py"], sources) == [
        "a.py before clearhead.nn.b",
        "nn/b.py before clearhead.c",
    ]
    assert too_early(["c.py"], sources) == []


def test_only_a_captioned_entry_counts() -> None:
    assert mapped("- `b.py` - x\n  - `c/d.py` - y\n- `e.py`\n- `f.py` - \n") == ["b.py", "c/d.py"]


def test_what_the_readme_names_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Reading the code")[2].partition("\n## ")[0]
    trails = re.findall(r"`([a-z_]+/?[a-z_]*\.py)`", section)
    folders = re.findall(r"^  ([a-z]+)/ ", section, re.MULTILINE)
    package = ROOT / "src" / "clearhead"
    assert len(trails) > 10 and all((package / path).is_file() for path in trails if not path.startswith("tests"))
    assert set(folders) == {path.name for path in package.iterdir() if (path / "__init__.py").is_file()}


def test_a_listed_folder_stands_for_its_files() -> None:
    assert covered({"a.py", "b/c.py", "b/d.py", "bb/e.py"}, ["a.py", "b/", "f/"]) == {"a.py", "b/", "bb/e.py"}


def test_the_tree_is_modules_and_recipes(tmp_path: Path) -> None:
    for name in ("a.py", "__init__.py", "__main__.py", "nn/__init__.py", "nn/b.py", "data/c.json"):
        path = tmp_path / "src" / "clearhead" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "demo.toml").touch()
    assert files(tmp_path) == {"a.py", "nn/b.py", "recipes/demo.toml"}


def test_what_the_worked_additions_name_exists() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"^(?:---|\+\+\+) (\S+)$", page, re.MULTILINE)
    assert len(named) > 10 and [path for path in named if not (ROOT / path).is_file()] == []
