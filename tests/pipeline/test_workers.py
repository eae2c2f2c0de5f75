"""Jobs in several processes, on a machine of any number of cores."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from clearhead.pipeline import workers
from clearhead.pipeline.workers import do_jobs

CPU = torch.device("cpu")


def test_two_processes_of_one_thread_do_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "cores", lambda: 2)
    about = "[__import__('os').getpid(), __import__('torch').get_num_threads(), {}]"
    jobs = [(tmp_path / f"{i}.json", about.format(i)) for i in range(4)]
    jobs[0][0].write_text("0")
    advanced: list[int] = []
    do_jobs(jobs, eval, CPU, advanced.append)
    first, *made = (json.loads(path.read_text()) for path, _ in jobs)
    assert first == 0 and advanced == [1, 1, 1, 1]
    assert [(threads, i) for _, threads, i in made] == [(1, 1), (1, 2), (1, 3)]
    assert os.getpid() not in {process for process, _, _ in made}


def test_a_killed_process_takes_its_workers_with_it(tmp_path: Path) -> None:
    code = """if True:
        import sys, pathlib, torch
        from clearhead.pipeline import workers
        workers.cores = lambda: 2
        jobs = [(pathlib.Path(name + ".json"), f"open({name!r}, 'w').close() or __import__('time').sleep(3600)")
            for name in sys.argv[1:]]
        workers.do_jobs(jobs, eval, torch.device("cpu"), lambda n: None)"""
    env = {**os.environ, "PYTHONPATH": str(Path(workers.__file__).parents[2])}
    names = [tmp_path / "a", tmp_path / "b"]
    process = subprocess.Popen([sys.executable, "-c", code, *names], stdout=subprocess.PIPE, env=env)
    while process.poll() is None and not all(name.exists() for name in names):
        time.sleep(0.05)
    process.kill()
    assert process.communicate(timeout=100) == (b"", None)  # who holds the pipe has ended
    assert not list(tmp_path.glob("*.json"))
