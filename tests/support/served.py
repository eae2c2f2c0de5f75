"""Verbs without the seconds that torch takes to load: a server has loaded it, and each verb is at work in a fork of it.

    python served.py ARGS             the verb in a process of its own
    python served.py --serve SOCKET   the server

Such a fork is a process like any other, with its own exit code and nothing checked in it; only the seed of its hashes
is the server's. In both ways fewer problems are asked where a recipe has no say: a hundred that weigh the reward model
and a hundred that weigh the strategies would take more than half of a tiny run.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile


def call(args: list[str], cwd: Path, env: dict[str, str], seconds: float) -> tuple[int, str, str]:
    """Run `clearhead ARGS` to its end: exit code, standard output, standard error. TimeoutError after `seconds`."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with ours, theirs, TemporaryFile() as out, TemporaryFile() as err:
        message = json.dumps([args, str(cwd), env]).encode()
        socket.send_fds(_server(), [message], [out.fileno(), err.fileno(), theirs.fileno()])
        theirs.close()
        pid = int(ours.recv(20))
        ours.settimeout(seconds)
        try:
            code = int(ours.recv(20))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise
        for file in (out, err):
            file.seek(0)
        return code, out.read().decode(), err.read().decode()


@cache
def _server() -> socket.socket:
    """Started by the first call; it ends when this process closes its end of the socket."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    command = [sys.executable, __file__, "--serve", str(theirs.fileno())]
    path = os.pathsep.join([str(Path(__file__).parents[2] / "src"), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=env)
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def serve(server: socket.socket) -> None:
    """Returns in a new process for every call, as if that had been started; the server ends when nobody can call."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for a verb
    while True:
        message, files, _, _ = socket.recv_fds(server, 2**20, 3)
        if not message:
            sys.exit()
        if os.fork():
            for file in files:
                os.close(file)
            continue
        out, err, report = files
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if pid := os.fork():
            os.write(report, str(pid).encode())
            os.write(report, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
            os._exit(0)
        sys.argv[1:], cwd, env = json.loads(message)
        os.dup2(out, 1)
        os.dup2(err, 2)
        for file in (*files, server.fileno()):
            os.close(file)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        return


if __name__ in ("__main__", "__mp_main__"):  # the second in the workers of a run, which begin with this file as well
    from clearhead.cli.main import main
    from clearhead.pipeline import measure, stages

    stages.CALIBRATION_PROBLEMS = measure.QUALITY_PROBLEMS = 12
    measure.TRUTH_PROBLEMS = 8

if __name__ == "__main__":
    if sys.argv[1] != "--serve":
        sys.exit(main())
    serve(socket.socket(fileno=int(sys.argv[2])))
    code = main()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)  # taking all modules apart, as Python does at its end, takes most of a second
