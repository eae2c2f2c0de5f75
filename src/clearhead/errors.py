"""The one error that people see, a mistake they can mend, and the one warning, each told in one line.

Everything else that goes wrong is a defect and keeps its traceback.
"""

import warnings


class UserError(ValueError):
    """One line that names the value, the limit and the fix. The command line prints it and exits with code 2."""


class Ignored(UserWarning):
    """Something in a file or a request that is left out, and changes no number. The command line prints it."""


def warn(line: str) -> None:
    """Tell it once: what is left out, and what that means."""
    warnings.warn(line, Ignored, stacklevel=2)
