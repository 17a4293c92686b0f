"""Measuring in a process of its own: memory and caches of others stay out of it."""

import json
import os
import subprocess
import sys

__all__ = ["in_a_process", "keep_jax_out"]


def keep_jax_out() -> None:
    """To be called before TensorFlow is imported, whose Lite imports it: 0.1 GiB."""
    sys.modules["jax"] = None


def in_a_process(
    module: str,
    *arguments: str,
    environment: dict[str, str] | None = None,
    limit_s: float | None = None,
):
    """Runs a module; returns the JSON value that its last line of output is.

    Args:
        module: as after `python -m`.
        arguments: of it.
        environment: variables beside those of this process.
        limit_s: seconds until it is killed; none: it may take its time.

    Raises:
        subprocess.CalledProcessError: it fails; why is on the error output.
        subprocess.TimeoutExpired: it takes longer.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=limit_s,
    )
    return json.loads(done.stdout.splitlines()[-1])
