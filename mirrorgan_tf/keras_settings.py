"""Imports Keras and TensorFlow with the settings that the commands need.

Import this module before Keras and TensorFlow. Keras reads environment variables such
as KERAS_BACKEND, and ~/.keras/keras.json, when it or TensorFlow is imported. The
commands need its TensorFlow backend, float32 and images with channels last, whatever
those say. In a program that has already imported Keras only the backend is checked.

The networks in `mirrorgan_tf.models` do not need this: they run on every backend.
"""

import os
import sys
from pathlib import Path

from mirrorgan_tf.cpu import needs_onednn_switch, number_of_cores
from mirrorgan_tf.native_messages import (
    describe_unusable_gpu,
    has_gpu_device,
    native_messages_collected,
)

__all__ = ["GPU_PROBLEM"]

# Why a GPU of this machine is not used, or None; `mirrorgan_tf.commands` logs it.
GPU_PROBLEM: str | None = None

_FILE = "keras.json"
_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_PARALLEL_OPERATIONS = "TF_NUM_INTEROP_THREADS"
_MIN_PARALLEL_OPERATIONS = 4


def _prepare_environment():
    """Sets the variables that Keras and TensorFlow read when they are imported."""
    # Errors only; 0 shows everything. JAX sets 1, which child processes inherit.
    if os.environ.get(_LOG_LEVEL) not in ("0", "3"):
        os.environ[_LOG_LEVEL] = "2"
    if needs_onednn_switch() and not has_gpu_device():
        # A training step is 1.4 to 1.5 times as fast with it (docs/performance.md).
        os.environ.setdefault(_ONEDNN, "1")
        if os.environ[_LOG_LEVEL] == "2" and os.environ[_ONEDNN] == "1":
            # oneDNN would report the types that it does not support as an error, though
            # TensorFlow computes them otherwise.
            os.environ[_LOG_LEVEL] = "3"
    if 1 < number_of_cores() < _MIN_PARALLEL_OPERATIONS:
        # By default TensorFlow runs as many operations at a time as there are cores.
        # On two cores a training step is 1.15 times as fast with four operations at a
        # time (docs/performance.md).
        os.environ.setdefault(_PARALLEL_OPERATIONS, str(_MIN_PARALLEL_OPERATIONS))
    # Allocate GPU memory as it is needed. TensorFlow would otherwise allocate nearly
    # all of it at the start, and an evaluation would not fit beside a training.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    for name in list(os.environ):
        # KERAS_HOME is the folder of downloaded weights.
        if name.startswith("KERAS_") and name != "KERAS_HOME":
            del os.environ[name]
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # keras.json may switch on NNX, which only the JAX backend has.
    os.environ["KERAS_NNX_ENABLED"] = "false"
    # It would make tf.keras Keras 2.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)


def _import_keras():
    """Imports Keras, and ends the process in one line where it can't be imported."""
    try:
        import keras
    except Exception as error:
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
        reason = " ".join(str(error).split()) or type(error).__name__
        file = home / _FILE
        hint = f"; is its settings file right ({file})?" if file.exists() else ""
        sys.exit(f"error: Keras can't be imported: {reason}{hint}")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


def _start():
    """Imports Keras and TensorFlow without their native log lines.

    Returns:
        Why a GPU of this machine can't be used, or None.
    """
    _prepare_environment()
    if os.environ[_LOG_LEVEL] == "0":
        # The user has asked for all messages.
        _import_keras()
        return None
    with native_messages_collected() as messages:
        _import_keras()
        import tensorflow as tf

        # Start CUDA now; its messages would otherwise appear at the first operation.
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
    return None if has_gpu else describe_unusable_gpu(messages[0])


if "keras" not in sys.modules:
    GPU_PROBLEM = _start()
elif sys.modules["keras"].config.backend() != "tensorflow":
    raise ImportError(
        "this module needs Keras' TensorFlow backend, not "
        f"{sys.modules['keras'].config.backend()}: set KERAS_BACKEND=tensorflow before "
        "Keras is imported"
    )
