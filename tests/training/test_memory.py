import ctypes
from pathlib import Path

import pytest
import tensorflow as tf

from mirrorgan_tf.errors import UserError, is_out_of_memory
from mirrorgan_tf.training.memory import free_memory, memory_errors

MIB = 2**20


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc"
)
def test_free_memory_returns_freed_blocks_to_the_system():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    # Too small for mappings of their own.
    blocks = [libc.malloc(64 * 1024) for _ in range(1600)]
    for block in blocks:
        ctypes.memset(block, 1, 64 * 1024)
    for block in blocks[:-1]:
        libc.free(block)
    kept = resident()
    free_memory()
    libc.free(blocks[-1])
    assert kept - resident() > 80 * MIB


def _allocate_too_much():
    # More than the address space, so that the allocation fails on every system.
    return tf.random.stateless_normal([2**25, 2**27], (1, 2))


@pytest.mark.parametrize(
    ("stage", "hint"),
    [
        ("stem", "out of memory; lower --stem_batch_size"),
        ("stream", "raise --accumulate_steps, lower --stream_batch_size"),
        ("glam", "give --remat, raise --accumulate_steps, lower --glam_batch_size"),
    ],
)
def test_lack_of_memory_is_an_error_that_names_flags_of_the_stage(stage, hint):
    with pytest.raises(UserError, match=hint), memory_errors(stage):
        _allocate_too_much()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), True),
        (
            tf.errors.ResourceExhaustedError(None, None, "failed to allocate memory"),
            True,
        ),
        (tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY"), True),
        (tf.errors.InternalError(None, None, "Dst tensor is not initialized."), True),
        (tf.errors.InternalError(None, None, "an illegal memory access"), False),
        (
            tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
            False,
        ),
        (ValueError("out of memory"), False),
    ],
)
def test_is_out_of_memory_recognises_messages_of_tensorflow_and_cuda(error, expected):
    assert is_out_of_memory(error) == expected
    with pytest.raises(UserError if expected else type(error)), memory_errors("stem"):
        raise error
