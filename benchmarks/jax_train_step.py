"""GLAM's training step under JAX: `python -m benchmarks.jax_train_step --size=paper`.

The step of `benchmarks.jax_glam` (CUB, random data and weights), compiled as one, on
the device at hand. Set KERAS_BACKEND=jax. One precision a call:

- float32: multiplied in full precision;
- tf32: multiplied in TF32, where a GPU has it;
- bfloat16: mixed; weights stay float32.
"""

import argparse
import time

import jax
import keras
import numpy as np

from benchmarks.glam_networks import VOCABULARY_SIZE, build_networks, glam_config
from benchmarks.jax_glam import JaxGlam, build_compiled
from benchmarks.rates import best_seconds

# Keras' dtype policy, and what JAX multiplies float32 in.
_PRECISIONS = {
    "float32": ("float32", "float32"),
    "tf32": ("float32", "tensorfloat32"),
    "bfloat16": ("mixed_bfloat16", "default"),
}


def measure(*, size: str, precision: str, batch: int, steps: int) -> dict[str, float]:
    """Times the step in this process.

    Args:
        size: "paper", with ResNet-152 in the redescription, or "tiny".
        precision: one of _PRECISIONS.
        batch: images a step.
        steps: timed together, three times; the fastest time counts.

    Returns:
        `compile` and `step` in seconds.

    Raises:
        ArithmeticError: a loss is not finite.
    """
    policy, matmul_precision = _PRECISIONS[precision]
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(policy)
    jax.config.update("jax_default_matmul_precision", matmul_precision)
    config = glam_config(cnn=True, tiny=size == "tiny", glam_batch_size=batch)
    glam = build_compiled(lambda: JaxGlam(config, **build_networks(config, cnn=True)))
    trained, frozen = glam.values()
    inputs = jax.device_put(_random_inputs(config, batch))
    start = time.perf_counter()
    step = jax.jit(glam.step, donate_argnums=0).lower(trained, frozen, inputs).compile()
    compile_s = time.perf_counter() - start
    losses = {}

    def run_steps():
        nonlocal trained, losses
        for _ in range(steps):
            trained, losses = step(trained, frozen, inputs)
        jax.block_until_ready((trained, losses))

    step_s = best_seconds(run_steps, tries=3) / steps
    if not all(map(keras.ops.isfinite, losses.values())):
        raise ArithmeticError(f"losses {losses}")
    return {"compile": compile_s, "step": step_s}


def _random_inputs(config, batch):
    """The arguments of `JaxGlam.step`; all captions have the greatest length."""
    random = np.random.default_rng(config.run.seed)
    max_words = config.text.max_words

    def normal(dim):
        return random.standard_normal((batch, dim), np.float32)

    return {
        "images": [
            random.uniform(-1, 1, (batch, size, size, 3)).astype(np.float32)
            for size in config.sizes
        ],
        "ids": random.integers(1, VOCABULARY_SIZE, (batch, max_words), np.int32),
        "lengths": np.full(batch, max_words, np.int32),
        "noise": normal(config.generator.noise_dim),
        "condition_noise": normal(config.generator.condition_dim),
    }


def main() -> None:
    """Measures and prints one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="paper", choices=("paper", "tiny"))
    parser.add_argument("--precision", default="float32", choices=_PRECISIONS)
    parser.add_argument("--batch", type=int, default=20, help="images (paper: 20)")
    parser.add_argument("--steps", type=int, default=10, help="timed together")
    options = vars(parser.parse_args())
    seconds = measure(**options)
    print(
        f"{jax.devices()[0].device_kind}, {options}: {1e3 * seconds['step']:.1f} ms, "
        f"{options['batch'] / seconds['step']:.1f} images/s; compiled in "
        f"{seconds['compile']:.0f} s"
    )


if __name__ == "__main__":
    main()
