"""The process in which a learner's code runs. Executed by its path, so it imports nothing of ours.

Inputs come in over one pipe and results go out over another; what was expected never gets here. The learner's code runs
in a thread of its own, whose frames hold nothing worth reading, and all comparing is done by whoever reads the pipe.
"""

import contextlib
import functools
import importlib
import json
import os
import resource
import struct
import sys
import threading
import traceback
import tracemalloc
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

if __name__ == "__main__":  # before NumPy starts threads, for a process with threads cannot leave its namespaces
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # a new user and network namespace, where the system allows
        ctypes.CDLL(None).unshare(0x10000000 | 0x40000000)

import numpy as np

HEADROOM = 2**30  # bytes of address space beyond what the imports took
FILE_BYTES = 2**22
NUMBERS = "biuf"  # kinds of dtype that travel

# Events that a solution may raise; those of os, and of these families, are refused otherwise.
HARMLESS = {"os.listdir", "os.scandir", "os.walk", "os.putenv", "os.unsetenv", "os.getxattr", "os.listxattr"}
REFUSED = (
    "os.", "socket.", "subprocess.", "ctypes.", "shutil.", "pty.", "gc.", "signal.",
    "sys._current", "sys.set", "sys.monitoring", "sys.addaudithook", "fcntl.", "resource.", "syslog.", "winreg.",
)  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def pack(value: Any) -> bytes:
    """Numbers, text, lists, tuples, dicts and arrays as bytes, without pickle.

    >>> unpack(pack({"x": np.arange(3), "n": (1, None, "a")}))
    {'x': array([0, 1, 2]), 'n': (1, None, 'a')}

    TypeError: anything else.
    """
    arrays: list[np.ndarray] = []
    head = json.dumps(_tree(value, arrays)).encode()
    return struct.pack("<Q", len(head)) + head + b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)


def unpack(data: bytes) -> Any:
    """The value that was packed. ValueError: these bytes were not made by `pack`."""
    try:
        (size,) = struct.unpack_from("<Q", data)
        return _value(json.loads(data[8 : 8 + size]), data, [8 + size])
    except (ValueError, TypeError, KeyError, AttributeError, struct.error, RecursionError, MemoryError) as error:
        raise ValueError("unreadable bytes") from error


def _tree(part: Any, arrays: list[np.ndarray]) -> Any:
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, np.ndarray | np.generic):
        array = np.asarray(part)
        if array.dtype.kind not in NUMBERS:
            raise TypeError(f"an array of dtype {array.dtype} was returned")
        arrays.append(array)
        return {"a": [array.dtype.str, list(array.shape)]}
    if isinstance(part, bytes):
        return {"b": part.hex()}
    if isinstance(part, list):
        return {"l": [_tree(x, arrays) for x in part]}
    if isinstance(part, tuple):
        return {"t": [_tree(x, arrays) for x in part]}
    if isinstance(part, dict):
        return {"d": [[_tree(key, arrays), _tree(x, arrays)] for key, x in part.items()]}
    raise TypeError(f"a {type(part).__name__} was returned")


def _value(part: Any, data: bytes, place: list[int]) -> Any:
    """`place[0]` is where the next array begins."""
    if not isinstance(part, dict):
        return part
    ((kind, x),) = part.items()
    if kind == "a":
        dtype, shape = np.dtype(x[0]), tuple(x[1])
        if dtype.kind not in NUMBERS:
            raise ValueError
        count = int(np.prod(shape, dtype=object))
        array = np.frombuffer(data, dtype, count, place[0]).reshape(shape).copy()
        place[0] += count * dtype.itemsize
        return array
    if kind == "d":
        return {_value(key, data, place): _value(y, data, place) for key, y in x}
    if kind == "b":
        return bytes.fromhex(x)
    found = [_value(y, data, place) for y in x]
    return tuple(found) if kind == "t" else found


def compiled(source: str, name: str) -> types.ModuleType:
    """The learner's file as a module."""
    module = types.ModuleType("answer")
    exec(compile(source, name, "exec"), module.__dict__)
    return module


@contextlib.contextmanager
def forbidding(names: list[str], called: list[str]) -> Iterator[None]:
    """Replace what may not be called by something that notes the call and refuses."""
    before: list[tuple[Any, str, Any]] = []
    for dotted in names:
        *path, last = dotted.split(".")
        if path[0] not in sys.modules:
            continue
        owner: Any = sys.modules[path[0]]
        for part in path[1:]:
            owner = getattr(owner, part, None)
        if owner is None or not hasattr(owner, last):
            continue

        def refuse(*args: Any, dotted: str = dotted, **kwargs: Any) -> Any:
            called.append(dotted)
            raise RuntimeError(f"{dotted} may not be called here")

        before.append((owner, last, getattr(owner, last)))
        setattr(owner, last, refuse)
    try:
        yield
    finally:
        for owner, last, original in reversed(before):
            setattr(owner, last, original)


def call(module: types.ModuleType, name: str, drive: str, framework: str, case: dict[str, Any]) -> dict[str, Any]:
    """Run one case: {"value", "error", "changed", "peak", "gradient"}, as far as they apply."""
    torch = sys.modules["torch"] if framework == "torch" else None
    given = _tensors(case["inputs"], torch) if torch else _copied(case["inputs"])
    kept = _copied(case["inputs"])
    found: dict[str, Any] = {}
    wanted = case.get("gradient")
    try:
        if torch and wanted is not None:
            for key in wanted["names"]:
                given[key].requires_grad_()
        if drive:
            driver: dict[str, Any] = {"np": np}
            exec(drive, driver)
            run = functools.partial(driver["drive"], module, **given)
        else:
            run = functools.partial(getattr(module, name), **given)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if case.get("measure"):
                value, found["peak"] = _peak_torch(run, torch) if torch else _peak_numpy(run)
            else:
                value = run()
        if torch and wanted is not None:
            found["gradient"] = _gradients(value, wanted, given)
        found["value"] = _arrays(value)
        # Converting the inputs back tells whether they were written to
        found["changed"] = [key for key, x in kept.items() if not _same(_arrays(given[key]), x)]
        pack(found["value"])
    except BaseException as error:
        found = {"error": _told(error)}
    return found


def _told(error: BaseException) -> list[str]:
    """[kind, message, the learner's line]."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith("answer.py")]
    place = f"line {lines[-1].lineno}: {lines[-1].line or ''}".strip(": ") if lines else ""
    return [type(error).__name__, str(error)[:500], place]


def _peak_numpy(run: Callable[[], Any]) -> tuple[Any, int]:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        value = run()
        return value, tracemalloc.get_traced_memory()[1] - before
    finally:
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


def _gradients(value: Any, wanted: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    dy = sys.modules["torch"].from_numpy(wanted["dy"])
    if not hasattr(value, "requires_grad") or not value.requires_grad or value.shape != dy.shape:
        return {}
    (value * dy).sum().backward()
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


def _arrays(value: Any) -> Any:
    """Tensors as arrays, named tuples as tuples; everything else as it is."""
    if type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach"):
        return value.detach().cpu().resolve_conj().resolve_neg().numpy()
    if isinstance(value, dict):
        return {key: _arrays(x) for key, x in value.items()}
    if isinstance(value, tuple):
        return tuple(_arrays(x) for x in value)
    return [_arrays(x) for x in value] if isinstance(value, list) else value


def _same(a: Any, b: Any) -> bool:
    return pack(a) == pack(b)


def _limit(seconds: float) -> None:
    """Bounds that the kernel keeps; where a system knows none of them, the clock of the parent remains."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime + seconds) + 2
    bounds = {resource.RLIMIT_CPU: cpu, resource.RLIMIT_FSIZE: FILE_BYTES, resource.RLIMIT_CORE: 0}
    bounds[resource.RLIMIT_NPROC] = 0
    with contextlib.suppress(OSError), open("/proc/self/statm") as file:
        bounds[resource.RLIMIT_AS] = int(file.read().split()[0]) * resource.getpagesize() + HEADROOM
    for which, bound in bounds.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (bound, bound))


def _guard(folder: str) -> None:
    """From here on refuse the network, other processes, and every change outside `folder`. It cannot be undone."""
    inside = folder + "/"
    blocked = "clearhead"
    package = os.path.abspath(__file__).rpartition("/study/")[0] + "/"

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            path = path.decode(errors="replace") if isinstance(path, bytes) else path
            if not isinstance(path, str):
                return
            if path.startswith(("/proc", package)):
                raise PermissionError(f"reading {path} is not allowed here")
            if isinstance(flags, int) and flags & WRITING:
                local = (mode is not None and not path.startswith("/")) or path.startswith(inside)
                if not local or ".." in path:
                    raise PermissionError(f"writing {path} is not allowed here")
        elif event == "import":
            if str(args[0]).split(".")[0] in (blocked, "_posixsubprocess"):
                raise ImportError(f"importing {args[0]} is not allowed here")
        elif event.startswith(REFUSED) and event not in HARMLESS:
            raise PermissionError(f"{event} is not allowed here")

    sys.addaudithook(hook)


def _work(request: dict[str, Any], folder: str, give: Callable[[bytes], None]) -> None:
    """Everything that touches the learner's code."""
    _guard(folder)
    called: list[str] = []
    with forbidding(request["forbidden"], called):
        try:
            module = compiled(request["source"], "answer.py")
            if not hasattr(module, request["name"]):
                raise NameError(f"the file does not define {request['name']}")
        except BaseException as error:
            give(pack({"broken": _told(error), "called": called}))
            return
        for place, case in request["cases"]:
            give(pack({"begun": place}))
            outcome = call(module, request["name"], request["drive"], request["framework"], case)
            give(pack({"case": place, **outcome, "called": called}))
    give(pack({"done": True}))


def main() -> None:
    """Read the request, run the cases, write a frame for each: token, length, bytes."""
    source, sink = int(sys.argv[1]), int(sys.argv[2])
    write, leave = os.write, os._exit
    with open(source, "rb") as pipe:
        token = pipe.read(16)
        request = unpack(pipe.read())
    if request["framework"] == "torch":
        importlib.import_module("torch").set_num_threads(1)
        if any(case.get("measure") for _, case in request["cases"]):
            importlib.import_module("torch.utils._python_dispatch")
            _peak_torch(functools.partial(sys.modules["torch"].zeros, 1), sys.modules["torch"])  # it imports much, once
    if "subprocess" in sys.modules:
        sys.modules["subprocess"]._fork_exec = None  # type: ignore[attr-defined]
    sys.modules.pop("_posixsubprocess", None)
    queue: SimpleQueue[bytes | None] = SimpleQueue()
    go: SimpleQueue[None] = SimpleQueue()
    get, put, wait, size, folder = queue.get, queue.put, go.get, int.to_bytes, os.getcwd()

    def work() -> None:
        wait()
        try:
            _work(request, folder, put)
        finally:
            put(None)

    threading.stack_size(2**26)
    threading.Thread(target=work, daemon=True).start()
    _limit(request["seconds"])  # after the thread's start, for no other may follow
    put(pack({"ready": True}))
    go.put(None)
    while (data := get()) is not None:
        frame = token + size(len(data), 8, "little") + data
        while frame:
            frame = frame[write(sink, frame) :]
    leave(0)


if __name__ == "__main__":
    main()
