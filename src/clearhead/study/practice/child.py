"""What calls a learner's functions, case by case, in a process apart (or here, for solutions of our own).

What was expected never gets there: a reply holds values, and all comparing is done by whoever reads it. Of the grader's
own modules only this one is imported there, so it imports nothing else of ours.
"""

import contextlib
import dataclasses
import functools
import importlib
import inspect
import linecache
import os
import re
import sys
import tracemalloc
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from tracemalloc import get_traced_memory
from types import TracebackType
from typing import Any

import numpy as np

from clearhead.sandbox.codec import DEPTH, PARTS, pack, unpack

leave = os._exit  # bound before anybody can put another in its place
FILE = "answer.py"  # what the learner's file is called there
KERNELS = ("CompositeImplicitAutograd", "CompositeExplicitAutograd", "CPU")  # where an operator computes
MAX_MESSAGE_CHARS = 500  # characters of an error's message


def prepare(setup: dict[str, Any]) -> list[str]:
    """Import before the walls close what a solution, and the measuring of its memory, will need.

    Comes back with the libraries that nobody may import later: what may not be called there is not replaced.
    """
    for name in setup.get("modules", ()):
        with contextlib.suppress(ImportError, AttributeError):  # which the solution's own import then tells
            module = importlib.import_module(name.removesuffix(".*"))
            for part in getattr(module, "__all__", ()) if name.endswith(".*") else ():
                getattr(module, part)  # which may be imported only then, as numpy.f2py is
    if setup["framework"] == "torch":
        importlib.import_module("torch").set_num_threads(1)
        if setup["measure"]:
            importlib.import_module("torch.utils._python_dispatch")
            _peak_torch(functools.partial(sys.modules["torch"].zeros, 1), sys.modules["torch"])  # it imports much, once
    return sorted({name.split(".")[0] for name in setup.get("forbidden", ())} - sys.modules.keys())


def begin(message: bytes, send: Callable[[bytes], None]) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Load the source; the reply to that, and the function that runs a case."""
    request = unpack(message)
    traced = 0
    if request["measure"] and request["framework"] == "numpy":
        tracemalloc.start()
        traced = get_traced_memory()[0]

    def caught(name: str) -> None:  # told at once and for good: what comes after cannot take it back
        send(pack({"called": name}))
        leave(0)

    replace(request["forbidden"], caught)
    if "torch" in sys.modules and request["forbidden"]:
        override(request["forbidden"], caught, sys.modules["torch"])
    if request["framework"] == "torch":
        torch: Any = sys.modules["torch"]
        torch.set_default_dtype(torch.float64)  # so that what a solution makes fits
        torch.compile = as_it_is  # compiling takes other programs, and gives the same values
    module = None
    try:
        module = compiled(request["source"], FILE)
        if not hasattr(module, request["name"]):
            raise NameError(f"the file does not define {request['name']}")
        reply = pack({})
    except BaseException as error:
        reply = pack({"broken": told(error)})

    def answer(message: bytes) -> bytes:
        return pack(call(module, request, unpack(message), caught, traced))

    return reply, answer


def as_it_is(function: Any = None, **options: Any) -> Any:
    """In the place of torch.compile, which may stand above a function with options or without."""
    return function or as_it_is


def compiled(source: str, name: str) -> types.ModuleType:
    """The learner's file as a module; it can be found by its name, and its text too, as torch.jit.script wants it."""
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    module = sys.modules["answer"] = types.ModuleType("answer")
    exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
    return module


def arguments(
    function: Callable[..., Any], given: dict[str, Any], order: list[str]
) -> tuple[list[Any], dict[str, Any]]:
    """How `function` takes what is given: by its own names where it has them, the rest in the exercise's order.

    >>> arguments(lambda logits, eps: 0, {"eps": 1e-5, "z": 2.0}, ["z", "eps"])
    ([2.0, 1e-05], {})
    """
    left = {name: given[name] for name in [*order, *(name for name in given if name not in order)]}
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a built-in of some kind
        return list(left.values()), {}
    own = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    others = [name for name in left if name not in {p.name for p in own}]
    free = sorted((p for p in own if p.name not in left), key=lambda p: p.default is not p.empty)  # required ones first
    taken = {p.name: left[p.name] for p in own if p.name in left}
    taken |= {p.name: left[name] for p, name in zip(free, others, strict=False)}
    others = others[len(free) :]
    positional = list[Any]()
    for p in own:
        if p.name not in taken or p.kind is p.KEYWORD_ONLY:
            break
        positional.append(taken.pop(p.name))
    if others and any(p.kind is p.VAR_KEYWORD for p in parameters):
        return positional, taken | {name: left[name] for name in others}
    return [*positional, *(left[name] for name in others)], taken


def replace(names: list[str], caught: Callable[[str], None]) -> list[tuple[Any, str, Any]]:
    """Put what tells of the call, and refuses, in the place of what may not be called; (owner, name, original)."""
    before: list[tuple[Any, str, Any]] = []
    for dotted in names:
        *path, last = dotted.split(".")
        owner: Any = sys.modules.get(path[0])
        for part in path[1:]:
            owner = getattr(owner, part, None)
        if owner is None or not hasattr(owner, last):
            continue

        def refuse(*args: Any, dotted: str = dotted, **kwargs: Any) -> Any:
            caught(dotted)
            raise RuntimeError(f"{dotted} may not be called here")

        original = getattr(owner, last)
        elsewhere = [
            module for name, module in sys.modules.items()
            if name.split(".")[0] == path[0] and vars(module).get(last) is original and module is not owner
        ]  # fmt: skip
        for place in (owner, *elsewhere):
            before.append((place, last, original))
            setattr(place, last, refuse)
    return before


@contextlib.contextmanager
def forbidding(names: list[str], caught: Callable[[str], None]) -> Iterator[None]:
    """`replace` for the time of a block."""
    before = replace(names, caught)
    try:
        yield
    finally:
        for owner, last, original in reversed(before):
            setattr(owner, last, original)


def override(names: list[str], caught: Callable[[str], None], torch: Any) -> None:
    """Put the same in the place of torch's operators of these names, in its dispatcher.

    Every call gets there: from a library's inside, from another thread, and with torch's own watching switched off.
    """
    lasts = {name.rpartition(".")[2].lower(): name for name in reversed(names)}
    lasts |= {last.removesuffix("_attention"): name for last, name in lasts.items()}
    library = torch.library.Library("aten", "IMPL")
    for operator in torch._C._dispatch_get_all_op_names():
        space, _, name = operator.partition("::")
        base = re.sub("^_*(native_|linalg_|special_)?", "", name.split(".")[0])
        dotted = next((lasts[last] for last in lasts if base == last or base.startswith(f"{last}_")), None)
        if space != "aten" or dotted is None or "backward" in base:
            continue

        # It holds the library, which would take everything back if it were let go
        def refuse(*args: Any, dotted: str = dotted, held: Any = library, **kwargs: Any) -> Any:
            caught(dotted)
            raise RuntimeError(f"{dotted} may not be called here")

        with warnings.catch_warnings(action="ignore"):  # that there was one before
            for key in KERNELS:
                if torch._C._dispatch_has_kernel_for_dispatch_key(operator, key):
                    library.impl(name, refuse, key)


def call(
    module: Any, request: dict[str, Any], case: dict[str, Any], caught: Callable[[str], None], traced: int = -1
) -> dict[str, Any]:
    """Run one case: {"value", "error", "changed", "peak", "gradient"}, as far as they apply.

    `traced` bytes were in use before the source was loaded; what it has kept since counts towards the peak.
    """
    torch = sys.modules["torch"] if request["framework"] == "torch" else None

    def run() -> dict[str, Any]:
        found = _values(module, request, case, caught, traced, torch)
        if torch and case.get("gradient") is not None:
            found["gradient"] = _gradients(module, request, case, torch)
        return found

    try:
        try:
            found = run()
        except RuntimeError as error:
            said = _text(functools.partial(str, error), "")
            if torch is None or not re.search(r"dtype|scalar type|Float and Double|Double and Float", said):
                raise
            with default_dtype(torch, torch.float32):  # what a solution makes is to fit what it cast its inputs to
                found = run()
        _size(found["value"])
    except BaseException as error:
        found = {"error": told(error)}
    return found


def _values(
    module: Any, request: dict[str, Any], case: dict[str, Any], caught: Callable[[str], None], traced: int, torch: Any
) -> dict[str, Any]:
    """{"value", "changed", "peak"}."""
    given = _tensors(case["inputs"], torch) if torch else _copied(case["inputs"])
    kept = _copied(case["inputs"])
    found: dict[str, Any] = {}
    run = runner(module, request, given)
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(np.errstate(all="ignore"))
        warnings.simplefilter("ignore")
        if case.get("measure"):
            held = traced + 4 * sum(x.nbytes for x in kept.values() if isinstance(x, np.ndarray))  # ours, 4 times
            value, found["peak"] = _peak_torch(run, torch) if torch else _peak_numpy(run, held if traced >= 0 else -1)
        else:
            value = run()
    found["value"] = plain(value)
    # Converting the inputs back tells whether they were written to
    found["changed"] = [key for key, x in kept.items() if pack(plain(given[key])) != pack(x)]
    return found


def runner(module: Any, request: dict[str, Any], given: dict[str, Any]) -> Callable[[], Any]:
    """The call that a case makes, ready to be made."""
    if request["drive"]:
        driver: dict[str, Any] = {"np": np}
        exec(request["drive"], driver)
        return functools.partial(driver["drive"], module, **given)
    function = getattr(module, request["name"])
    positional, named = arguments(function, given, request.get("arguments", []))
    return functools.partial(function, *positional, **named)


@contextlib.contextmanager
def default_dtype(torch: Any, dtype: Any) -> Iterator[None]:
    """Torch's default type for the time of a block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def told(error: BaseException) -> list[str]:
    """[kind, message, the learner's line as "line 3"]; an error may be of any make, so each part is tried."""
    line = 0
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    kind = _text(lambda: type(error).__name__, "an error of an odd kind")
    message = _text(lambda: error, "its message cannot be read")
    return [kind, message, f"line {line}" if line else ""]


def _text(make: Callable[[], object], otherwise: str) -> str:
    try:
        return f"{make()}"[:MAX_MESSAGE_CHARS]
    except BaseException:
        return otherwise


def _size(value: Any) -> None:
    """Whether it travels; a TypeError or ValueError that begins as a sentence if not."""
    try:
        pack(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"the solution returned {error}") from None


def _peak_numpy(run: Callable[[], Any], held: int = -1) -> tuple[Any, int]:
    """What it gives, and the bytes that were alive at once beyond `held`, or beyond those alive now."""
    running = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        before = get_traced_memory()[0]
        tracemalloc.reset_peak()
        value = run()
        return value, get_traced_memory()[1] - (min(before, held) if held >= 0 else before)
    finally:
        if not running:
            tracemalloc.stop()


def _peak_torch(run: Callable[[], Any], torch: Any) -> tuple[Any, int]:
    """Bytes of tensors made by operations and alive at once; views count nothing."""
    alive, peak, seen = 0, 0, set()

    def freed(key: int, size: int) -> None:
        nonlocal alive
        alive -= size
        seen.discard(key)

    class Count(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types_: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal alive, peak
            result = function(*args, **(kwargs or {}))
            for tensor in torch.utils._pytree.tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    key, size = storage._cdata, storage.nbytes()
                    if key not in seen:
                        seen.add(key)
                        alive += size
                        peak = max(peak, alive)
                        weakref.finalize(storage, freed, key, size)
            return result

    with Count(), torch.no_grad():
        return run(), peak


def _gradients(module: Any, request: dict[str, Any], case: dict[str, Any], torch: Any) -> dict[str, Any]:
    """The gradients that reach the inputs, each by its name; {"": ...} where the result carries none.

    A second run, so that a solution that computes its values elsewhere, as in NumPy or under no_grad, meets no tensor
    that forbids it.
    """
    given = _tensors(case["inputs"], torch)
    wanted = case["gradient"]
    dy = torch.from_numpy(wanted["dy"])
    for key in wanted["names"]:
        given[key].requires_grad_()
    try:
        with warnings.catch_warnings(action="ignore"):
            value = runner(module, request, given)()
            if not isinstance(value, torch.Tensor) or not value.requires_grad or value.shape != dy.shape:
                return {"": np.zeros(0)}
            (value * dy).sum().backward()
    except RuntimeError as error:
        if "grad" in _text(functools.partial(str, error), ""):
            return {"": np.zeros(0)}
        raise
    return {key: given[key].grad.numpy() for key in wanted["names"] if given[key].grad is not None}


def _tensors(value: Any, torch: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        return {key: _tensors(x, torch) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_tensors(x, torch) for x in value)
    return value


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: _copied(x) for key, x in value.items()}
    return type(value)(_copied(x) for x in value) if isinstance(value, list | tuple) else value


def plain(value: Any, depth: int = 0) -> Any:
    """Tensors as arrays, named tuples as tuples; everything else as it is. ValueError: too deep."""
    if value is None or type(value) in (float, int, bool, str):
        return value
    if depth > DEPTH:
        raise ValueError(f"the solution returned lists within lists, more than {DEPTH} deep")
    if isinstance(value, dict | tuple | list) and len(value) > PARTS:
        raise ValueError(f"the solution returned a {type(value).__name__} of {len(value):,} parts; return an array")
    if type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach"):
        dense = value.detach().cpu().resolve_conj().resolve_neg()
        return (dense.float() if str(dense.dtype) == "torch.bfloat16" else dense).numpy()  # which NumPy does not have
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: plain(getattr(value, part.name), depth + 1) for part in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(x, depth + 1) for key, x in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(x, depth + 1) for x in value)
    return [plain(x, depth + 1) for x in value] if isinstance(value, list) else value
