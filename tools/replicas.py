"""Each stage has the same losses and weights on any number of replicas.

    python tools/replicas.py [devices=2 devices=4 workers=2 workers=3]

Each case (virtual devices of one process, or processes on loopback) is compared with
one replica: same global batches, same seed, tiny networks, in float64 and with plain
SGD. Also compared are the weights that are kept as the best, and when a stage ends.
In float32 the losses agree to 1e-6 for about ten steps; then rounding carries numbers
over the kink of a leaky ReLU. Adam turns rounding on a zero gradient into a full step.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.tiny_settings import TINY  # noqa: E402  (found by the path above)

CASES = ("devices=2", "devices=4", "workers=2", "workers=3")
BATCHES = 20
RELATIVE, ABSOLUTE = 1e-8, 1e-10
# Two micro-batches of 4 replicas are equal.
WORDS, ROWS, SIZE, MAX_WORDS = 11, 24, 16, 6


def batches(context):
    """Global batches; with an input context, its worker's rows of them."""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(0)
    lengths = random.integers(0, MAX_WORDS + 1, (BATCHES, ROWS), np.int32)
    ids = random.integers(1, WORDS, (BATCHES, ROWS, MAX_WORDS), np.int32)
    ids[np.arange(MAX_WORDS) >= lengths[..., None]] = 0
    dataset = tf.data.Dataset.from_tensor_slices(
        {
            "images": (random.uniform(-1, 1, (BATCHES, ROWS, SIZE, SIZE, 3)),),
            "caption_ids": ids[:, :, None],
            "caption_lengths": lengths[:, :, None],
            "text": {"ids": ids[:, :, None], "lengths": lengths[:, :, None]},
            "class_ids": random.integers(0, 9, (BATCHES, ROWS), np.int32),
        }
    ).repeat()
    if context is None:
        return dataset
    part = ROWS // context.num_input_pipelines
    own = slice(
        context.input_pipeline_id * part, (context.input_pipeline_id + 1) * part
    )
    return dataset.map(
        lambda batch: tf.nest.map_structure(lambda values: values[own], batch)
    )


# Rows of the result: a stage, and settings beside the tiny ones.
RUNS = {
    "stem": ("stem", {}),
    "stream": ("stream", {}),
    "glam": ("glam", {"damsm_weight": 1.0}),
    "glam with R1": ("glam", {"r1_weight": 1.0}),
    "glam in micro-batches": ("glam", {"accumulate_steps": 2, "spectral_norm": True}),
}


def build(name, config):
    """A stage with plain SGD, since Adam amplifies rounding near zero."""
    import keras

    from mirrorgan_tf.training.glam_stage import GlamStage
    from mirrorgan_tf.training.stem_stage import StemStage
    from mirrorgan_tf.training.stream_stage import StreamStage

    stage = GlamStage.from_config(config, WORDS)
    if name == "stem":
        stage = StemStage(config, stage.stem, stage.image_encoder)
        stage.optimizer = keras.optimizers.SGD(0.01)
    elif name == "stream":
        stage = StreamStage(config, stage.stream)
        stage.optimizer = keras.optimizers.SGD(0.1)
    else:
        stage.generator_optimizer = keras.optimizers.SGD(0.01)
        stage.discriminator_optimizers = [keras.optimizers.SGD(0.01)]
    return stage


def weights(value):
    """All numbers of a stage's networks."""
    if isinstance(value, dict):
        return {name: weights(part) for name, part in value.items()}
    if isinstance(value, list):
        return [weight for part in value for weight in weights(part)]
    return value.get_weights()


def train(config, strategy, runs, steps):
    """Losses of every step and weights after the last, arrays by name."""
    import keras
    import numpy as np
    import tensorflow as tf

    from mirrorgan_tf.training.distribution import distribute_batches
    from mirrorgan_tf.training.loop import compile_step

    results = {}
    for name in runs:
        stage_name, settings = RUNS[name]
        keras.utils.set_random_seed(1)
        with strategy.scope():
            stage = build(stage_name, config.replace(**settings))
            step = tf.Variable(0, dtype=tf.int64)
        train_step = compile_step(
            stage, strategy, step, jit=False, seed=config.run.seed
        )
        fed = distribute_batches(strategy, batches, ROWS)
        for i in range(steps):
            for loss, value in train_step(fed).items():
                results[f"{name} {loss} {i:02d}"] = value.numpy()
        assert train_step.experimental_get_tracing_count() == 1
        networks = {
            part: value
            for part, value in stage.checkpointed.items()
            if "optimizer" not in part
        }
        for part, arrays in weights(networks).items():
            for i, array in enumerate(arrays):
                results[f"{name} {part} weight {i:02d}"] = np.asarray(array)
    return results


def keep_best(strategy, folder):
    """The weight kept as the best, and the answers on whether it is time to stop.

    The first worker writes slowly, and the others' third figure is worse by rounding.
    """
    import time

    import numpy as np
    import tensorflow as tf

    from mirrorgan_tf.training.best import BestWeights

    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {"index": 0})
    with strategy.scope():
        weight = tf.Variable(0.0)
        best = BestWeights(
            folder,
            {"weight": weight},
            figure="loss",
            lowest=True,
            every=1,
            patience=1,
        )
    save = best._checkpoints.save

    def save_slowly():
        time.sleep(0.5 if task["index"] == 0 else 0)
        save()

    best._checkpoints.save = save_slowly
    over = []
    rounding = 1e-7 * task["index"]
    for step, loss in enumerate((3.0, 2.0, 2.0 + rounding, 1.0), start=1):
        weight.assign(step)
        over.append(float(best.consider({"loss": loss}, step)))
    weight.assign(0)
    best.restore()
    return {"best weight": weight.numpy(), "best over": np.array(over)}


def train_once(out, strategy, devices, runs, steps):
    """Writes the results of `train` and `keep_best` to a file, in a new process."""
    import keras
    import numpy as np
    import tensorflow as tf

    from mirrorgan_tf.config import Config
    from mirrorgan_tf.training.distribution import make_strategy

    keras.config.set_floatx("float64")

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * devices,
    )
    config = Config.from_flags(**TINY | {"scales": 1, "strategy": strategy})
    strategy = make_strategy(config)
    case, _ = Path(out).name.rsplit("-", 1)
    best = keep_best(strategy, Path(out).parent / f"{case}-best")
    np.savez(out, **train(config, strategy, runs, steps), **best)


def start(folder, case, runs, steps):
    """Starts the processes of a case; each writes a file."""
    kind, _, number = case.partition("=")
    number = int(number or 1)
    workers = number if kind == "workers" else 1
    strategy = {"workers": "multi_worker", "devices": "mirrored"}.get(kind, kind)
    devices = number if kind == "devices" else 1
    addresses = [f"localhost:{port}" for port in free_ports(workers)]
    started = []
    for index in range(workers):
        out = folder / f"{case}-{index}.npz"
        task = {"type": "worker", "index": index}
        environment = {
            "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task})
        }
        command = [sys.executable, __file__, f"--out={out}", f"--strategy={strategy}"]
        with out.with_suffix(".log").open("w") as log:
            process = subprocess.Popen(
                [*command, f"--devices={devices}", f"--steps={steps}", "--runs", *runs],
                env=os.environ | (environment if workers > 1 else {}),
                stdout=log,
                stderr=log,
            )
        started.append((process, out))
    return started


def free_ports(count):
    """Free ports of the loopback interface."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def finish(started):
    """Waits for the processes and returns the arrays that each wrote."""
    import numpy as np

    for process, out in started:
        assert process.wait() == 0, out.with_suffix(".log").read_text()[-5000:]
    return [dict(np.load(out)) for _, out in started]


def worst_error(results, expected):
    """The largest difference, in units of the tolerance, and its array's name."""
    import numpy as np

    assert results.keys() == expected.keys()
    return max(
        (
            float(np.abs(results[name] - value).max())
            / float(ABSOLUTE + RELATIVE * np.abs(value).max()),
            name,
        )
        for name, value in expected.items()
    )


def main():
    """Compares each case, and prints a line for each process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=RUNS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    parser.add_argument("--strategy", help=argparse.SUPPRESS)
    parser.add_argument("--devices", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.out:
        train_once(
            arguments.out,
            arguments.strategy,
            arguments.devices,
            arguments.runs,
            arguments.steps,
        )
        return
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        reference = start(Path(folder), "one_device", arguments.runs, arguments.steps)
        for case in arguments.cases:
            started = start(Path(folder), case, arguments.runs, arguments.steps)
            (expected,) = finish(reference)
            for index, results in enumerate(finish(started)):
                error, name = worst_error(results, expected)
                failed |= not error <= 1
                print(
                    f"{case}, process {index}: worst {error:.1e} of the tolerance "
                    f"({RELATIVE} relative + {ABSOLUTE}), {name}",
                    flush=True,
                )
    sys.exit(failed)


if __name__ == "__main__":
    main()
