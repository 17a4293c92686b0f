"""The plain or the fast versions of operations for a part of a test."""

import contextlib

from mirrorgan_tf.ops import selection


@contextlib.contextmanager
def use_kernels(choice):
    """Uses these versions inside, and those of before afterwards."""
    before = selection._kernels
    selection.set_kernels(choice)
    try:
        yield
    finally:
        selection.set_kernels(before)
