import numpy as np
import pytest
import tensorflow as tf

from benchmarks.gflop import step_gflop


@pytest.mark.parametrize("jit", [False, True])
def test_gflop_counts_matrix_products_and_convolutions(jit):
    @tf.function(jit_compile=jit)
    def product(a, b):
        return tf.matmul(a, b)

    @tf.function
    def step(a, image, kernel):
        return product(a, a), tf.nn.conv2d(image, kernel, 1, "SAME")

    arguments = tf.zeros((50, 50)), tf.zeros((2, 8, 8, 3)), tf.zeros((3, 3, 3, 5))
    operations = 2 * 50**3 + 2 * (2 * 8 * 8 * 5) * (3 * 3 * 3)
    np.testing.assert_allclose(step_gflop(step, *arguments), operations / 1e9)


def test_gflop_counts_only_gradients_that_the_results_need():
    @tf.function
    def step(image, kernel, a, b):
        with tf.GradientTape() as tape:
            tape.watch((image, kernel, a, b))
            convolved = tf.nn.conv2d(image, kernel, 2, "SAME")
            product = tf.matmul(a, b, transpose_a=True)
            total = tf.reduce_sum(convolved**2) + tf.reduce_sum(product**2)
        # Without the gradient of the image.
        return tape.gradient(total, (image, kernel, a, b))[1:]

    arguments = (
        tf.zeros((2, 8, 8, 3)),
        tf.zeros((4, 4, 3, 5)),
        tf.zeros((1, 7, 11)),
        tf.zeros((1, 7, 13)),
    )
    operations = 2 * 2 * (2 * 4 * 4 * 5) * (4 * 4 * 3) + 3 * 2 * 7 * 11 * 13
    np.testing.assert_allclose(step_gflop(step, *arguments), operations / 1e9)


def test_gflop_of_an_unknown_shape_is_zero():
    @tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec([3, 3])])
    def step(unknown, square):
        return tf.matmul(unknown, square), tf.matmul(square, square)

    assert step_gflop(step) == 2 * 3**3 / 1e9
