"""Plain and fast operations under JAX: `python -m benchmarks.jax_ops`.

The fast versions in `mirrorgan_tf.ops` were chosen on CPUs. For the device at hand this
prints the time of each and of its plain version, forward and backward, at sizes of the
paper's networks on CUB, and their ratio (above 1: the plain version is slower).
Set KERAS_BACKEND=jax.
"""

import sys
import time

import jax
import jax.numpy as jnp

from mirrorgan_tf.ops.convolution import conv2d_by_matmul, plain_conv2d
from mirrorgan_tf.ops.joint_convolution import (
    joint_conv2d_by_parts,
    plain_joint_conv2d,
)
from mirrorgan_tf.ops.upsampling import (
    plain_upsample_conv2d,
    upsample_conv2d_by_subpixels,
)

_RUNS, _REPEATS = 20, 3


def _halve(function):
    return lambda x, kernel: function(x, kernel, 2)


def _cases(batch):
    """Name, plain and fast version, shapes of the inputs."""
    return [
        (
            "upsampling to 128 px by sub-pixels",
            plain_upsample_conv2d,
            upsample_conv2d_by_subpixels,
            [(batch, 64, 64, 64), (3, 3, 64, 64)],
        ),
        (
            "convolution to 8x8 by a matrix product",
            _halve(plain_conv2d),
            _halve(conv2d_by_matmul),
            [(batch, 16, 16, 512), (4, 4, 512, 1024)],
        ),
        (
            "joint convolution by parts",
            plain_joint_conv2d,
            joint_conv2d_by_parts,
            [(2 * batch, 4, 4, 512), (3 * batch, 256), (3, 3, 768, 512)],
        ),
    ]


def _milliseconds(function, inputs):
    def loss(*inputs):
        return jnp.sum(jnp.square(function(*inputs).astype("float32")))

    step = jax.jit(jax.grad(loss, argnums=tuple(range(len(inputs)))))
    jax.block_until_ready(step(*inputs))
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        for _ in range(_RUNS):
            gradients = step(*inputs)
        jax.block_until_ready(gradients)
        best = min(best, (time.perf_counter() - start) / _RUNS)
    return 1e3 * best


def main(batch: int = 20) -> None:
    """Prints a table."""
    print(f"{jax.devices()[0].device_kind}, {batch} images, forward and backward")
    print("| operation | dtype | plain, ms | fast, ms | plain / fast |")
    print("| --- | --- | --- | --- | --- |")
    for name, plain, fast, shapes in _cases(batch):
        for dtype in ("float32", "bfloat16"):
            inputs = [jax.random.normal(jax.random.key(0), s, dtype) for s in shapes]
            times = [_milliseconds(function, inputs) for function in (plain, fast)]
            print(
                f"| {name} | {dtype} | {times[0]:.3f} | {times[1]:.3f} | "
                f"{times[0] / times[1]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
