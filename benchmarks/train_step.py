"""GLAM's training step at paper size: `python -m benchmarks.train_step`.

Generator, three discriminators and the redescription's loss (CUB, random data and
weights), each variant in a process of its own, with the machine's rates. "no CNN" has a
pooled, projected image in place of STREAM's ResNet-152, as the original was timed.
--kernels=reference times the plain operations. --against=CHECKOUT compares with another
version of the project, in turns.
"""

import argparse
import json
import sys
import time

from benchmarks.processes import in_a_process, keep_jax_out
from benchmarks.rates import rates_table

_VARIANTS = {
    "float32, no CNN": {},
    "float32, remat, no CNN": {"remat": True},
    "float32, XLA, no CNN": {"xla": True},
    "bfloat16, no CNN": {"dtype": "mixed_bfloat16"},
    "bfloat16, XLA, no CNN": {"dtype": "mixed_bfloat16", "xla": True},
    "float32": {"cnn": True},
    "bfloat16": {"dtype": "mixed_bfloat16", "cnn": True},
}


def measure(
    *,
    dtype: str = "float32",
    xla: bool = False,
    cnn: bool = False,
    remat: bool = False,
    batch: int = 4,
    steps: int = 5,
    kernels: str = "auto",
) -> dict:
    """Times one variant in this process.

    Returns:
        seconds of `first` step (tracing and compiling) and of the fastest `step`,
        `peak` memory in GiB.
    """
    start = time.perf_counter()
    keep_jax_out()
    import keras
    import tensorflow as tf

    from benchmarks.glam_networks import VOCABULARY_SIZE, build_networks
    from mirrorgan_tf.config import Config
    from mirrorgan_tf.networks import build_image_encoder
    from mirrorgan_tf.ops.selection import set_kernels
    from mirrorgan_tf.training.dry_run import random_batch
    from mirrorgan_tf.training.glam_stage import GlamStage
    from mirrorgan_tf.training.loop import compile_step
    from mirrorgan_tf.training.memory import free_memory, peak_gib

    set_kernels(kernels)
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(dtype)
    config = Config.from_flags(
        dataset="cub",
        image_encoder="small",
        # Without `cnn`, ResNet-152 would take memory and not be used.
        stream_encoder="resnet152" if cnn else "small",
        image_encoder_weights="none",
        stream_encoder_weights="none",
        glam_batch_size=batch,
        remat=remat,
    )
    strategy = tf.distribute.get_strategy()
    networks = build_networks(config, cnn=cnn)
    stage = GlamStage(config, image_encoder=build_image_encoder(config), **networks)
    step = tf.Variable(0, dtype=tf.int64)
    train_step = compile_step(stage, strategy, step, jit=xla)
    data = tf.data.Dataset.from_tensors(random_batch(config, batch, VOCABULARY_SIZE))
    batches = iter(data.repeat())
    _finish(train_step(batches))
    free_memory()
    result = {"first": time.perf_counter() - start}
    times = []
    for _ in range(steps):
        before = time.perf_counter()
        _finish(train_step(batches))
        times.append(time.perf_counter() - before)
    return result | {"step": min(times), "peak": peak_gib()}


def _finish(losses):
    return [float(loss) for loss in losses.values()]


def compare(options: argparse.Namespace) -> None:
    """Measures this checkout and another in turns; prints the ratio of the steps."""
    print(f"| variant | {options.against}, s | this, s | this / other |")
    print("| --- | --- | --- | --- |", flush=True)
    for variant in options.variants:
        settings = {"batch": options.batch, "steps": options.steps}
        arguments = "measure", json.dumps(_VARIANTS[variant] | settings)
        times = {options.against: [], ".": []}
        for _ in range(options.rounds):
            for folder, seconds in times.items():
                result = in_a_process(
                    "benchmarks.train_step", *arguments, folder=folder
                )
                seconds.append(result["step"])
        other, this = (min(seconds) for seconds in times.values())
        print(f"| {variant} | {other:.2f} | {this:.2f} | {this / other:.3f} |")


def main() -> None:
    """Measures the chosen variants and prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--variants", nargs="+", default=list(_VARIANTS), choices=_VARIANTS
    )
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5, help="number of timed steps")
    parser.add_argument("--kernels", default="auto", choices=("auto", "reference"))
    parser.add_argument(
        "--against", metavar="CHECKOUT", help="compare with the code in this folder"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns with --against")
    options = parser.parse_args()
    if options.batch < 2:
        parser.error("--batch: at least 2: a wrong pair takes another image's sentence")
    if options.against:
        compare(options)
        return
    print(rates_table(in_a_process("benchmarks.rates", "json")))
    columns = [
        f"step of {options.batch} images",
        "first step, s",
        "step, s",
        "images/s",
        "peak GiB",
    ]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)
    for variant in options.variants:
        settings = _VARIANTS[variant] | {
            "batch": options.batch,
            "steps": options.steps,
            "kernels": options.kernels,
        }
        result = in_a_process("benchmarks.train_step", "measure", json.dumps(settings))
        cells = [
            variant,
            f"{result['first']:.0f}",
            f"{result['step']:.2f}",
            f"{options.batch / result['step']:.2f}",
            f"{result['peak']:.2f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(**json.loads(sys.argv[2]))))
    else:
        main()
