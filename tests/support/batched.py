"""How a function of "*B ..." arrays is shown to take any number of batch axes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from against import close


def check_batched(f: Callable[..., Any], *args: Any) -> None:
    """`f` of arrays that share a first axis is the same for each row alone, and with an axis of 1 put behind it."""
    whole = _several(f(*args))

    def on(change: Callable[[np.ndarray], Any]) -> list[Any]:
        return _several(f(*[np.asarray(change(a)) if isinstance(a, np.ndarray) else a for a in args]))

    for got, want in zip(on(lambda a: a[:, None]), whole, strict=True):
        close(got, want[:, None])
    for row in range(len(whole[0])):
        for got, want in zip(on(lambda a, row=row: a[row]), whole, strict=True):
            close(got, want[row])


def _several(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]
