"""Compares the loss curves of two ways to train.

    python -m benchmarks.loss_curves --ours=RUN1,RUN2 --theirs=RUN3,RUN4 --steps=500

Reads the losses of stage glam from TensorBoard logs: of runs of one way with several
seeds, and of one or more runs of another way. Prints for each loss the mean over the
last half of the steps, the standard deviation over seeds, and the difference of the two
ways in standard deviations (pooled, if there are several runs of the other way).
"""

import statistics
import sys
from pathlib import Path

from absl import app, flags, logging
from tensorboard.backend.event_processing.event_accumulator import (
    TENSORS,
    EventAccumulator,
)
from tensorboard.util import tensor_util

from mirrorgan_tf.config.path_flags import define_path_list

define_path_list("ours", None, "Workdirs of one way, two at least.")
define_path_list("theirs", None, "Workdirs of the other.")
_STEPS = flags.DEFINE_integer("steps", 500, "Steps that are compared.", lower_bound=2)
_MOST = flags.DEFINE_float(
    "most", None, "Exit status 1 if the ways differ by more standard deviations."
)


def main(_) -> int:
    """Prints a Markdown table; returns the exit status."""
    values = flags.FLAGS
    if len(values.ours) < 2:
        raise app.UsageError("--ours: give at least two runs with different seeds")
    # TensorBoard logs every file that it opens.
    logging.set_verbosity(logging.WARNING)
    ours, theirs = (
        [_means(Path(run)) for run in runs] for runs in (values.ours, values.theirs)
    )
    print("| loss | ours | theirs | deviations apart |")
    print("| --- | --- | --- | --- |")
    farthest = 0.0
    for name in sorted(ours[0].keys() - {"images_per_second"}):
        both = [[run[name] for run in runs] for runs in (ours, theirs)]
        mine, other = map(statistics.fmean, both)
        variances = [statistics.variance(values) for values in both if len(values) > 1]
        apart = abs(mine - other) / statistics.fmean(variances) ** 0.5
        farthest = max(farthest, apart)
        print(f"| {name} | {' | '.join(map(_format, both))} | {apart:.1f} |")
    return int(_MOST.value is not None and farthest > _MOST.value)


def _format(values):
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.3f}"


def _means(run):
    """Loss -> its mean over the last half of the steps that are compared."""
    folder = run / "logs" / "glam"
    log = EventAccumulator(str(folder), size_guidance={TENSORS: 0})
    if folder.is_dir():
        log.Reload()
    means = {}
    for tag in log.Tags()[TENSORS]:
        values = [
            tensor_util.make_ndarray(event.tensor_proto).item()
            for event in log.Tensors(tag)
            if _STEPS.value / 2 < event.step <= _STEPS.value
            and not event.tensor_proto.tensor_shape.dim
        ]
        if values:
            means[tag.removeprefix("glam/")] = statistics.fmean(values)
    if not means:
        sys.exit(
            f"error: {folder}: no losses of steps {_STEPS.value // 2 + 1} to "
            f"{_STEPS.value}; give the --workdir of a training that has come so far"
        )
    return means


if __name__ == "__main__":
    flags.mark_flags_as_required(["ours", "theirs"])
    app.run(main)
