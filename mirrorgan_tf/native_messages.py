"""Keeps TensorFlow's native log lines off the terminal while it starts.

While TensorFlow is imported and looks for GPUs, its C++ code writes lines to file
descriptor 2 that no setting switches off: drivers that are missing on a machine without
a GPU, processor features, the state of its own logging. They are collected instead.
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

__all__ = ["describe_unusable_gpu", "native_messages_collected"]

_STDERR = 2
# Time, thread and source file, which stand before a native message.
_LOG_PREFIX = re.compile(r"^[EFW]\d{4} .*?\.cc:\d+\] ", re.MULTILINE)


@contextlib.contextmanager
def native_messages_collected() -> Iterator[list[str]]:
    """Collects what is written to file descriptor 2 in the block.

    A crash of native code still prints the Python stack on the terminal.

    Yields:
        A list that holds the text, as one string, once the block has ended.
    """
    collected: list[str] = []
    try:
        terminal = os.dup(_STDERR)
    except OSError:
        # The process was started without stderr.
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
                # Not sys.stderr, which may have no file descriptor.
                faulthandler.enable(_STDERR)
            os.close(terminal)
            file.seek(0)
            collected.append(file.read().decode("utf-8", "replace"))


def describe_unusable_gpu(messages: str, devices: Path = Path("/dev")) -> str | None:
    """Why TensorFlow can't use a GPU that the machine has.

    Call it where TensorFlow lists no GPU.

    Args:
        messages: what TensorFlow wrote while it looked for GPUs.
        devices: folder of the device files.

    Returns:
        One line, or None where there is no NVIDIA GPU, or where it is hidden by
        CUDA_VISIBLE_DEVICES.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    if hidden or not any(devices.glob("nvidia[0-9]*")):
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
