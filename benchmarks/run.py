"""Every benchmark in turn; each prints its own table. A benchmark is a ratio against a peer, measured side by side.

All contenders' threads wait asleep, as those of the command `clearhead` do.
"""

import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("training.py", "generation.py", "decoding.py", "loading.py", "shakespeare.py")

if __name__ == "__main__":
    waiting = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(name), *sys.argv[1:]], check=True, env=waiting)
