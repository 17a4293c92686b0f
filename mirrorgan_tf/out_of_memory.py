"""Recognises errors of Python and TensorFlow that mean too little memory."""

import re
import sys

__all__ = ["is_out_of_memory"]

# Texts of TensorFlow, XLA and CUDA. The class ResourceExhaustedError is not enough: a
# full disk raises it too.
_TEXTS = re.compile(
    r"\bOOM\b|out of memory|OUT_OF_MEMORY|(failed|unable) to allocate|"
    r"Dst tensor is not initialized",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory of the machine or a GPU was exhausted."""
    if isinstance(error, MemoryError):
        return True
    # Commands that do not compute never import TensorFlow.
    tensorflow = sys.modules.get("tensorflow")
    return (
        tensorflow is not None
        and isinstance(error, tensorflow.errors.OpError)
        and _TEXTS.search(str(error)) is not None
    )
