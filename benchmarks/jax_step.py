"""A training step of GLAM on a GPU by JAX: `python -m benchmarks.jax_step`.

The step of `benchmarks.train_step` (CUB, random data and weights), compiled as one,
without TensorFlow. Each way is a process of its own, as XLA reads its flags once:
precisions float32, tf32 and bfloat16 (mixed; weights stay float32) times XLA's options:

- default;
- no fusion: every elementwise operation is a kernel, which shows what fusion is worth;
- matmul fusion: Triton takes any matrix product with its neighbours;
- convolution fusion: cuDNN takes convolutions with their neighbours.

Flags in XLA_FLAGS are kept beside those. A way that fails is a row that says so; why is
on the error output. Ways that begin too late for the limit are left out, so a machine
that is lent for minutes gives the first ones; ask for the others with another call.

GFLOP are of convolutions and matrix products, see `benchmarks.jaxpr_gflop`. "step GiB"
is what XLA has planned for the step, with weights; "peak GiB" what the device had in
use at most, convolutions' trials included (on a CPU: the process).
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

from benchmarks.processes import in_a_process
from benchmarks.rates import best_seconds

# Keras' dtype policy, what JAX multiplies float32 in, and the dtype that a machine's
# own rate is measured in.
_PRECISIONS = {
    "float32": ("float32", "float32", "float32"),
    "tf32": ("float32", "tensorfloat32", "float32"),
    "bfloat16": ("mixed_bfloat16", "default", "bfloat16"),
}
_OPTIONS = {
    "default": [],
    # The CPU's pass, the GPU's pass, and those that join what that one has left.
    "no fusion": [
        "--xla_disable_hlo_passes=fusion,priority-fusion,multi_output_fusion,"
        "horizontal_loop_fusion,horizontal_input_fusion"
    ],
    "matmul fusion": ["--xla_gpu_triton_gemm_any=true"],
    "convolution fusion": [
        "--xla_gpu_experimental_enable_conv_fusion=true",
        "--xla_gpu_use_runtime_fusion=true",
    ],
}
# Dense TFLOP/s by NVIDIA's data sheets, of the SXM modules.
_PEAKS = {
    "A100": {"float32": 19.5, "tf32": 156, "bfloat16": 312},
    "H100": {"float32": 67, "tf32": 495, "bfloat16": 989},
    "H200": {"float32": 67, "tf32": 495, "bfloat16": 989},
}
# Sides of the square matrices of a machine's own rate.
_SIDES = {"gpu": 8192, "cpu": 1024}
_COLUMNS = ["precision", "XLA options", "images", "compile, s", "step, ms", "images/s"]
_COLUMNS += ["step GiB", "peak GiB", "GFLOP", "TFLOP/s", "of the data sheet's"]
_COLUMNS += ["of the matmul's"]


def measure(
    *, precision: str, batch: int, steps: int, cnn: bool = True, tiny: bool = False
) -> dict[str, Any]:
    """Times one way in this process, under the XLA_FLAGS that are set.

    Args:
        precision: of _PRECISIONS.
        batch: images a step.
        steps: that are timed together, three times; the fastest time counts.
        cnn: see `glam_networks.glam_config`.
        tiny: likewise.

    Returns:
        `device` its name, `compile` and `step` in seconds, `planned` and `peak` in
        GiB, `gflop` of a step, `matmul` the device's own rate in TFLOP/s.

    Raises:
        ArithmeticError: a loss is not finite: such a step is not the one to time.
    """
    import jax
    import keras

    from benchmarks.glam_networks import build_networks, glam_config
    from benchmarks.jax_glam import JaxGlam, build_compiled
    from benchmarks.jaxpr_gflop import jaxpr_gflop

    policy, multiplied_in, dtype = _PRECISIONS[precision]
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(policy)
    jax.config.update("jax_default_matmul_precision", multiplied_in)
    config = glam_config(cnn=cnn, tiny=tiny, glam_batch_size=batch)
    glam = build_compiled(lambda: JaxGlam(config, **build_networks(config, cnn=cnn)))
    trained, frozen = glam.values()
    inputs = jax.device_put(_random_inputs(config, batch))
    traced = jax.jit(glam.step, donate_argnums=0).trace(trained, frozen, inputs)
    start = time.perf_counter()
    compiled = traced.lower().compile()
    told = {
        "device": jax.devices()[0].device_kind,
        "compile": time.perf_counter() - start,
        "gflop": jaxpr_gflop(traced.jaxpr),
        "planned": _planned_bytes(compiled.memory_analysis()) / 2**30,
    }

    losses = {}

    def some_steps():
        nonlocal trained, losses
        for _ in range(steps):
            trained, losses = compiled(trained, frozen, inputs)
        jax.block_until_ready((trained, losses))

    told["step"] = best_seconds(some_steps, tries=3) / steps
    told["peak"] = _peak_bytes(jax.devices()[0]) / 2**30
    if not all(map(keras.ops.isfinite, losses.values())):
        raise ArithmeticError(f"losses {losses}")
    return told | {"matmul": _matmul_rate(dtype)}


def _random_inputs(config, batch):
    """As `JaxGlam.step` takes them; captions as long as they get."""
    import numpy as np

    from benchmarks.glam_networks import VOCABULARY_SIZE

    random = np.random.default_rng(config.run.seed)
    shape = batch, config.text.max_words
    images = [random.uniform(-1, 1, (batch, size, size, 3)) for size in config.sizes]
    return {
        "images": [some.astype(np.float32) for some in images],
        "ids": random.integers(1, VOCABULARY_SIZE, shape, np.int32),
        "lengths": np.full(batch, config.text.max_words, np.int32),
        "noise": random.standard_normal(
            (batch, config.generator.noise_dim), np.float32
        ),
        "condition_noise": random.standard_normal(
            (batch, config.generator.condition_dim), np.float32
        ),
    }


def _planned_bytes(plan):
    # What is donated is an argument and a result in one.
    results = plan.output_size_in_bytes - plan.alias_size_in_bytes
    return plan.argument_size_in_bytes + results + plan.temp_size_in_bytes


def _peak_bytes(device):
    statistics = device.memory_stats()
    if statistics:
        return statistics["peak_bytes_in_use"]
    # ru_maxrss is in KiB on Linux.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10


def _matmul_rate(dtype):
    """TFLOP/s of a product of square matrices, in the precision that is set."""
    import jax

    side = _SIDES[jax.default_backend()]
    square = jax.random.normal(jax.random.key(0), (side, side), dtype)
    product = jax.jit(lambda x: x @ x)
    return (
        2 * side**3 / best_seconds(lambda: product(square).block_until_ready()) / 1e12
    )


def row(precision: str, options: str, batch: int, told: dict[str, Any]) -> list[str]:
    """The table's cells of a way that was measured."""
    rate = told["gflop"] / told["step"] / 1e3
    peaks = [peak for name, peak in _PEAKS.items() if name in told["device"]]
    return [
        precision,
        options,
        str(batch),
        f"{told['compile']:.0f}",
        f"{told['step'] * 1e3:.1f}",
        f"{batch / told['step']:.1f}",
        f"{told['planned']:.2f}",
        f"{told['peak']:.2f}",
        f"{told['gflop']:.3g}",
        f"{rate:.3g}",
        f"{rate / peaks[0][precision]:.1%}" if peaks else "",
        f"{rate / told['matmul']:.1%} of {told['matmul']:.3g}",
    ]


def failed_row(precision: str, options: str, batch: int, reason: str) -> list[str]:
    """The cells of one that was not."""
    return [precision, options, str(batch), reason] + [""] * (len(_COLUMNS) - 4)


def main() -> None:
    """Measures each way asked for and prints Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--precisions", nargs="+", default=list(_PRECISIONS), choices=_PRECISIONS
    )
    parser.add_argument(
        "--options", nargs="+", default=list(_OPTIONS), choices=_OPTIONS
    )
    parser.add_argument(
        "--batch", nargs="+", type=int, default=[20, 4], help="sizes (paper: 20)"
    )
    parser.add_argument("--steps", type=int, default=10, help="timed together")
    parser.add_argument(
        "--no_cnn", action="store_true", help="mean colours in ResNet-152's stead"
    )
    parser.add_argument("--size", default="paper", choices=("paper", "tiny"))
    parser.add_argument("--limit_s", type=float, default=570, help="of all ways")
    asked = parser.parse_args()
    end = time.monotonic() + asked.limit_s
    print(f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}", flush=True)
    devices = set()
    ways = itertools.product(asked.options, asked.batch, asked.precisions)
    for options, batch, precision in ways:
        way = precision, options, batch
        settings = {
            "precision": precision,
            "batch": batch,
            "steps": asked.steps,
            "cnn": not asked.no_cnn,
            "tiny": asked.size == "tiny",
        }
        try:
            told = _in_a_process(settings, options, end - time.monotonic())
        except subprocess.CalledProcessError as error:
            cells = failed_row(*way, f"failed with status {error.returncode}")
        except subprocess.TimeoutExpired:
            cells = failed_row(*way, f"not within {asked.limit_s:.0f} s of all")
        else:
            devices.add(told["device"])
            cells = row(*way, told)
        print(f"| {' | '.join(cells)} |", flush=True)
    seen = "ResNet-152 in the redescription"
    if asked.no_cnn or asked.size == "tiny":
        seen = "no ResNet-152"
    print(
        f"\nOn {', '.join(sorted(devices)) or 'no device'}; size {asked.size}, {seen}."
    )


def _in_a_process(settings, options, limit_s):
    if limit_s <= 0:
        raise subprocess.TimeoutExpired("benchmarks.jax_step", limit_s)
    flags = [*os.environ.get("XLA_FLAGS", "").split(), *_OPTIONS[options]]
    return in_a_process(
        "benchmarks.jax_step",
        *("measure", json.dumps(settings)),
        environment={"KERAS_BACKEND": "jax", "XLA_FLAGS": " ".join(flags)},
        limit_s=limit_s,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(**json.loads(sys.argv[2]))))
    else:
        main()
