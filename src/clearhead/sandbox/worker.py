"""The process that holds other people's code: walled in, it answers one message after the other. Executed by its path.

The program that is named in the first message answers the others: `prepare(setup)` imports what it will need and names
the packages that may not be imported later; `begin(message, send)` gives the reply to the second and the function that
replies to each of the rest. No message but the first arrives before the walls stand, and no secret is in here: what a
reply says is the other side's to check.
"""

import importlib
import json
import os
import sys
import tempfile
import threading
import types
from queue import SimpleQueue

PACKAGE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
STACK_BYTES = 2**26  # of the thread that answers


def main() -> None:
    source, sink = int(sys.argv[1]), int(sys.argv[2])
    settings = json.loads(_read(source))
    for name in ("clearhead", *settings["packages"]):  # so that importing ours runs no `__init__`
        package = sys.modules[name] = types.ModuleType(name)
        package.__path__ = [os.path.join(PACKAGE, *name.split(".")[1:])]
    tempfile.tempdir = "/"  # torch asks where it would be; nothing can be written there
    walls = importlib.import_module("clearhead.sandbox.walls")
    memory = os.open("/proc/self/statm", os.O_RDONLY) if os.path.exists("/proc/self/statm") else None
    missing = walls.enclose(settings["ours"] + settings["readable"], settings["listed"], settings["parent"])
    program = importlib.import_module(settings["program"])
    guard = importlib.import_module("clearhead.sandbox.guard")
    closed = program.prepare(settings["setup"])
    requests: SimpleQueue[bytes] = SimpleQueue()
    get, put, begin, leave = requests.get, requests.put, program.begin, os._exit

    def work() -> None:
        try:
            reply, answer = begin(get(), send)
            while True:
                send(reply)
                reply = answer(get())
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            leave(1)

    def send(reply: bytes, write=os.write, size=int.to_bytes) -> None:  # type: ignore[no-untyped-def]
        frame = size(len(reply), 8, "little") + reply
        while frame:
            frame = frame[write(sink, frame) :]

    in_use = 0
    if memory is not None:
        in_use = int(os.pread(memory, 100, 0).split()[0]) * os.sysconf("SC_PAGE_SIZE")
        os.close(memory)
    missing += walls.seal(settings["readable"], settings["listed"], in_use + settings["memory"], settings["seconds"])
    guard.install(PACKAGE, closed)
    threading.stack_size(STACK_BYTES)
    threading.Thread(target=work, daemon=True).start()
    threading.stack_size(0)
    send(json.dumps(missing).encode())
    while True:  # also the lifeline: when the other side dies, so does this process
        put(_read(source))


def _read(source: int, read=os.read, leave=os._exit) -> bytes:  # type: ignore[no-untyped-def]
    """The next message; the process ends where there is none."""

    def exactly(count: int) -> bytes:
        parts = []
        while count:
            part = read(source, min(count, 2**20))
            if not part:
                leave(1)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    return exactly(int.from_bytes(exactly(8), "little"))


if __name__ == "__main__":
    main()
