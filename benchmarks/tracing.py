"""Tracing of GLAM's step on several replicas: `python -m benchmarks.tracing`.

The paper's three scales and blocks with few channels, on virtual CPU devices, each
number of them in a process of its own. The graph, and so the time to trace it, depends
on blocks and replicas, not on the number of channels.
"""

import argparse
import json
import sys
import time

from benchmarks.processes import in_a_process, keep_jax_out
from mirrorgan_tf import commands  # noqa: F401  (quiets TensorFlow before its import)


def measure(replicas: int) -> dict[str, float]:
    """Traces the step once in this process.

    Args:
        replicas: number of virtual CPU devices, 2 examples on each.

    Returns:
        `seconds` of processor time for tracing; `operations` and `collectives` of one
        replica.
    """
    keep_jax_out()
    import tensorflow as tf

    from benchmarks.glam_networks import VOCABULARY_SIZE, glam_config
    from mirrorgan_tf.training.dry_run import random_batch
    from mirrorgan_tf.training.glam_stage import GlamStage
    from mirrorgan_tf.training.loop import compile_step

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * replicas,
    )
    config = glam_config(cnn=False, tiny=True, scales=3, base_size=64)
    devices = [f"cpu:{i}" for i in range(replicas)]
    strategy = tf.distribute.MirroredStrategy(devices)
    with strategy.scope():
        stage = GlamStage.from_config(config, VOCABULARY_SIZE)
        step = tf.Variable(0, dtype=tf.int64)
    train_step = compile_step(stage, strategy, step, jit=False)
    batch = random_batch(config, 2 * replicas, VOCABULARY_SIZE)
    dataset = tf.data.Dataset.from_tensors(batch)
    batches = iter(strategy.experimental_distribute_dataset(dataset))
    start = time.process_time()
    operations = train_step.get_concrete_function(batches).graph.get_operations()
    seconds = time.process_time() - start
    collectives = [op for op in operations if op.type.startswith("Collective")]
    return {
        "seconds": seconds,
        "operations": len(operations) / replicas,
        "collectives": len(collectives) / replicas,
    }


def main() -> None:
    """Measures each number of replicas and prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    print("| replicas | tracing, s | operations a replica | collectives a replica |")
    print("| --- | --- | --- | --- |", flush=True)
    for replicas in arguments.replicas:
        result = in_a_process("benchmarks.tracing", "measure", json.dumps(replicas))
        print(
            f"| {replicas} | {result['seconds']:.0f} | {result['operations']:,.0f} | "
            f"{result['collectives']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        main()
