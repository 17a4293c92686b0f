"""Strategies, and functions that make a step independent of the number of replicas.

A step returns its replica's share of each loss. The shares add up to the loss of the
global batch, as gradients do: optimizers sum them over the replicas. Random numbers
belong to an example's position in the global batch, so they do not depend on how the
batch is split.
"""

import json
import os
from collections.abc import Callable, Iterator

import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import UserError

__all__ = [
    "check_batch_size",
    "distribute_batches",
    "example_normal",
    "example_uniform",
    "gather_examples",
    "global_mean",
    "make_agreement",
    "make_strategy",
    "make_vote",
    "next_example",
    "num_workers",
]


def make_strategy(config: Config) -> tf.distribute.Strategy:
    """The strategy of `--strategy`; call it before TensorFlow uses its devices.

    With one device `mirrored` is `one_device`, which needs no mirrored variables.
    Checkpoints are the same.

    Raises:
        UserError: multi_worker without a proper TF_CONFIG, or `--jit_compile` with more
            than one device.
    """
    if config.run.strategy == "multi_worker":
        _check_tf_config()
        _refuse_jit_compile(config, "--strategy=multi_worker")
        return tf.distribute.MultiWorkerMirroredStrategy()
    devices = tf.config.list_logical_devices("GPU")
    devices = devices or tf.config.list_logical_devices("CPU")
    if config.run.strategy == "one_device" or len(devices) == 1:
        return tf.distribute.OneDeviceStrategy(devices[0].name)
    _refuse_jit_compile(config, f"--strategy=mirrored on {len(devices)} devices")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _refuse_jit_compile(config, setting):
    """A compiled step can't sum the gradients of mirrored variables over replicas."""
    if config.run.jit_compile:
        raise UserError(
            f"--jit_compile: not with {setting}; leave it out, or train on one device "
            "with --strategy=one_device"
        )


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    jobs = strategy.cluster_resolver.cluster_spec().as_dict()
    return sum(len(jobs.get(job, ())) for job in ("chief", "worker"))


def distribute_batches(
    strategy: tf.distribute.Strategy,
    make_dataset: Callable[[tf.distribute.InputContext | None], tf.data.Dataset],
    batch_size: int,
) -> Iterator:
    """An iterator of global batches, in order, each split into its replicas' rows.

    Args:
        strategy: its replicas divide `batch_size`.
        make_dataset: input context of a worker to an endless dataset of its rows of
            each global batch; None to a dataset of whole batches.
        batch_size: rows of a global batch.
    """
    if num_workers(strategy) == 1:
        dataset = make_dataset(None)
        if _is_one_cpu(strategy):
            # A distributed iterator would start tf.data's autotuner, whatever the
            # options of the dataset are.
            return iter(dataset)
        return iter(strategy.experimental_distribute_dataset(dataset))
    rows = batch_size // strategy.num_replicas_in_sync

    def own_rows(context):
        def split(values):
            return tf.reshape(values, [-1, rows, *values.shape[1:]])

        # One element for each replica of this worker.
        own = make_dataset(context)
        own = own.map(lambda batch: tf.nest.map_structure(split, batch)).unbatch()
        # Without it, a short last batch is assumed, and static shapes are lost.
        return own.apply(
            tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        )

    return iter(strategy.distribute_datasets_from_function(own_rows))


def make_vote(strategy: tf.distribute.Strategy) -> Callable[[bool], tf.Tensor]:
    """Makes a function that every worker calls: is the argument true on any of them?"""

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)], autograph=False)
    def count(mine):
        def sum_up():
            context = tf.distribute.get_replica_context()
            # An argument has no device, and its sum would not reach one.
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(mine))

        return strategy.experimental_local_results(strategy.run(sum_up))[0] > 0

    return lambda mine: count(tf.constant(mine, tf.float32))


def make_agreement(strategy: tf.distribute.Strategy) -> Callable[[float], float]:
    """Makes a function that every worker calls and that returns the first one's number.

    The first worker is the one that writes checkpoints. The function is also a barrier:
    it returns when all workers have called it.
    """
    if num_workers(strategy) == 1:
        return lambda own: own

    @tf.function(input_signature=[tf.TensorSpec([], tf.float64)], autograph=False)
    def agree(own):
        def take_first():
            context = tf.distribute.get_replica_context()
            is_first = tf.equal(context.replica_id_in_sync_group, 0)
            share = tf.where(is_first, own, tf.zeros_like(own))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, share)

        return strategy.experimental_local_results(strategy.run(take_first))[0]

    return lambda own: float(agree(tf.constant(own, tf.float64)))


def check_batch_size(
    flag: str,
    batch_size: int,
    strategy: tf.distribute.Strategy,
    *,
    micro_batches: int = 1,
) -> None:
    """Raises UserError unless all micro-batches have one size, of at least 2 images."""
    replicas = strategy.num_replicas_in_sync
    step = replicas * micro_batches
    if batch_size % step:
        of = f" times --accumulate_steps={micro_batches}" if micro_batches > 1 else ""
        smaller = batch_size // step * step
        sizes = [smaller, smaller + step]
        fitting = [size for size in sizes if size >= 2 * micro_batches]
        raise UserError(
            f"--{flag}={batch_size}: must be a multiple of the {replicas} replicas"
            f"{of}, such as {' or '.join(map(str, fitting))}"
        )
    if batch_size // micro_batches < 2:
        raise UserError(
            f"--accumulate_steps={micro_batches}: leaves less than 2 of "
            f"--{flag}={batch_size}"
        )


def global_mean(values: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """This replica's share of the weighted mean over the global batch.

    Args:
        values: (B, ...) float32 of this replica.
        weights: as values; None: all 1.

    Returns:
        Scalar; the sum over replicas is the mean. 0 if all weights are 0.
    """
    if weights is None:
        # All replicas have as many rows, so no collective is needed.
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        count = tf.cast(tf.size(values) * replicas, values.dtype)
        return tf.math.divide_no_nan(tf.reduce_sum(values), count)
    weights = tf.cast(weights, values.dtype)
    total = _sum_over_replicas(tf.reduce_sum(weights))
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), total)


def gather_examples(values: tf.Tensor) -> tf.Tensor:
    """(B, ...) of this replica to (B · replicas, ...) of all, in batch order."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    # Tensors of the iterator have no device, and `identity` gives them one.
    return context.all_gather(tf.identity(values), axis=0)


def next_example(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Row i + 1 of the global batch for each row i of this replica.

    Returns:
        The rows (B, ...) and weights (B,): 1, but 0 for the global batch's last
        row, which has no next one.
    """
    next_rows = tf.roll(gather_examples(values), shift=-1, axis=0)
    rows = _rows(tf.shape(values)[0])
    last = tf.shape(next_rows)[0] - 1
    weights = tf.cast(tf.not_equal(rows, last), values.dtype)
    return tf.ensure_shape(tf.gather(next_rows, rows), values.shape), weights


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


def _is_one_cpu(strategy):
    devices = strategy.extended.worker_devices
    types = [tf.DeviceSpec.from_string(device).device_type for device in devices]
    return types == ["CPU"]


def _check_tf_config():
    example = (
        '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        index, addresses = int(task["index"]), cluster[task["type"]]
        valid = index >= 0 and isinstance(addresses[index], str)
    except (ValueError, TypeError, LookupError):
        valid = False
    if not valid:
        raise UserError(
            f"--strategy=multi_worker: TF_CONFIG={text!r} names no cluster and task; "
            f"set it on every worker, such as {example}"
        )
    others = sorted(set(cluster) - {"chief", "worker"})
    if others:
        raise UserError(
            f"--strategy=multi_worker: TF_CONFIG names the job {others[0]!r}; only "
            "workers (and one chief) take part in a training here: leave it out on "
            "every worker"
        )


def _example_random(stateless_random, shape, seed):
    context = tf.distribute.get_replica_context()
    batch, *rest = shape
    all_numbers = stateless_random([batch * context.num_replicas_in_sync, *rest], seed)
    if context.num_replicas_in_sync == 1:
        return all_numbers
    return tf.ensure_shape(tf.gather(all_numbers, _rows(batch)), shape)


def _rows(batch):
    """Positions of this replica's examples in the global batch."""
    context = tf.distribute.get_replica_context()
    replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
    return replica * batch + tf.range(batch)


def _sum_over_replicas(value):
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
