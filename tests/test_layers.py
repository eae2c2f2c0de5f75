"""Folders are layers and imports point one way, at the top of a file. The checker itself is shown wrong trees."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FOR_ALL = {"shapes", "errors", "config", "files", "terminal", "console", "plain"}
# What a layer may import besides itself and FOR_ALL, and with each layer whatever that one may import.
MAY_IMPORT = {
    "shapes": set(),
    "errors": set(),
    "files": set(),
    "config": set(),
    "terminal": set(),
    "plain": set(),
    "console": set(),
    "reference": set(),
    "formats": set(),
    "sandbox": set(),
    "charts": set(),
    "text": {"formats"},
    "tasks": set(),
    "kernels": set(),
    "nn": {"kernels", "formats"},
    "models": {"nn"},
    "training": {"models", "text"},
    "generation": {"models", "text"},
    "checkpoints": {"training", "generation"},
    "alignment": {"checkpoints", "tasks"},
    "reasoning": {"generation", "tasks"},
    "doctor": {"training", "generation"},
    "agents": {"reasoning", "generation", "sandbox"},
    "study": {"reference", "sandbox", "charts"},
    "pipeline": {"alignment", "reasoning", "doctor", "agents", "study"},
    "report": {"alignment", "reasoning", "doctor", "agents", "study", "charts"},
    "server": {"pipeline", "report"},
}
FREE = {"cli", "api", "__main__"}  # these import everything, at any place, and nobody imports them
PRIVATE = {"reference"}  # for `study`, the verbs and the tests: an oracle shares no code with its subject
WITHOUT_TORCH = {"reference", "sandbox", "charts", "tasks", "reasoning", "report"}
# Modules that need an extra, and which. Only they may import, at the top, what `pip install clearhead` does not bring.
OPTIONAL: dict[str, set[str]] = {
    "doctor/trainer.py": {"transformers"},
    "server/app.py": {"fastapi", "starlette"},
    "server/bodies.py": {"pydantic"},
    "server/chat.py": {"starlette"},
    "server/completions.py": {"starlette"},
    "server/embeddings.py": {"starlette"},
    "server/errors.py": {"fastapi", "starlette"},
    "server/forms.py": {"starlette"},
    "server/metrics.py": {"prometheus_client"},
    "server/run.py": {"uvicorn"},
}

IMPORTED_AS = {"markdown_it_py": "markdown_it"}  # packages whose module has another name


def closure(layer: str) -> set[str]:
    """Everything that `layer` may import."""
    direct = MAY_IMPORT[layer]
    through = set().union(*(closure(below) for below in direct if below in MAY_IMPORT))
    allowed = direct | through | FOR_ALL | {layer}
    return allowed if PRIVATE & (direct | {layer}) else allowed - PRIVATE


def imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[ast.stmt | ast.expr, str, bool]]:
    """Every import as (statement, absolute dotted name, stands at the top of the file or under `if TYPE_CHECKING`)."""
    package = module if is_package else module.rpartition(".")[0]
    at_top = set()
    blocks: list[ast.AST] = [tree]
    while blocks:
        for node in ast.iter_child_nodes(blocks.pop()):
            if isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef | ast.ExceptHandler):
                blocks.append(node)
            at_top.add(node)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, node in at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
            # `from clearhead import nn` names a module of ours, `from torch import nn` an attribute
            yield from ((node, f"{base}.{alias.name}", node in at_top) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((node, str(arg.value), True) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def breaches(root: Path) -> list[str]:
    """`file:line: what is wrong` for every import below `root`, the folder of the package, that breaks the rules."""
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        layer = module.split(".")[1] if "." in module else "__init__"
        if layer not in MAY_IMPORT.keys() | FREE | {"__init__"}:
            found.append(f"{path}:1: {layer} has no place in the table of layers")
            continue
        tree = ast.parse(path.read_bytes(), str(path))
        if layer == "__init__":  # what only a type checker reads makes nothing slow to import
            tree.body = [node for node in tree.body if not ast.unparse(node).startswith("if TYPE_CHECKING:")]
        for node, name, at_top in imports(tree, module, is_package):
            place = f"{path}:{node.lineno}:"
            if layer not in FREE and not at_top:
                found.append(f"{place} import inside a function")
            if name.split(".")[0] == "torch" and layer in WITHOUT_TORCH:
                found.append(f"{place} {layer} does without torch")
            if name.split(".")[0] != "clearhead" or layer in FREE:
                continue
            ours = name.removeprefix("clearhead.")
            allowed = closure(layer) if layer in MAY_IMPORT else set()
            is_version = ours == "__version__" or ours == "clearhead"
            if not is_version and not any(f"{ours}.".startswith(f"{place_}.") for place_ in allowed):
                found.append(f"{place} {layer} may not import {ours}")
    return found


def test_the_package_keeps_its_layers() -> None:
    assert breaches(ROOT / "src" / "clearhead") == []


def wrong_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / "clearhead" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "clearhead"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("nn/layers.py", "import clearhead.models"),  # upwards
        ("nn/layers.py", "from clearhead import models"),
        ("nn/layers.py", "from clearhead.models.decoder import Decoder"),
        ("nn/layers.py", "from ..models import decoder"),  # relative
        ("nn/layers.py", "from .. import models"),
        ("nn/__init__.py", "from ..models import decoder"),
        ("nn/layers.py", "import numpy, clearhead.text"),  # sideways, second of two
        ("tasks/a.py", "from clearhead.text import tokenizer"),  # siblings
        ("reasoning/search.py", "from clearhead.alignment import quality"),
        ("alignment/sft.py", "from clearhead.reasoning import search"),
        ("doctor/probe.py", "from clearhead.alignment import sft"),
        ("doctor/probe.py", "from clearhead.trainings import x"),  # a longer name is another module
        ("report/page.py", "from clearhead.pipeline import run"),
        ("pipeline/run.py", "from clearhead.server import app"),
        ("server/app.py", "from clearhead.cli import serve"),
        ("nn/layers.py", "from clearhead.reference import attention"),  # the oracle
        ("pipeline/run.py", "from clearhead.reference import attention"),
        ("reference/attention.py", "from clearhead.nn import functional"),
        ("pipeline/run.py", "from clearhead.cli import main"),  # nobody imports the verbs
        ("config.py", "from clearhead.text import tokenizer"),
        ("__init__.py", "from clearhead.nn import layers"),
        ("misc/helpers.py", "x = 1"),  # no layer of the design
        ("helpers.py", "x = 1"),
        ("nn/layers.py", "def f():\n    import numpy"),  # inside a function
        ("nn/layers.py", "def f():\n    if x:\n        from clearhead.kernels import attention"),
        ("nn/layers.py", "class A:\n    def f(self):\n        import numpy"),
        ("nn/layers.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import clearhead.models"),
        ("nn/layers.py", "import importlib\nm = importlib.import_module('clearhead.models')"),
        ("reasoning/search.py", "import torch.nn.functional as F"),
        ("tasks/a.py", "from torch import nn"),
    ],
)
def test_a_breach_is_found(file: str, text: str, tmp_path: Path) -> None:
    found = breaches(wrong_tree(tmp_path, {file: text}))
    assert len(found) == 1
    assert re.match(rf".*{file}:\d: ", found[0])


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "nn/layers.py",
            "import torch\nfrom torch import nn\nfrom clearhead.kernels import attention\nfrom . import rope",
        ),
        ("nn/__init__.py", "from .layers import Linear"),
        ("models/decoder.py", "from clearhead.nn.layers import x\nfrom clearhead import kernels"),
        ("training/step.py", "from clearhead.kernels.attention import causal_attend"),
        ("doctor/probe.py", "from clearhead.training.jsonl_log import read\nfrom clearhead.training import jsonl_log"),
        ("study/guide.py", "from clearhead.reference import attention"),
        ("pipeline/run.py", "import clearhead\nfrom clearhead import __version__, config\nimport clearhead.tasks"),
        ("cli/run.py", "from clearhead.reference import attention\ndef f():\n    import clearhead.pipeline"),
        ("__main__.py", "from clearhead.cli.main import main"),
        ("errors.py", "import json"),
        ("nn/layers.py", "if True:\n    import numpy\ntry:\n    import numpy\nexcept ImportError:\n    import math"),
        ("reasoning/search.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import clearhead.tasks"),
    ],
)
def test_a_rightful_import_passes(file: str, text: str, tmp_path: Path) -> None:
    assert breaches(wrong_tree(tmp_path, {file: text})) == []


def core_packages() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in project["dependencies"]}
    return {IMPORTED_AS.get(name, name) for name in names}


def foreign(root: Path, allowed: set[str]) -> list[str]:
    """Imports at the top of a file of what is neither ours, nor the standard library's, nor `allowed`."""
    found = []
    for path in sorted(root.rglob("*.py")):
        name = str(path.relative_to(root))
        for node, imported, at_top in imports(ast.parse(path.read_bytes(), str(path)), "clearhead.x.y", False):
            package = imported.split(".")[0]
            known = sys.stdlib_module_names | allowed | {"clearhead"} | OPTIONAL.get(name, set())
            if at_top and package not in known:
                found.append(f"{path}:{node.lineno}: {package} is not among the dependencies")
    return found


def test_the_core_needs_only_what_it_declares() -> None:
    assert foreign(ROOT / "src" / "clearhead", core_packages()) == []


def test_an_undeclared_package_is_found(tmp_path: Path) -> None:
    root = wrong_tree(
        tmp_path, {"a.py": "import torch\nimport json\nimport pandas.core", "b.py": "from yaml import load"}
    )
    assert [line.rpartition("/")[2] for line in foreign(root, core_packages())] == [
        "a.py:3: pandas is not among the dependencies",
        "b.py:1: yaml is not among the dependencies",
    ]
