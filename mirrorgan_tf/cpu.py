"""The CPU of this machine: its instruction sets and cores."""

import os
import platform
import re
from pathlib import Path

__all__ = ["cpu_instructions", "needs_onednn_switch", "number_of_cores"]

_CPU_INFO = Path("/proc/cpuinfo")


def cpu_instructions() -> set[str]:
    """Names of the CPU's instruction sets, such as avx2; empty if this is not Linux."""
    try:
        text = _CPU_INFO.read_text(encoding="utf-8")
    except OSError:
        return set()
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(flags[1].split()) if flags else set()


def needs_onednn_switch() -> bool:
    """Whether TensorFlow leaves oneDNN off on this CPU, although it is faster.

    TensorFlow uses oneDNN's convolutions by default on x86 CPUs with AVX-512 VNNI and
    newer ones only.
    """
    instructions = cpu_instructions()
    return (
        platform.machine() == "x86_64"
        and "avx2" in instructions
        and not any(name.startswith("avx512") for name in instructions)
    )


def number_of_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
