"""The doctor beside torchmortem and trainspotter, on the same runs of the same programs.

    PYTHONPATH=PEERS python benchmarks/doctor_peers.py --seeds 1     # PEERS: a folder with both packages, not of ours

torchmortem 0.1.1 hooks into the model as we do; trainspotter 0.2.6 reads the log that our hooks wrote. A fault is
noticed where anything above a note is said of the run, and as named where one of the detectors that could mean it says
so (MEANS, generously); a healthy run as accused where anything above a note is said.
"""

import argparse
import warnings
from collections import Counter
from typing import Any

import torch
from torchmortem import Autopsy
from trainspotter import Run, run_all

from clearhead.doctor.clinic.faults import BY_NAME
from clearhead.doctor.clinic.runs import source
from clearhead.doctor.finding import alarms
from clearhead.doctor.watching import OVERHEAD, Watch
from doctor import FIRST, HEALTHY, jobs

MEANS = {  # our finding -> detectors of others that could mean it
    "vanishing_gradient": {"gradient_flow", "grad_norm"}, "exploding_gradient": {"gradient_flow", "grad_norm"},
    "dead_units": {"dead_units"}, "saturated_units": {"saturation"}, "overfits": {"overfitting"},
    "lr_too_large": {"update_ratio", "loss_dynamics", "divergence", "spikes", "weight_norm"},
    "lr_too_small": {"update_ratio", "plateau"}, "lr_zero": {"lr_schedule", "update_ratio"},
    "non_finite": {"divergence", "loss_dynamics"}, "unstable_operation": {"divergence", "loss_dynamics"},
    "weight_decay_too_large": {"weight_norm"}, "init_too_large": {"saturation", "weight_norm", "gradient_flow"},
    "init_too_small": {"gradient_flow", "weight_norm"}, "equal_units": {"rank_collapse", "dead_units"},
    "labels_unrelated": {"plateau", "loss_floor"}, "loss_sign": {"divergence", "loss_dynamics"},
}  # fmt: skip


class Both(Watch):
    """Our hooks, and torchmortem's beside them."""

    def __init__(self, model: Any, optimizer: Any, batches: Any) -> None:
        super().__init__(model, optimizer, batches, every=0, overhead=OVERHEAD)
        self.autopsy = Autopsy(model, optimizer=optimizer)
        self.autopsy.attach()

    def _end_step(self) -> None:
        if self.losses:
            self.autopsy.step(loss=self.losses[-1])
        super()._end_step()


def said(watched: Both) -> dict[str, set[str]]:
    """What each says above a note, by its own names."""
    watched.close()
    watched.autopsy.detach()
    report = watched.autopsy.get_report()
    autopsy = {f.detector for f in report.findings if f.severity.name in ("WARNING", "CRITICAL")} if report else set()
    log, record = Run(), watched.record()
    for ours, theirs in (
        ("loss", "loss"),
        ("val_loss", "eval_loss"),
        ("lr", "learning_rate"),
        ("grad_norm", "grad_norm"),
    ):
        curve = record.get(ours)
        for step, value in zip(curve.steps.tolist(), curve.values.tolist(), strict=True):
            log.add_point(theirs, int(step), value)
    spotted = {f.detector for f in run_all(log) if f.severity in ("warning", "error")}
    return {"clearhead": {f.name for f in alarms(watched.findings())}, "torchmortem": autopsy, "trainspotter": spotted}


def names_it(who: str, told: set[str], fault: str) -> bool:
    wanted = set(BY_NAME[fault].names)
    return bool(told & (wanted if who == "clearhead" else set().union(*(MEANS.get(name, set()) for name in wanted))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    counts: Counter[tuple[str, str]] = Counter()
    seen: set[str] = set()
    for fault, program, variant, patch, seed in jobs(given.seeds):
        if (f"{fault}{seed}" in seen and fault) or (not fault and variant not in list(HEALTHY[program])[:3]):
            continue  # one program of each fault
        seen.add(f"{fault}{seed}")
        space: dict[str, Any] = {"__name__": "program"}
        exec(compile(source(program, patch), program, "exec"), space)
        try:
            told = said(space["train"](seed, Both))
        except (RuntimeError, ValueError, IndexError) as error:
            print("not run:", fault, program, repr(error)[:100], flush=True)
            continue
        for who, words in told.items():
            key = "broken" if fault else "healthy"
            counts[who, key] += 1
            counts[who, "noticed" if fault else "accused"] += bool(words)
            counts[who, "named"] += bool(fault) and names_it(who, words, fault)
        print(
            fault or "healthy",
            program,
            variant,
            seed - FIRST,
            {who: sorted(words) for who, words in told.items()},
            flush=True,
        )
    for who in ("clearhead", "torchmortem", "trainspotter"):
        n, m = counts[who, "broken"], counts[who, "healthy"]
        noticed, named, accused = (counts[who, key] for key in ("noticed", "named", "accused"))
        print(f"{who:<13} noticed {noticed}/{n}  named {named}/{n}  accused {accused}/{m}")
