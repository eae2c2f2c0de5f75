"""The block of examples that ends every verb's help."""


def examples(*pairs: tuple[str, str]) -> str:
    r"""An epilog for click from (command, what it does); `\b` keeps click from re-wrapping it.

    >>> print(examples(("clearhead tasks", "list them")).replace("\b", "-"))
    -
    Examples:
      clearhead tasks  list them
    """
    width = max(len(command) for command, _ in pairs)
    lines = [f"  {command:<{width}}  {meaning}" for command, meaning in pairs]
    return "\n".join(["\b", "Examples:", *lines])
