"""Memory of the process."""

import ctypes
import resource

__all__ = ["hand_back", "peak_gib"]


def hand_back() -> None:
    """Returns freed memory to the system, where the C library can (glibc).

    To be called after a first step: tracing and optimising its graph leave some
    100 MiB that glibc keeps otherwise.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def peak_gib() -> float:
    """The most that was resident at a time, in GiB."""
    # In KiB on Linux.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
