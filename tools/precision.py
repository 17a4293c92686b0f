"""Compares losses of GLAM in bfloat16 with those in float32, on birdlets.

    python tools/precision.py --seeds=5 --out=runs/precision

STEM and STREAM are trained once, in float32, then GLAM with each seed in both
precisions. The same command resumes an interrupted comparison. Exit status 1 if the
means of a loss over the last half of the steps differ by more than --most standard
deviations of the seeds.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

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
            runs[precision].append(str(run))
    ours, theirs = (",".join(runs[precision]) for precision in PRECISIONS)
    compared = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.loss_curves"),
            *(f"--ours={ours}", f"--theirs={theirs}"),
            *(f"--steps={arguments.steps}", f"--most={arguments.most}"),
        ],
        cwd=ROOT,
    )
    sys.exit(compared.returncode)


if __name__ == "__main__":
    main()
