"""The number format that a training computes in: `--mixed_precision`."""

import keras
import tensorflow as tf
from absl import logging

from mirrorgan_tf.cpu import cpu_instructions

__all__ = ["choose_bfloat16", "set_mixed_precision"]

# The first GPUs with fast bfloat16: A100.
_MIN_COMPUTE_CAPABILITY = (8, 0)
# Instructions of CPUs that multiply bfloat16 faster than float32.
_CPU_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")


def set_mixed_precision(setting: str) -> None:
    """Sets the dtype policy of all networks that are built from now on.

    Args:
        setting: value of `--mixed_precision`; auto is bfloat16 where the device is
            fast at it.
    """
    if setting == "auto":
        bfloat16, reason = choose_bfloat16()
    else:
        bfloat16, reason = setting == "bfloat16", f"--mixed_precision={setting}"
    if bfloat16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    logging.info("computing in %s: %s", "bfloat16" if bfloat16 else "float32", reason)


def choose_bfloat16() -> tuple[bool, str]:
    """Whether all devices of the training are fast in bfloat16, and the reason."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        capability = min(each.get("compute_capability") or (0, 0) for each in details)
        return (
            capability >= _MIN_COMPUTE_CAPABILITY,
            f"the GPU has compute capability {capability[0]}.{capability[1]}",
        )
    instructions = cpu_instructions()
    for name in _CPU_INSTRUCTIONS:
        if name in instructions:
            return True, f"the CPU has {name}"
    return False, f"the CPU has neither {' nor '.join(_CPU_INSTRUCTIONS)}"
