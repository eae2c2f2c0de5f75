"""Rules that can be read off the source: what is imported, and what is called by name. Nothing is run.

What a name hides (a method of a tensor, a call inside a library) is caught while the solution runs.
"""

import ast
import functools
import sys
import warnings

OTHERS = {"numpy", "torch", "jaxtyping", "einops"}
PARTS_OF_SCIPY = {"scipy.special"}  # the rest solves whole exercises
SYS = {
    "argv", "byteorder", "exit", "float_info", "getrecursionlimit", "getsizeof", "maxsize", "platform",
    "setrecursionlimit", "stderr", "stdout", "version", "version_info",
}  # fmt: skip
HARMFUL = {
    "ctypes", "fcntl", "gc", "importlib", "inspect", "marshal", "mmap", "multiprocessing", "os", "pickle", "posix",
    "resource", "runpy", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "tracemalloc",
    "builtins", "concurrent", "asyncio", "pathlib", "urllib", "http", "code", "pdb", "_thread",
}  # fmt: skip
WITHIN = {  # modules that others happen to hold, as in warnings.sys
    "_thread", "builtins", "ctypes", "ctypeslib", "gc", "importlib", "mmap", "os", "pickle", "posix", "shutil",
    "socket", "subprocess", "sys", "threading",
}  # fmt: skip
NAMES = {"__import__", "breakpoint", "compile", "eval", "exec", "globals", "input", "open", "vars", "__builtins__"}
INNER = {
    "__array_interface__", "__builtins__", "__closure__", "__code__", "__globals__", "__subclasses__", "_getframe",
    "f_back", "f_globals", "f_locals", "gi_frame", "tb_frame",
}  # fmt: skip
TORCH_INNER = (
    "torch.ops",
    "torch._C",
    "torch._VF",
    "torch._refs",
    "torch._decomp",
)  # by which operators have other names


@functools.lru_cache(512)
def parsed(source: str) -> ast.Module:
    """The source's tree, read once: how deep a text may be nested depends on where it is read."""
    with warnings.catch_warnings(action="ignore"):  # of Python about the source
        return ast.parse(source)


@functools.lru_cache(512)
def violations(source: str, forbidden: tuple[str, ...]) -> list[str]:
    """One sentence for each rule that the source breaks, with its line. SyntaxError: it is no Python.

    >>> violations("import numpy as np\\nx = np.linalg.lstsq(a, b)", ("numpy.linalg.lstsq",))
    ['line 2: numpy.linalg.lstsq may not be called']
    >>> violations("from os import remove", ())
    ['line 1: imports os; an exercise needs numpy or torch and the harmless part of the standard library']
    """
    tree = parsed(source)
    aliases: dict[str, str] = {}
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
            for alias in node.names:
                aliases[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or "."]
            if node.module == "scipy":
                modules = [f"scipy.{alias.name}" for alias in node.names]
            if node.module == "sys" and any(alias.name not in SYS for alias in node.names):
                found[f"line {node.lineno}: of sys only {', '.join(sorted(SYS))} have a place in a solution"] = None
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {
                f"line {node.lineno}: {node.module}.{alias.name} may not be called": None
                for alias in node.names
                if _matches(f"{node.module}.{alias.name}", forbidden)
            }
            found |= {
                f"line {node.lineno}: {alias.name} of {node.module} has no place in a solution": None
                for alias in node.names
                if alias.name in WITHIN and node.module != "sys"
            }
        else:
            continue
        for module in modules:
            top = module.split(".")[0]
            if module in PARTS_OF_SCIPY:
                continue
            if top in HARMFUL or top not in sys.stdlib_module_names | OTHERS:
                told = "an exercise needs numpy or torch and the harmless part of the standard library"
                found[f"line {node.lineno}: imports {module}; {told}"] = None
    allowed = {
        id(node.value) for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in SYS
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and aliases.get(node.id) == "sys" and id(node) not in allowed:
            found[f"line {node.lineno}: of sys only {', '.join(sorted(SYS))} have a place in a solution"] = None
        if isinstance(node, ast.Name) and node.id in NAMES and isinstance(node.ctx, ast.Load):
            found[f"line {node.lineno}: {node.id} has no place in a solution"] = None
        if isinstance(node, ast.Attribute):
            if node.attr in INNER:
                found[f"line {node.lineno}: {node.attr} has no place in a solution"] = None
            dotted = _dotted(node, aliases)
            if (dotted and node.attr in WITHIN) or (forbidden and dotted in TORCH_INNER):
                found[f"line {node.lineno}: {dotted} has no place in a solution"] = None
            if dotted and _matches(dotted, forbidden):
                found[f"line {node.lineno}: {dotted} may not be called"] = None
    return list(found)


def frameworks(source: str) -> list[str]:
    """Which kind of arrays the solution is given: the one whose library it imports; both, in turn, if it imports both.

    >>> frameworks("import torch.nn as nn"), frameworks("import math"), frameworks("import numpy, torch")
    (['torch'], ['numpy'], ['torch', 'numpy'])
    """
    tops = {name.split(".")[0] for name in _modules(source)}
    return [kind for kind in ("torch", "numpy") if kind in tops] or ["numpy"]


def imported(source: str) -> list[str]:
    """The modules of libraries that a source imports, `.*` behind those of which it takes all names.

    >>> imported("from scipy.special import expit\\nimport math, torch.nn as nn\\nfrom numpy import *")
    ['scipy.special', 'torch.nn', 'numpy.*']
    """
    return [
        name for name in _modules(source)
        if name.removesuffix(".*") in PARTS_OF_SCIPY or name.split(".")[0] in OTHERS
    ]  # fmt: skip


@functools.lru_cache(512)
def _modules(source: str) -> list[str]:
    found: dict[str, None] = {}
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            found |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found[node.module + ".*" * (node.names[0].name == "*")] = None
            if node.module == "scipy":
                found |= dict.fromkeys(f"scipy.{alias.name}" for alias in node.names)
    return list(found)


def _dotted(node: ast.expr, aliases: dict[str, str]) -> str:
    """`np.linalg.lstsq` as `numpy.linalg.lstsq`; nothing for what does not begin with an imported name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return ""
    return ".".join([aliases[node.id], *reversed(parts)])


def _matches(dotted: str, forbidden: tuple[str, ...]) -> bool:
    return any(dotted == name or dotted.startswith(f"{name}.") for name in forbidden)
