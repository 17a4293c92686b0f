"""The one place that chooses between an operation's plain and its fast version.

Every other module of this package holds one operation: the plain version, which defines
the result, and a fast version beside it. `is_fast` decides which of them runs, by
backend, device, dtype, number of replicas and the setting of this process:

- "auto": the fast version wherever it was measured to be faster;
- "reference": the plain version everywhere, to find out whether a fast version causes
  a problem.

The choice is made when an operation is called; a traced function keeps the choice that
was made while it was traced. docs/performance.md has the measurements.
"""

import enum

import keras

from mirrorgan_tf.config.groups import KERNELS

__all__ = ["Operation", "is_fast", "set_kernels"]

_kernels = "auto"


class Operation(enum.Enum):
    """The operations that have a fast version."""

    ADAM = enum.auto()
    BATCH_NORM = enum.auto()
    CONVOLUTION = enum.auto()
    JOINT_CONVOLUTION = enum.auto()
    UPSAMPLING = enum.auto()


def set_kernels(choice: str) -> None:
    """Sets which versions this process uses from now on.

    Args:
        choice: "auto" or "reference".

    Raises:
        ValueError: `choice` is neither.
    """
    global _kernels
    if choice not in KERNELS:
        raise ValueError(f"choice={choice!r}; expected one of {', '.join(KERNELS)}")
    _kernels = choice


def is_fast(operation: Operation, dtype: str = "float32") -> bool:
    """Whether the operation's fast version runs here.

    Args:
        operation: any of them.
        dtype: in which it computes.
    """
    if _kernels == "reference":
        return False
    backend, device = _backend_and_device()
    if device == "gpu":
        # Measured on an NVIDIA H200: 2.2 times as fast in bfloat16, equal in float32.
        # All other fast versions are slower there, or were not measured.
        return operation is Operation.JOINT_CONVOLUTION and dtype == "bfloat16"
    if (backend, device) != ("tensorflow", "cpu"):
        return False
    if operation is Operation.BATCH_NORM:
        # TensorFlow's kernel does not compute in float64 or over several replicas.
        return dtype != "float64" and _num_replicas() == 1
    return True


def _backend_and_device():
    """Keras' backend and the kind of device that it computes on."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return backend, "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
    if backend == "jax":
        import jax

        return backend, jax.default_backend()
    return backend, "unknown"


def _num_replicas():
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
