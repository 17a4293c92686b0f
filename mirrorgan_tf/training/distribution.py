"""What a step needs to give the same result on any number of replicas.

A step returns its replica's share of each loss; the shares add up to the loss
of the global batch, as gradients do (optimizers sum them over the replicas).
Noise belongs to an example's place in the global batch, so the way the batch is
split does not change it.
"""

import tensorflow as tf

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.config import Config

__all__ = [
    "check_batch_size",
    "clip_global_gradient",
    "example_normal",
    "example_uniform",
    "gather_examples",
    "global_mean",
    "make_strategy",
    "next_example",
]


def make_strategy(config: Config) -> tf.distribute.Strategy:
    """The strategy named by `--strategy`."""
    if config.strategy == "mirrored":
        return tf.distribute.MirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.OneDeviceStrategy(gpus[0].name if gpus else "/cpu:0")


def check_batch_size(
    flag: str, batch_size: int, strategy: tf.distribute.Strategy
) -> None:
    """Raises UserError unless the replicas get equal parts of the batch."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(
            f"--{flag}={batch_size}: must be a multiple of the {replicas} replicas"
        )


def global_mean(values: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """This replica's share of the weighted mean over the global batch.

    Args:
        values: (B, ...) float32 of this replica.
        weights: as values, 0 for what does not count; none counts all.

    Returns:
        Scalar; the sum over replicas is the mean. 0 where nothing counts.
    """
    weights = tf.ones_like(values) if weights is None else weights
    weights = tf.cast(weights, values.dtype)
    total = _sum_over_replicas(tf.reduce_sum(weights))
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), total)


def gather_examples(values: tf.Tensor) -> tf.Tensor:
    """(B, ...) of this replica to (B · replicas, ...) of all, in batch order."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    return context.all_gather(values, axis=0)


def next_example(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Row i + 1 of the global batch for each row i of this replica.

    Returns:
        The rows (B, ...) and weights (B,): 1, but 0 for the global batch's last
        row, which has no next one.
    """
    everything = tf.roll(gather_examples(values), shift=-1, axis=0)
    rows = _rows(tf.shape(values)[0])
    last = tf.shape(everything)[0] - 1
    weights = tf.cast(tf.not_equal(rows, last), values.dtype)
    return tf.ensure_shape(tf.gather(everything, rows), values.shape), weights


def example_normal(shape: tuple[int, ...], *, seed: tf.Tensor) -> tf.Tensor:
    """N(0, 1) of `shape` (B, ...), different on each replica.

    Args:
        shape: static, of this replica.
        seed: (2,) integers, from the run's seed, the purpose and the step.
    """
    return _example_random(tf.random.stateless_normal, shape, seed)


def example_uniform(shape: tuple[int, ...], *, seed: tf.Tensor) -> tf.Tensor:
    """U[0, 1) of `shape` (B, ...); else as `example_normal`."""
    return _example_random(tf.random.stateless_uniform, shape, seed)


def clip_global_gradient(
    gradients: list[tf.Tensor], norm: float
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Clips the gradient of the global batch to a norm; 0 only measures.

    Returns:
        Gradients to hand to an optimizer, which sums them over the replicas,
        and the norm before clipping.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    if replicas > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    total = tf.linalg.global_norm(gradients)
    scale = tf.minimum(1.0, norm / tf.maximum(total, 1e-12)) if norm else 1.0
    return [gradient * (scale / replicas) for gradient in gradients], total


def _example_random(draw, shape, seed):
    context = tf.distribute.get_replica_context()
    batch, *rest = shape
    everything = draw([batch * context.num_replicas_in_sync, *rest], seed)
    if context.num_replicas_in_sync == 1:
        return everything
    return tf.ensure_shape(tf.gather(everything, _rows(batch)), shape)


def _rows(batch):
    """Places of this replica's examples in the global batch."""
    context = tf.distribute.get_replica_context()
    replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
    return replica * batch + tf.range(batch)


def _sum_over_replicas(value):
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
