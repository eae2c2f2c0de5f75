"""The one error that people see: a mistake they can mend, told in one line.

Everything else that goes wrong is a defect and keeps its traceback.
"""


class UserError(ValueError):
    """One line that names the value, the limit and the fix. The command line prints it and exits with code 2."""
