"""Whether GPUs multiply float32 in TF32 or in full precision."""

import os

import tensorflow as tf

__all__ = ["describe_float32", "use_tf32"]

# Compute capability of the first NVIDIA GPUs with TF32 (A100).
_FIRST_CAPABILITY = 8, 0


def use_tf32(on: bool) -> None:
    """Sets how this process multiplies float32 on GPUs.

    Args:
        on: whether to use TF32 on GPUs that have it. It keeps 10 of float32's 23 bits
            of mantissa and is several times as fast as full precision.
    """
    tf.config.experimental.enable_tensor_float_32_execution(on)


def describe_float32() -> str:
    """How this process multiplies float32: `TF32` or `full precision`."""
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    # This variable of NVIDIA's libraries overrides TensorFlow's setting.
    if os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        enabled = False
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability", ())
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    has_tf32 = any(capability >= _FIRST_CAPABILITY for capability in capabilities)
    return "TF32" if enabled and has_tf32 else "full precision"
