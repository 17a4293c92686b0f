"""The error of the command line, and the short form of other errors."""

import re

__all__ = ["UserError", "first_line"]


class UserError(Exception):
    """A mistake that the user can mend; its text says what is wrong and how."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's text; the name of its class if it has none."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # TensorFlow's messages begin with the name of a graph function: {{function ...}}.
    return re.sub(r"^\{\{.*?\}\} ", "", lines[0])
