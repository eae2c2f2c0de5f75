"""Independent jobs whose results are files: done several at once on a CPU, and only where the file is missing.

Decoding takes small steps that a second thread hardly hastens, while a second process doubles the speed, so each
worker is a process of one thread.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

from clearhead.files import write_json
from clearhead.kernels.machine import cores

MOST = 8  # each worker holds its own copy of the models


def at_once(device: torch.device) -> int:
    """Workers at most."""
    return min(cores(), MOST) if device.type == "cpu" else 1


def do_jobs(
    jobs: Sequence[tuple[Path, Any]], work: Callable[[Any], Any], device: torch.device, advance: Callable[[int], None]
) -> None:
    """Write work(job) as JSON to the path of each job that has none. `work` and the jobs must be picklable."""
    missing = [(path, job) for path, job in jobs if not path.is_file()]
    advance(len(jobs) - len(missing))
    workers = min(at_once(device), len(missing))
    if workers <= 1:
        for path, job in missing:
            write_json(path, work(job))
            advance(1)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    pool = ProcessPoolExecutor(workers, spawn, initializer=_begin, initargs=(os.getpid(),))
    try:
        waiting = {pool.submit(work, job): path for path, job in missing}
        for finished in as_completed(waiting):
            write_json(waiting[finished], finished.result())
            advance(1)
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _begin(parent: int) -> None:
    """Ctrl-C reaches every process of a terminal, and only the first one must answer it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(1)


def _end_with(parent: int) -> None:
    """A process that was killed cannot end its workers, and they would wait for it for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
