"""Plain and rearranged operations under JAX: `python -m benchmarks.jax_ops`.

Upsampling by corners, convolutions as matrix products and the joint convolution of
features and sentence were measured on CPUs. This prints, for the device at hand, the
time of each and of the plain operation, forward and backward, at sizes of the paper's
networks on CUB, and their ratio (above 1: the plain operation is slower).
"""

import sys
import time

import jax
import jax.numpy as jnp
from keras import ops

from mirrorgan_tf.models.blocks import corner_convs, join_corners
from mirrorgan_tf.models.convolution import convolution_as_product
from mirrorgan_tf.models.discriminators import JointBlock

_RUNS, _REPEATS = 20, 3


def _upsampling(batch, dtype):
    x, kernel = _normal((batch, 64, 64, 64), dtype), _normal((3, 3, 64, 64), dtype)

    def plain(x, kernel):
        x = ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)
        return ops.conv(x, kernel, padding="same")

    def by_corners(x, kernel):
        return join_corners(corner_convs(x, kernel))

    return plain, by_corners, (x, kernel)


def _few_positions(batch, dtype):
    x, kernel = _normal((batch, 16, 16, 512), dtype), _normal((4, 4, 512, 1024), dtype)

    def plain(x, kernel):
        return ops.conv(x, kernel, strides=2, padding="same")

    def as_product(x, kernel):
        return convolution_as_product(x, kernel, 2)

    return plain, as_product, (x, kernel)


def _joint(batch, dtype):
    features, sentence = (
        _normal((2 * batch, 4, 4, 512), dtype),
        _normal((3 * batch, 256), dtype),
    )
    block = JointBlock(512, 3, normalized=False)
    block.build((None, 4, 4, 512 + 256))
    kernel = jnp.asarray(block.conv.kernel.value, dtype)

    def plain(features, sentence, kernel):
        features = ops.concatenate([features, features[:batch]])
        tiled = ops.tile(sentence[:, None, None], (1, 4, 4, 1))
        joint = ops.concatenate([features, tiled], -1)
        return ops.leaky_relu(ops.conv(joint, kernel, padding="same"), 0.2)

    def apart(features, sentence, kernel):
        block.conv.convolving_kernel = lambda training: kernel
        return block(features, sentence)

    return plain, apart, (features, sentence, kernel)


_CASES = {
    "upsampling to 128 px by corners": _upsampling,
    "convolution to 8x8 as a product": _few_positions,
    "features and sentence apart": _joint,
}


def _normal(shape, dtype):
    return jax.random.normal(jax.random.key(0), shape, dtype)


def _milliseconds(function, arguments):
    def loss(*arguments):
        return jnp.sum(jnp.square(function(*arguments).astype("float32")))

    step = jax.jit(jax.grad(loss, argnums=tuple(range(len(arguments)))))
    jax.block_until_ready(step(*arguments))
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        for _ in range(_RUNS):
            result = step(*arguments)
        jax.block_until_ready(result)
        best = min(best, (time.perf_counter() - start) / _RUNS)
    return 1e3 * best


def main(batch: int = 20) -> None:
    """Prints a table."""
    print(f"{jax.devices()[0].device_kind}, {batch} images, forward and backward")
    print("| operation | dtype | plain, ms | rearranged, ms | plain / rearranged |")
    print("| --- | --- | --- | --- | --- |")
    for name, case in _CASES.items():
        for dtype in ("float32", "bfloat16"):
            plain, rearranged, arguments = case(batch, dtype)
            times = [_milliseconds(each, arguments) for each in (plain, rearranged)]
            print(
                f"| {name} | {dtype} | {times[0]:.3f} | {times[1]:.3f} | "
                f"{times[0] / times[1]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
