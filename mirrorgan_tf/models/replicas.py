"""What a layer needs to know of the other replicas of a TensorFlow strategy."""

import keras

__all__ = ["stack_over_replicas"]


def stack_over_replicas(values):
    """Tensors (...) of each replica to (replicas, ...) on all; (1, ...) without any.

    One collective, and one for each gradient through it. A sum of rows that are zero
    but for the own one: TensorFlow's `all_gather` would take a second collective for
    the lengths, which are the same here.

    Args:
        values: float tensor of the same static shape on every replica.
    """
    # Only the TensorFlow backend has replicas that each compute on their own.
    if keras.backend.backend() != "tensorflow":
        return values[None]
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    if replicas == 1:
        return values[None]
    own_row = tf.one_hot(context.replica_id_in_sync_group, replicas, dtype=values.dtype)
    rows = tf.reshape(own_row, (replicas,) + (1,) * len(values.shape)) * values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, rows)
