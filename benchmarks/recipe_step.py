"""Stage glam's training step of a recipe: `python -m benchmarks.recipe_step`.

    python -m benchmarks.recipe_step --recipe=birdlets --r1_every=1

Random data and weights; other flags override the recipe's. The time is the mean over as
many steps as there are from one R1 penalty to the next.
"""

import sys
import time

import keras
import tensorflow as tf
from absl import flags

from mirrorgan_tf.config.config_flags import config_from_flags, define_flags
from mirrorgan_tf.config.flagfiles import expand_flagfiles
from mirrorgan_tf.training.dry_run import random_batch
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.loop import compile_step
from mirrorgan_tf.training.memory import peak_gib
from mirrorgan_tf.training.precision import set_mixed_precision

_VOCABULARY_SIZE = 200
_ROUNDS = 3


def main(arguments: list[str]) -> None:
    """Prints the figures of one recipe."""
    define_flags()
    flags.FLAGS(expand_flagfiles(arguments))
    config = config_from_flags()
    keras.utils.set_random_seed(config.run.seed)
    set_mixed_precision(config.run.mixed_precision)
    batch_size = config.glam.batch_size
    train_step = compile_step(
        GlamStage.from_config(config, _VOCABULARY_SIZE),
        tf.distribute.get_strategy(),
        tf.Variable(0, dtype=tf.int64),
        jit=config.run.jit_compile,
    )
    data = tf.data.Dataset.from_tensors(
        random_batch(config, batch_size, _VOCABULARY_SIZE)
    )
    batches = iter(data.repeat())
    first_s = _seconds(train_step, batches, 1)
    steps = max(4, config.losses.r1_every)
    times = [_seconds(train_step, batches, steps) / steps for _ in range(_ROUNDS)]
    print(
        f"first step {first_s:.1f} s; then {min(times):.3f} s a step, "
        f"{batch_size / min(times):.1f} images/s; peak memory {peak_gib():.2f} GiB"
    )


def _seconds(train_step, batches, steps):
    start = time.perf_counter()
    for _ in range(steps):
        losses = train_step(batches)
    # Waits until the last step is computed.
    float(losses["generator"])
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv)
