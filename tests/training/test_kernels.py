from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.models.batch_norm import BatchNormalization
from mirrorgan_tf.models.blocks import GLU, UpBlock
from mirrorgan_tf.models.convolution import Conv2D
from mirrorgan_tf.models.discriminators import ConvBlock, Discriminator
from mirrorgan_tf.training.kernels import use_kernels


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _fused(norm):
    """The batch norm of a model of its own, fused, with weights that tell."""
    model = keras.Sequential([norm])
    model.build((None, 6, 5, 4))
    use_kernels(model)
    assert norm.fused is not None
    norm.gamma.assign(_normal(4, seed=1))
    norm.beta.assign(_normal(4, seed=2))
    return norm


def test_it_is_the_formula():
    norm = _fused(BatchNormalization(momentum=0.9, epsilon=1e-5))
    x, weights = tf.constant(_normal(2, 6, 5, 4) + 3), _normal(2, 6, 5, 4, seed=3)
    variables = [x, norm.gamma.value, norm.beta.value]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours = norm(x, training=True)
        mean, variance = tf.nn.moments(x, (0, 1, 2))
        theirs = norm.gamma * (x - mean) / tf.sqrt(variance + 1e-5) + norm.beta
        sums = tf.reduce_sum(weights * ours), tf.reduce_sum(weights * theirs)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(norm.moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, 0.9 + 0.1 * variance, rtol=1e-5)
    for ours, theirs in zip(
        *(tape.gradient(of, variables) for of in sums), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_half_precision_keeps_its_statistics_in_full():
    norm = _fused(BatchNormalization(momentum=0.0, dtype="mixed_bfloat16"))
    x = tf.cast(_normal(8, 6, 5, 4) + 100, tf.bfloat16)
    made = norm(x, training=True)
    assert made.dtype == tf.bfloat16
    exact = x.numpy().astype(np.float64)
    np.testing.assert_allclose(norm.moving_mean, exact.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, exact.var((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 4), "float32"), ((3, 6, 5, 4), "float64")]
)
def test_what_the_kernel_does_not_take_is_done_as_before(shape, dtype):
    norm, plain = (
        BatchNormalization(momentum=0.0, epsilon=1e-5, dtype=dtype) for _ in range(2)
    )
    for layer in (norm, plain):
        layer.build(shape)
    x = _normal(*shape).astype(dtype)
    use_kernels(keras.Sequential([norm]))
    np.testing.assert_array_equal(norm(x, training=True), plain(x, training=True))
    np.testing.assert_array_equal(norm.moving_variance, plain.moving_variance)


def test_without_training_there_are_only_averages():
    norm = _fused(BatchNormalization(epsilon=1e-5))
    x = _normal(1, 6, 5, 4)
    expected = norm.gamma * x / np.sqrt(1 + 1e-5) + norm.beta
    np.testing.assert_allclose(norm(x), expected, atol=1e-5)


def test_replicas_share_statistics_as_before(two_replicas):
    judge = Discriminator(16, width=2)
    judge(_normal(1, 16, 16, 3), _normal(1, 5))
    norms = [x for x in judge._flatten_layers() if isinstance(x, BatchNormalization)]
    with two_replicas.scope():
        use_kernels(judge)
    assert norms and all(norm.fused is None for norm in norms)
    use_kernels(judge)
    assert all(norm.fused is not None for norm in norms)


def test_leaky_relus_gradients_are_those_of_two_slopes():
    block = ConvBlock(4, 3, normalized=False)
    block.build((None, 6, 6, 2))
    x, upstream = tf.constant(_normal(2, 6, 6, 2)), _normal(2, 6, 6, 4, seed=1)
    # The identity: what comes out is the activation alone.
    block.conv.kernel.assign(np.eye(18, 4).reshape(3, 3, 2, 4))
    before = block.conv(x)
    use_kernels(keras.Sequential([block]))
    with tf.GradientTape() as outer:
        outer.watch(before)
        with tf.GradientTape() as inner:
            inner.watch(before)
            made = block.leaky_relu(before, 0.2)
            total = tf.reduce_sum(upstream * made**2)
        first = inner.gradient(total, before)
        squares = tf.reduce_sum(first**2)
    slope = np.where(before > 0, 1, 0.2)
    np.testing.assert_allclose(made, before * slope, rtol=1e-6)
    np.testing.assert_allclose(first, 2 * upstream * before * slope**2, rtol=1e-5)
    # As gradient penalties have it.
    np.testing.assert_allclose(
        outer.gradient(squares, before),
        8 * upstream**2 * before * slope**4,
        rtol=1e-5,
    )


@pytest.mark.parametrize("run", [lambda f: f, tf.function], ids=["eager", "graph"])
def test_gradients_of_gradients_are_those_of_keras_layer(run):
    fused = _fused(BatchNormalization(epsilon=1e-5))
    plain = BatchNormalization(epsilon=1e-5)
    plain.build((None, 6, 5, 4))
    plain.set_weights(fused.get_weights())
    x, weights = tf.constant(_normal(2, 6, 5, 4) + 3), _normal(2, 6, 5, 4, seed=3)

    def of_penalty(norm):
        """What R1 asks of a discriminator's batch norm."""

        @run
        def gradients():
            variables = [x, norm.gamma.value]
            with tf.GradientTape() as outer:
                outer.watch(x)
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    # Without a non-linearity before the norm, the second derivative
                    # through its mean vanishes.
                    hidden = tf.nn.leaky_relu(x, 0.2)
                    total = tf.reduce_sum(weights * norm(hidden, training=True) ** 2)
                penalty = tf.reduce_sum(inner.gradient(total, x) ** 2)
            return outer.gradient(penalty, variables)

        return gradients()

    for ours, theirs in zip(of_penalty(fused), of_penalty(plain), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_gates_gradients_are_those_of_the_formula(dtype):
    glu = GLU(dtype=dtype)
    use_kernels(keras.Sequential([glu]))
    x = tf.cast(_normal(3, 5, 8), glu.compute_dtype)
    upstream = tf.cast(_normal(3, 5, 4, seed=1), x.dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        made = glu(x)
    gradient = tape.gradient(made, x, upstream)
    assert made.dtype == gradient.dtype == x.dtype
    exact, upstream = (np.asarray(a, np.float64) for a in (x, upstream))
    values, gates = np.split(exact, 2, axis=-1)
    opened = 1 / (1 + np.exp(-gates))
    expected = np.concatenate(
        [upstream * opened, upstream * values * opened * (1 - opened)], axis=-1
    )
    tolerance = {"float32": 1e-6, "mixed_bfloat16": 2e-2}[dtype]
    np.testing.assert_allclose(np.float64(made), values * opened, atol=tolerance)
    np.testing.assert_allclose(np.float64(gradient), expected, atol=tolerance)


def test_gates_second_derivatives_match_the_formula():
    values, gates = (tf.constant(_normal(3, 4, seed=seed)) for seed in (0, 1))
    glu = GLU()
    use_kernels(keras.Sequential([glu]))

    def second(gated):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch([values, gates])
            with tf.GradientTape() as inner:
                inner.watch([values, gates])
                total = tf.reduce_sum(gated(values, gates) ** 2)
            by_values, by_gates = inner.gradient(total, [values, gates])
            squares = tf.reduce_sum(by_values**2 + by_gates**3)
        return outer.gradient(squares, [values, gates])

    for ours, theirs in zip(
        second(glu.gated), second(lambda v, g: v * tf.sigmoid(g)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def _multiplies_in_bfloat16():
    """Whether the processor has instructions for it; else sums are rounded too."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


# By a product, and of few filters.
@pytest.mark.skipif(
    not _multiplies_in_bfloat16(),
    reason="without instructions for bfloat16 TensorFlow's products round their sums",
)
@pytest.mark.parametrize(
    "size, stride, side, filters", [(4, 2, 32, 16), (3, 1, 12, 16), (3, 1, 20, 3)]
)
def test_a_kernels_gradient_of_our_own(size, stride, side, filters):
    layer = Conv2D(
        filters, size, strides=stride, padding="same", dtype="mixed_bfloat16"
    )
    layer.build((None, side, side, 8))
    use_kernels(keras.Sequential([layer]))
    # Numbers that bfloat16 holds, for both ways.
    x, kernel, upstream, weights = (
        tf.cast(tf.cast(_normal(*shape, seed=seed), tf.bfloat16), tf.float32)
        for seed, shape in enumerate(
            [
                (2, side, side, 8),
                (size, size, 8, filters),
                (2, side // stride, side // stride, filters),
                (2, side, side, 8),
            ]
        )
    )
    layer.kernel.assign(kernel)

    def gradients(convolve, kernel):
        """By image, by kernel, and by kernel of the first: as gradient penalties."""
        with tf.GradientTape() as outer:
            outer.watch(kernel)
            with tf.GradientTape(persistent=True) as inner:
                inner.watch([x, kernel])
                made = tf.cast(convolve(x, kernel), tf.float32)
                total = tf.reduce_sum(upstream * made)
            by_image = inner.gradient(total, x)
            of_gradient = tf.reduce_sum(weights * by_image)
        by_kernel = inner.gradient(total, kernel)
        return by_image, by_kernel, outer.gradient(of_gradient, kernel)

    plain = gradients(lambda x, k: tf.nn.conv2d(x, k, stride, "SAME"), kernel)
    traced = tf.function(lambda: gradients(lambda x, _: layer(x), layer.kernel.value))
    for ours, theirs in zip(traced(), plain, strict=True):
        largest = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-2 * largest)
    # The gradient's gradient asks the convolution's own; that of few filters is one of
    # 1×1, traced by image and by kernel.
    made = [o.type for o in traced.get_concrete_function().graph.get_operations()]
    assert made.count("Conv2DBackpropFilter") == (3 if filters == 3 else 1)


def test_kernels_gradients_of_larger_images_are_tensorflows():
    layer = Conv2D(5, 3, padding="same", dtype="mixed_bfloat16")
    layer.build((None, 17, 17, 2))
    use_kernels(keras.Sequential([layer]))

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            made = layer(x)
        return tape.gradient(made, layer.kernel.value)

    graph = gradient.get_concrete_function(tf.zeros((1, 17, 17, 2))).graph
    assert "Conv2DBackpropFilter" in [o.type for o in graph.get_operations()]


@pytest.mark.parametrize("side", [4, 5])
def test_upsampling_as_a_transposed_convolution(side):
    block = UpBlock(3)
    block.build((None, side, side, 2))
    upstream = _normal(2, 2 * side, 2 * side, 3, seed=1)

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            made = block(x, training=True)
        return made, *tape.gradient(made, [x, block.conv.kernel.value], upstream)

    def transposed():
        # Batches are of any size, sides of the result are known.
        x = tf.TensorSpec((None, side, side, 2))
        graph = tf.function(block).get_concrete_function(x, training=True)
        assert graph.output_shapes.as_list() == [None, 2 * side, 2 * side, 3]
        return "Conv2DBackpropInput" in [o.type for o in graph.graph.get_operations()]

    x = tf.constant(_normal(2, side, side, 2))
    expected = run(x)
    use_kernels(keras.Sequential([block]), compiled=True)
    assert not transposed()
    use_kernels(keras.Sequential([block]))
    # Up to 8×8 a product is better.
    assert transposed() == (side > 4)
    for ours, theirs in zip(run(x), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
