"""The error of the command line, and what errors of others mean."""

import re
import sys

__all__ = ["UserError", "first_line", "is_out_of_memory"]

# Texts of TensorFlow, XLA and CUDA. The class ResourceExhaustedError is not enough: a
# full disk raises it too.
_OUT_OF_MEMORY = re.compile(
    r"\bOOM\b|out of memory|OUT_OF_MEMORY|(failed|unable) to allocate|"
    r"Dst tensor is not initialized",
    re.IGNORECASE,
)


class UserError(Exception):
    """A mistake that the user can mend; its text says what is wrong and how."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's text; the name of its class if it has none."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # TensorFlow's messages begin with the name of a graph function: {{function ...}}.
    return re.sub(r"^\{\{.*?\}\} ", "", lines[0])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory of the machine or a GPU was exhausted."""
    if isinstance(error, MemoryError):
        return True
    # Commands that do not compute never import TensorFlow.
    tensorflow = sys.modules.get("tensorflow")
    return (
        tensorflow is not None
        and isinstance(error, tensorflow.errors.OpError)
        and _OUT_OF_MEMORY.search(str(error)) is not None
    )
