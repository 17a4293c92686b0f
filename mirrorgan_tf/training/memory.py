"""Memory of the process."""

import contextlib
import ctypes
import resource
from collections.abc import Iterator

from mirrorgan_tf.errors import UserError, is_out_of_memory

__all__ = ["free_memory", "memory_errors", "peak_gib"]

# Advice for stages with flags that save memory, besides the batch size.
_ADVICE = {
    "stream": "raise --accumulate_steps, ",
    "glam": "give --remat, raise --accumulate_steps, ",
}


@contextlib.contextmanager
def memory_errors(stage: str) -> Iterator[None]:
    """Turns running out of memory into a UserError that names flags that save memory.

    Args:
        stage: the one that is built and trained inside.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"{stage}: out of memory; {_ADVICE.get(stage, '')}lower "
            f"--{stage}_batch_size, or stop what else uses this memory"
        ) from None


def free_memory() -> None:
    """Returns freed memory to the system, where the C library can (glibc).

    Call it after a first step: tracing and optimising its graph leave some 100 MiB,
    which glibc would keep.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def peak_gib() -> float:
    """The largest resident memory of the process so far, in GiB."""
    # In KiB on Linux.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
