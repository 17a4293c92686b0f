"""Memory of the process that nothing uses any more."""

import ctypes

__all__ = ["hand_back"]


def hand_back() -> None:
    """Returns freed memory to the system, where the C library can (glibc).

    To be called after a first step: tracing and optimising its graph leave some
    100 MiB that glibc keeps otherwise.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
