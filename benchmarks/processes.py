"""Measuring in a process of its own: memory and caches of others stay out of it."""

import json
import subprocess
import sys

__all__ = ["in_a_process"]


def in_a_process(module: str, *arguments: str):
    """Runs a module; returns the JSON value that its last line of output is."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
