import numpy as np
import pytest

from mirrorgan_tf.models.batch_norm import BatchNormalization
from tests.conftest import normal
from tests.ops.kernels import use_kernels

tf = pytest.importorskip("tensorflow")


def _on_replicas(strategy, function, rows):
    """`function` of a replica's share of `rows` and of arguments, run on all replicas.

    Returns:
        A function of the arguments that gives the replicas' results in order.
    """
    share = len(rows) // strategy.num_replicas_in_sync
    values = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(
            rows[context.replica_id_in_sync_group * share :][:share]
        )
    )
    run = tf.function(lambda *arguments: strategy.run(function, (values, *arguments)))
    return lambda *arguments: strategy.experimental_local_results(run(*arguments))


@pytest.mark.parametrize("shape", [(2, 5), (3, 4, 6, 5)])
@pytest.mark.parametrize("synchronized", [False, True])
def test_outputs_and_averages_match_exact_moments_far_from_zero(shape, synchronized):
    # Far from zero a difference of squares would lose the variance.
    x = normal(*shape) + 3000
    layer = BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=synchronized)
    result = layer(x, training=True)
    axes = tuple(range(len(shape) - 1))
    exact = x.astype(np.float64)
    mean, variance = exact.mean(axes), exact.var(axes)
    expected = (exact - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(result, expected, atol=5e-3)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * variance, rtol=1e-4)


def test_mean_of_many_positions_is_exact():
    x = np.full((1, 512, 512, 1), 0.1, np.float32)
    layer = BatchNormalization(momentum=0.0)
    # TensorFlow's fused kernel loses three digits here.
    with use_kernels("reference"):
        layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, [0.1], rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 5), (4, 2, 3, 5)])
def test_replicas_normalise_by_the_moments_of_the_global_batch(shape, two_replicas):
    # Replicas of different means: the variance between them counts.
    x = normal(*shape) + 1e4 * np.arange(4).reshape(-1, *[1] * (len(shape) - 1))
    x = x.astype(np.float64)
    with two_replicas.scope():
        layer = BatchNormalization(momentum=0.0, synchronized=True, dtype="float64")
        layer.build(shape)
    results = _on_replicas(two_replicas, lambda own: layer(own, training=True), x)()
    axes = tuple(range(len(shape) - 1))
    mean, variance = x.mean(axes), x.var(axes)
    np.testing.assert_allclose(
        np.concatenate(results), (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-10
    )
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-12)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("shape", [(4, 3), (4, 2, 2, 3)])
def test_second_derivatives_match_finite_differences(shape, replicas, two_replicas):
    """The gradient of a penalty with respect to a layer before the batch norm.

    The non-linearity between the two matters: without it, the derivative through the
    mean vanishes.
    """
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    strategy = two_replicas if replicas == 2 else one
    x, weights = normal(*shape).astype(np.float64), normal(3, seed=1)
    kernel = normal(3, 3, seed=2).astype(np.float64)
    with strategy.scope():
        norm = BatchNormalization(epsilon=1e-5, synchronized=True, dtype="float64")
        norm.build((None, *shape[1:]))

    def penalty_and_gradient(x, kernel):
        """This replica's shares."""
        with tf.GradientTape() as outer:
            outer.watch(kernel)
            with tf.GradientTape() as inner:
                inner.watch(x)
                hidden = tf.nn.leaky_relu(tf.matmul(x, kernel), 0.2)
                outputs = norm(hidden, training=True)
                total = tf.reduce_sum(weights.astype(np.float64) * outputs**3)
            penalty = tf.reduce_sum(inner.gradient(total, x) ** 2)
        return penalty, outer.gradient(penalty, kernel)

    run = _on_replicas(strategy, penalty_and_gradient, x)

    def penalty_of(kernel):
        shares = run(tf.constant(kernel))
        return [
            sum(part.numpy() for part in parts) for parts in zip(*shares, strict=True)
        ]

    step = 1e-5
    differences = np.zeros((3, 3))
    for place in np.ndindex(3, 3):
        change = np.zeros((3, 3))
        change[place] = step
        (above, _), (below, _) = (
            penalty_of(kernel + change),
            penalty_of(kernel - change),
        )
        differences[place] = (above - below) / (2 * step)
    _, gradient = penalty_of(kernel)
    np.testing.assert_allclose(
        gradient, differences, rtol=1e-6, atol=1e-6 * np.abs(differences).max()
    )
