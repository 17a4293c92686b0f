"""Hides the log lines of TensorFlow's C++ code while TensorFlow starts.

During its import and the search for GPUs, TensorFlow writes lines to file descriptor 2
that no setting switches off: missing drivers on a machine without a GPU, processor
features, the state of its logging. This module collects them.
"""

import contextlib
import faulthandler
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mirrorgan_tf import interrupts

__all__ = ["describe_unusable_gpu", "has_gpu_device", "native_messages_collected"]

_STDERR = 2
# A native message begins with its time, thread and source file.
_LOG_PREFIX = re.compile(r"^[EFW]\d{4} .*?\.cc:\d+\] ", re.MULTILINE)


@contextlib.contextmanager
def native_messages_collected() -> Iterator[list[str]]:
    """Collects the output to file descriptor 2 while the block runs.

    After a crash of native code, the Python stack is still printed on the terminal.

    Yields:
        A list, which contains the output as one string when the block has ended.
    """
    collected: list[str] = []
    try:
        terminal = os.dup(_STDERR)
    except OSError:
        # The process has no stderr.
        yield collected
        return
    with tempfile.TemporaryFile() as file:
        _flush_stderr()
        os.dup2(file.fileno(), _STDERR)
        interrupts.write_to(terminal)
        prints_crashes = faulthandler.is_enabled()
        faulthandler.enable(terminal)
        try:
            yield collected
        finally:
            _flush_stderr()
            os.dup2(terminal, _STDERR)
            interrupts.write_to(_STDERR)
            faulthandler.disable()
            if prints_crashes:
                # The default, sys.stderr, may have no file descriptor.
                faulthandler.enable(_STDERR)
            os.close(terminal)
            file.seek(0)
            collected.append(file.read().decode("utf-8", "replace"))


def has_gpu_device(devices: Path = Path("/dev")) -> bool:
    """Whether there is an NVIDIA GPU that CUDA_VISIBLE_DEVICES does not hide.

    Args:
        devices: folder of the device files.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    return not hidden and any(devices.glob("nvidia[0-9]*"))


def describe_unusable_gpu(messages: str, devices: Path = Path("/dev")) -> str | None:
    """Says why TensorFlow can't use the machine's GPU, for use if it lists none.

    Args:
        messages: TensorFlow's output during its search for GPUs.
        devices: folder of the device files.

    Returns:
        One line, or None if there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it.
    """
    if not has_gpu_device(devices):
        return None
    starts = [match.end() for match in _LOG_PREFIX.finditer(messages)]
    reason = messages[starts[-1] :].splitlines()[0].strip() if starts else ""
    return (
        "the GPU of this machine is not used: TensorFlow can't start it"
        + (f" ({reason})" if reason else "")
        + "; `pip install 'tensorflow[and-cuda]'` installs the CUDA libraries that it "
        "needs"
    )


def _flush_stderr():
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
