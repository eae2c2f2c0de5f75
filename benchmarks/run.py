"""Every benchmark in turn; each prints its own table. A benchmark is a ratio against a peer, measured side by side.

All contenders' threads wait as those of the command `clearhead` do.
"""

import subprocess
import sys
from pathlib import Path

from clearhead.cli.main import wait_briefly

BENCHMARKS = (
    "training.py", "generation.py", "decoding.py", "loading.py", "shakespeare.py", "solving.py", "embedding.py",
)  # fmt: skip

if __name__ == "__main__":
    wait_briefly()
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(name), *sys.argv[1:]], check=True)
