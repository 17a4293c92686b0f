"""Rates of matrix products and convolutions: `python -m benchmarks.rates`.

They make times of different machines comparable.
"""

import json
import sys
import time
from collections.abc import Callable

__all__ = [
    "CONV",
    "CONV_OPERATIONS",
    "MATMUL_OPERATIONS",
    "SIDE",
    "best_seconds",
    "measure_rates",
    "rate",
    "rates_table",
]

SIDE = 4096
# Batch, side, channels in and out: the generator's largest convolution.
CONV = (1, 128, 64, 128)
MATMUL_OPERATIONS = 2 * SIDE**3
CONV_OPERATIONS = 2 * 9 * CONV[0] * CONV[1] ** 2 * CONV[2] * CONV[3]


def best_seconds(function: Callable[[], object], *, tries: int = 5) -> float:
    """Seconds of the fastest call, after a warm-up call."""
    function()
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def measure_rates() -> dict[str, float]:
    """GFLOP/s of a 4096³ matmul and a 3×3 convolution, by name."""
    import tensorflow as tf

    rates = {}
    for dtype in (tf.float32, tf.bfloat16):
        square = tf.cast(tf.random.normal([SIDE, SIDE]), dtype)
        rates[f"matmul {dtype.name}"] = rate(
            MATMUL_OPERATIONS, tf.linalg.matmul, square, square
        )
        batch, side, channels, filters = CONV
        image = tf.cast(tf.random.normal([batch, side, side, channels]), dtype)
        kernel = tf.cast(tf.random.normal([3, 3, channels, filters]), dtype)
        for name, xla in (("", False), (" XLA", True)):
            convolve = tf.function(
                lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), jit_compile=xla
            )
            rates[f"convolution {dtype.name}{name}"] = rate(
                CONV_OPERATIONS, convolve, image, kernel
            )
    return rates


def rate(operations: int, function: Callable, *inputs) -> float:
    """GFLOP/s of a function of tensors that gives one."""
    return operations / best_seconds(lambda: function(*inputs).numpy()) / 1e9


def rates_table(rates: dict[str, float]) -> str:
    """The rates as a Markdown table of one row."""
    numbers = [f"{rate:.0f}" for rate in rates.values()]
    rows = [["GFLOP/s", *rates], ["---"] * (len(rates) + 1), ["", *numbers]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    measured = measure_rates()
    print(json.dumps(measured) if sys.argv[1:] == ["json"] else rates_table(measured))
