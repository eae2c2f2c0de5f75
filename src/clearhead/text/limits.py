"""What a bounded process sets itself before it does anything for a stranger. Only the standard library is here."""

import contextlib
import resource


def limit(which: int, amount: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every system has every limit
        resource.setrlimit(which, (amount, resource.getrlimit(which)[1]))


def confine(memory: int) -> None:
    """No more address space than that, no file written, none opened."""
    limit(resource.RLIMIT_AS, memory)
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_NOFILE, 3)


def grant(seconds: float) -> None:
    """So much more processor time, should nobody wait for the answer."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + 2)
