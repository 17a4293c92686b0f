"""Compares losses of GLAM in bfloat16 with those in float32, on birdlets.

    python tools/precision.py --seeds=5 --out=runs/precision

STEM and STREAM are trained once, in float32, then GLAM with each seed in both
precisions. The same command resumes an interrupted comparison. Exit status 1 if the
means of a loss over the last half of the steps differ by more than --most standard
deviations of the seeds.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import (
    TENSORS,
    EventAccumulator,
)
from tensorboard.util import tensor_util

ROOT = Path(__file__).parents[1]
PRECISIONS = ("bfloat16", "none")


def train(workdir, data, *flags):
    """Runs the command as users do."""
    subprocess.run(
        [
            *(sys.executable, "-m", "mirrorgan_tf.train"),
            "--flagfile=flags/birdlets.cfg",
            *("--birdlets_train_images=3000", "--birdlets_val_images=500"),
            *("--backbone_steps=800", "--stem_steps=400", "--stream_steps=500"),
            *(f"--workdir={workdir}", f"--data_dir={data}", *flags),
        ],
        cwd=ROOT,
        check=True,
    )


def main():
    """Trains all runs that are not finished, then compares them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--most", type=float, default=3.0)
    parser.add_argument("--out", type=Path, default=Path("runs/precision"))
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    encoders = out / "encoders"
    train(
        encoders,
        out / "data",
        "--mixed_precision=none",
        "--stages=backbone,stem,stream",
    )
    runs = {precision: [] for precision in PRECISIONS}
    for seed in range(1, arguments.seeds + 1):
        for precision in PRECISIONS:
            run = out / f"{precision}-seed{seed}"
            if not run.exists():
                # Without flags.cfg, since the seed and the data set differ.
                shutil.copytree(
                    encoders,
                    run,
                    ignore=shutil.ignore_patterns("flags.cfg", "logs", "pictures"),
                )
            train(
                run,
                out / "data",
                # So that another seed does not draw other birds.
                "--data_seed=1",
                f"--seed={seed}",
                f"--mixed_precision={precision}",
                f"--glam_steps={arguments.steps}",
                "--stages=glam",
            )
            runs[precision].append(run)
    apart = compare_losses(*runs.values(), steps=arguments.steps)
    sys.exit(int(apart > arguments.most))


def compare_losses(ours: list[Path], theirs: list[Path], *, steps: int) -> float:
    """Prints a table of the losses of stage glam, from TensorBoard's logs.

    Args:
        ours: workdirs of one way to train, two at least, of several seeds.
        theirs: those of the other way.
        steps: that are compared; each loss is its mean over the last half of them.

    Returns:
        The largest difference of a loss, in standard deviations over the seeds
        (pooled, if there are several runs of the other way).
    """
    ours, theirs = ([_means(run, steps) for run in runs] for runs in (ours, theirs))
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
    return farthest


def _format(values):
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.3f}"


def _means(run, steps):
    """Loss -> its mean over the last half of the steps that are compared."""
    folder = run / "logs" / "glam"
    log = EventAccumulator(str(folder), size_guidance={TENSORS: 0}).Reload()
    means = {}
    for tag in log.Tags()[TENSORS]:
        values = [
            tensor_util.make_ndarray(event.tensor_proto).item()
            for event in log.Tensors(tag)
            if steps / 2 < event.step <= steps
            and not event.tensor_proto.tensor_shape.dim
        ]
        if values:
            means[tag.removeprefix("glam/")] = statistics.fmean(values)
    if not means:
        sys.exit(f"error: {folder}: no losses of the last half of {steps} steps")
    return means


if __name__ == "__main__":
    main()
