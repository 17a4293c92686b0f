"""Each fast version against its plain one, which defines the result."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.ops.batch_norm import fused_batch_norm, plain_batch_norm
from mirrorgan_tf.ops.convolution import conv2d_by_matmul, plain_conv2d
from mirrorgan_tf.ops.joint_convolution import joint_conv2d_by_parts, plain_joint_conv2d
from mirrorgan_tf.ops.upsampling import (
    plain_upsample_conv2d,
    upsample_conv2d_by_subpixels,
)
from tests.conftest import normal

# Largest relative error of a result, as a vector.
TOLERANCES = {"float32": 1e-5, "bfloat16": 4e-2}


def _conv(stride):
    def bind(function):
        return lambda x, kernel: function(x, kernel, stride)

    return bind(plain_conv2d), bind(conv2d_by_matmul)


def _batch_norms():
    def fused(x, scale, offset):
        return fused_batch_norm(x, scale, offset, 1e-5)[0]

    def plain(x, scale, offset):
        ((output, _, _),) = plain_batch_norm([x], scale, offset, 1e-5)
        return output

    return plain, fused


# (plain, fast), shapes of the inputs.
CASES = {
    "convolution that halves": (_conv(2), [(2, 6, 10, 5), (4, 4, 5, 7)]),
    "convolution that keeps the side": (_conv(1), [(2, 4, 4, 5), (3, 3, 5, 7)]),
    "convolution to one position": (_conv(4), [(2, 4, 4, 5), (4, 4, 5, 1)]),
    "upsampling": (
        (plain_upsample_conv2d, upsample_conv2d_by_subpixels),
        [(2, 5, 3, 4), (3, 3, 4, 6), (6,)],
    ),
    "joint convolution": (
        (plain_joint_conv2d, joint_conv2d_by_parts),
        [(4, 4, 4, 5), (6, 3), (3, 3, 8, 6)],
    ),
    "batch norm": (_batch_norms(), [(2, 6, 5, 4), (4,), (4,)]),
}


def _derivatives(function, inputs):
    """Result, gradients of its squares, and gradients of those gradients' squares."""
    with tf.GradientTape() as outer:
        outer.watch(inputs)
        with tf.GradientTape() as inner:
            inner.watch(inputs)
            # Without a non-linearity before it, the second derivative through the mean
            # of a batch norm vanishes.
            result = function(tf.nn.leaky_relu(inputs[0], 0.2), *inputs[1:])
            weights = normal(*result.shape, seed=9)
            total = tf.reduce_sum(weights * tf.cast(result, tf.float32) ** 2)
        first = inner.gradient(total, inputs)
        penalty = sum(tf.reduce_sum(tf.cast(x, tf.float32) ** 2) for x in first)
    return result, *first, *outer.gradient(penalty, inputs)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    ("name", "replicas"),
    # Batch norm: never selected on two replicas, see test_selection.py.
    [case for case in itertools.product(CASES, [1, 2]) if case != ("batch norm", 2)],
)
def test_fast_version_has_values_and_derivatives_of_the_plain_one(
    name, replicas, dtype, two_replicas
):
    (plain, fast), shapes = CASES[name]
    inputs = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    # Values that bfloat16 represents exactly.
    inputs = [tf.cast(tf.cast(x, tf.bfloat16), tf.float32) for x in inputs]
    expected = _derivatives(plain, inputs)
    # Scale and offset of a batch norm are float32 under any dtype policy.
    num_computed = 1 if name == "batch norm" else len(inputs)
    inputs[:num_computed] = [tf.cast(x, dtype) for x in inputs[:num_computed]]
    if replicas == 1:
        results = _derivatives(fast, inputs)
    else:
        results = tf.function(
            lambda: two_replicas.run(_derivatives, (fast, inputs)), autograph=False
        )()
    for result, value in zip(results, expected, strict=True):
        for own in two_replicas.experimental_local_results(result):
            assert own.dtype == dtype or num_computed == 1
            error = np.linalg.norm(tf.cast(own, tf.float32) - value)
            assert error <= TOLERANCES[dtype] * np.linalg.norm(value)


def test_upsampling_applies_the_activation_to_each_position():
    (plain, fast), shapes = CASES["upsampling"]
    inputs = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    expected = np.tanh(plain(*inputs))
    for version in (plain, fast):
        np.testing.assert_allclose(version(*inputs, np.tanh), expected, atol=1e-5)


def test_fused_batch_norm_returns_exact_moments_of_bfloat16():
    x = tf.cast(normal(8, 6, 5, 4) + 100, tf.bfloat16)
    scale, offset = tf.ones(4), tf.zeros(4)
    output, mean, variance = fused_batch_norm(x, scale, offset, 1e-5)
    assert output.dtype == tf.bfloat16
    exact = x.numpy().astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var((0, 1, 2)), rtol=1e-4)
