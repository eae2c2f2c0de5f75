"""What is wrong with a training run: named, with evidence and the fix.

    >>> from clearhead import doctor
    >>> with doctor.watch(model, optimizer, batches) as watched:  # doctest: +SKIP
    ...     for batch in watched: ...
    >>> print(watched)  # doctest: +SKIP

Three ways in (`watch` and `preflight` here, `clearhead doctor` for records and logs), and one list of findings.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearhead.doctor.finding import Finding
    from clearhead.doctor.probing import preflight
    from clearhead.doctor.trainer import DoctorCallback
    from clearhead.doctor.watching import watch

__all__ = ("DoctorCallback", "Finding", "preflight", "watch")

_HOME = {
    "DoctorCallback": "clearhead.doctor.trainer",
    "Finding": "clearhead.doctor.finding",
    "preflight": "clearhead.doctor.probing",
    "watch": "clearhead.doctor.watching",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'clearhead.doctor' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)
