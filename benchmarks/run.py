"""Every benchmark in turn; each prints its own table. A benchmark is a ratio against a peer, measured side by side."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("training.py", "generation.py")

if __name__ == "__main__":
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(name), *sys.argv[1:]], check=True)
