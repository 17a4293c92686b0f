"""Times of whole stages on this machine, estimated from one step, for `--dry_run`."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from mirrorgan_tf.config import Config

__all__ = [
    "Estimate",
    "MeasuredStep",
    "describe_epoch",
    "estimate",
    "step_gflop",
    "table",
]

# Training images as published; a dry run does not read the data.
_IMAGES = {"cub": 8_855, "coco": 82_783}
# For sets of unknown size.
_DEFAULT_IMAGES = 1_000


@dataclasses.dataclass(frozen=True)
class MeasuredStep:
    """A traced step on this machine.

    Args:
        images: number in its batch.
        seconds: its time.
        gflop: of its convolutions and matrix products, see `step_gflop`.
    """

    images: int
    seconds: float
    gflop: float


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Times of one stage."""

    stage: str
    measured: MeasuredStep
    steps: int
    batch_size: int
    epoch_s: float
    all_steps_s: float


def step_gflop(train_step: Any, *arguments) -> float:
    """GFLOP of a step's convolutions and matrix products, on all its replicas.

    Counts operations that the step's results need and whose shapes are known; the body
    of a loop counts once (for the LSTMs, one word). TensorFlow's own profiler counts
    products of transposed batches wrongly.

    Args:
        train_step: a `tf.function`, traced for `arguments`.
        *arguments: of the step.
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
    """Number of results times the products summed in each; 0 for unknown shapes."""
    inputs = [tensor.shape for tensor in operation.inputs]
    outputs = [tensor.shape for tensor in operation.outputs]
    if operation.type in ("MatMul", "BatchMatMulV2"):
        transposed = "transpose_a" if operation.type == "MatMul" else "adj_x"
        results = outputs[0]
        # A slice keeps the TensorShape, which knows its number of elements.
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
    """Time of an epoch and of all steps, in proportion to the number of images.

    Rather too long: larger batches update the weights less often.
    """
    image_s = measured.seconds / measured.images
    steps = config.stage(stage).steps
    batch_size = config.stage(stage).batch_size
    return Estimate(
        stage=stage,
        measured=measured,
        steps=steps,
        batch_size=batch_size,
        epoch_s=_epoch_images(config)[0] * image_s,
        all_steps_s=steps * batch_size * image_s,
    )


def describe_epoch(config: Config) -> str:
    """The number of images of an epoch in the estimates."""
    images, known = _epoch_images(config)
    note = "" if known else " (the size of the data set is not known)"
    return f"{images:,} images{note}"


def _epoch_images(config):
    """The number, and whether it is that of the data set."""
    if config.data.dataset == "birdlets":
        return config.birdlets.train_images, True
    if config.data.coco_train_json or config.data.dataset not in _IMAGES:
        return _DEFAULT_IMAGES, False
    return _IMAGES[config.data.dataset], True


def table(estimates: Iterable[Estimate]) -> list[str]:
    """A header, and a line for each stage."""
    rows = [["stage", "s/step", "GFLOP/step", "GFLOP/s", "epoch", "all steps", "take"]]
    for stage in estimates:
        measured = stage.measured
        rows.append(
            [
                stage.stage,
                f"{measured.seconds:.3g}",
                f"{measured.gflop:.3g}",
                f"{measured.gflop / measured.seconds:.3g}",
                _duration(stage.epoch_s),
                f"{stage.steps:,} of {stage.batch_size}",
                _duration(stage.all_steps_s),
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


def _duration(seconds):
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.{0 if seconds >= 10 * length else 1}f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
