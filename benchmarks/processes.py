"""Measurements in new processes, which share no memory and caches."""

import json
import subprocess
import sys

__all__ = ["in_a_process", "keep_jax_out"]


def keep_jax_out() -> None:
    """Keeps TensorFlow Lite from importing JAX, 0.1 GiB; call before TensorFlow."""
    sys.modules["jax"] = None


def in_a_process(module: str, *arguments: str, folder: str = "."):
    """Runs a module; returns the JSON value in its last line of output.

    Args:
        module: as after `python -m`.
        arguments: of the module.
        folder: of the checkout whose module runs.

    Raises:
        subprocess.CalledProcessError: it fails; its error output says why.
    """
    process = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(process.stdout.splitlines()[-1])
