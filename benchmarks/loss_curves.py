"""Two ways to train, told apart by their loss curves or not.

    python -m benchmarks.loss_curves --ours=RUN1,RUN2,RUN3 --theirs=RUN --steps=500

Reads stage glam's losses from the runs' TensorBoard logs: runs of one way that differ
in their seeds, and one or more of another. For each loss: the mean over the last half
of the steps of both ways, the standard deviation of ours over the seeds, and how many
of these the ways lie apart.
"""

import statistics
from pathlib import Path

from absl import app, flags
from tensorboard.backend.event_processing.event_accumulator import (
    TENSORS,
    EventAccumulator,
)
from tensorboard.util import tensor_util

_OURS = flags.DEFINE_list("ours", None, "Workdirs of one way, two at least.")
_THEIRS = flags.DEFINE_list("theirs", None, "Workdirs of the other.")
_STEPS = flags.DEFINE_integer("steps", 500, "Steps that are compared.", lower_bound=2)


def main(_) -> None:
    """Prints a Markdown table."""
    if len(_OURS.value) < 2:
        raise app.UsageError("--ours: two runs at least, or nothing is known of seeds")
    ours = [_means(Path(run)) for run in _OURS.value]
    theirs = [_means(Path(run)) for run in _THEIRS.value]
    print("| loss | ours | over seeds | theirs | deviations apart |")
    print("| --- | --- | --- | --- | --- |")
    for name in sorted(ours[0].keys() - {"images_per_second"}):
        values = [run[name] for run in ours]
        mean, spread = statistics.fmean(values), statistics.stdev(values)
        other = statistics.fmean(run[name] for run in theirs)
        print(
            f"| {name} | {mean:.3f} | ± {spread:.3f} | {other:.3f} | "
            f"{abs(other - mean) / spread:.1f} |"
        )


def _means(run):
    """Loss -> its mean over the last half of the steps that are compared."""
    log = EventAccumulator(str(run / "logs" / "glam"), size_guidance={TENSORS: 0})
    log.Reload()
    found = {}
    for tag in log.Tags()[TENSORS]:
        values = [
            tensor_util.make_ndarray(event.tensor_proto).item()
            for event in log.Tensors(tag)
            if _STEPS.value / 2 < event.step <= _STEPS.value
            and not event.tensor_proto.tensor_shape.dim
        ]
        if values:
            found[tag.removeprefix("glam/")] = statistics.fmean(values)
    return found


if __name__ == "__main__":
    flags.mark_flags_as_required(["ours", "theirs"])
    app.run(main)
