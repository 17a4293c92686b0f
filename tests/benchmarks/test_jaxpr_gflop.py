import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="the counter reads what JAX has traced")

from benchmarks.jaxpr_gflop import jaxpr_gflop  # noqa: E402

IMAGE = np.zeros((2, 8, 8, 6), np.float32)


def _operations(function, *arguments):
    return round(jaxpr_gflop(jax.jit(function).trace(*arguments).jaxpr) * 1e9)


def _convolution(size, stride, groups=1):
    def convolve(image, kernel):
        return jax.lax.conv_general_dilated(
            image,
            kernel,
            (stride, stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    sides = 8 // stride
    operations = 2 * (2 * sides**2 * 10) * (size**2 * 6 // groups)
    return convolve, np.zeros((size, size, 6 // groups, 10), np.float32), operations


def test_of_matrix_products():
    a, b = np.zeros((5, 7, 11)), np.zeros((5, 11, 13))
    assert _operations(jax.numpy.matmul, a, b) == 2 * 5 * 7 * 11 * 13
    assert _operations(lambda a: a.T @ a, np.zeros((3, 4))) == 2 * 4 * 3 * 4


@pytest.mark.parametrize(
    ("size", "stride", "groups"),
    [(3, 1, 1), (4, 2, 1), (3, 2, 1), (1, 2, 1), (4, 4, 1), (3, 2, 2)],
)
def test_gradients_of_a_convolution_are_each_as_much_as_itself(size, stride, groups):
    convolve, kernel, operations = _convolution(size, stride, groups)
    assert _operations(convolve, IMAGE, kernel) == operations

    def loss(image, kernel):
        return jax.numpy.sum(convolve(image, kernel) ** 2)

    of_kernel = jax.grad(loss, argnums=1)
    assert _operations(of_kernel, IMAGE, kernel) == 2 * operations
    of_both = jax.grad(loss, argnums=(0, 1))
    assert _operations(of_both, IMAGE, kernel) == 3 * operations


def test_what_nothing_needs_counts_nothing():
    def function(a):
        dropped = a @ a
        return dropped @ a, a @ a

    def part(a):
        return function(a)[1]

    assert _operations(function, np.zeros((3, 3))) == 3 * 2 * 3**3
    assert _operations(part, np.zeros((3, 3))) == 2 * 3**3


def test_loops_count_as_often_as_they_run():
    square = np.zeros((3, 3))

    def loop(a):
        return jax.lax.scan(lambda total, _: (total @ a, None), a, length=5)[0]

    assert _operations(loop, square) == 5 * 2 * 3**3

    def unknown(a):
        return jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: x @ a, a)

    assert _operations(unknown, square) == 2 * 3**3


def test_of_branches_the_largest_counts():
    def branches(a):
        return jax.lax.cond(a.sum() > 0, lambda a: a @ a @ a, lambda a: a @ a, a)

    assert _operations(branches, np.zeros((3, 3))) == 2 * 2 * 3**3
