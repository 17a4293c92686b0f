"""How long stages take, reckoned from one step: `--dry_run`'s table."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from mirrorgan_tf.config import Config

__all__ = ["MeasuredStep", "Estimate", "assumptions", "estimate", "step_gflop", "table"]

# Training images as published, which a dry run does without.
_IMAGES = {"cub": 8_855, "coco": 82_783}
# Where nothing is known of a set.
_SOME_IMAGES = 1_000

# TFLOP/s of dense matrices, by NVIDIA's data sheets.
_PEAKS = {
    "float32": {"A100": 19.5, "H100": 67},
    "TF32": {"A100": 156, "H100": 495},
    "bfloat16": {"A100": 312, "H100": 989},
}
# What convolutional networks reach: NVIDIA's ResNet-50 (DeepLearningExamples, PyTorch)
# learns from 665 images/s on an A100 in TF32 and from 1,186 in half precision, of 24.6
# GFLOP each: 10.5 % and 9.4 %.
_UTILISATION = 0.1


@dataclasses.dataclass(frozen=True)
class MeasuredStep:
    """A traced step on this machine.

    Args:
        images: it was fed.
        seconds: it took.
        gflop: of its convolutions and matmuls, see `step_gflop`.
    """

    images: int
    seconds: float
    gflop: float


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Of one stage; seconds by machine: here, A100, H100."""

    stage: str
    measured: MeasuredStep
    steps: int
    batch_size: int
    epoch_s: dict[str, float]
    all_steps_s: dict[str, float]


def step_gflop(train_step: Any, *arguments) -> float:
    """GFLOP of a step's convolutions and matmuls, on all its replicas.

    Of those that the step's results need and whose shapes are known; the body of a
    loop counts once (of the LSTMs, one word). Not by TensorFlow's counter, which takes
    a product of transposed batches for another.

    Args:
        train_step: a `tf.function`, traced for `arguments`.
        arguments: of it.
    """
    graph = train_step.get_concrete_function(*arguments).graph
    # A step compiled by XLA is a function that the graph calls, as a loop's body is.
    called = [function.graph for function in graph._functions.values()]
    return sum(_operations(part) for part in (graph, *called)) / 1e9


def _operations(graph):
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    needed = set()
    while waiting:
        operation = waiting.pop()
        if operation not in needed:
            needed.add(operation)
            waiting += [tensor.op for tensor in operation.inputs]
            waiting += operation.control_inputs
    return sum(_multiplications(operation) for operation in needed) * 2


def _multiplications(operation):
    """Results times what each sums up; 0 where a shape is not known."""
    inputs = [tensor.shape for tensor in operation.inputs]
    outputs = [tensor.shape for tensor in operation.outputs]
    if operation.type in ("MatMul", "BatchMatMulV2"):
        transposed = "transpose_a" if operation.type == "MatMul" else "adj_x"
        results = outputs[0]
        # A part of a shape, of length 1.
        summed = inputs[0][-2:-1] if operation.get_attr(transposed) else inputs[0][-1:]
    elif operation.type == "Conv2D":
        results, summed = outputs[0], inputs[1][:3]
    elif operation.type == "Conv2DBackpropInput":
        results, summed = inputs[2], inputs[1][:3]
    elif operation.type == "Conv2DBackpropFilter":
        results, summed = inputs[2], outputs[0][:3]
    else:
        return 0
    return (results.num_elements() or 0) * (summed.num_elements() or 0)


def estimate(config: Config, stage: str, measured: MeasuredStep) -> Estimate:
    """Time of an epoch and of all steps, in proportion to a step's images."""
    step_s = {"here": measured.seconds} | {
        machine: measured.gflop / (_UTILISATION * peak * 1e3)
        for machine, peak in _PEAKS[_precision(config)].items()
    }
    image_s = {
        machine: seconds / measured.images for machine, seconds in step_s.items()
    }
    steps = config.stage(stage).steps
    batch_size = config.stage(stage).batch_size
    images, _ = _epoch(config)

    def times(number):
        return {machine: number * seconds for machine, seconds in image_s.items()}

    return Estimate(
        stage, measured, steps, batch_size, times(images), times(steps * batch_size)
    )


def assumptions(config: Config, images: int) -> str:
    """What the table rests on, in a sentence or two."""
    precision = _precision(config)
    rates = ", ".join(
        f"{machine} {peak}" for machine, peak in _PEAKS[precision].items()
    )
    return (
        f"estimates, an epoch being {_epoch(config)[1]}. here: the step of {images} "
        "images, scaled up; rather too long, as larger batches update weights less "
        "often. A100, H100 SXM: one GPU, not measured; GFLOP alone, at "
        f"{_UTILISATION:.0%} of the dense {precision} peak ({rates} TFLOP/s)"
    )


def table(estimates: Iterable[Estimate]) -> list[str]:
    """A header and a line a stage."""
    rows = [["stage", "s/step", "GFLOP/step", "GFLOP/s"]]
    for estimated in estimates:
        measured = estimated.measured
        if len(rows) == 1:
            rows[0] += [f"epoch {machine}" for machine in estimated.epoch_s]
            rows[0] += ["all steps", *estimated.all_steps_s]
        rows.append(
            [
                estimated.stage,
                f"{measured.seconds:.3g}",
                f"{measured.gflop:.3g}",
                f"{measured.gflop / measured.seconds:.3g}",
                *(_span(seconds) for seconds in estimated.epoch_s.values()),
                f"{estimated.steps:,} of {estimated.batch_size}",
                *(_span(seconds) for seconds in estimated.all_steps_s.values()),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _precision(config):
    """What GPUs compute nearly all products in."""
    if config.run.mixed_precision != "none":
        return config.run.mixed_precision
    return "TF32" if config.run.tf32 else "float32"


def _epoch(config):
    """Images of an epoch, and how to say so."""
    images = _IMAGES.get(config.data.dataset)
    if config.data.dataset == "birdlets":
        images = config.birdlets.train_images
    if images is None or config.data.coco_train_json:
        return _SOME_IMAGES, f"{_SOME_IMAGES:,} images (the set's number is not known)"
    return images, f"{images:,} images"


def _span(seconds):
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.{0 if seconds >= 10 * length else 1}f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
