"""Seconds and memory to load SmolLM2-135M from its GGUF file of quantized weights, against `transformers`.

Each contender loads in processes of its own, taking turns; imports are not counted, nor what they take of memory. Both
end with the whole model in float32, which is checked tensor by tensor: the same numbers to the bit. `make models`
installs the file.
"""

import argparse
import statistics
import subprocess
import sys

from clearhead.checkpoints.load import smollm2
from clearhead.errors import UserError

MEASURE = """
import re, sys, time
from pathlib import Path
import torch
{imports}
torch.set_num_threads({threads})
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
path = Path(sys.argv[1])
before = peak()
started = time.perf_counter()
model = {load}
seconds = time.perf_counter() - started
weights = sum({{w.data_ptr(): w.nbytes for w in model.parameters()}}.values())
print(seconds, (peak() - before) * 1024 / weights)
"""
OURS = (
    "import gguf.quants\nfrom clearhead.checkpoints.load import load_model",
    "load_model(str(path), torch.device('cpu'), torch.float32).decoder",
)
THEIRS = (
    "import gguf\nfrom transformers import LlamaForCausalLM, logging\n"
    "logging.set_verbosity_error()\nlogging.disable_progress_bar()",
    "LlamaForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)",
)
SAME = """
import sys, torch
from pathlib import Path
from transformers import LlamaForCausalLM, logging
from clearhead.models.huggingface import tensors_to
from clearhead.checkpoints.load import load_model
logging.set_verbosity_error()
logging.disable_progress_bar()
path = Path(sys.argv[1])
ours = tensors_to(load_model(str(path), torch.device("cpu"), torch.float32).decoder, "llama")
theirs = LlamaForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).state_dict()
print(sum(torch.equal(tensor, theirs[name]) for name, tensor in ours.items()), len(ours))
"""


def child(code: str, path: str) -> list[float]:
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="times that each loads")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    try:
        path = str(smollm2())
    except UserError as missing:
        print(f"left out: {missing}")
        return
    same, tensors = child(SAME, path)
    contenders = {"clearhead": OURS, "transformers": THEIRS}
    codes = {n: MEASURE.format(imports=i, load=load, threads=args.threads) for n, (i, load) in contenders.items()}
    found: dict[str, list[list[float]]] = {name: [] for name in codes}
    for _ in range(args.turns):
        for name, code in codes.items():
            found[name].append(child(code, path))
    print(f"{int(same)} of {int(tensors)} tensors are equal, bit by bit")
    for name, turns in found.items():
        seconds, memory = (statistics.median(column) for column in zip(*turns, strict=True))
        print(f"{name:<12} {seconds:6.2f} s, peak memory {memory:.2f} times the weights")
    ratios = [theirs[0] / ours[0] for ours, theirs in zip(found["clearhead"], found["transformers"], strict=True)]
    print(f"{statistics.median(ratios):.1f} times as fast")


if __name__ == "__main__":
    main()
